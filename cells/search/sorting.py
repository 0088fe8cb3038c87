"""`sort` (`spec/v1.md §7.6`) as expressions for ORDER BY."""

from typing import Any

from cells.search import refusals
from cells.search.fields import TIMES, Scope

DEFAULT = "d.id"
_MODES = ("min", "max", "sum", "avg")


def order_by(scope: Scope, where: str, items: list[Any]) -> str:
    """Numbers come before texts, documents without a value last, in either direction. Texts are compared folded."""
    keys: list[str] = []
    for index, item in enumerate(items):
        keys += _keys(scope, f"{where}[{index}]", refusals.mapping(f"{where}[{index}]", item))
    return ", ".join([*keys, DEFAULT])


def _keys(scope: Scope, where: str, item: dict[str, Any]) -> list[str]:
    field = refusals.string(f"{where}.field", refusals.needed(where, item, "field"))
    way = refusals.one_of(f"{where}.order", str(item.get("order") or "ASC").upper(), ("ASC", "DESC"))
    mode = refusals.one_of(f"{where}.mode", item.get("mode") or ("min" if way == "ASC" else "max"), _MODES)
    natural = refusals.flag(where, item, "numeric", False)
    language = item.get("language")
    languages = None if language in (None, "") else [refusals.string(f"{where}.language", language)]
    with_path = refusals.flag(where, item, "with_path", False)
    if field == "_score":
        return []  # all that is found fits equally well
    if field in TIMES and not with_path:
        return [f"{TIMES[field]} {way}"]
    values = f"FROM {scope.values(f'{where}.field', field, languages)} f"
    keys = [f"(SELECT {mode}((f.v #>> '{{}}')::numeric) {values} WHERE jsonb_typeof(f.v) = 'number')"]
    if mode in ("min", "max"):
        text = f"{'cells_natural' if natural else 'cells_fold'}(nullif({_TEXT}, ''))"
        keys.append(f'(SELECT {mode}({text} COLLATE "C") {values}) COLLATE "C"')
    return [f"{_WITH_PATH.format(key=key) if with_path else key} {way} NULLS LAST" for key in keys]


#: The key of the document behind those of what it stands below, from the root on. Parents that have none are passed
#: over, and so is all beyond the 64th, as in data files (`exports/engine/produce/linking.py`): a circle has an end.
_WITH_PATH = """(WITH RECURSIVE up AS (
    SELECT 0 AS level, d.id, d.cell_id, d.generation, d.doctype, d.doc_id, d.rev, d.body, d.created_at, d.updated_at
    UNION ALL
    SELECT up.level + 1, p.id, p.cell_id, p.generation, p.doctype, p.doc_id, p.rev, p.body, p.created_at, p.updated_at
    FROM up JOIN cells_document p ON p.id = CASE WHEN up.body ->> '_id_parent' ~ '^[1-9][0-9]{{0,17}}$'
        AND jsonb_typeof(up.body -> '_id_parent') = 'number' THEN (up.body ->> '_id_parent')::bigint END
    JOIN cells_cell above ON above.id = p.cell_id AND above.generation = p.generation
    WHERE up.level < 64 AND p.cell_id = ANY(%(search_cells)s::bigint[])
) SELECT CASE WHEN (array_agg({key} ORDER BY d.level))[1] IS NOT NULL
    THEN array_remove(array_agg({key} ORDER BY d.level DESC), NULL) END FROM up d)"""
#: A date range is where it begins.
_TEXT = """CASE jsonb_typeof(f.v) WHEN 'string' THEN f.v #>> '{}' WHEN 'boolean' THEN f.v #>> '{}'
    WHEN 'object' THEN coalesce(nullif(f.v ->> 'from', ''), f.v ->> 'to') END"""
