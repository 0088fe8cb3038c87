"""A whole definition: its lists by the formula of `spec/v1.md §7.3`, its window by §7.2."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from cells.search import refusals
from cells.search.elements import any_of, in_, match
from cells.search.fields import Params, Scope
from cells.search.ranges import changelog_range, range_
from cells.search.refusals import SearchRefused

#: Of a definition, at any depth: PostgreSQL's planner sees all of it at once.
_MOST_ELEMENTS = 500
_BOOLS = ("must", "should", "must_not")
_LEAVES: dict[str, Callable[[Scope, str, dict[str, Any], list[str] | None], str]] = {
    "in": in_,
    "match": match,
    "text": match,
    "range": range_,
    "changelog_range": changelog_range,
}


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
    order: str = "d.id"
    #: More than a look at columns: not to be asked twice of a document.
    is_deep: bool = False

    @property
    def is_sorted(self) -> bool:
        return self.order != "d.id"

    @property
    def is_costly(self) -> bool:
        return self.is_deep or self.is_sorted or bool(self.offset) or self.limit is not None


def compile(search: object, *, instance: str, attribute: str = "search") -> Condition:
    """`attribute` is how refusals call the definition. Raises SearchRefused or SearchTooLong."""
    given = refusals.mapping(attribute, search)
    kind = given.get("type")
    if kind not in (None, ""):
        refusals.one_of(f"{attribute}.type", kind, ("object",))
    scope = Scope(Params(), instance)
    tests = []
    if given.get("objecttypes") is not None:
        names = refusals.strings(f"{attribute}.objecttypes", given["objecttypes"])
        tests.append(f"d.doctype = ANY({scope.params.add(names)}::text[])")
    lists = _Lists(_languages(attribute, given))
    if given.get("search") is not None:
        tests.append(lists.all_of(scope, f"{attribute}.search", given["search"]))
    offset = _count(attribute, given, "offset") or 0
    limit = _count(attribute, given, "limit")
    _refuse_unavailable(attribute, given)
    is_deep = bool(given.get("search"))
    return Condition(" AND ".join(tests) or "true", scope.params.values, offset, limit, is_deep=is_deep)


class _Lists:
    """Nested lists of one definition."""

    def __init__(self, languages: list[str] | None) -> None:
        self._languages = languages
        self._count = 0

    def all_of(self, scope: Scope, where: str, value: object) -> str:
        """All `must`, no `must_not`, and one `should` if there is any; true for an empty list."""
        tests: dict[str, list[str]] = {name: [] for name in _BOOLS}
        for index, item in enumerate(refusals.array(where, value)):
            place = f"{where}[{index}]"
            element = refusals.mapping(place, item)
            role = refusals.one_of(f"{place}.bool", element.get("bool") or "must", _BOOLS)
            tests[role].append(self._element(scope, place, element))
        terms = [f"({test})" for test in tests["must"]]
        # A range over a value that is no date is neither: null must not turn into "not found" by NOT NULL.
        terms += [f"({test}) IS NOT TRUE" for test in tests["must_not"]]
        if tests["should"]:
            terms.append(any_of([f"({test})" for test in tests["should"]]))
        return f"({' AND '.join(terms)})" if terms else "true"

    def _element(self, scope: Scope, where: str, element: dict[str, Any]) -> str:
        self._count += 1
        if self._count > _MOST_ELEMENTS:
            raise SearchRefused(where, f"a search may have {_MOST_ELEMENTS} elements")
        kinds = (*_LEAVES, "complex", "nested")
        kind = refusals.one_of(f"{where}.type", refusals.needed(where, element, "type"), kinds)
        _check_boost(where, element)
        if kind == "complex":
            return self.all_of(scope, f"{where}.search", [] if element.get("search") is None else element["search"])
        if kind == "nested":
            return self._nested(scope, where, element)
        own = element.get("languages")
        languages = self._languages if own is None else refusals.strings(f"{where}.languages", own)
        return _LEAVES[kind](scope, where, element, languages)

    def _nested(self, scope: Scope, where: str, element: dict[str, Any]) -> str:
        path = refusals.string(f"{where}.path", refusals.needed(where, element, "path"))
        rows = scope.values(f"{where}.path", path)
        inner = replace(scope, row=f"row{self._count}.v", path=path)
        name = inner.row.partition(".")[0]
        test = self.all_of(inner, f"{where}.search", refusals.needed(where, element, "search"))
        return f"EXISTS (SELECT FROM {rows} {name} WHERE {test})"


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


def _refuse_unavailable(attribute: str, given: dict[str, Any]) -> None:
    """Refused rather than ignored: another order, or other dates, than asked for would be a lie."""
    if given.get("sort") is not None and refusals.array(f"{attribute}.sort", given["sort"]):
        raise SearchRefused(f"{attribute}.sort", "is not available in this version")
    if given.get("timezone") not in (None, "", "UTC"):
        raise SearchRefused(f"{attribute}.timezone", "only UTC is available in this version")
