"""What the end of an arrival's import means for the cell, and what it has to tell the server that it came from: in the
transaction that ends it, which holds the cell."""

from django.utils import timezone

from cells.models import Cell
from exports import queue
from exports.models import Arrival, Import
from exports.states import ImportState


def outcome_tell(*, row: Import, state: ImportState) -> None:
    """A server that knows only the spec is told of a good end too; another has decided it."""
    if state not in (ImportState.DONE, ImportState.FAILED):
        return
    arrival = Arrival.objects.filter(imported=row).first()
    if arrival is None:
        return
    Cell.objects.filter(pk=row.cell_id, moved_to="").update(held_at=None)
    if state == ImportState.DONE and arrival.transfer:
        return
    tell = "finalize" if state == ImportState.DONE else "abort"
    Arrival.objects.filter(pk=arrival.pk).update(tell=tell, tell_at=timezone.now(), tries=0)
    queue.enqueue(queue.TELL_SOURCE, row.pk)
