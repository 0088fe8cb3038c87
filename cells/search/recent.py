"""Documents that were written since a moment, or whose files were (`spec/v1.md §11`)."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime

from cells.search.compiling import Condition
from cells.search.fields import Params, Scope
from cells.search.refusals import SearchRefused

#: Files of the cells that were written, deleted or moved away since then. Paths may be longer than a B-tree takes.
TOUCHED = """
    CREATE TEMP TABLE {table} AS
    SELECT f.cell_id, f.path FROM cells_file f JOIN cells_cell c ON c.id = f.cell_id AND c.generation = f.generation
    WHERE f.cell_id = ANY(%(cells)s::bigint[]) AND NOT f.is_folder AND f.updated_at >= %(since)s
    UNION SELECT x.cell_id, x.name FROM cells_deletion x
    WHERE x.cell_id = ANY(%(cells)s::bigint[]) AND x.doctype = '' AND x.deleted_at >= %(since)s;
    CREATE INDEX ON {table} USING hash (path);
    ANALYZE {table}
"""
_WRITTEN = "greatest(d.updated_at, c.switched_at) >= %(search_since)s::timestamptz"
_REFERS = """EXISTS (SELECT FROM {values} f JOIN {touched} t
    ON t.cell_id = d.cell_id AND t.path = regexp_replace(f.v ->> '_file', '^/|/$', '', 'g'))"""


def recent(search: Condition, since: datetime, fields: Iterable[str] = (), touched: str = "") -> Condition:
    """Of what `search` finds, documents written since then, and those that refer at one of the paths `fields` to a
    file of the table `touched`. Over `cells_document d` and `cells_cell c`."""
    params = Params(dict(search.params))
    refers = [_REFERS.format(values=values, touched=touched) for values in _values(Scope(params, ""), fields)]
    return replace(
        search,
        sql=f"({' OR '.join([_WRITTEN, *refers])}) AND {search.sql}",
        params=params.values | {"search_since": since},
        guard=None if search.guard == search.sql else search.guard,
    )


def _values(scope: Scope, fields: Iterable[str]) -> Iterator[str]:
    for field in fields:
        try:
            yield scope.values("field", field)
        except SearchRefused:
            continue  # no path: it leads to no file
