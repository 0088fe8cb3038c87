"""Why a definition is refused, and the small checks its rules are made of."""

import math
import sys
from collections.abc import Collection
from typing import Any

#: Longer strings are `error.user.search_query_too_long` (`spec/v1.md §7.4`).
LONGEST = 256


class SearchRefused(ValueError):
    """`fault` is the end of v1's code: attribute_expected, type_mismatch or invalid_value (`spec/v1.md §3.2`)."""

    def __init__(self, attribute: str, reason: str, fault: str = "invalid_value") -> None:
        self.attribute, self.reason, self.fault = attribute, reason, fault
        super().__init__(f"{attribute}: {reason}")


class SearchTooLong(ValueError):
    """A string that is searched for is longer than `LONGEST` characters."""


def _typed(attribute: str, value: object, kind: type, name: str) -> Any:
    if not isinstance(value, kind):
        raise SearchRefused(attribute, f"must be {name}", "type_mismatch")
    return value


def mapping(attribute: str, value: object) -> dict[str, Any]:
    return _typed(attribute, value, dict, "an object")


def array(attribute: str, value: object) -> list[Any]:
    return _typed(attribute, value, list, "an array")


def string(attribute: str, value: object) -> str:
    return _typed(attribute, value, str, "a string")


def strings(attribute: str, value: object) -> list[str]:
    return [string(f"{attribute}[{index}]", item) for index, item in enumerate(array(attribute, value))]


def flag(attribute: str, element: dict[str, Any], key: str, default: bool) -> bool:
    value = element.get(key)
    return default if value is None else _typed(f"{attribute}.{key}", value, bool, "true or false")


def one_of(attribute: str, value: object, allowed: Collection[str]) -> str:
    if string(attribute, value) not in allowed:
        raise SearchRefused(attribute, f"{str(value)[:80]!r} is none of {', '.join(allowed)}")
    return str(value)


def needed(attribute: str, element: dict[str, Any], key: str) -> Any:
    if element.get(key) is None:
        raise SearchRefused(f"{attribute}.{key}", "is required", "attribute_expected")
    return element[key]


def number(attribute: str, value: object, name: str) -> Any:
    if not is_number(value):
        raise SearchRefused(attribute, f"must be {name}", "type_mismatch")
    if abs(value) > sys.float_info.max or math.isnan(value):
        raise SearchRefused(attribute, "is too large")
    return value


def is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def searched(attribute: str, value: object) -> str:
    text = string(attribute, value)
    if len(text) > LONGEST:
        raise SearchTooLong
    return text
