"""`export.search`: what is asked for (`spec/v1.md §7`). Match-all and `objecttypes` run; the rest is refused."""

from exports.api.v1 import checks

_ELEMENTS = ("in", "match", "text", "range", "changelog_range", "nested", "complex")
_BOOLS = ("must", "should", "must_not")
#: Mandatory keys of each element (§7.4).
_NEEDS = {"in": ("in",), "match": ("string",), "text": ("string",), "nested": ("path", "search"), "range": ("field",)}


def search(attribute: str, value: object) -> dict[str, object]:
    """Returns the search as it came. Null and absence are the caller's business."""
    given = checks.mapping(attribute, value)
    if given.get("type") not in (None, "", "object"):
        checks.string(f"{attribute}.type", given["type"])
        raise checks.invalid_value(f"{attribute}.type", "only objects can be exported")
    if given.get("objecttypes") is not None:
        checks.strings(f"{attribute}.objecttypes", given["objecttypes"])
    elements = given.get("search")
    _elements(f"{attribute}.search", [] if elements is None else elements)
    _refuse_unavailable(attribute, given)
    return given


def _elements(attribute: str, value: object) -> None:
    for index, item in enumerate(checks.array(attribute, value)):
        where = f"{attribute}[{index}]"
        element = checks.mapping(where, item)
        if "type" not in element:
            raise checks.attribute_expected(f"{where}.type")
        kind = checks.one_of(f"{where}.type", element["type"], _ELEMENTS)
        if element.get("bool") is not None:
            checks.one_of(f"{where}.bool", element["bool"], _BOOLS)
        for key in _NEEDS.get(kind, ()):
            if key not in element:
                raise checks.attribute_expected(f"{where}.{key}")
        if kind in ("complex", "nested"):
            _elements(f"{where}.search", element.get("search") or [])


def _refuse_unavailable(attribute: str, given: dict[str, object]) -> None:
    """Refused rather than ignored: an export of more than was asked for would be a lie."""
    elements = given.get("search")
    if isinstance(elements, list) and elements:
        kinds = ", ".join(sorted({element["type"] for element in elements}))
        raise checks.invalid_value(
            f"{attribute}.search", f"search elements ({kinds}) are not available in this version; leave it empty"
        )
    for key in ("limit", "offset"):
        number = given.get(key)
        if number is None:
            continue
        checks.integer(f"{attribute}.{key}", number, least=0)
        if key == "limit" or number:
            raise checks.invalid_value(f"{attribute}.{key}", "is not available in this version")
    if given.get("sort") is not None and checks.array(f"{attribute}.sort", given["sort"]):
        raise checks.invalid_value(f"{attribute}.sort", "is not available in this version")
