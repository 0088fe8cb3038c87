"""What a compiled search finds, looked up once and kept as a list of ids for as long as a snapshot lasts."""

from datetime import datetime
from typing import Any

from psycopg import ClientCursor, Connection

from cells.search import Condition

# CREATE TABLE AS may use parallel workers, INSERT … SELECT may not.
_FIND = """
    CREATE TEMP TABLE {table} AS SELECT d.id AS document_id, row_number() OVER (ORDER BY {order}) AS position
    FROM {source} JOIN cells_cell c ON c.id = d.cell_id AND c.generation = d.generation
    WHERE d.cell_id = ANY(%(search_cells)s::bigint[])
          AND (%(since)s::timestamptz IS NULL OR d.updated_at >= %(since)s) AND ({condition})
    ORDER BY position OFFSET %(offset)s LIMIT %(limit)s
"""


def selection_make(
    connection: Connection, table: str, search: Condition, cells: list[int], since: datetime | None
) -> Condition:
    """The search of these cells as a condition that asks for no more than an id; `table` is a name for its list."""
    params = {**search.params, "search_cells": cells}
    if not search.is_costly:
        return Condition(search.sql, params)
    values: dict[str, Any] = {**params, "since": since, "offset": search.offset, "limit": search.limit}
    query = _FIND.format(table=table, order=search.order, source="cells_document d", condition=search.sql)
    # Statements that define something take no parameters; this cursor writes them into the text.
    with ClientCursor(connection) as cursor:
        cursor.execute(query, values)
        cursor.execute(f"ALTER TABLE {table} ADD PRIMARY KEY (document_id); ANALYZE {table}")
    order = f"(SELECT o.position FROM {table} o WHERE o.document_id = d.id)" if search.is_sorted else "d.id"  # noqa: S608
    return Condition(f"d.id IN (SELECT document_id FROM {table})", {}, order=order)  # noqa: S608
