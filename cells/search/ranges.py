"""`range` and `changelog_range` (`spec/v1.md §7.4`)."""

from datetime import datetime
from typing import Any

from cells.search import refusals
from cells.search.dates import instant, looks_like_a_date
from cells.search.fields import CREATED, MODIFIED, TIMES, Scope
from cells.search.refusals import SearchRefused

#: (operator, value) of each bound that is given.
_Bounds = list[tuple[str, Any]]


def range_(scope: Scope, where: str, element: dict[str, Any], languages: list[str] | None) -> str:
    """Numbers are compared with numbers, dates by the instant they begin, other strings by code point. A date range
    as a value (`{"from", "to"}`) is in when it overlaps."""
    field = refusals.string(f"{where}.field", refusals.needed(where, element, "field"))
    given = {key: element[key] for key in ("from", "to") if element.get(key) is not None}
    if not given:
        raise SearchRefused(f"{where}.from", "from or to is required", "attribute_expected")
    signs = {
        "from": ">=" if refusals.flag(where, element, "from_equals", True) else ">",
        "to": "<=" if refusals.flag(where, element, "to_equals", True) else "<",
    }
    for key, value in given.items():
        if isinstance(value, str):
            refusals.searched(f"{where}.{key}", value)
        elif not refusals.is_number(value):
            raise SearchRefused(f"{where}.{key}", "must be a number or a string", "type_mismatch")
    if len({isinstance(value, str) for value in given.values()}) > 1:
        raise SearchRefused(f"{where}.to", "must be of the same type as from", "type_mismatch")
    is_date = all(isinstance(value, str) and looks_like_a_date(value) for value in given.values())
    if is_date:
        given = {key: _instant(f"{where}.{key}", value, last=key == "to") for key, value in given.items()}
    elif not scope.row and field in TIMES:
        raise SearchRefused(f"{where}.{next(iter(given))}", "is no ISO date")
    bounds = [(signs[key], value) for key, value in given.items()]
    if is_date and not scope.row and field in TIMES:
        return _compared(scope, TIMES[field], bounds, "timestamptz")
    values = scope.values(f"{where}.field", field, languages)
    return f"EXISTS (SELECT FROM {values} f WHERE {_test(scope, bounds, is_date)})"


def _test(scope: Scope, bounds: _Bounds, is_date: bool) -> str:
    text = "(f.v #>> '{}')"
    if is_date:
        dates = _compared(scope, f"cells_instant({text}, false)", bounds, "timestamptz")
        overlaps = " AND ".join(_overlap(scope, sign, value) for sign, value in bounds)
        return f"CASE jsonb_typeof(f.v) WHEN 'string' THEN {dates} WHEN 'object' THEN {_IS_RANGE} AND {overlaps} END"
    if isinstance(bounds[0][1], str):
        return f"jsonb_typeof(f.v) = 'string' AND {_compared(scope, text, bounds, 'text')}"
    numbers = _compared(scope, f"{text}::numeric", [(sign, str(value)) for sign, value in bounds], "numeric")
    return f"CASE WHEN jsonb_typeof(f.v) = 'number' THEN {numbers} END"


_ENDS = {"from": "coalesce(f.v ->> 'from', '')", "to": "coalesce(f.v ->> 'to', '')"}
_OK = "({0} = '' OR cells_instant({0}, false) IS NOT NULL)"
_IS_RANGE = f"{_OK.format(_ENDS['from'])} AND {_OK.format(_ENDS['to'])} AND {_ENDS['from']} || {_ENDS['to']} <> ''"


def _overlap(scope: Scope, sign: str, value: object) -> str:
    """A range that is open at an end goes on for ever there."""
    last = sign.startswith(">")
    end = _ENDS["to" if last else "from"]
    test = _compared(scope, f"cells_instant({end}, {str(last).lower()})", [(sign, value)], "timestamptz")
    return f"({end} = '' OR {test})"


def _compared(scope: Scope, sql: str, bounds: _Bounds, kind: str) -> str:
    collated = ' COLLATE "C"' if kind == "text" else ""
    tests = [f"{sql}{collated} {sign} {scope.params.add(value)}::{kind}" for sign, value in bounds]
    return f"({' AND '.join(tests)})"


def changelog_range(scope: Scope, where: str, element: dict[str, Any], languages: list[str] | None) -> str:
    """Our documents know when they came and when they were last written: `insert` is the one, all else the other.
    With neither bound it is true of every document."""
    if scope.row:
        raise SearchRefused(where, "a row of a table has no changelog")
    operation = refusals.one_of(f"{where}.operation", element.get("operation") or "", ("insert", "update", ""))
    for key in ("user", "comment"):
        if element.get(key) not in (None, ""):
            raise SearchRefused(f"{where}.{key}", "is not available in this version: it is not recorded")
    bounds: _Bounds = []
    for key, sign in (("from", ">="), ("to", "<=")):
        if element.get(key) is not None:
            value = refusals.string(f"{where}.{key}", element[key])
            bounds.append((sign, _instant(f"{where}.{key}", value, last=key == "to")))
    return _compared(scope, CREATED if operation == "insert" else MODIFIED, bounds, "timestamptz") if bounds else "true"


def _instant(where: str, text: str, *, last: bool) -> datetime:
    try:
        return instant(text, last=last)
    except (ValueError, OverflowError) as error:
        raise SearchRefused(where, f"{text[:40]!r} is no ISO date") from error
