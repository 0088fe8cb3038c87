"""`export_incremental`: the first run takes all, later ones what was written since the last (`spec/v1.md §11`)."""

from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connection
from django.utils import timezone

from cells.deletions import deletions_forget
from cells.frozen import READER
from exports.models import Export, Run
from exports.models.export import ExportType
from exports.services.definitions import is_documented
from exports.states import ACTIVE, DOWNLOADABLE, RunState

#: Runs that ended well; an expired one did.
SUCCESSFUL = (*DOWNLOADABLE, RunState.EXPIRED)
#: Who writes a cell has a transaction id before it takes the time that it writes into the rows.
_OLDEST_WRITER = """
    SELECT min(xact_start) FROM pg_stat_activity
    WHERE datname = current_database() AND backend_xid IS NOT NULL AND pid <> pg_backend_pid()
          AND application_name <> %s
"""


def incremental_order(*, export: Export, order: dict[str, Any]) -> dict[str, Any]:
    """What such a run freezes at its start, and nothing for other types:

    `since`      from when on to take what was written, null for all
    `baseline`   the `since` of the next run: now, or when the oldest transaction began that writes at this moment.
                 This run may not see what that one writes, and the time in its rows will be before now.
    """
    if export.type != ExportType.INCREMENTAL:
        return {}
    now = timezone.now()
    with connection.cursor() as cursor:
        cursor.execute(_OLDEST_WRITER, [READER])
        (oldest,) = cursor.fetchone()
    last = export.runs.filter(state__in=SUCCESSFUL).order_by("-pk").values_list("order", flat=True).first()
    comparable = last is not None and _selection(last) == _selection(order)
    since = last.get("baseline") if last and comparable else None
    if since and datetime.fromisoformat(since) < now - settings.DELETIONS_KEPT:
        since = None  # what was deleted since then is no longer known
    return {
        "since": since,
        "baseline": min(now, oldest or now).isoformat(),
    }


def deletions_sweep(*, now: datetime) -> int:
    """Forget deletions that no export of changes will list any more; how many.

    A day is added to all: a run that was ordered may wait, and a baseline lies a little before its run.
    """
    runs = Run.objects.filter(export__type=ExportType.INCREMENTAL)
    last = runs.filter(state__in=SUCCESSFUL).order_by("export", "-pk").distinct("export")
    needed = [
        *filter(None, last.values_list("order__baseline", flat=True)),
        *filter(None, runs.filter(state__in=ACTIVE).values_list("order__since", flat=True)),
    ]
    oldest = max(min(map(datetime.fromisoformat, needed), default=now), now - settings.DELETIONS_KEPT)
    return deletions_forget(before=oldest - timedelta(days=1))


def since_of(order: dict[str, Any]) -> datetime | None:
    since = order.get("since")
    return datetime.fromisoformat(since) if since else None


def _selection(order: dict[str, Any]) -> tuple[object, ...]:
    """What an export picks from the cells. With another one everything counts as new."""
    definition = order.get("definition", {})
    return order.get("type"), order.get("cells"), definition.get("search"), is_documented(definition)
