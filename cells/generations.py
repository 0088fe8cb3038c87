"""Generations of a cell: one is visible; another is filled beside it, switched to at once, and dropped later."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial

from django.db import connection, transaction
from django.db.models import Max
from django.utils import timezone

from cells.deletions import deletions_note
from cells.errors import CellNotFound
from cells.models import Cell, Usage
from cells.quota import cell_holding, cell_writing

#: Between the clocks of servers.
_SKEW = timedelta(minutes=1)
#: Rows removed while the cell is held: some tens of milliseconds.
_ROWS = 5_000

_ROWS_OF = "SELECT {t}.id FROM {tables} WHERE {t}.cell_id = %(cell)s AND {t}.generation = %(generation)s LIMIT %(rows)s"
_FILES = _ROWS_OF.format(t="f", tables="cells_file f")
_VERSIONS = _FILES.replace("f.id FROM", "v.id FROM cells_fileversion v JOIN").replace(
    "WHERE", "ON f.id = v.file_id WHERE"
)
_DOCUMENTS = _ROWS_OF.format(t="d", tables="cells_document d")
#: Versions before files: the usage of a version is that of its file.
_DROP = (
    f"DELETE FROM cells_fileversion WHERE id = ANY(ARRAY({_VERSIONS}))",  # noqa: S608
    f"DELETE FROM cells_file WHERE id = ANY(ARRAY({_FILES}))",  # noqa: S608
    f"DELETE FROM cells_document WHERE id = ANY(ARRAY({_DOCUMENTS}))",  # noqa: S608
)
_DROP_USAGE = "DELETE FROM cells_usage WHERE cell_id = %(cell)s AND generation = %(generation)s"


def new_generation(cell: Cell, *, above: int = 0) -> int:
    """Reserves a generation that nobody sees, to be filled and then switched to.

    `above`: the highest number that somebody may still be filling, though it was dropped.
    """
    with cell_holding(cell) as locked:
        newest = Usage.objects.filter(cell=locked).aggregate(newest=Max("generation"))["newest"] or 0
        number = max(newest, locked.generation, above) + 1
        Usage.objects.create(cell=locked, generation=number, bytes=0)
    return number


@contextmanager
def generation_writing(cell: Cell, generation: int) -> Iterator[None]:
    """A transaction that fills a generation nobody sees, and holds it alone. CellNotFound when it was dropped."""
    with transaction.atomic():
        if not Usage.objects.select_for_update().filter(cell=cell, generation=generation).exists():
            raise CellNotFound(name=f"{cell.name} in generation {generation}")
        yield


def generations_analyze() -> None:
    """Call when one has been filled: without statistics a switch of 100,000 files compared each path with all others,
    and did not end within 100 s."""
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE cells_file")
        cursor.execute("ANALYZE cells_document")


def switch_generation(cell: Cell, generation: int) -> int:
    """Shows that generation instead of the present one, whose number is given back. The quota counts."""
    with generation_switching(cell, generation) as previous:
        return previous


@contextmanager
def generation_switching(
    cell: Cell,
    generation: int,
    *,
    decided: bool = False,
    for_move: bool = False,
    last: Callable[[], object] | None = None,
) -> Iterator[int]:
    """A transaction that switches, and gives the present generation; what is written inside comes with it.

    `decided`: nothing may stop it any more, and no quota counts: what is shown is nowhere else. `for_move`: the cell
    may be held for what is shown now. `last` is what remains to be done when nobody writes the cell any more.
    Remembering 300,000 deletions took 4 s: all but what is written meanwhile are noted before the cell is held.
    """
    held = cell_holding if decided else partial(cell_writing, for_move=for_move)
    with held(cell) as locked:  # who commits later begins later, too
        left, since = locked.generation, timezone.now() - _SKEW
    with transaction.atomic():
        deletions_note(cell=cell, generation=generation)
        with held(cell) as locked:
            if not Usage.objects.filter(cell=locked, generation=generation).exists():
                raise CellNotFound(name=f"{cell.name} in generation {generation}")
            if last:
                last()
            deletions_note(cell=cell, generation=generation, since=since if left == locked.generation else None)
            previous, locked.generation, locked.switched_at = locked.generation, generation, timezone.now()
            locked.save(update_fields=["generation", "switched_at"])
            yield previous
    cell.generation = generation


def drop_generation(cell: Cell, generation: int) -> None:
    """Removes the rows of a generation that is not the visible one, and never will be again.

    Some thousand at a time, so that writers of the cell wait for none of it; what a killed process left is dropped by
    the next call.
    """
    place = {"cell": cell.pk, "generation": generation, "rows": _ROWS}
    for statement in _DROP:
        while _drop(cell, generation, [statement], place) >= _ROWS:
            pass
    # Whoever still fills it holds its usage, and commits before that goes; what came then goes with it.
    _drop(cell, generation, [_DROP_USAGE, *_DROP], {**place, "rows": None})


def _drop(cell: Cell, generation: int, statements: list[str], place: dict[str, int | None]) -> int:
    with cell_holding(cell) as locked, connection.cursor() as cursor:
        if generation == locked.generation:
            raise ValueError(f"generation {generation} of {cell.name} is in use")
        for statement in statements:
            cursor.execute(statement, place)
        return cursor.rowcount
