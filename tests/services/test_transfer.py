"""A cell moves from one exportsite to another (docs/moving.md): all of it, or nothing."""

from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from cells.models import Cell, File
from cells.writing import cell_delete
from exports.errors import MoveSourceRefused, TransferNotFound
from exports.models import Departure
from exports.services import receiving, spool, transfers
from exports.services.source_server import SourceAway, SourceServer
from exports.states import DepartureState, ImportState
from tests.factories import make_cell, put_documents, put_file, put_files
from tests.services.imported import generations, holding
from tests.services.moving import NOISE, TEXT, all_told, arrive, filled, offered, run, token_of

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def reachable(settings) -> None:
    settings.EGRESS_ALLOW = ["127.0.0.0/8", "::1/128"]


@pytest.fixture
def source(alice: User) -> Cell:
    return filled(alice)


@pytest.fixture
def target(bob: User) -> Cell:
    cell = make_cell(bob, "target")
    put_file(cell, "old", b"old")
    return cell


def test_a_cell_moves_with_everything_it_holds(source: Cell, target: Cell, live_server) -> None:
    departure = offered(source, live_server.url)
    before = holding(source)
    row = run(arrive(departure, target, live_server.url))
    assert (row.state, row.error) == (ImportState.DONE, None)
    assert holding(target) == before
    departure.refresh_from_db()
    assert departure.state == DepartureState.MOVED
    source.refresh_from_db()
    assert source.moved_to
    assert Departure.objects.count() == 1 and len(generations(target)) == 2


def test_a_moved_cell_may_be_deleted_before_the_other_server_has_heard(source: Cell, target: Cell, live_server) -> None:
    """It would have dropped what it holds, when it asks again and nobody knows the move."""
    departure = offered(source, live_server.url)
    row = arrive(departure, target, live_server.url)
    before = holding(source)

    def lost(self: SourceServer, digest: str) -> None:
        honest(self, digest)
        raise SourceAway("the answer was lost")

    honest = SourceServer.finalize
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SourceServer, "finalize", lost)
        assert run(row).state == ImportState.PENDING
    source.refresh_from_db()
    assert source.moved_to
    cell_delete(cell=source)
    assert run(row).state == ImportState.DONE
    assert holding(target) == before


@pytest.fixture
def sent(monkeypatch) -> list[int]:
    """Lengths of the pieces of contents that the source sends."""
    pieces: list[int] = []
    honest = transfers._bytes

    def counted(*given: Any) -> Iterator[bytes]:
        for piece in honest(*given):
            pieces.append(len(piece))
            yield piece

    monkeypatch.setattr(transfers, "_bytes", counted)
    return pieces


def failing(departure: Departure, target: Cell, url: str) -> None:
    """Everything comes, and then it ends."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(receiving, "content_digest", lambda found: "0" * 64)
        assert run(arrive(departure, target, url)).error["code"] == "transfer_differs"
    all_told()


def test_a_second_try_sends_only_what_is_missing(source: Cell, target: Cell, live_server, sent: list[int]) -> None:
    failing(offered(source, live_server.url), target, live_server.url)
    whole = sum(sent)
    sent.clear()
    put_file(source, "d0/new", b"written between the tries")
    source.refresh_from_db()
    put_file(source, "d0/new", b"written between the tries")
    departure = offered(source, live_server.url)
    assert run(arrive(departure, target, live_server.url)).state == ImportState.DONE
    rows = departure.run.entries.filter(name__startswith="files/")
    assert sum(sent) <= len(b"written between the tries") + sum(rows.values_list("stored_size", flat=True))
    assert 0 < sum(sent) < whole / 10
    assert holding(target) == holding(source)


def test_what_another_cell_of_the_same_owner_holds_is_not_sent(
    source: Cell, bob: User, target: Cell, live_server, sent: list[int]
) -> None:
    put_files(make_cell(bob, "another"), {"text": TEXT, "bytes": NOISE})
    departure = offered(source, live_server.url)
    assert run(arrive(departure, target, live_server.url)).state == ImportState.DONE
    [text] = departure.run.entries.filter(sha256=sha256(TEXT).hexdigest()).values_list("stored_size", flat=True)
    assert sum(sent) <= transfers.facts(departure.run).bytes - text - len(NOISE)
    assert holding(target) == holding(source)


def test_what_is_written_while_it_is_fetched_comes_along(
    source: Cell, target: Cell, live_server, sent: list[int], monkeypatch
) -> None:
    """And only that is fetched while the source is held."""
    honest, before = SourceServer.hold, []

    def written(self: SourceServer) -> None:
        put_file(source, "late", b"late " * 10)
        put_documents(source, [("note", "late", {"late": True})])
        before.append(sum(sent))
        honest(self)

    monkeypatch.setattr(SourceServer, "hold", written)
    assert run(arrive(offered(source, live_server.url), target, live_server.url)).state == ImportState.DONE
    assert 0 < sum(sent) - before[0] < before[0] / 5
    assert holding(target) == holding(source)
    assert File.objects.filter(cell=target, generation=target.generation, path="late").exists()


def test_no_byte_comes_twice_when_the_connection_is_cut(
    source: Cell, target: Cell, live_server, sent: list[int], monkeypatch
) -> None:
    """But for what was under way, which on this machine is what the server had written and nobody read."""
    departure = offered(source, live_server.url)
    honest, cuts, come = transfers._noting, [100_000, 200_000, 300_000], []

    def cut(row: Departure, pieces: Iterator[bytes]) -> Iterator[bytes]:
        for piece in honest(row, pieces):
            yield piece
            if cuts and sum(sent) > cuts[0]:
                cuts.pop(0)
                raise ConnectionResetError

    batch_come = spool._go_on

    def counted(source: SourceServer, seal: str, batch: list, path: Path, total: int, tick: Callable) -> None:
        before = path.stat().st_size
        try:
            batch_come(source, seal, batch, path, total, tick)
        finally:
            come.append(path.stat().st_size - before)

    monkeypatch.setattr(transfers, "_noting", cut)
    monkeypatch.setattr(spool, "_go_on", counted)
    monkeypatch.setattr(spool, "_PAUSES", (0.0,) * 5)
    assert run(arrive(departure, target, live_server.url)).state == ImportState.DONE
    assert not cuts and len(come) >= 4
    assert sum(come) == transfers.facts(departure.run).bytes
    assert holding(target) == holding(source)


def test_a_batch_goes_on_in_another_process(
    source: Cell, target: Cell, live_server, sent: list[int], monkeypatch
) -> None:
    """What a killed worker had fetched lies in a file that the next one goes on with."""
    departure = offered(source, live_server.url)
    row = arrive(departure, target, live_server.url)
    with monkeypatch.context() as patch:
        patch.setattr(spool, "batch_unpack", lambda *given: (_ for _ in ()).throw(SourceAway("as if killed")))
        assert run(row).state == ImportState.PENDING
    whole = sum(sent)
    assert whole == transfers.facts(departure.run).bytes
    assert run(row).state == ImportState.DONE
    assert sum(sent) == whole
    assert not list(spool.folder_of(row.pk).parent.glob("transfer-*"))


def test_the_token_of_one_transfer_opens_no_other(source: Cell, alice: User, target: Cell, live_server) -> None:
    departure, other = offered(source, live_server.url), offered(filled(alice, "other"), live_server.url)
    server = SourceServer(arrive(departure, target, live_server.url, token=token_of(other)).arrival)
    with pytest.raises(MoveSourceRefused):
        server.status()
    with pytest.raises(MoveSourceRefused):
        server.hold()
    departure.refresh_from_db()
    assert departure.state == DepartureState.OFFERED


def test_contents_are_those_of_the_listing_and_no_others(source: Cell, alice: User, live_server) -> None:
    departure = offered(source, live_server.url)
    seal, count = departure.run.manifest_sha256, departure.run.entry_count
    wrong = [{"want": [count - 1]}, {"want": [count]}, {"want": [-1]}, {"want": []}, {"want": [1, 0]}, {"want": [0, 0]}]
    wrong += [{"want": [0], "offset": 1 << 40}, {"want": [0], "seal": "0" * 64}]
    for each in wrong:
        with pytest.raises(TransferNotFound):
            transfers.contents_open(departure, **{"seal": seal, "offset": 0} | each)
    opened = transfers.contents_open(departure, seal=seal, want=[0, 2], offset=5)
    whole = b"".join(
        b"".join(transfers.contents_open(departure, seal=seal, want=[n], offset=0).chunks()) for n in (0, 2)
    )
    assert b"".join(opened.chunks()) == whole[5:] and opened.length == len(whole) - 5


def test_administrators_see_moves_and_no_secrets(source: Cell, target: Cell, live_server) -> None:
    departure = offered(source, live_server.url)
    row = arrive(departure, target, live_server.url)
    client = Client()
    client.force_login(User.objects.create_superuser("root", password="root's password"))
    for model, key in (("departure", departure.uid), ("arrival", row.pk)):
        for page in (f"/admin/exports/{model}/", f"/admin/exports/{model}/{key}/change/"):
            answer = client.get(page)
            assert answer.status_code == 200, page
            for secret in (token_of(departure), departure.token_digest, departure.secret_digest):
                assert secret.encode() not in answer.content
