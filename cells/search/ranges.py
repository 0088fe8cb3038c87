"""`range` and `changelog_range` (`spec/v1.md §7.4`)."""

import json
from datetime import date, timedelta
from typing import Any

from cells.search import refusals
from cells.search.dates import instant, looks_like_a_date
from cells.search.fields import CREATED, MODIFIED, TIMES, Scope
from cells.search.refusals import SearchRefused
from cells.search.terms import Clause, of_dates, of_numbers

#: (operator, value) of each bound that is given.
_Bounds = list[tuple[str, Any]]
#: No two time zones are further apart.
_ZONES_APART = timedelta(days=2)


def range_(scope: Scope, where: str, element: dict[str, Any], languages: list[str] | None) -> Clause:
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
        else:
            refusals.number(f"{where}.{key}", value, "a number or a string")
    if len({isinstance(value, str) for value in given.values()}) > 1:
        raise SearchRefused(f"{where}.to", "must be of the same type as from", "type_mismatch")
    is_date = all(isinstance(value, str) and looks_like_a_date(value) for value in given.values())
    if is_date:
        for key, value in given.items():
            _check_date(f"{where}.{key}", value)
    elif not scope.row and field in TIMES:
        raise SearchRefused(f"{where}.{next(iter(given))}", "is no ISO date")
    bounds = [(signs[key], value) for key, value in given.items()]
    if is_date and not scope.row and field in TIMES:
        test = _dates(scope, TIMES[field], bounds)
        return Clause(test, guard=test)
    values = scope.values(f"{where}.field", field, languages)
    test = f"EXISTS (SELECT FROM {values} f WHERE {_test(scope, bounds, is_date)})"
    guard = scope.may_hold(field, " && ".join(_guards(bounds, is_date)))
    return Clause(test, _terms(scope, field, given, is_date), guard)


def _terms(scope: Scope, field: str, given: dict[str, Any], is_date: bool) -> str | None:
    """Numbers and dates of the body alone: those of the columns are not among its words."""
    if not scope.is_body(field):
        return None
    low, high = given.get("from"), given.get("to")
    if is_date:
        return of_dates(low and _day(low, last=False), high and _day(high, last=True))
    return of_numbers(low, high) if all(map(refusals.is_number, given.values())) else None


def _day(text: str, *, last: bool) -> date | None:
    """The first or last day that a document may write for this moment; None is any."""
    try:
        return (instant(text, last=last) + (_ZONES_APART if last else -_ZONES_APART)).date()
    except OverflowError:  # there is no day before the year 1, nor after 9999
        return None


def _test(scope: Scope, bounds: _Bounds, is_date: bool) -> str:
    text = "(f.v #>> '{}')"
    if is_date:
        dates = _dates(scope, _instant(scope, text, "false"), bounds)
        overlaps = " AND ".join(_overlap(scope, sign, value) for sign, value in bounds)
        ends = {name: f"coalesce(f.v ->> '{name}', '')" for name in ("from", "to")}
        known = " AND ".join(f"({end} = '' OR {_instant(scope, end, 'false')} IS NOT NULL)" for end in ends.values())
        span = f"{known} AND {ends['from']} || {ends['to']} <> '' AND {overlaps}"
        return f"CASE jsonb_typeof(f.v) WHEN 'string' THEN {dates} WHEN 'object' THEN {span} END"
    if isinstance(bounds[0][1], str):
        return f"jsonb_typeof(f.v) = 'string' AND {_compared(scope, text, bounds, 'text')}"
    numbers = _compared(scope, f"{text}::numeric", [(sign, str(value)) for sign, value in bounds], "numeric")
    return f"CASE WHEN jsonb_typeof(f.v) = 'number' THEN {numbers} END"


def _guards(bounds: _Bounds, is_date: bool) -> list[str]:
    """The bounds in jsonpath; those of dates wider, by their days alone."""
    if not is_date:
        return [f"@ {sign} {json.dumps(value)}" for sign, value in bounds]
    guards = ['@.type() == "string"']
    for sign, value in bounds:
        last = sign.startswith("<")
        if day := _day(value, last=last):
            text = day.isoformat()
            guards.append(f'@ < "{text}~"' if last else f'(@ >= "{text}" || @ == "{text[:7]}" || @ == "{text[:4]}")')
    return guards


def _overlap(scope: Scope, sign: str, value: str) -> str:
    """A range that is open at an end goes on for ever there."""
    last = sign.startswith(">")
    end = f"coalesce(f.v ->> '{'to' if last else 'from'}', '')"
    return f"({end} = '' OR {_dates(scope, _instant(scope, end, str(last).lower()), [(sign, value)])})"


def _instant(scope: Scope, text: str, last: str) -> str:
    return f"cells_instant({text}, {last}, '{scope.zone}')"


def _dates(scope: Scope, sql: str, bounds: _Bounds) -> str:
    """`>` and `>=` are of the first instant that a date stands for, `<` and `<=` of the last."""
    tests = [
        f"{sql} {sign} {_instant(scope, f'{scope.params.add(value)}::text', str(sign.startswith('<')).lower())}"
        for sign, value in bounds
    ]
    return f"({' AND '.join(tests)})"


def _compared(scope: Scope, sql: str, bounds: _Bounds, kind: str) -> str:
    collated = ' COLLATE "C"' if kind == "text" else ""
    tests = [f"{sql}{collated} {sign} {scope.params.add(value)}::{kind}" for sign, value in bounds]
    return f"({' AND '.join(tests)})"


def changelog_range(scope: Scope, where: str, element: dict[str, Any], languages: list[str] | None) -> Clause:
    """Our documents know when they came and when they were last written: `insert` is the one, all else the other.
    With neither bound it is true of every document. Nobody notes who wrote, or why: who asks finds nothing."""
    if scope.row:
        raise SearchRefused(where, "a row of a table has no changelog")
    operation = refusals.one_of(f"{where}.operation", element.get("operation") or "", ("insert", "update", ""))
    bounds: _Bounds = []
    for key, sign in (("from", ">="), ("to", "<=")):
        if element.get(key) is not None:
            value = refusals.string(f"{where}.{key}", element[key])
            _check_date(f"{where}.{key}", value)
            bounds.append((sign, value))
    if element.get("user") is not None:
        refusals.number(f"{where}.user", element["user"], "an id")
        return Clause("false")
    if element.get("comment") not in (None, ""):
        refusals.searched(f"{where}.comment", element["comment"])
        return Clause("false")
    test = _dates(scope, CREATED if operation == "insert" else MODIFIED, bounds) if bounds else "true"
    return Clause(test, guard=test)


def _check_date(where: str, text: str) -> None:
    try:
        instant(text, last=False)
        instant(text, last=True)
    except (ValueError, OverflowError) as error:
        raise SearchRefused(where, f"{text[:40]!r} is no ISO date") from error
