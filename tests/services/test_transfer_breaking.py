"""Another server that is slow, forgetful or greedy, and cells that go while they move (docs/moving.md)."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from cells import removing
from cells.models import Cell
from cells.writing import cell_delete, cell_rename, folder_create
from exports.errors import MoveSecretInvalid
from exports.models import Arrival, Departure, Received, Run
from exports.services import (
    arrivals,
    departure_asking,
    departures,
    move_calls,
    receiving,
    running,
    source_server,
    spool,
    transfers,
)
from exports.services import (
    offered as staged,
)
from exports.services.source_server import SourceAway, SourceServer
from exports.states import DepartureState, ImportState
from exports.transports.base import TransportError
from tests.factories import make_cell, put_documents, put_file
from tests.services.imported import generations, holding
from tests.services.moving import all_told, arrive, asked, offered, run
from tests.spec.move.other import OPAQUE, other_server

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def reachable(settings, monkeypatch) -> None:
    settings.EGRESS_ALLOW = ["127.0.0.0/8", "::1/128"]
    monkeypatch.setattr(spool, "_PAUSES", (0.0, 0.0))


@pytest.fixture
def source(alice: User) -> Cell:
    cell = make_cell(alice, "source")
    put_file(cell, "a/b", b"content " * 1000)
    put_documents(cell, [("note", "n", {"a": 1})])
    return cell


@pytest.fixture
def target(bob: User) -> Cell:
    cell = make_cell(bob, "target")
    put_file(cell, "old", b"old")
    return cell


def test_one_who_has_asked_keeps_what_a_source_that_forgot_the_move_gave(
    source: Cell, target: Cell, live_server, monkeypatch
) -> None:
    """The account there was deleted, or a backup laid back: what is here may be all there is."""
    departure, before = offered(source, live_server.url), holding(target)
    honest = SourceServer.finalize

    def lost(self: SourceServer, digest: str) -> None:
        honest(self, digest)
        raise SourceAway("the answer was lost")

    with monkeypatch.context() as patch:
        patch.setattr(SourceServer, "finalize", lost)
        row = run(arrive(departure, target, live_server.url))
    moved = holding(source)
    uid = departure.uid
    Departure.objects.filter(pk=uid).update(uid="0" * 32)
    assert run(row).state == ImportState.PENDING
    target.refresh_from_db()
    assert holding(target) == before and len(generations(target)) == 2 and target.held_at is not None
    Departure.objects.exclude(uid="0" * 32).delete()
    Departure.objects.filter(uid="0" * 32).update(uid=uid)
    assert run(row).state == ImportState.DONE
    assert holding(target) == moved


@pytest.mark.parametrize("drips", [0, 20])
def test_headers_that_never_end_are_not_waited_for(monkeypatch, drips: int) -> None:
    monkeypatch.setattr(move_calls, "HEADER_SECONDS", 0.3)
    with other_server({"": b""}) as other:
        other.drips = drips
        try:
            with pytest.raises(TransportError):
                move_calls.ask("GET", f"{other.url}/move/exports/{OPAQUE}", token="t", doing="go on moving")
            assert not other.silence.is_set()
        finally:
            other.silence.set()


def test_each_byte_of_a_listing_is_looked_at_by_the_clock() -> None:
    """A line of 500 bytes, a byte at a time, and 500 lines, would be listened to for weeks."""
    came: list[int] = []
    rows = source_server._lines(iter([b'{"n', b'":', b"1}\n"]), came.append)
    assert list(rows) == [b'{"n":1}'] and came == [3, 2, 3]


def test_a_freeze_that_never_ends_is_not_waited_for(
    source: Cell, target: Cell, live_server, monkeypatch, settings
) -> None:
    departure, before = offered(source, live_server.url), holding(target)
    settings.MOVE_HOLD = timedelta(seconds=0)
    monkeypatch.setattr(SourceServer, "status", lambda self: {"state": "holding", "digest": ""})
    row = run(arrive(departure, target, live_server.url))
    assert row.error["message"] == "The other server refused to go on: its transfer is holding."
    assert holding(target) == before
    target.refresh_from_db()
    assert target.held_at is None


def test_a_source_that_answers_and_gives_nothing_is_given_up(
    source: Cell, target: Cell, live_server, monkeypatch
) -> None:
    """Its listing cannot be read, say: it was asked again every two seconds, for ever."""
    departure, before = offered(source, live_server.url), holding(target)
    row = arrive(departure, target, live_server.url)

    def broken(self: SourceServer, *given: object) -> None:
        raise SourceAway("500")

    monkeypatch.setattr(SourceServer, "listing", broken)
    for tries in (1, 2):
        assert run(row).state == ImportState.PENDING
        assert Arrival.objects.get().tries == tries
    Arrival.objects.update(tries=receiving.TRIES)
    assert run(row).error["code"] == "move_source_refused"
    assert holding(target) == before
    all_told()
    departure.refresh_from_db()
    assert departure.state == DepartureState.ABORTED


def test_nobody_holds_a_source_for_longer_than_a_day(source: Cell, live_server) -> None:
    departure = offered(source, live_server.url)
    departures.departure_hold(departure)
    running.run_export(run_id=departure.held_run_id)
    for hours, ended in ((23, 0), (25, 1)):
        later = timezone.now() + timedelta(hours=hours)
        Departure.objects.update(heard_at=later)
        assert departures.departures_sweep(now=later) == ended
    source.refresh_from_db()
    assert source.held_at is None
    put_file(source, "again", b"written")


def test_a_large_cell_may_be_deleted_before_it_is_held(source: Cell, alice: User, live_server, monkeypatch) -> None:
    """Its row is there until all of it has gone: the beat fell over it, and looked after nothing behind it."""
    departure = asked(source, live_server.url)
    monkeypatch.setattr(removing, "AT_ONCE", 1)
    cell_delete(cell=source)
    running.run_export(run_id=departure.run_id)
    departures.departures_sweep()
    departure.refresh_from_db()
    assert departure.state == DepartureState.ABORTED
    assert Cell.every.get(pk=source.pk).removed_at
    assert not Run.objects.filter(state__in=("pending", "processing")).exists()


def test_a_cell_that_was_deleted_is_not_asked_for_any_more(source: Cell, alice: User) -> None:
    departure, secret = departures.departure_request(
        cell=source, owner=alice, target_url="https://new.example", target_token="t", base_url="http://here"
    )
    cell_delete(cell=source)
    with pytest.raises(MoveSecretInvalid):
        departures.departure_go(secret=secret, user=alice)
    departure.refresh_from_db()
    assert departure.state == DepartureState.ASKED
    with pytest.raises(TransportError):
        departure_asking.confirm_context(departure)


def test_what_does_not_fit_is_not_fetched_though_the_source_says_that_it_is_little(
    source: Cell, target: Cell, live_server, monkeypatch
) -> None:
    Cell.objects.filter(pk=target.pk).update(quota=5000)
    before = holding(target)
    monkeypatch.setattr(transfers, "bytes_used", lambda cell: 0)
    monkeypatch.setattr(SourceServer, "contents", None)
    row = run(arrive(offered(source, live_server.url), target, live_server.url))
    assert row.error["message"] == "3000 of 8000 bytes do not fit the cell's quota of 5000 bytes."
    assert holding(target) == before


@pytest.mark.parametrize(("most", "state"), [(5, ImportState.FAILED), (6, ImportState.DONE)])
def test_folders_fill_no_quota_and_are_counted(
    source: Cell, target: Cell, live_server, settings, most: int, state: ImportState
) -> None:
    for name in ("c", "d", "e", "f"):
        folder_create(cell=source, path=name)
    departure, before = offered(source, live_server.url), holding(target)
    settings.IMPORT_MAX_ENTRIES = most
    row = run(arrive(departure, target, live_server.url))
    assert row.state == state
    if state == ImportState.FAILED:
        assert "5 are allowed" in row.error["message"] and holding(target) == before


def test_what_takes_days_to_come_is_remembered_until_it_is_there(
    source: Cell, target: Cell, live_server, monkeypatch
) -> None:
    """What came in the first hours had been forgotten when the source was held, and came again meanwhile."""
    departure = offered(source, live_server.url)
    row = arrive(departure, target, live_server.url)
    monkeypatch.setattr(staged, "BATCH_ROWS", 1)
    monkeypatch.setattr(receiving, "_TOUCH_SECONDS", -1.0)
    honest, come = staged.batch_received, []

    def received(cell: Cell, batch: list[staged.Content]) -> None:
        assert set(Received.objects.filter(put_at__lt=timezone.now() - timedelta(hours=1))) == set()
        honest(cell, batch)
        Received.objects.update(put_at=timezone.now() - timedelta(hours=19))
        come.extend(content.sha256 for content in batch)

    def held(self: SourceServer) -> None:
        assert Received.objects.count() > 2
        arrivals.arrivals_sweep(now=timezone.now() + timedelta(hours=2))
        assert Received.objects.count() > 2
        hold(self)

    hold = SourceServer.hold
    monkeypatch.setattr(SourceServer, "hold", held)
    monkeypatch.setattr(staged, "batch_received", received)
    assert run(row).state == ImportState.DONE
    assert len(come) == len(set(come))


def test_the_token_for_the_other_server_is_kept_for_as_long_as_it_is_needed(
    source: Cell, target: Cell, live_server
) -> None:
    """It would replace what is there by something else."""
    departure = offered(source, live_server.url, target)
    departures.departure_abort(departure, receiving.MoveSourceRefused(reason="x"))
    departure.refresh_from_db()
    assert departure.secrets
    all_told()
    departure.refresh_from_db()
    assert (departure.tell, bytes(departure.secrets)) == ("", b"")
    departure = offered(source, live_server.url, target)
    assert run(arrive(departure, target, live_server.url)).state == ImportState.DONE
    departure.refresh_from_db()
    assert (departure.state, bytes(departure.secrets)) == (DepartureState.MOVED, b"")


def test_a_worker_that_wakes_up_late_spoils_nothing(tmp_path) -> None:
    """Its lease was lost while it slept, and it writes what it has got before it hears of that."""
    data, path = bytes(range(200)), tmp_path / "batch"
    path.touch()
    second = False

    class Source:
        @contextmanager
        def contents(self, seal: str, batch: list[staged.Content], offset: int) -> Iterator[Iterator[bytes]]:
            yield (data[at : at + 50] for at in range(offset, len(data), 50))

    def sleeping(count: int) -> None:
        nonlocal second
        if not second:
            second = True
            spool._go_on(Source(), "", [], path, len(data), lambda count: None)

    spool._go_on(Source(), "", [], path, len(data), sleeping)
    assert second and path.read_bytes() == data


def test_the_cell_that_moves_may_be_renamed_meanwhile(source: Cell, target: Cell, live_server) -> None:
    departure, before = asked(source, live_server.url), holding(source)
    cell_rename(cell=source, name="renamed")
    running.run_export(run_id=departure.run_id)
    departure.refresh_from_db()
    assert departure.state == DepartureState.OFFERED
    assert run(arrive(departure, target, live_server.url)).state == ImportState.DONE
    assert holding(target) == before
    source.refresh_from_db()
    assert source.moved_to


def test_a_cell_that_is_renamed_just_before_it_is_held_is_the_one_that_is_frozen(
    source: Cell, alice: User, live_server
) -> None:
    departure = Departure.objects.select_related("cell", "owner").get(pk=offered(source, live_server.url).pk)
    cell_rename(cell=source, name="renamed")
    cell_rename(cell=make_cell(alice, "other"), name="source")
    departures.departure_hold(departure)
    running.run_export(run_id=departure.held_run_id)
    departure.refresh_from_db()
    assert (departure.state, departure.digest) == (DepartureState.HELD, transfers.facts(departure.run).digest)


def test_chunks_are_read_page_by_page_and_in_order(target: Cell, monkeypatch) -> None:
    monkeypatch.setattr(staged, "_PAGE_ROWS", 2)
    rows = [(n, "files" if n % 3 else "documents", f"{n:064x}", 1, 1, "raw") for n in range(15)]
    staged.offered_stage(target, rows)
    for kind in ("documents", "files"):
        assert list(staged.chunks_offered(kind)) == [digest for _, of, digest, *_ in rows if of == kind]
