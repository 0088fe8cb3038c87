"""`sort` (`spec/v1.md §7.6`) as expressions for ORDER BY."""

from typing import Any

from cells.search import refusals
from cells.search.fields import TIMES, Scope
from cells.search.refusals import SearchRefused

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
    if refusals.flag(where, item, "with_path", False):
        raise SearchRefused(f"{where}.with_path", "is not available")
    if field == "_score":
        return []  # all that is found fits equally well
    if field in TIMES:
        return [f"{TIMES[field]} {way}"]
    values = f"FROM {scope.values(f'{where}.field', field, languages)} f"
    keys = [f"(SELECT {mode}((f.v #>> '{{}}')::numeric) {values} WHERE jsonb_typeof(f.v) = 'number') {way} NULLS LAST"]
    if mode in ("min", "max"):
        text = f"{'cells_natural' if natural else 'cells_fold'}(nullif({_TEXT}, '')) COLLATE \"C\""
        keys.append(f"(SELECT {mode}({text}) {values}) {way} NULLS LAST")
    return keys


#: A date range is where it begins.
_TEXT = """CASE jsonb_typeof(f.v) WHEN 'string' THEN f.v #>> '{}' WHEN 'boolean' THEN f.v #>> '{}'
    WHEN 'object' THEN coalesce(nullif(f.v ->> 'from', ''), f.v ->> 'to') END"""
