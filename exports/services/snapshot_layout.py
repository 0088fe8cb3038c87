"""A run whose archive is a cell snapshot: what its layout is told of the cell, and what closes its archive."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial

from cells.models import Cell
from exports.engine import manifest as text
from exports.engine.entries import Entry
from exports.engine.freeze import Layout
from exports.engine.layouts import cell as layout
from exports.models import Run, RunEntry
from exports.services.addresses import unit_url

#: `Run.order["layout"]`.
SNAPSHOT = "cell"

#: (entries, [(path, reason)] of what is missing) → the text of the closing entry.
Closing = Callable[[Iterable[Entry], Iterable[tuple[str, str]]], Iterator[bytes]]


def is_snapshot(run: Run) -> bool:
    return run.order.get("layout") == SNAPSHOT


def snapshot_layout(cell_id: int) -> Layout:
    cell = Cell.objects.select_related("owner").get(pk=cell_id)
    published = int(cell.created_at.timestamp() * 1000)
    owner = cell.owner.get_username()
    return layout.cell(layout.CellFacts(name=cell.name, owner=owner, unit_url=unit_url(), published=published))


def closing_of(run: Run) -> tuple[str, Closing]:
    """Name and text of the last entry of every archive of this run."""
    if is_snapshot(run):
        return layout.MANIFEST, partial(layout.manifest_lines, unit_url=unit_url())
    return text.NAME, text.lines


def pairs_damaged(run: Run, damaged: dict[int, str]) -> dict[int, str]:
    """With the `.pmeta` of each content: a node without one is no file, and no server takes it for one."""
    contents = RunEntry.objects.filter(run=run, ordinal__in=list(damaged), name__endswith=f"/{layout.CONTENT}")
    return damaged | {ordinal - 1: damaged[ordinal] for ordinal in contents.values_list("ordinal", flat=True)}


def cell_id(pk: int) -> str:
    """The cell's `_id` in its snapshots."""
    return layout.id_of("cell", pk)
