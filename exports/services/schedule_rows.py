"""The rows behind `_schedules`: written with their next moment, and told how their runs ended.

Whoever changes rows of an export holds the export, and, if any, its active run before it (`services.exports`).
"""

import logging
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db.models import F, Q
from django.utils import timezone

from exports.models import Export, Run, Schedule
from exports.services.occurrences import next_occurrence
from exports.states import DOWNLOADABLE, RunState

log = logging.getLogger(__name__)

#: So many failures in a row, and a schedule is switched off.
FAILURES = 5


def schedules_write(*, export: Export, schedules: Iterable[Mapping[str, Any]], now: datetime | None = None) -> None:
    """All schedules of the export. One that comes back as it was goes on as it was; switched off, it is on again."""
    now = now or timezone.now()
    before = list(export.schedules.all())
    rows = []
    for position, given in enumerate(schedules):
        definition = {key: value for key, value in given.items() if key != "timezone"}
        row = Schedule(export=export, position=position, definition=definition, timezone=str(given.get("timezone", "")))
        row.next_run_at = next_moment(row, after=now)
        for old in before:
            if (old.definition, old.timezone) == (row.definition, row.timezone):
                row.last_run_at = old.last_run_at
                if old.switched_off_at is None:
                    row.next_run_at, row.failures = old.next_run_at, old.failures
        rows.append(row)
    export.schedules.all().delete()
    Schedule.objects.bulk_create(rows)


def next_moment(schedule: Schedule, *, after: datetime) -> datetime | None:
    zone = ZoneInfo(schedule.timezone or settings.SCHEDULER_TIME_ZONE)
    return next_occurrence(schedule.definition, zone=zone, after=after)


def schedules_recompute(*, now: datetime) -> int:
    """Move all that is not due yet to where the settings of today put it. How many moved."""
    waiting = Schedule.objects.filter(Q(next_run_at__gt=now) | Q(next_run_at=None, switched_off_at=None))
    moved = 0
    for schedule in waiting.iterator():
        moment = next_moment(schedule, after=now)
        if moment != schedule.next_run_at:
            unchanged = Schedule.objects.filter(pk=schedule.pk, next_run_at=schedule.next_run_at, switched_off_at=None)
            moved += unchanged.update(next_run_at=moment)
    return moved


def outcome_note(*, run: Run, state: RunState) -> int:
    """Tell the schedules that started the run how it ended. How many were switched off for it."""
    started = run.order.get("scheduled")
    if not started or state not in (RunState.FAILED, *DOWNLOADABLE):
        return 0
    rows = Schedule.objects.filter(pk__in=started["schedules"], switched_off_at=None)
    if state is not RunState.FAILED and not rows.filter(failures__gt=0).exists():
        return 0
    list(Export.objects.select_for_update().filter(pk=run.export_id).values_list("pk"))
    if state is not RunState.FAILED:
        rows.update(failures=0)
        return 0
    rows.update(failures=F("failures") + 1)
    return rows.filter(failures__gte=FAILURES).update(switched_off_at=timezone.now(), next_run_at=None)
