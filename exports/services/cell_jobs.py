"""What is being done to a cell as a whole, and how its last import ended (`spec/cell.md §9, §10`)."""

from cells.models import Cell
from exports.models import Departure, Import, Run
from exports.states import ACTIVE, DEPARTURE_ACTIVE, IMPORT_ACTIVE, ImportState


def cell_job(*, cell: Cell) -> str | None:
    """What is being done to the cell, in the words of `spec/cell.md §10`, or by a move: at most one thing at a time."""
    if Import.objects.filter(cell=cell, state__in=IMPORT_ACTIVE).exists():
        return "cell import"
    if Departure.objects.filter(cell=cell, state__in=DEPARTURE_ACTIVE).exists():
        return "cell move"
    return "cell export" if Run.objects.filter(cell=cell, state__in=ACTIVE).exists() else None


def import_running(*, cell: Cell) -> Import | None:
    return Import.objects.filter(cell=cell, state__in=IMPORT_ACTIVE).first()


def import_failed(*, cell: Cell) -> Import | None:
    """The failure that makes the cell "import failed" (`spec/cell.md §9`), also while another import is running."""
    last = Import.objects.filter(cell=cell).exclude(state__in=IMPORT_ACTIVE).order_by("-pk").first()
    return last if last is not None and last.state == ImportState.FAILED else None
