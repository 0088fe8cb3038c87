"""The tick: what is due is started once, whoever ticks, how often, and how late: `exports/services/schedules.py`."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.contrib.auth.models import User
from django.db import connections, transaction

from cells.models import Cell
from exports import tasks
from exports.errors import RunStopped
from exports.models import Event, Export, Run, Schedule
from exports.services import exports, lifecycle, running, schedules
from exports.services.schedule_rows import FAILURES, next_moment
from exports.states import RunState
from tests.factories import make_cell, put_file
from tests.services.test_occurrences import BEGIN, DAYS, ZONES, clock, firing, walls

NOON = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def make(owner: User, *given: dict[str, Any], name: str = "nightly", **changes: Any) -> Export:
    arguments = {"type": "export", "cells": None, "definition": {"search": {}}, "transports": [], **changes}
    return exports.export_create(owner=owner, name=name, schedules=list(given), **arguments)


def due(export: Export, moment: datetime = NOON) -> Export:
    export.schedules.update(next_run_at=moment)
    return export


def next_of(export: Export) -> list[datetime | None]:
    return list(export.schedules.values_list("next_run_at", flat=True))


def finish(run: Run) -> None:
    lifecycle.publish(lifecycle.claim(run_id=run.pk), warnings=[], missing=0)


def fail(run: Run) -> None:
    lifecycle.run_fail(lifecycle.claim(run_id=run.pk))


def both(*calls: Callable[[], object]) -> list[object]:
    """Each in a thread and with a connection of its own, at once."""
    gate = threading.Barrier(len(calls))

    def run(call: Callable[[], object]) -> object:
        try:
            gate.wait()
            return call()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(calls)) as pool:
        return [future.result() for future in [pool.submit(run, call) for call in calls]]


def test_a_new_schedule_knows_when_it_runs_next(alice: User) -> None:
    before = datetime.now(UTC)
    [moment] = next_of(make(alice, {"hours": [3], "minutes": [15], "timezone": "Asia/Kathmandu"}))
    assert before < moment <= before + timedelta(days=1, minutes=1)
    assert moment.astimezone(ZoneInfo("Asia/Kathmandu")).strftime("%H:%M") == "03:15"


def test_what_is_due_runs_once_and_its_next_moment_is_written(alice: User) -> None:
    export = due(make(alice, {"hours": [12]}))
    assert schedules.dispatch_due(now=NOON + timedelta(seconds=3)) == 1
    assert schedules.dispatch_due(now=NOON + timedelta(seconds=4)) == 0
    run = Run.objects.get()
    assert (run.export, run.state, run.owner) == (export, RunState.PENDING, alice)
    assert run.order["scheduled"]["due"] == NOON.isoformat()
    assert next_of(export) == [NOON + timedelta(days=1)]
    assert export.schedules.get().last_run_at == NOON + timedelta(seconds=3)


def test_what_is_not_due_does_not_run(alice: User) -> None:
    export = due(make(alice, {"hours": [12]}))
    assert schedules.dispatch_due(now=NOON - timedelta(seconds=1)) == 0
    assert not Run.objects.exists()
    assert next_of(export) == [NOON]


def test_missed_ticks_are_made_up_once(alice: User) -> None:
    """Issue 3: "a missed tick is made up once": the server was down for three days."""
    export = due(make(alice, {"hours": list(range(24)), "minutes": [0, 30]}))
    late = NOON + timedelta(days=3, minutes=7)
    assert schedules.dispatch_due(now=late) == 1
    finish(Run.objects.get())
    assert schedules.dispatch_due(now=late + MINUTE) == 0
    assert next_of(export) == [NOON + timedelta(days=3, minutes=30)]


def test_two_schedules_of_one_export_that_meet_start_one_run(alice: User) -> None:
    """§10: "Several schedule objects in the array are OR-ed", "Each (export, minute) fires at most once"."""
    export = due(make(alice, {"hours": [12]}, {"days_of_month": [4], "hours": [12]}))
    assert schedules.dispatch_due(now=NOON) == 1
    finish(Run.objects.get())
    assert schedules.dispatch_due(now=NOON + MINUTE) == 0
    assert next_of(export) == [NOON + timedelta(days=1), datetime(2026, 6, 4, 12, tzinfo=UTC)]


@pytest.mark.parametrize("state", [RunState.PENDING, RunState.PROCESSING])
def test_a_tick_while_the_export_runs_is_skipped(alice: User, state: RunState) -> None:
    """§10: "a tick while the export is pending/processing is skipped"."""
    export = due(make(alice, {"hours": [12]}))
    run = exports.export_start(export=export)
    if state is RunState.PROCESSING:
        lifecycle.claim(run_id=run.pk)
    assert schedules.dispatch_due(now=NOON) == 0
    assert [each.state for each in Run.objects.all()] == [state]
    assert next_of(export) == [NOON + timedelta(days=1)]
    assert export.schedules.get().last_run_at is None


def test_a_run_that_is_being_stopped_delays_the_schedule_and_does_not_swallow_it(alice: User) -> None:
    export = make(alice, {"hours": [12]})
    run = lifecycle.claim(run_id=exports.export_start(export=export).pk)
    exports.export_update(export=export, user=alice, changes={})
    due(export)
    assert schedules.dispatch_due(now=NOON) == 0
    with pytest.raises(RunStopped):
        lifecycle.heartbeat(run)
    lifecycle.run_end_stopped(run)
    assert schedules.dispatch_due(now=NOON + MINUTE) == 1


def test_the_global_switch_stops_all_schedules_and_what_was_due_is_made_up_once(alice: User, settings) -> None:
    """§10: "scheduler has a global on/off switch"."""
    export = due(make(alice, {"hours": [12]}))
    settings.SCHEDULER_ACTIVE = False
    assert schedules.dispatch_due(now=NOON) == 0
    assert next_of(export) == [NOON]
    assert not Run.objects.exists()
    settings.SCHEDULER_ACTIVE = True
    assert schedules.dispatch_due(now=NOON + timedelta(days=2)) == 1


@pytest.mark.django_db(transaction=True)
def test_it_runs_with_the_owner_s_present_rights_and_without_any_session(alice: User, bob: User) -> None:
    """Issue 3: "runs with the owner's present rights, whether or not a session lives"."""
    mine, lent = make_cell(alice, "mine"), make_cell(alice, "lent")
    put_file(mine, "mine.txt")
    put_file(lent, "lent.txt")
    export = due(make(alice, {"hours": [12]}))
    Cell.objects.filter(pk=lent.pk).update(owner=bob)
    alice.tokens.all().delete()
    assert schedules.dispatch_due(now=NOON) == 1
    done = running.run_export(run_id=Run.objects.get().pk)
    assert done.state == RunState.DONE
    assert set(done.entries.values_list("name", flat=True)) == {"mine.txt", "manifest.json"}
    export.refresh_from_db()
    assert export.published_run == done


def test_a_user_who_may_not_log_in_any_more_starts_nothing(alice: User) -> None:
    export = due(make(alice, {"hours": [12]}))
    alice.is_active = False
    alice.save()
    assert schedules.dispatch_due(now=NOON) == 0
    assert not Run.objects.exists()
    assert next_of(export) == [NOON]


@pytest.mark.django_db(transaction=True)
def test_two_beats_at_once_start_everything_once(alice: User) -> None:
    made = [due(make(alice, {"hours": [12]}, {"hours": [12, 13]}, name=f"n{number}")) for number in range(30)]
    started = both(*[lambda: schedules.dispatch_due(now=NOON)] * 4)
    # What one tick held while another looked is due still, and the next tick has it.
    assert sum(started) + schedules.dispatch_due(now=NOON + MINUTE) == len(made)
    assert sorted(Run.objects.values_list("export_id", flat=True)) == [export.pk for export in made]


@pytest.mark.django_db(transaction=True)
def test_an_export_that_somebody_holds_does_not_hold_up_the_others(alice: User) -> None:
    held, free = (due(make(alice, {"hours": [12]}, name=name)) for name in ("held", "free"))

    def tick() -> int:
        try:
            return schedules.dispatch_due(now=NOON)
        finally:
            connections.close_all()

    with transaction.atomic():
        Export.objects.select_for_update().get(pk=held.pk)
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(tick).result(timeout=60) == 1
    assert Run.objects.get().export == free
    assert schedules.dispatch_due(now=NOON + MINUTE) == 1


@pytest.mark.django_db(transaction=True)
def test_ticks_updates_and_ends_of_runs_do_not_lock_each_other_out(alice: User) -> None:
    for _ in range(15):
        export = due(make(alice, {"hours": [12]}))
        schedules.dispatch_due(now=NOON)
        run = lifecycle.claim(run_id=Run.objects.latest("pk").pk)
        due(export, NOON + MINUTE)
        both(
            lambda: schedules.dispatch_due(now=NOON + MINUTE),
            lambda run=run: lifecycle.run_fail(run),
            lambda export=export: exports.export_update(
                export=export, user=alice, changes={"schedules": [{"hours": [12]}, {"hours": [13]}]}
            ),
        )
        run.refresh_from_db()
        assert run.state == RunState.FAILED
        exports.export_delete(export=export)


def test_one_broken_schedule_does_not_stop_the_others(alice: User, caplog: pytest.LogCaptureFixture) -> None:
    broken, sound = (due(make(alice, {"hours": [12]}, name=name)) for name in ("broken", "sound"))
    broken.schedules.update(timezone="Gone/Zone")
    assert schedules.dispatch_due(now=NOON) == 1
    assert Run.objects.get().export == sound
    assert f"the schedules of export {broken.pk} cannot be started" in caplog.text


def test_five_failures_in_a_row_switch_the_schedule_off_and_say_so(alice: User) -> None:
    """Issue 3: "five failures in a row switch the schedule off and tell the owner": an event, in the export's log."""
    export = make(alice, {"hours": [12]})
    for number in range(FAILURES):
        assert not Event.objects.filter(type="EXPORT_SCHEDULE_OFF").exists()
        assert schedules.dispatch_due(now=due(export) and NOON + timedelta(days=number)) == 1
        fail(Run.objects.latest("pk"))
    [off] = export.schedules.all()
    assert (off.failures, off.next_run_at) == (FAILURES, None) and off.switched_off_at
    event = Event.objects.get(type="EXPORT_SCHEDULE_OFF")
    assert (event.export_id, event.user) == (export.pk, alice)
    assert event.info["exception"] == Run.objects.latest("pk").error
    assert schedules.dispatch_due(now=NOON + timedelta(days=30)) == 0
    assert Run.objects.count() == FAILURES


def test_success_and_stop_are_no_failures(alice: User) -> None:
    export = make(alice, {"hours": [12]})
    for end in (fail, fail, fail, fail, finish, fail, lambda run: lifecycle.run_stop(run=run), fail):
        assert schedules.dispatch_due(now=due(export) and NOON) == 1
        end(Run.objects.latest("pk"))
    schedule = export.schedules.get()
    assert (schedule.failures, schedule.switched_off_at) == (2, None)
    assert not Event.objects.filter(type="EXPORT_SCHEDULE_OFF").exists()


def test_runs_that_were_started_by_hand_do_not_count(alice: User) -> None:
    export = make(alice, {"hours": [12]})
    for _ in range(FAILURES + 1):
        fail(exports.export_start(export=export))
    assert export.schedules.get().failures == 0


def test_a_schedule_sent_again_is_on_again_and_one_that_is_on_goes_on(alice: User) -> None:
    export = make(alice, {"hours": [12]}, {"hours": [13]})
    last = NOON - timedelta(days=1)
    export.schedules.update(last_run_at=last, failures=3, next_run_at=NOON)
    off = export.schedules.first()
    Schedule.objects.filter(pk=off.pk).update(switched_off_at=NOON, next_run_at=None, failures=5)
    changes = {"schedules": [{"hours": [12]}, {"hours": [13]}]}
    exports.export_update(export=export, user=alice, changes=changes)
    again, same = export.schedules.all()
    assert (again.switched_off_at, again.failures, again.last_run_at) == (None, 0, last)
    assert again.next_run_at > NOON.replace(year=2020) and again.next_run_at.hour == 12
    assert (same.next_run_at, same.failures, same.last_run_at) == (NOON, 3, last)


def test_changed_schedules_get_new_moments_and_none_unschedule(alice: User) -> None:
    export = due(make(alice, {"hours": [12]}))
    exports.export_update(export=export, user=alice, changes={"schedules": [{"hours": [17]}]})
    [moment] = next_of(export)
    assert moment > datetime.now(UTC) and moment.hour == 17
    exports.export_update(export=export, user=alice, changes={"definition": {"json": True}})
    assert next_of(export) == [moment]
    exports.export_update(export=export, user=alice, changes={"schedules": []})
    assert next_of(export) == []


def test_other_settings_move_what_depends_on_them(alice: User, settings) -> None:
    """What is due by the old ones is made up; the first tick moves the rest."""
    make(alice, {"minutes": [5]}, name="standard hour")
    make(alice, {"hours": [9]}, name="site's zone")
    make(alice, {"hours": [9], "minutes": [0], "timezone": "UTC"}, name="nothing left open")
    Schedule.objects.all().update(next_run_at=NOON - timedelta(days=1))
    assert schedules.dispatch_due(now=NOON) == 3
    settings.STANDARD_HOUR, settings.SCHEDULER_TIME_ZONE = 5, "Asia/Tokyo"
    schedules.dispatch_due(now=NOON + MINUTE)
    moments = Schedule.objects.order_by("pk").values_list("next_run_at", flat=True)
    assert [f"{moment:%d %H:%M}" for moment in moments] == ["04 20:05", "05 00:00", "05 09:00"]


def test_an_export_with_schedules_does_not_start_at_once(alice: User, settings) -> None:
    """C3: "EXPORT_AUTOSTART … may enqueue unscheduled exports right after PUT"."""
    settings.EXPORT_AUTOSTART = True
    make(alice, {"hours": [12]})
    assert not Run.objects.exists()
    make(alice, name="now")
    assert Run.objects.count() == 1


def test_a_scheduled_run_that_finds_nothing_writes_no_finish_event(alice: User) -> None:
    """§10: "A run that finds nothing writes no finish event when scheduled (5.45)"."""
    export = due(make(alice, {"hours": [12]}))
    schedules.dispatch_due(now=NOON)
    for run in (Run.objects.get(), exports.export_start):
        run = run if isinstance(run, Run) else run(export=export)
        Run.objects.filter(pk=run.pk).update(entry_count=1)
        finish(run)
    assert [event.run_id for event in Event.objects.filter(type="EXPORT_FINISH")] == [run.pk]


def test_the_tick_comes_each_minute_and_expires_before_the_next(alice: User) -> None:
    from exportsite.celery import app

    entry = app.conf.beat_schedule["dispatch_schedules"]
    assert entry["task"] == tasks.dispatch_schedules.name
    assert entry["options"]["expires"] < 60
    moment = app.now().replace(second=30, microsecond=0)
    assert entry["schedule"].remaining_estimate(moment) <= timedelta(seconds=60)
    due(make(alice, {"hours": [12]}))
    tasks.dispatch_schedules()
    assert Run.objects.count() == 1


#: A time of each zone that its clocks skip or show twice.
ODD_TIMES = {
    "Europe/Berlin": (2, 30),
    "America/New_York": (2, 30),
    "America/St_Johns": (1, 30),
    "America/Santiago": (0, 30),
    "America/Havana": (0, 30),
    "America/Nuuk": (23, 30),
    "Africa/Cairo": (23, 30),
    "Africa/Casablanca": (2, 30),
    "Australia/Lord_Howe": (2, 15),
    "Antarctica/Troll": (2, 0),
}


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_400_days_of_ticks_in_ten_zones_miss_nothing_and_double_nothing(alice: User) -> None:
    """Issue 3: "400 simulated days in 10 time zones with every DST change: 0 missed, 0 doubled".

    Ticks come twice at each minute at which a clock demands a run, and at the minutes around it; in between nothing is
    due by anybody's account, or a run would have been due at another minute than its tick.
    """
    assert set(ODD_TIMES) == set(ZONES)
    expected: dict[str, list[datetime]] = {}
    for name, (hour, minute) in ODD_TIMES.items():
        definition = {"hours": [hour], "minutes": [minute], "weekdays": ["thu", "Friday", "SAT", "sun"]}
        export = make(alice, {**definition, "timezone": name}, name=name)
        export.schedules.update(next_run_at=next_moment(export.schedules.get(), after=BEGIN))
        turns, minutes = clock((definition,)), walls(ZoneInfo(name), BEGIN, DAYS)
        expected[name] = [moment for moment, served in minutes if firing(turns, served)]
    moments = {moment for found in expected.values() for moment in found}
    for tick in sorted([*moments, *moments, *(moment - MINUTE for moment in moments), *(m + MINUTE for m in moments)]):
        started = schedules.dispatch_due(now=tick)
        pending = list(Run.objects.filter(state=RunState.PENDING)) if started else []
        assert len(pending) == started
        for run in pending:
            assert run.order["scheduled"]["due"] == tick.isoformat()
            lifecycle.run_stop(run=run)
    found: dict[str, list[datetime]] = {name: [] for name in ZONES}
    for name, order in Run.objects.order_by("pk").values_list("export__name", "order"):
        found[name].append(datetime.fromisoformat(order["scheduled"]["due"]))
    assert found == expected
