"""What people ask before, while and after an export runs: how much, how fast, how long. Reads alone.

Whose rows they are was asked before: callers come with an export, a run or an owner that the selectors gave them.
"""

from collections.abc import Collection
from datetime import timedelta
from typing import NamedTuple

from django.contrib.auth.models import User
from django.core.cache import cache
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
    for cell in cells:
        rows = Document.objects.filter(cell=cell, generation=cell.generation).values_list("doctype")
        for doctype, count in rows.annotate(count=Count("*")).order_by():
            counts[doctype] = counts.get(doctype, 0) + count
    return sorted(counts.items())


def amount(*, cells: Collection[Cell], documents: bool, only: Collection[str] = ()) -> Amount:
    """What an export of these cells holds at this moment; `only` names doctypes, none is all."""
    files = size = 0
    for cell in cells:
        rows = File.objects.filter(cell=cell, generation=cell.generation, is_folder=False)
        found = rows.aggregate(count=Count("*"), size=Sum("size", default=0))
        files, size = files + found["count"], size + found["size"]
    wanted = [pair for pair in doctypes(cells=cells) if not only or pair[0] in only] if documents else []
    return Amount(files, size, wanted)


def cells_used(*, cells: Collection[Cell]) -> dict[int, int]:
    """Cell id → bytes that its visible generation fills."""
    rows = Usage.objects.filter(cell__in=cells, generation=F("cell__generation"))
    return dict(rows.values_list("cell_id", "bytes"))


def usual_rate(*, owner: User) -> float | None:
    """Bytes a second of the owner's last runs; None without any."""
    past = Run.objects.filter(owner=owner, state__in=(*DOWNLOADABLE, RunState.EXPIRED), entry_bytes__gt=0)
    size = seconds = 0.0
    for run in past.order_by("-pk")[:_PAST]:
        if run.started_at and run.finished_at:
            size, seconds = size + run.entry_bytes, seconds + (run.finished_at - run.started_at).total_seconds()
    return size / seconds if seconds else None


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
