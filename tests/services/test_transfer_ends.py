"""How a move may end before it has moved, and what is decided when two want different things (docs/moving.md)."""

import threading
from collections.abc import Callable
from datetime import timedelta
from functools import partial

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.utils import timezone

from cells.errors import CellHeld, CellMoved
from cells.models import Cell, File
from exports.errors import ImportLeaseLost, MoveAborted, MoveDecided, TransferNotReady
from exports.models import Arrival, Departure, Import, Run
from exports.services import arrivals, departures, import_lifecycle, imports, receiving, running, spool
from exports.services.source_server import SourceAway, SourceServer
from exports.states import DepartureState, ImportState, RunState
from tests.factories import make_cell, put_documents, put_file
from tests.services.imported import generations, holding
from tests.services.moving import all_told, arrive, asked, offered, run

pytestmark = pytest.mark.django_db(transaction=True)
REASON = MoveAborted(reason="its owner ended it")
ROUNDS = 12


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


class Both:
    """What both cells held, and that nothing of a move is left."""

    def __init__(self, source: Cell, target: Cell) -> None:
        self.cells = source, target
        self.before = holding(source), holding(target)

    def are_as_they_were(self) -> None:
        all_told()
        for cell, before in zip(self.cells, self.before, strict=True):
            assert holding(cell) == before
            assert (cell.held_at, cell.moved_to) == (None, "")
            assert generations(cell) == [cell.generation]
            put_file(cell, "again", b"written")
        assert set(Departure.objects.values_list("state", "tell")) == {(DepartureState.ABORTED, "")}
        assert not Import.objects.exclude(state=ImportState.FAILED).exists()
        assert not Run.objects.filter(state__in=(RunState.PENDING, RunState.PROCESSING)).exists()


@pytest.fixture
def both(source: Cell, target: Cell) -> Both:
    return Both(source, target)


def held(source: Cell, url: str, target: Cell | None = None) -> Departure:
    departure = offered(source, url, target)
    departures.departure_hold(departure)
    running.run_export(run_id=departure.held_run_id)
    departure.refresh_from_db()
    assert departure.state == DepartureState.HELD
    return departure


def test_nobody_confirms(source: Cell, both: Both, live_server) -> None:
    departures.departure_request(
        cell=source, owner=source.owner, target_url=f"{live_server.url}/x", target_token="t", base_url="http://here"
    )
    assert departures.departures_sweep(now=timezone.now() + timedelta(minutes=6)) == 1
    both.are_as_they_were()


@pytest.mark.parametrize("make", [asked, offered, held], ids=["exporting", "offered", "held"])
def test_the_owner_aborts_at_the_source(make: Callable, source: Cell, target: Cell, both: Both, live_server) -> None:
    departure = make(source, live_server.url, target)
    if departure.state != DepartureState.EXPORTING:
        arrive(departure, target, live_server.url)
    assert departures.departure_abort(departure, REASON)
    assert not departures.departure_abort(departure, REASON)
    both.are_as_they_were()


def test_the_owner_aborts_at_the_target_before_it_fetches(source: Cell, target: Cell, both: Both, live_server) -> None:
    arrive(offered(source, live_server.url, target), target, live_server.url)
    assert arrivals.arrival_abort(cell=target)
    assert not arrivals.arrival_abort(cell=target)
    both.are_as_they_were()


STEPS = ["listing", "contents", "hold"]


@pytest.mark.parametrize("step", STEPS)
def test_the_owner_aborts_at_the_target_while_it_works(
    step: str, source: Cell, target: Cell, both: Both, live_server, monkeypatch
) -> None:
    before_step(monkeypatch, step, lambda: arrivals.arrival_abort(cell=target))
    assert run(arrive(offered(source, live_server.url, target), target, live_server.url)).state == ImportState.FAILED
    both.are_as_they_were()


@pytest.mark.parametrize("step", [*STEPS, "finalize"])
def test_the_source_aborts_while_the_target_works(
    step: str, source: Cell, target: Cell, both: Both, live_server, monkeypatch
) -> None:
    """Also when the target has asked already: the source has decided, and it was told so."""
    departure = offered(source, live_server.url, target)
    before_step(monkeypatch, step, lambda: departures.departure_abort(Departure.objects.get(), REASON))
    row = run(arrive(departure, target, live_server.url))
    assert (row.state, row.error["code"]) == (ImportState.FAILED, "move_source_refused"), row.error
    both.are_as_they_were()


def before_step(monkeypatch, step: str, act: Callable[[], object]) -> None:
    honest = getattr(SourceServer, step)

    def acted(self: SourceServer, *given: object) -> object:
        act()
        return honest(self, *given)

    monkeypatch.setattr(SourceServer, step, acted)


def test_a_source_that_is_held_and_hears_nothing_aborts_by_itself(
    source: Cell, target: Cell, both: Both, live_server
) -> None:
    departure = held(source, live_server.url, target)
    with pytest.raises(CellHeld):
        put_file(Cell.objects.get(pk=source.pk), "written", b"meanwhile")
    assert departures.departures_sweep(now=timezone.now() + timedelta(minutes=29)) == 0
    assert departures.departures_sweep(now=timezone.now() + timedelta(minutes=31)) == 1
    with pytest.raises(MoveAborted):
        departures.departure_finalize(departure, digest=departure.digest)
    both.are_as_they_were()


def test_a_source_that_is_not_frozen_in_time_aborts_though_the_other_asks_all_the_time(
    source: Cell, target: Cell, both: Both, live_server
) -> None:
    departure = offered(source, live_server.url, target)
    departures.departure_hold(departure)
    later = timezone.now() + timedelta(minutes=31)
    Departure.objects.update(heard_at=later)
    assert departures.departures_sweep(now=later) == 1
    both.are_as_they_were()


def test_holding_twice_freezes_once(source: Cell, live_server) -> None:
    departure = offered(source, live_server.url)
    again = Departure.objects.get(pk=departure.pk)
    for each in (departure, again, departure):
        departures.departure_hold(each)
    assert Run.objects.filter(order__layout="transfer").count() == 2


def test_an_offer_waits_for_what_is_being_done_to_the_cell_there(source: Cell, target: Cell, live_server) -> None:
    departure = offered(source, live_server.url, target)
    running_there = Run.objects.create(cell=target, owner=target.owner, order={})
    departures.tell_target(uid=departure.uid)
    departure.refresh_from_db()
    assert (departure.state, departure.tell) == (DepartureState.OFFERED, "offer")
    running_there.delete()
    all_told()
    departure.refresh_from_db()
    assert (departure.tell, Import.objects.get().cell_id) == ("", target.pk)


def test_a_decision_outlives_cell_and_account_of_who_left(source: Cell, target: Cell, live_server) -> None:
    departure = held(source, live_server.url, target)
    departures.departure_finalize(departure, digest=departure.digest)
    owner = source.owner
    Cell.objects.get(pk=source.pk).delete()
    owner.delete()
    found = Departure.objects.get(pk=departure.pk)
    departures.departure_finalize(found, digest=departure.digest)
    assert (found.state, found.owner) == (DepartureState.MOVED, None)


def test_an_offer_that_nobody_takes_ends_after_a_day(source: Cell, target: Cell, both: Both, live_server) -> None:
    offered(source, live_server.url, target)
    assert departures.departures_sweep(now=timezone.now() + timedelta(hours=23)) == 0
    assert departures.departures_sweep(now=timezone.now() + timedelta(hours=25)) == 1
    both.are_as_they_were()


def test_what_does_not_fit_is_refused_before_a_byte_of_it_comes(
    source: Cell, target: Cell, both: Both, live_server, monkeypatch
) -> None:
    Cell.objects.filter(pk=target.pk).update(quota=5000)
    monkeypatch.setattr(SourceServer, "contents", None)
    row = run(arrive(offered(source, live_server.url, target), target, live_server.url))
    used = 8000 + len('{"a": 1}')
    assert row.error["message"] == f"{used - 5000} of {used} bytes do not fit the cell's quota of 5000 bytes."
    both.are_as_they_were()


def test_damaged_content_is_not_left_behind_in_silence(
    source: Cell, target: Cell, both: Both, store, live_server
) -> None:
    path = store / "blobs" / File.objects.get(cell=source, path="a/b").blob.store_file
    path.write_bytes(bytes(path.stat().st_size))
    departure = asked(source, live_server.url, target)
    running.run_export(run_id=departure.run_id)
    departure.refresh_from_db()
    assert (departure.state, departure.error["code"]) == (DepartureState.ABORTED, "move_incomplete")


def test_what_was_decided_is_said_again_and_cannot_be_aborted(source: Cell, live_server) -> None:
    departure, before = held(source, live_server.url), holding(source)
    with pytest.raises(TransferNotReady):
        departures.departure_finalize(departure, digest="0" * 64)
    source.refresh_from_db()
    assert source.moved_to == ""
    for _ in range(2):
        departures.departure_finalize(departure, digest=departure.digest)
    with pytest.raises(TransferNotReady):
        departures.departure_finalize(departure, digest="0" * 64)
    with pytest.raises(MoveDecided):
        departures.departure_abort(departure, REASON)
    assert departures.departures_sweep(now=timezone.now() + timedelta(days=300)) == 0
    assert holding(source) == before
    assert source.moved_to == departure.target_url
    with pytest.raises(CellMoved):
        put_file(source, "written", b"too late")


def test_what_was_not_held_cannot_be_finalized(source: Cell, live_server) -> None:
    departure = offered(source, live_server.url)
    with pytest.raises(TransferNotReady):
        departures.departure_finalize(departure, digest="0" * 64)
    with pytest.raises(TransferNotReady):
        departures.departure_finalize(departure)
    put_file(source, "written", b"still")


def at_once(*acts: Callable[[], object]) -> list[BaseException | None]:
    """All in threads of their own, begun together."""
    barrier, raised = threading.Barrier(len(acts)), [None] * len(acts)

    def work(number: int, act: Callable[[], object]) -> None:
        try:
            barrier.wait()
            act()
        except Exception as error:
            raised[number] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=each) for each in enumerate(acts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return raised


def test_of_finalize_and_abort_exactly_one_decides(source: Cell, live_server) -> None:
    for number in range(ROUNDS):
        departure = held(source, live_server.url)
        one, other = (Departure.objects.get(pk=departure.pk) for _ in range(2))
        acts = [
            partial(departures.departure_finalize, one, digest=departure.digest),
            partial(departures.departure_abort, other, REASON),
        ]
        raised = at_once(*(acts if number % 2 else acts[::-1]))
        refused = [error for error in raised if error]
        departure.refresh_from_db()
        source.refresh_from_db()
        if departure.state == DepartureState.MOVED:
            assert [type(error) for error in refused] == [MoveDecided]
            assert source.moved_to and source.held_at
            Cell.objects.filter(pk=source.pk).update(moved_to="", held_at=None)  # for the next round
        else:
            assert departure.state == DepartureState.ABORTED
            assert [type(error) for error in refused] == [MoveAborted]
            assert not source.moved_to and source.held_at is None
        source.refresh_from_db()


def test_of_abort_and_ask_exactly_one_decides_at_the_target(source: Cell, target: Cell, live_server) -> None:
    for number in range(ROUNDS):
        departure = offered(source, live_server.url)
        arrive(departure, target, live_server.url)
        row = import_lifecycle.claim(import_id=Import.objects.latest("pk").pk)
        acts = [
            partial(import_lifecycle.arrival_ask, row, digest="0" * 64, report={}),
            partial(arrivals.arrival_abort, cell=target),
        ]
        raised = at_once(*(acts if number % 2 else acts[::-1]))
        row.refresh_from_db()
        was_asked = Arrival.objects.get(pk=row.pk).asked_at is not None
        assert [type(error) for error in raised if error] == [MoveDecided if was_asked else ImportLeaseLost]
        assert (row.state == ImportState.FAILED) == (not was_asked)
        departures.departure_abort(departure, REASON)
        import_lifecycle.import_fail(row)


def test_who_was_writing_has_written_before_it_is_held(source: Cell, live_server) -> None:
    """What is frozen then is what the cell holds for ever: no write is between."""
    departure, counts = offered(source, live_server.url), []

    def write(name: str) -> None:
        cell = Cell.objects.get(pk=source.pk)
        for number in range(10_000):
            put_file(cell, f"{name}/{number}", b"%d" % number)
            counts.append(number)

    def hold() -> None:
        while len(counts) < 10:
            pass
        departures.departure_hold(departure)
        running.run_export(run_id=departure.held_run_id)

    raised = at_once(lambda: write("x"), lambda: write("y"), hold)
    assert [type(error) for error in raised] == [CellHeld, CellHeld, type(None)]
    frozen = departure.held_run.entries.filter(name__startswith="files/")
    assert frozen.exists()
    departure.refresh_from_db()
    place = source, source.generation, lambda: None
    assert departure.digest == receiving.content_digest(receiving.transferring.chunk_digests(*place))


def test_a_source_that_is_away_is_asked_again_and_given_up_after_a_day(
    source: Cell, target: Cell, both: Both, live_server
) -> None:
    departure = offered(source, live_server.url, target)
    row = run(arrive(departure, target, "http://127.0.0.1:9"))
    assert (row.state, row.error) == (ImportState.PENDING, None)
    assert import_lifecycle.imports_requeue(now=timezone.now() + timedelta(seconds=1)) == 0
    Arrival.objects.update(heard_at=timezone.now() - timedelta(hours=25), source_url="http://127.0.0.1:9")
    assert run(row).error["code"] == "move_silent"
    Arrival.objects.update(source_url=live_server.url)
    both.are_as_they_were()


def test_one_who_has_asked_never_decides_alone(source: Cell, target: Cell, live_server, monkeypatch) -> None:
    """Not after a hundred days of silence, not after a hundred workers, not with a full disk."""
    departure, before = offered(source, live_server.url), holding(source)
    with monkeypatch.context() as patch:
        patch.setattr(SourceServer, "finalize", lambda self, digest: (_ for _ in ()).throw(SourceAway("away")))
        row = run(arrive(departure, target, live_server.url))
        assert row.state == ImportState.PENDING
        Arrival.objects.update(heard_at=timezone.now() - timedelta(days=100), lost=100)
        assert run(row).state == ImportState.PENDING
        Import.objects.update(fence=100)
        import_lifecycle.claim(import_id=row.pk)
        import_lifecycle.imports_requeue(now=timezone.now() + timedelta(days=1))
        row.refresh_from_db()
        assert row.state == ImportState.PENDING
    with pytest.raises(MoveDecided):
        arrivals.arrival_abort(cell=target)
    with monkeypatch.context() as patch:
        patch.setattr(import_lifecycle, "publish", lambda *given, **more: (_ for _ in ()).throw(OSError(28, "full")))
        assert run(row).state == ImportState.PENDING
    Cell.objects.filter(pk=target.pk).update(quota=1)
    assert run(row).state == ImportState.DONE
    assert holding(target) == before
    imports.imports_sweep()
    assert len(generations(target)) == 2
