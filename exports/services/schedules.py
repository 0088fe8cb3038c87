"""The tick: once a minute, what is due is started (`spec/v1.md §10`).

The row is the truth. A tick that comes late starts what it finds due, once, however many moments went by; one that
comes twice, or on two machines at once, finds nothing the second time.
"""

import logging
from datetime import datetime

from django.conf import settings
from django.core.cache import cache
from django.db import OperationalError, transaction
from django.utils import timezone

from exports.models import Export, Schedule
from exports.services import schedule_rows
from exports.services.exports import export_start, export_try_lock
from exports.states import ACTIVE

log = logging.getLogger(__name__)

#: Exports looked up at a time.
PAGE = 500
_SETTINGS_KEY = "schedules-settings"


def dispatch_due(*, now: datetime | None = None) -> int:
    """Start a run for every export with a due schedule; how many. None while SCHEDULER_ACTIVE is off.

    A user who may not log in any more starts nothing: what was due is made up once, should that change.
    """
    if not settings.SCHEDULER_ACTIVE:
        return 0
    now = now or timezone.now()
    _follow_settings(now)
    due = Schedule.objects.filter(next_run_at__lte=now, export__owner__is_active=True)
    exports = due.order_by("export_id").values_list("export_id", flat=True).distinct()
    started = last = 0
    while page := list(exports.filter(export_id__gt=last)[:PAGE]):
        last = page[-1]
        for export_id in page:
            try:
                started += _fire(export_id, now)
            except OperationalError:
                raise
            except Exception:
                log.exception("the schedules of export %s cannot be started", export_id)
    return started


@transaction.atomic
def _fire(export_id: int, now: datetime) -> bool:
    """The export is the claim: whoever holds it writes the next moments first, and then starts the run.

    Waits for nobody: what another tick has, or somebody changes, is due still at the next tick.
    """
    if not export_try_lock(export_id=export_id):
        return False
    export = (
        Export.objects.select_for_update(of=("self",), skip_locked=True)
        .select_related("owner")
        .filter(pk=export_id)
        .first()
    )
    if export is None:
        return False
    due = list(export.schedules.filter(next_run_at__lte=now).order_by("next_run_at"))
    active = export.runs.filter(state__in=ACTIVE).first()
    if not due or (active and active.stop_requested):
        return False
    moment = due[0].next_run_at
    for schedule in due:
        schedule.next_run_at = schedule_rows.next_moment(schedule, after=now)
        if not active:
            schedule.last_run_at = now
    Schedule.objects.bulk_update(due, ["next_run_at", "last_run_at"])
    if active:
        log.info("export %s is running already; its schedule of %s is skipped", export.pk, moment)
        return False
    export_start(export=export, scheduled={"due": moment.isoformat(), "schedules": [schedule.pk for schedule in due]})
    return True


def _follow_settings(now: datetime) -> None:
    """The first tick under other settings moves every schedule that depends on them."""
    current = f"{settings.STANDARD_HOUR}:{settings.STANDARD_MINUTE} {settings.SCHEDULER_TIME_ZONE}"
    if cache.get(_SETTINGS_KEY) != current:
        schedule_rows.schedules_recompute(now=now)
        cache.set(_SETTINGS_KEY, current, timeout=None)
