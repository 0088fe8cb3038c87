"""How many documents a selection finds, and which."""

from cells.frozen import Snapshot
from cells.search import Condition

_OF = """
    FROM cells_document d JOIN cells_cell c ON c.id = d.cell_id AND c.generation = d.generation
    WHERE d.cell_id = ANY(%(cells)s::bigint[]) AND ({condition})
"""
_COUNTS = "SELECT d.doctype, count(*) {of} GROUP BY d.doctype ORDER BY d.doctype"
_EACH = "SELECT d.doctype, d.id, split_part(d.rev, '-', 1)::bigint {of} ORDER BY {order}"
#: (doctype, id, version), the number of its writes.
Found = tuple[str, int, int]


def found(
    snapshot: Snapshot, cells: list[int], selection: Condition, *, most: int
) -> tuple[dict[str, int], list[Found]]:
    """({doctype: how many}, each of them in order), of more than `most` none. As many doctypes as the cells have."""
    of, values = _OF.format(condition=selection.sql), {**selection.params, "cells": cells}
    counts = dict(snapshot.rows(_COUNTS.format(of=of), values))
    if sum(counts.values()) > most:
        return counts, []
    return counts, list(snapshot.rows(_EACH.format(of=of, order=selection.order), values))
