"""What people ask before, while and after an export runs: how much, how fast, how long. Reads alone.

Whose rows they are was asked before: callers come with an export, a run or an owner that the selectors gave them.
"""

from collections.abc import Callable, Collection
from datetime import timedelta
from statistics import median
from typing import Any, NamedTuple

from django.core.cache import cache
from django.db import connection
from django.db.models import Count, F, Sum
from django.utils import timezone

from cells.models import Cell, Document, File, Usage
from exports.models import Export, Run
from exports.states import DOWNLOADABLE, RunState

#: So long after its last word a worker counts as dead.
WORKER_SECONDS = 30
_WORKER_KEY = "worker-alive"
#: Past runs that an estimate rests on.
_PAST = 10
#: What an entry and a byte cost, where beginning and ending a run cost 1; as many documents as an entry.
_COSTS = (0.000_5, 0.000_000_01)
_DOCUMENTS = 16
_COUNTED_SECONDS = 60
_NAMES = """
WITH RECURSIVE names AS (
    SELECT cell, generation, (SELECT min(d.doctype) FROM cells_document d
        WHERE d.cell_id = cell AND d.generation = given.generation) AS name
    FROM unnest(%s::bigint[], %s::int[]) AS given (cell, generation)
    UNION ALL
    SELECT n.cell, n.generation, (SELECT min(d.doctype) FROM cells_document d
        WHERE d.cell_id = n.cell AND d.generation = n.generation AND d.doctype > n.name)
    FROM names n WHERE n.name IS NOT NULL
) SELECT DISTINCT name FROM names WHERE name IS NOT NULL ORDER BY name
"""


class Amount(NamedTuple):
    files: int
    bytes: int
    #: (doctype, how many), by doctype; empty when no documents are wanted.
    documents: list[tuple[str, int]]


class Pace(NamedTuple):
    """Bytes a second, and how long it will take; None while that cannot be told."""

    rate: float | None
    left: timedelta | None


def doctypes(*, cells: Collection[Cell]) -> list[tuple[str, int]]:
    """(doctype, how many) by doctype."""
    counts: dict[str, int] = {}
    for cell, used in _used(cells):
        for doctype, count in _counted(cell, used, "doctypes", _count_doctypes):
            counts[doctype] = counts.get(doctype, 0) + count
    return sorted(counts.items())


def doctype_names(*, cells: Collection[Cell]) -> list[str]:
    """One look into the index for each name, however many documents bear it."""
    with connection.cursor() as cursor:
        pairs = [(cell.pk, cell.generation) for cell in cells]
        cursor.execute(_NAMES, [[pk for pk, _ in pairs], [generation for _, generation in pairs]])
        return [name for (name,) in cursor]


def amount(*, cells: Collection[Cell], documents: bool, only: Collection[str] = ()) -> Amount:
    """What an export of these cells holds at this moment; `only` names doctypes, none is all."""
    files = size = 0
    for cell, used in _used(cells):
        count, total = _counted(cell, used, "files", _count_files)
        files, size = files + count, size + total
    wanted = [pair for pair in doctypes(cells=cells) if not only or pair[0] in only] if documents else []
    return Amount(files, size, wanted)


def _used(cells: Collection[Cell]) -> list[tuple[Cell, int]]:
    used = cells_used(cells=cells)
    return [(cell, used.get(cell.pk, 0)) for cell in cells]


def _counted(cell: Cell, used: int, what: str, count: Callable[[Cell], Any]) -> Any:
    """Counted once a minute, or when the cell's size has changed: people fill in a form with many strokes."""
    key = f"count-{what}-{cell.pk}-{cell.created_at.timestamp()}-{cell.generation}-{used}"
    return cache.get_or_set(key, lambda: count(cell), timeout=_COUNTED_SECONDS)


def _count_doctypes(cell: Cell) -> list[tuple[str, int]]:
    rows = Document.objects.filter(cell=cell, generation=cell.generation).values_list("doctype")
    return list(rows.annotate(count=Count("*")).order_by())


def _count_files(cell: Cell) -> tuple[int, int]:
    rows = File.objects.filter(cell=cell, generation=cell.generation, is_folder=False)
    found = rows.aggregate(count=Count("*"), size=Sum("size", default=0))
    return found["count"], found["size"]


def cells_used(*, cells: Collection[Cell]) -> dict[int, int]:
    """Cell id → bytes that its visible generation fills."""
    rows = Usage.objects.filter(cell__in=cells, generation=F("cell__generation"))
    return dict(rows.values_list("cell_id", "bytes"))


def usual_seconds(*, amount: Amount) -> float | None:
    """How long an export of so much takes here, judged by the last runs of anybody; None before the first."""
    past = Run.objects.filter(state__in=(*DOWNLOADABLE, RunState.EXPIRED), started_at__isnull=False)
    rows = past.order_by("-pk").values_list("started_at", "finished_at", "entry_count", "entry_bytes")[:_PAST]
    slowness = [
        (finished - started).total_seconds() / _cost(count or 0, size or 0)
        for started, finished, count, size in rows
        if finished
    ]
    entries = amount.files + sum(count for _, count in amount.documents) // _DOCUMENTS
    return median(slowness) * _cost(entries, amount.bytes) if slowness else None


def _cost(entries: int, size: int) -> float:
    each, byte = _COSTS
    return 1 + entries * each + size * byte


def pace(run: Run) -> Pace:
    """Of the present phase: bytes are counted from the moment the cells were frozen."""
    if not (run.frozen_at and run.heartbeat_at and run.bytes_done and run.state == RunState.PROCESSING):
        return Pace(None, None)
    seconds = (run.heartbeat_at - run.frozen_at).total_seconds()
    if seconds <= 0:
        return Pace(None, None)
    rate = run.bytes_done / seconds
    return Pace(rate, timedelta(seconds=max(0, run.bytes_planned - run.bytes_done) / rate))


def runs_ahead(run: Run) -> int:
    return Run.objects.filter(state=RunState.PENDING, pk__lt=run.pk).count()


def runs_past(*, export: Export, limit: int) -> list[Run]:
    """The newest, oldest of them first."""
    return list(export.runs.order_by("-pk")[:limit])[::-1]


def worker_noted() -> None:
    """Called by every worker that lives, every few seconds."""
    cache.set(_WORKER_KEY, timezone.now().timestamp(), timeout=WORKER_SECONDS)


def worker_alive() -> bool:
    return cache.get(_WORKER_KEY) is not None
