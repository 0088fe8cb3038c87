"""One writer of a cell at a time, and never more bytes than its quota.

Whoever writes rows of a cell does it inside `cell_writing`, with all input on this server already: the lock is held
for as long as the rows take, not while bytes arrive. Readers and exports never wait.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import transaction
from django.db.models import F, Sum

from cells.errors import CellHeld, CellMoved, CellNotFound, QuotaExceeded
from cells.models import Cell, Usage


@contextmanager
def cell_holding(cell: Cell) -> Iterator[Cell]:
    """A transaction that holds the cell, read anew, for whoever changes nothing that people see: no quota counts, and
    the cell may be moving to another server."""
    with transaction.atomic():
        locked = Cell.objects.select_for_update(no_key=True).filter(pk=cell.pk).first()
        if locked is None:
            raise CellNotFound(name=cell.name)
        yield locked


def writable_check(cell: Cell) -> None:
    """Raises CellMoved, CellHeld for a cell whose content must stay as it is."""
    if cell.moved_to:
        raise CellMoved(name=cell.name, url=cell.moved_to)
    if cell.held_at is not None:
        raise CellHeld(name=cell.name)


@contextmanager
def cell_writing(cell: Cell, *, for_move: bool = False) -> Iterator[Cell]:
    """A transaction that holds the cell, read anew. Rolls all back with QuotaExceeded when it made the cell too big.

    Raises CellHeld, CellMoved, but for what comes by the very move (`for_move`): whoever holds the cell while nobody
    may write it has seen the last writer commit.
    """
    with cell_holding(cell) as locked:
        if not for_move:
            writable_check(locked)
        before = bytes_used(locked)
        yield locked
        if locked.quota is not None and (after := bytes_used(locked)) > max(before, locked.quota):
            raise QuotaExceeded(quota=locked.quota, used=before, needed=after - before)


def quota_check(cell: Cell, more: int) -> None:
    """Refuses early what `cell_writing` would refuse late: before a body is read."""
    writable_check(cell)
    if cell.quota is not None and (used := bytes_used(cell)) + more > cell.quota:
        raise QuotaExceeded(quota=cell.quota, used=used, needed=more)


def bytes_used(cell: Cell, generation: int | None = None) -> int:
    """Of documents (as JSON text), files and old versions; of the visible generation when none is named."""
    usage = Usage.objects.filter(cell=cell, generation=generation or cell.generation)
    return usage.values_list("bytes", flat=True).first() or 0


def bytes_kept(cell: Cell) -> int:
    """Of generations that nobody sees: kept to go back to, being filled, or soon dropped. No quota counts them."""
    unseen = Usage.objects.filter(cell=cell).exclude(generation=F("cell__generation"))
    return unseen.aggregate(bytes=Sum("bytes", default=0))["bytes"]
