"""What a compiled search finds, looked up once and kept as a list of ids for as long as a snapshot lasts."""

from typing import Any

from psycopg import ClientCursor, Connection

from cells.search import Condition
from cells.search.terms import in_cells

# CREATE TABLE AS may use parallel workers, INSERT … SELECT may not. A join in place of LATERAL would let PostgreSQL ask
# the condition of every document before it looks whether it is a candidate.
_FIND = """
    SELECT d.id AS document_id, row_number() OVER (ORDER BY {order}) AS position
    FROM {source} JOIN cells_cell c ON c.id = d.cell_id AND c.generation = d.generation
    WHERE d.cell_id = ANY(%(search_cells)s::bigint[]) AND ({condition})
    ORDER BY position OFFSET %(offset)s LIMIT %(limit)s
"""
_OF_CANDIDATES = """({candidates}) candidate
    CROSS JOIN LATERAL (SELECT * FROM cells_document x WHERE x.id = candidate.document_id OFFSET 0) d
"""
_WITH_TERMS = """
    SELECT t.document_id FROM cells_documentterms t WHERE t.terms @@ %(terms)s::tsquery
    UNION SELECT w.document_id FROM cells_waitingterms w WHERE w.cell_id = ANY(%(search_cells)s::bigint[])
"""
_GUARDED = """
    SELECT d.id AS document_id FROM cells_document d
    JOIN cells_cell c ON c.id = d.cell_id AND c.generation = d.generation
    WHERE d.cell_id = ANY(%(search_cells)s::bigint[]) AND {guard} OFFSET 0
"""


def selection_make(connection: Connection, table: str, search: Condition, cells: list[int]) -> Condition:
    """The search of these cells as a condition that asks for no more than an id; `table` is a name for its list."""
    if not search.is_costly:
        return Condition(search.sql, {**search.params, "search_cells": cells})
    query, values = selection_query(search, cells)
    # Statements that define something take no parameters; this cursor writes them into the text.
    with ClientCursor(connection) as cursor:
        if search.terms is not None:
            # It thinks that an OR of a hundred words is in every document, and reads them all.
            cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute(f"CREATE TEMP TABLE {table} AS {query}", values)
        cursor.execute("SET LOCAL enable_seqscan = on")
        cursor.execute(f"ALTER TABLE {table} ADD PRIMARY KEY (document_id); ANALYZE {table}")
    order = f"(SELECT o.position FROM {table} o WHERE o.document_id = d.id)" if search.is_sorted else "d.id"  # noqa: S608
    return Condition(f"d.id IN (SELECT document_id FROM {table})", {}, order=order)  # noqa: S608


def selection_query(search: Condition, cells: list[int]) -> tuple[str, dict[str, Any]]:
    """SQL of (document_id, position), in order, and its parameters."""
    values = {**search.params, "search_cells": cells, "offset": search.offset, "limit": search.limit}
    source = "cells_document d"
    if search.terms is not None:
        source, values["terms"] = _OF_CANDIDATES.format(candidates=_WITH_TERMS), in_cells(search.terms, cells)
    elif search.guard not in (None, search.sql):
        source = _OF_CANDIDATES.format(candidates=_GUARDED.format(guard=search.guard))
    return _FIND.format(order=search.order, source=source, condition=search.sql), values
