"""The only writer of any import's state: every move is one conditional UPDATE and one event."""

from collections.abc import Callable
from datetime import datetime, timedelta

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Exists, F, Max, OuterRef, Q, QuerySet
from django.utils import timezone

from cells.errors import CellNotFound, DomainError
from cells.generations import generation_switching, new_generation
from cells.models import Cell, Usage
from cells.quota import writable_check
from exports import broadcast, queue
from exports.errors import CellBusy, ImportLeaseLost, ImportLost, NothingToDismiss, NothingToUndo
from exports.models import Arrival, Import, ImportMode
from exports.services import arrival_rows, cell_jobs, notification_rows
from exports.services.lifecycle import ATTEMPTS, event_write
from exports.states import IMPORT_TRANSITIONS, ImportState

#: Workers that an arrival may lose without any progress.
ARRIVAL_ATTEMPTS = 5
EVENTS = {
    ImportState.PENDING: "IMPORT_REQUEUED",
    ImportState.PROCESSING: "IMPORT_START",
    ImportState.DONE: "IMPORT_FINISH",
    ImportState.FAILED: "IMPORT_FAILED",
    ImportState.DISMISSED: "IMPORT_DISMISSED",
    ImportState.UNDONE: "IMPORT_UNDONE",
}


@transaction.atomic
def import_create(*, cell: Cell, owner: User, source: str, mode: ImportMode, name: str, nudge: bool = True) -> Import:
    """A pending import, announced to the workers after commit unless the caller runs it. Raises CellBusy.

    Holds the cell meanwhile; whoever begins another job on the cell has to do the same.
    """
    locked = Cell.objects.select_for_update(no_key=True).filter(pk=cell.pk).first()
    if locked is None:
        raise CellNotFound(name=cell.name)
    writable_check(locked)
    if job := cell_jobs.cell_job(cell=cell):
        raise CellBusy(name=cell.name, job=job)
    row = Import.objects.create(cell=cell, owner=owner, source=source, mode=mode, name=name, nudged_at=timezone.now())
    if nudge:
        queue.enqueue(queue.RUN_IMPORT, row.pk)
    return row


@transaction.atomic
def transition(import_id: int, to: ImportState, *, holding: int | None = None, **fields: object) -> bool:
    """As `lifecycle.transition` for runs."""
    allowed = [state for state, after in IMPORT_TRANSITIONS.items() if to in after]
    rows = _alive(import_id).filter(state__in=allowed)
    if holding is not None:
        rows = rows.filter(fence=holding)
    if to in (ImportState.DONE, ImportState.FAILED):
        fields.setdefault("finished_at", timezone.now())
    if not rows.update(state=to, **fields):
        return False
    row = Import.objects.select_related("cell", "owner").get(pk=import_id)
    told = {"state": str(to), "import": row.pk, "cell": row.cell.name}
    event_write(type=EVENTS[to], user=row.owner, info=told | ({"exception": row.error} if row.error else {}))
    notification_rows.import_notify(row=row, state=to)
    arrival_rows.outcome_tell(row=row, state=to)
    broadcast.tell(broadcast.IMPORTS)
    return True


def _alive(import_id: int) -> QuerySet[Import]:
    """One whose cell was deleted is worked at by nobody, and told of to nobody: it goes with the cell's rows.

    Not by a join: an UPDATE that waited for the row would not look at its state again.
    """
    return Import.objects.filter(Exists(Cell.objects.filter(pk=OuterRef("cell"))), pk=import_id)


def claim(*, import_id: int) -> Import | None:
    """The import, processing and the caller's as long as its heart beats; None when there is nothing to claim."""
    if not transition(import_id, ImportState.PROCESSING, fence=F("fence") + 1, heartbeat_at=timezone.now(), done=0):
        return None
    return Import.objects.select_related("cell", "owner").get(pk=import_id)


def heartbeat(row: Import, **progress: object) -> None:
    """Renew the lease and publish progress. Raises ImportLeaseLost."""
    mine = _alive(row.pk).filter(fence=row.fence, state=ImportState.PROCESSING)
    if not mine.update(heartbeat_at=timezone.now(), **progress):
        raise ImportLeaseLost(import_id=row.pk)


@transaction.atomic
def generation_reserve(row: Import) -> int:
    """A generation of the cell to be filled by this import; written down with the import, so that none is forgotten."""
    newest = Import.objects.filter(cell=row.cell).aggregate(newest=Max("generation"))["newest"] or 0
    row.generation = new_generation(row.cell, above=newest)
    heartbeat(row, generation=row.generation)
    return row.generation


def publish(row: Import, report: dict, *, decided: bool = False, last: Callable[[], object] | None = None) -> None:
    """The cell shows what was imported, and the import is done, in one step. Raises ImportLeaseLost, QuotaExceeded.

    `decided`: the server that it came from has given it away. `last`: as for `generation_switching`.
    """
    with generation_switching(row.cell, row.generation, decided=decided, for_move=True, last=last) as previous:
        moved = transition(
            row.pk,
            ImportState.DONE,
            holding=row.fence,
            report=report,
            done=F("total"),
            previous_generation=previous,
            undo_until=timezone.now() + timedelta(days=settings.IMPORT_UNDO_DAYS),
        )
        if not moved:
            raise ImportLeaseLost(import_id=row.pk)
        undo_bound(row.cell_id)


def undo_bound(cell_id: int) -> None:
    """Give up what is kept for undo beyond IMPORT_UNDO_COUNT and IMPORT_UNDO_SIZE, the oldest first."""
    kept = Import.objects.filter(cell=cell_id, previous_generation__isnull=False)
    sizes = dict(Usage.objects.filter(cell=cell_id).values_list("generation", "bytes"))
    size = 0
    for count, (pk, generation) in enumerate(kept.order_by("-pk").values_list("pk", "previous_generation"), 1):
        size += sizes.get(generation, 0)
        if count > settings.IMPORT_UNDO_COUNT or size > settings.IMPORT_UNDO_SIZE:
            kept.filter(pk__lte=pk).update(previous_generation=None, undo_until=None)
            return


@transaction.atomic
def import_fail(row: Import, error: DomainError | None = None) -> bool:
    """For a reason that people can read; None is a fault of ours that only the log explains.

    Takes the cell before the import, as whoever publishes does: an arrival's end lets the cell be written again.
    """
    Cell.objects.select_for_update(no_key=True).filter(pk=row.cell_id).first()
    told = {"code": error.code, "message": str(error)} if error else {"code": "internal", "message": "Internal error."}
    return transition(row.pk, ImportState.FAILED, holding=row.fence, error=told)


def import_wait(row: Import, pause: timedelta) -> None:
    """Back to the others that wait, for another try after the pause. Raises ImportLeaseLost."""
    again = timezone.now() + pause - timedelta(seconds=queue.NUDGE_SECONDS)
    if not transition(row.pk, ImportState.PENDING, holding=row.fence, nudged_at=again):
        raise ImportLeaseLost(import_id=row.pk)


@transaction.atomic
def arrival_ask(row: Import, *, digest: str, report: dict) -> None:
    """From now on the server that it comes from decides, and nobody here. Raises ImportLeaseLost."""
    mine = Import.objects.select_for_update().filter(pk=row.pk, fence=row.fence, state=ImportState.PROCESSING)
    if not mine.update(report=report):
        raise ImportLeaseLost(import_id=row.pk)
    Arrival.objects.filter(pk=row.pk).update(digest=digest, asked_at=timezone.now(), tries=0)


def import_undo(*, cell: Cell) -> Import:
    """The cell shows again what it showed before its last import. What was written since goes.

    Raises CellBusy, NothingToUndo.
    """
    row = _undoable(cell)
    with generation_switching(cell, row.previous_generation) as imported:
        if _undoable(cell) != row:  # somebody was first
            raise NothingToUndo(name=cell.name)
        transition(row.pk, ImportState.UNDONE, generation=imported, previous_generation=None, undo_until=None)
    row.refresh_from_db()
    return row


def _undoable(cell: Cell) -> Import:
    if job := cell_jobs.cell_job(cell=cell):
        raise CellBusy(name=cell.name, job=job)
    row = Import.objects.filter(cell=cell, state=ImportState.DONE).order_by("-pk").first()
    if row is None or row.previous_generation is None or row.undo_until <= timezone.now():
        raise NothingToUndo(name=cell.name)
    return row


@transaction.atomic
def import_dismiss(*, cell: Cell) -> Import:
    """The owner has seen that the last import failed: the cell counts as normal again. Raises NothingToDismiss."""
    Cell.objects.select_for_update(no_key=True).filter(pk=cell.pk).first()
    row = cell_jobs.import_failed(cell=cell)
    if row is None or not transition(row.pk, ImportState.DISMISSED):
        raise NothingToDismiss(name=cell.name)
    row.refresh_from_db()
    return row


def _is_lost(row: Import) -> bool:
    """Workers die of what they are given; an arrival that gets on may lose more of them, and one that has asked is
    ended by nobody but the server that it comes from."""
    arrival = Arrival.objects.filter(pk=row.pk).first()
    if arrival is None or arrival.asked_at is not None:
        return arrival is None and row.fence >= ATTEMPTS
    Arrival.objects.filter(pk=row.pk).update(lost=F("lost") + 1)
    return arrival.lost >= ARRIVAL_ATTEMPTS


def imports_requeue(*, now: datetime | None = None) -> int:
    """Give imports whose worker went silent to another one, and repeat nudges that were lost. How many were lost."""
    now = now or timezone.now()
    lost = 0
    for row in Import.objects.filter(state=ImportState.PROCESSING, heartbeat_at__lt=now - settings.EXPORT_LEASE):
        if _is_lost(row):
            lost += import_fail(row, ImportLost(import_id=row.pk, attempts=row.fence))
        else:
            lost += transition(row.pk, ImportState.PENDING, holding=row.fence, nudged_at=None)
    unheard = now - timedelta(seconds=queue.NUDGE_SECONDS)
    waiting = Import.objects.filter(Q(nudged_at=None) | Q(nudged_at__lt=unheard), state=ImportState.PENDING)
    for import_id in list(waiting.order_by("pk").values_list("pk", flat=True)[:1000]):
        Import.objects.filter(pk=import_id).update(nudged_at=now)
        queue.enqueue(queue.RUN_IMPORT, import_id)
    return lost
