"""A source that lies (docs/moving.md): the cell it would move into is as it was, and gets no stranger's content."""

import json
import time
import zlib
from collections.abc import Callable, Iterator
from hashlib import sha256
from itertools import count
from types import SimpleNamespace
from typing import Any

import pytest
from django.contrib.auth.models import User

from cells import transfer_lines
from cells.models import Blob, Cell, File
from exports.models import Received, RunEntry
from exports.services import move_fetching, receiving, spool, transfers
from exports.states import DepartureState, ImportState
from tests.factories import make_cell, put_documents, put_file, put_files
from tests.services.imported import generations, holding
from tests.services.moving import all_told, arrive, offered, run

pytestmark = pytest.mark.django_db(transaction=True)
SECRET = b"what charlie told nobody"


@pytest.fixture(autouse=True)
def reachable(settings, monkeypatch) -> None:
    settings.EGRESS_ALLOW = ["127.0.0.0/8", "::1/128"]
    monkeypatch.setattr(spool, "_PAUSES", (0.0, 0.0))


@pytest.fixture
def source(alice: User) -> Cell:
    cell = make_cell(alice, "source")
    put_files(cell, {"a/b.txt": b"text " * 100, "c": b"c", "z": b"z"})
    put_documents(cell, [("note", "n1", {"a": 1}), ("note", "n2", {"a": 2})])
    return cell


@pytest.fixture
def target(bob: User) -> Cell:
    cell = make_cell(bob, "target")
    put_file(cell, "old", b"old")
    put_documents(cell, [("note", "old", {"a": 0})])
    return cell


class Lies:
    """Changes what the real source says, on its way out. The target reads with what was not changed."""

    def __init__(self, monkeypatch) -> None:
        self._patch = monkeypatch

    def chunk(self, change: Callable[[bytes], bytes]) -> None:
        """Of rows, before it is frozen: the source itself is wrong, and consistent."""
        honest = transfer_lines.chunks
        self._patch.setattr(transfer_lines, "chunks", lambda rows: (change(chunk) for chunk in honest(rows)))

    def listing(self, change: Callable[[list[dict[str, Any]]], list[dict[str, Any]] | Iterator[bytes]]) -> None:
        """The objects of its lines, or lines in their place."""
        honest = transfers.listing

        def told(departure: Any) -> Iterator[bytes]:
            found = change([json.loads(line) for line in b"".join(honest(departure)).splitlines()])
            return iter([json.dumps(each).encode() + b"\n" for each in found]) if isinstance(found, list) else found

        self._patch.setattr(transfers, "listing", told)

    def body(self, change: Callable[[bytes], bytes]) -> None:
        """Of contents, with the length that was announced."""
        honest = transfers._bytes

        def sent(*given: Any) -> Iterator[bytes]:
            data = b"".join(honest(*given))
            return iter([change(data)[: len(data)].ljust(len(data), b"\0")])

        self._patch.setattr(transfers, "_bytes", sent)


@pytest.fixture
def lies(monkeypatch) -> Lies:
    return Lies(monkeypatch)


def refused(source: Cell, target: Cell, url: str, reason: str, code: str = "transfer_refused") -> None:
    """The move fails for this reason, and both cells are as they were."""
    before = holding(target), holding(source)
    departure = offered(source, url)
    row = run(arrive(departure, target, url))
    assert (row.state, row.error["code"]) == (ImportState.FAILED, code), row.error
    assert reason in row.error["message"]
    assert (holding(target), holding(source)) == before
    assert generations(target) == [target.generation]
    all_told()
    departure.refresh_from_db()
    assert departure.state == DepartureState.ABORTED
    for cell in (source, target):
        cell.refresh_from_db()
        put_file(cell, "written", b"again")


def replaced(old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    return lambda chunk: chunk.replace(old, new)


#: What only the whole shows; single lines are judged in `test_transfer_lines.py`.
ROWS = {
    "up": (b'"path":"c"', b'"path":"../c"', "is no name"),
    "twice": (b'"path":"c"', b'"path":"z"', "twice"),
    "no folder": (b'"path":"a","folder":true', b'"path":"b","folder":true', "folder of 'a/b.txt' is missing"),
    "a file as folder": (b'"path":"c"', b'"path":"z/c"', "folder of 'z/c' is missing"),
    "another size": (b'"size":1,', b'"size":2,', "content was not offered"),
    "document twice": (b'"id":"n2"', b'"id":"n1"', "twice"),
    "no end of line": (b'{"a": 2}}\n', b'{"a": 2}}', "no end"),
}


@pytest.mark.parametrize(("old", "new", "reason"), ROWS.values(), ids=ROWS.keys())
def test_a_row_that_cannot_be_is_refused(
    old: bytes, new: bytes, reason: str, source: Cell, target: Cell, lies: Lies, live_server
) -> None:
    lies.chunk(replaced(old, new))
    refused(source, target, live_server.url, reason)


def first(found: list[dict[str, Any]], **of: Any) -> dict[str, Any]:
    return next(line for line in found if all(line.get(key) == value for key, value in of.items()))


def changed(where: dict[str, Any], **to: Any) -> Callable[[list[dict[str, Any]]], list[dict[str, Any]]]:
    def change(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
        first(found, **where).update(to)
        return found

    return change


CONTENT = {"sha256": sha256(b"c").hexdigest()}
HEAD = {"version": 1}
LISTINGS = {
    "endless lines": (
        lambda found: (json.dumps({**found[bool(n)], "n": n}).encode() + b"\n" for n in range(1_000_000)),
        "longer than it says",
    ),
    "another digest": (changed(CONTENT, sha256=sha256(b"other").hexdigest()), "another than it should be"),
    "longer contents": (changed(CONTENT, size=9, stored=9), "another length"),
}


@pytest.mark.parametrize(("change", "reason"), LISTINGS.values(), ids=LISTINGS.keys())
def test_a_listing_that_lies_is_refused(
    change: Callable, reason: str, source: Cell, target: Cell, lies: Lies, live_server
) -> None:
    lies.listing(change)
    refused(source, target, live_server.url, reason)
    assert not File.objects.filter(blob_id=sha256(b"other").hexdigest()).exists()


def test_a_source_that_sends_a_byte_now_and_then_does_not_hold_a_worker_for_ever(
    source: Cell, target: Cell, live_server, monkeypatch
) -> None:
    """The clock goes an hour with each look at it."""
    hours = count(0, 3600)
    monkeypatch.setattr(move_fetching, "time", SimpleNamespace(monotonic=lambda: float(next(hours)), sleep=time.sleep))
    refused(source, target, live_server.url, "comes too slowly")


def test_bytes_that_changed_on_the_way_are_refused(source: Cell, target: Cell, lies: Lies, live_server) -> None:
    lies.body(lambda data: data[:-1] + bytes([data[-1] ^ 1]))
    refused(source, target, live_server.url, "another than it should be")


def test_a_bomb_is_inflated_no_further_than_was_listed(
    source: Cell, target: Cell, lies: Lies, live_server, monkeypatch
) -> None:
    bomb = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = bomb.compress(bytes(200 << 20)) + bomb.flush()
    read = []
    honest = spool._Plain.read

    def counted(self: Any, size: int = -1) -> bytes:
        piece = honest(self, size)
        read.append(len(piece))
        return piece

    monkeypatch.setattr(spool._Plain, "read", counted)
    name = sha256(b"text " * 100).hexdigest()
    lies.listing(changed({"sha256": name}, size=1000, stored=len(packed), encoding="deflate"))
    monkeypatch.setattr(
        transfers, "contents_open", lambda departure, *, seal, want, offset: _filled(departure, seal, want, packed)
    )
    refused(source, target, live_server.url, "another than it should be")
    assert sum(read) < 10_000


def _filled(departure: Any, seal: str, want: list[int], packed: bytes) -> transfers.Opened:
    pieces = []
    for entry in RunEntry.objects.filter(run=departure.run, ordinal__in=want).order_by("ordinal"):
        is_it = entry.sha256 == sha256(b"text " * 100).hexdigest()
        pieces.append(
            packed
            if is_it
            else b"".join(transfers._bytes(departure.run, [entry.ordinal], {entry.ordinal: entry.stored_size}, 0))
        )
    data = b"".join(pieces)
    return transfers.Opened(len(data), lambda: iter([data]))


def test_another_digest_of_the_whole_is_noticed(source: Cell, target: Cell, lies: Lies, live_server) -> None:
    lies.listing(changed(HEAD, digest="0" * 64))
    refused(source, target, live_server.url, "digests differ", code="transfer_differs")


def test_a_row_that_is_left_out_is_noticed(source: Cell, target: Cell, lies: Lies, live_server, monkeypatch) -> None:
    monkeypatch.setattr(receiving.transferring, "versions_place", lambda *given: 0)
    put_file(source, "c", b"newer")
    refused(source, target, live_server.url, "digests differ", code="transfer_differs")


def test_who_names_the_digest_of_a_stranger_s_content_does_not_get_it(
    source: Cell, target: Cell, charlie: User, lies: Lies, live_server
) -> None:
    """Have/want asks only for what is missing: what others have is missing."""
    put_file(make_cell(charlie, "charlies"), "diary", SECRET)
    stolen, own = sha256(SECRET).hexdigest(), sha256(b"c").hexdigest()
    size = len(SECRET)
    lies.chunk(lambda chunk: chunk.replace(own.encode() + b'","size":1', stolen.encode() + b'","size":%d' % size))
    lies.listing(changed({"sha256": own}, sha256=stolen, size=size, stored=size))
    lies.body(lambda data: data)
    before = holding(target)
    refused_somehow(source, target, live_server.url)
    assert holding(target) == before
    assert not File.objects.filter(cell=target, blob_id=stolen).exists()
    assert not Received.objects.filter(cell=target, sha256=stolen).exists()
    assert Blob.objects.filter(pk=stolen).exists()


def refused_somehow(source: Cell, target: Cell, url: str) -> None:
    row = run(arrive(offered(source, url), target, url))
    assert row.state == ImportState.FAILED and row.error["code"] == "transfer_refused"


def test_a_digest_that_is_named_and_not_offered_is_not_got_either(
    source: Cell, target: Cell, charlie: User, lies: Lies, live_server
) -> None:
    put_file(make_cell(charlie, "charlies"), "diary", SECRET)
    own, stolen = sha256(b"c").hexdigest().encode(), sha256(SECRET).hexdigest().encode()
    lies.chunk(replaced(own + b'","size":1', stolen + b'","size":%d' % len(SECRET)))
    refused(source, target, live_server.url, "content was not offered")
