from collections.abc import Iterator
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.test import Client

from cells.models import Cell
from exports.api.move.realtime import hub
from exports.services import move_fetching
from tests.factories import make_cell, put_documents, put_file, put_files
from tests.spec.move.asking import Move
from tests.spec.move.sockets import listening, realtime

FILES = {
    "a.txt": b"hello\n" * 1000,
    "Documents/b.bin": bytes(range(256)) * 40,
    "Documents/2024/empty": b"",
    "Photos/ü 100%.jpg": b"\xff\xd8" + b"x" * 5000,
}


@pytest.fixture
def cell(alice: User) -> Cell:
    cell = make_cell(alice, "alice")
    put_files(cell, FILES)
    put_file(cell, "a.txt", b"an older a\n")
    put_file(cell, "a.txt", FILES["a.txt"], executable=True)
    put_documents(
        cell,
        [
            ("io.cozy.contacts", "c1", {"name": "Zoë", "_id": "another", "_rev": "another"}),
            ("io.cozy.contacts", "c2", {"n": 1.5}),
            ("io.cozy.apps", "io.cozy.apps/drive", {"slug": "drive"}),
            ("io.cozy.sessions", "s1", {"secret": 1}),
            ("io.cozy.exports", "e1", {"x": 1}),
        ],
    )
    return cell


@pytest.fixture
def as_alice(alice: User, cell: Cell) -> Move:
    return Move(alice, cell=cell, scopes=("io.cozy.exports", "io.cozy.imports"))


@pytest.fixture
def signed_in(alice: User, cell: Cell) -> Client:
    client = Client()
    client.force_login(alice)
    return client


@pytest.fixture
def as_nobody(db: None) -> Move:
    return Move()


@pytest.fixture
def other_servers(settings, monkeypatch) -> None:
    """On this machine, and asked again without a pause."""
    settings.EGRESS_ALLOW = ["127.0.0.0/8"]
    monkeypatch.setattr(move_fetching, "_PAUSES", (0.0,) * move_fetching.TRIES)


@pytest.fixture
def target(bob: User) -> Cell:
    cell = make_cell(bob, "bobs")
    put_file(cell, "old.txt", b"old")
    put_documents(cell, [("io.old", "o1", {"old": True})])
    return cell


@pytest.fixture
def as_bob(bob: User, target: Cell) -> Move:
    return Move(bob, cell=target, scopes=("io.cozy.imports",))


@pytest.fixture
def process(process_env: dict[str, str], tmp_path: Path) -> Iterator[int]:
    """The port of a process; it has nothing to complain of."""
    with realtime(process_env, tmp_path / "realtime.log") as port:
        yield port
    assert (tmp_path / "realtime.log").read_text() == ""


@pytest.fixture
def port(db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The same in a thread, which starts in no time, and looks at no row unless it is told to."""
    monkeypatch.setattr(hub, "CHECK_SECONDS", 3600)
    with listening() as port:
        yield port


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks at the rows all the time, and hears of nothing."""
    monkeypatch.setattr(hub, "CHECK_SECONDS", 0.05)
