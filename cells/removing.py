"""Cells that go: small ones at once, large ones out of sight at once and row by row afterwards."""

import logging

from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from cells.alone import alone
from cells.models import AccessToken, Cell, Usage

log = logging.getLogger(__name__)

#: Rows that whoever deletes a cell waits for; and that are removed together afterwards.
AT_ONCE = 5_000
_LOCK = 0x63656C6C73
#: Versions before files: the usage of a version is that of its file.
_TABLES = {
    "cells_fileversion": (
        "SELECT v.id FROM cells_fileversion v JOIN cells_file f ON f.id = v.file_id WHERE f.cell_id = %s"
    ),
    "cells_file": "SELECT id FROM cells_file WHERE cell_id = %s",
    "cells_document": "SELECT id FROM cells_document WHERE cell_id = %s",
    "cells_deletion": "SELECT id FROM cells_deletion WHERE cell_id = %s",
}


def cell_remove(cell: Cell) -> None:
    """Nobody sees the cell any more, and its name is free. Its tokens end. Call while it is held."""
    if sum(_count(cell, rows) for rows in _TABLES.values()) <= AT_ONCE:
        _remove_now(cell)
        return
    # No cell can have this name; and of a generation that is not shown no deletion is remembered.
    Cell.objects.filter(pk=cell.pk).update(name=f" {cell.pk}", generation=0, removed_at=timezone.now())
    AccessToken.objects.filter(cell=cell).delete()


def cells_remove() -> int:
    """What was deleted goes, some thousand rows at a time. How many cells are gone. Harmless when killed: the next call
    goes on. Does nothing while another call does it, which would take rows that are going for the last ones."""
    with alone(_LOCK) as is_alone:
        removed = Cell.every.exclude(removed_at=None).order_by("removed_at") if is_alone else ()
        return sum([_remove(cell) for cell in removed])


def _remove(cell: Cell) -> bool:
    for table, rows in _TABLES.items():
        while _remove_some(cell, table, rows) >= AT_ONCE:
            pass
    try:
        with transaction.atomic():
            # Whoever still fills a generation holds its usage, and commits before that goes; then he finds none.
            list(Usage.objects.select_for_update().filter(cell=cell))
            _remove_now(cell)
    except IntegrityError:
        log.info("cell %s: somebody was still at work in it", cell.pk)
        return False
    return True


def _count(cell: Cell, rows: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM ({rows} LIMIT {AT_ONCE + 1}) r", [cell.pk])  # noqa: S608
        return cursor.fetchone()[0]


def _remove_some(cell: Cell, table: str, rows: str) -> int:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"DELETE FROM {table} WHERE id = ANY(ARRAY({rows} LIMIT {AT_ONCE}))", [cell.pk])  # noqa: S608
        return cursor.rowcount


def _remove_now(cell: Cell) -> None:
    with connection.cursor() as cursor:
        for table, rows in _TABLES.items():
            cursor.execute(f"DELETE FROM {table} WHERE id IN ({rows})", [cell.pk])  # noqa: S608
        cursor.execute("DELETE FROM cells_usage WHERE cell_id = %s", [cell.pk])
    Cell.every.filter(pk=cell.pk).delete()
