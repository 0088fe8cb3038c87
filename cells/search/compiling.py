"""A whole definition: its lists by the formula of `spec/v1.md §7.3`, its window by §7.2."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from cells.search import refusals
from cells.search.elements import all_of, any_of, in_, match
from cells.search.fields import Params, Scope
from cells.search.ranges import changelog_range, range_
from cells.search.refusals import SearchRefused
from cells.search.sorting import DEFAULT, order_by
from cells.search.terms import Clause
from cells.validators import time_zones

#: Of a definition, at any depth: PostgreSQL's planner sees all of it at once.
_MOST_ELEMENTS = 500
#: Lists in lists.
_DEEPEST = 50
_BOOLS = ("must", "should", "must_not")
_LEAVES: dict[str, Callable[[Scope, str, dict[str, Any], list[str] | None], Clause]] = {
    "in": in_,
    "match": match,
    "text": match,
    "range": range_,
    "changelog_range": changelog_range,
}
_IDS = """SELECT to_jsonb(d.id) FROM cells_document d
    JOIN cells_cell c ON c.id = d.cell_id AND c.generation = d.generation
    WHERE d.cell_id = ANY(%(search_cells)s::bigint[])"""


@dataclass(frozen=True)
class Condition:
    """`sql` is a condition over `cells_document d` with `params`; `frozen.Snapshot.selection` makes it ready for use.

    Of what it is true of, by `order`, `offset` documents are left out and `limit` taken; None is all the rest.
    """

    sql: str
    params: dict[str, Any]
    offset: int = 0
    limit: int | None = None
    #: Expressions over `d` that leave no two documents equal.
    order: str = DEFAULT
    #: More than a look at columns: not to be asked twice of a document.
    is_deep: bool = False
    #: Where to look for what it finds, see `search.terms.Clause`.
    terms: str | None = None
    guard: str | None = None

    @property
    def is_sorted(self) -> bool:
        return self.order != DEFAULT

    @property
    def is_costly(self) -> bool:
        return self.is_deep or self.is_sorted or bool(self.offset) or self.limit is not None


def compile(search: object, *, instance: str, attribute: str = "search") -> Condition:
    """`attribute` is how refusals call the definition. Raises SearchRefused or SearchTooLong."""
    return _Definition(instance, refusals.mapping(attribute, search), attribute).condition()


class _Definition:
    """A definition on its way to SQL: its nested lists, and searches inside of it."""

    def __init__(self, instance: str, given: dict[str, Any], attribute: str) -> None:
        self._scope = Scope(Params(), instance, _zone(attribute, given))
        self._given, self._attribute = given, attribute
        self._count = self._depth = 0

    def condition(self) -> Condition:
        found, offset, limit, order = self._parts(self._attribute, self._given)
        is_deep = bool(self._given.get("search"))
        params = self._scope.params.values
        return Condition(found.sql, params, offset, limit, order, is_deep, found.terms, found.guard)

    def _parts(self, attribute: str, given: dict[str, Any]) -> tuple[Clause, int, int | None, str]:
        """(test, offset, limit, order)"""
        kind = given.get("type")
        if kind not in (None, ""):
            refusals.one_of(f"{attribute}.type", kind, ("object",))
        tests = []
        if given.get("objecttypes") is not None:
            names = refusals.strings(f"{attribute}.objecttypes", given["objecttypes"])
            test = f"d.doctype = ANY({self._scope.params.add(names)}::text[])"
            tests.append(Clause(test, guard=test))
        if given.get("search") is not None:
            languages = _languages(attribute, given)
            tests.append(self._all_of(self._scope, f"{attribute}.search", given["search"], languages))
        offset, limit = _count(attribute, given, "offset") or 0, _count(attribute, given, "limit")
        sort = refusals.array(f"{attribute}.sort", given["sort"]) if given.get("sort") is not None else []
        return all_of(tests), offset, limit, order_by(self._scope, f"{attribute}.sort", sort)

    def _all_of(self, scope: Scope, where: str, value: object, languages: list[str] | None) -> Clause:
        """All `must`, no `must_not`, and one `should` if there is any; true for an empty list."""
        tests: dict[str, list[Clause]] = {name: [] for name in _BOOLS}
        for index, item in enumerate(refusals.array(where, value)):
            place = f"{where}[{index}]"
            element = refusals.mapping(place, item)
            role = refusals.one_of(f"{place}.bool", element.get("bool") or "must", _BOOLS)
            tests[role].append(self._element(scope, place, element, languages))
        # A range over a value that is no date is neither: null must not turn into "not found" by NOT NULL.
        forbidden = [Clause(f"({test.sql}) IS NOT TRUE") for test in tests["must_not"]]
        wanted = [any_of(tests["should"])] if tests["should"] else []
        return all_of([*tests["must"], *forbidden, *wanted])

    def _element(self, scope: Scope, where: str, element: dict[str, Any], languages: list[str] | None) -> Clause:
        self._count += 1
        if self._count > _MOST_ELEMENTS:
            raise SearchRefused(where, f"a search may have {_MOST_ELEMENTS} elements")
        kinds = (*_LEAVES, "complex", "nested")
        kind = refusals.one_of(f"{where}.type", refusals.needed(where, element, "type"), kinds)
        _check_boost(where, element)
        own = element.get("languages")
        languages = languages if own is None else refusals.strings(f"{where}.languages", own)
        if kind in _LEAVES and "subsearch" not in element:
            return _LEAVES[kind](scope, where, element, languages)
        self._depth += 1
        if self._depth > _DEEPEST:
            raise SearchRefused(where, f"is nested deeper than {_DEEPEST}")
        inside = {"complex": self._complex, "nested": self._nested}.get(kind, self._subsearch)
        found = inside(scope, where, element, languages)
        self._depth -= 1
        return found

    def _complex(self, scope: Scope, where: str, element: dict[str, Any], languages: list[str] | None) -> Clause:
        inner = [] if element.get("search") is None else element["search"]
        return self._all_of(scope, f"{where}.search", inner, languages)

    def _nested(self, scope: Scope, where: str, element: dict[str, Any], languages: list[str] | None) -> Clause:
        path = refusals.string(f"{where}.path", refusals.needed(where, element, "path"))
        rows = scope.values(f"{where}.path", path)
        inner = replace(scope, row=f"row{self._count}.v", path=path)
        name = inner.row.partition(".")[0]
        test = self._all_of(inner, f"{where}.search", refusals.needed(where, element, "search"), languages)
        return Clause(f"EXISTS (SELECT FROM {rows} {name} WHERE {test.sql})", test.terms)

    def _subsearch(self, scope: Scope, where: str, element: dict[str, Any], languages: list[str] | None) -> Clause:
        """One of the values is the id of a document that another search finds in the same cells."""
        refusals.one_of(f"{where}.type", element["type"], ("in",))
        if excess := [key for key in ("in", "fields", "objecttype", "eas_field") if element.get(key) is not None]:
            raise SearchRefused(f"{where}.{excess[0]}", "excludes subsearch")
        field = refusals.string(f"{where}.field", refusals.needed(where, element, "field"))
        given = refusals.mapping(f"{where}.subsearch", refusals.needed(where, element, "subsearch"))
        test, offset, limit, order = self._parts(f"{where}.subsearch", given)
        window = f"OFFSET {offset} LIMIT {'ALL' if limit is None else limit}"
        found = f"{_IDS} AND {test.sql}" + (f" ORDER BY {order} {window}" if offset or limit is not None else "")
        values = scope.values(f"{where}.field", field, languages)
        return Clause(f"EXISTS (SELECT FROM {values} f WHERE (f.v IN ({found})) IS TRUE)")


def _languages(attribute: str, given: dict[str, Any]) -> list[str] | None:
    """`languages` of the definition hold for every element that has none of its own."""
    value = given.get("languages")
    return None if value is None else refusals.strings(f"{attribute}.languages", value)


def _check_boost(where: str, element: dict[str, Any]) -> None:
    boost = element.get("boost")
    if boost is None:
        return
    if not refusals.is_number(boost):
        raise SearchRefused(f"{where}.boost", "must be a number", "type_mismatch")
    if boost < 0:
        raise SearchRefused(f"{where}.boost", "must not be negative")


def _count(attribute: str, given: dict[str, Any], key: str) -> int | None:
    value = given.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise SearchRefused(f"{attribute}.{key}", "must be an integer", "type_mismatch")
    if not 0 <= value < 2**63:
        raise SearchRefused(f"{attribute}.{key}", "must be at least 0")
    return value


def _zone(attribute: str, given: dict[str, Any]) -> str:
    name = given.get("timezone")
    if name in (None, ""):
        return "UTC"
    if refusals.string(f"{attribute}.timezone", name) not in time_zones() - {"localtime"}:
        raise SearchRefused(f"{attribute}.timezone", f"{str(name)[:80]!r} is no time zone")
    return str(name)
