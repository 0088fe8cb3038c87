"""The small checks that every attribute's rule is made of; each raises `DefinitionRefused` naming the attribute."""

import math
from collections.abc import Collection

from exports.errors import DefinitionRefused

#: Deeper JSON is refused: no definition needs it, and recursion has an end.
MAX_DEPTH = 64


def attribute_expected(attribute: str, reason: str = "is required") -> DefinitionRefused:
    return DefinitionRefused(attribute=attribute, reason=reason, fault="attribute_expected")


def type_mismatch(attribute: str, expected: str) -> DefinitionRefused:
    return DefinitionRefused(attribute=attribute, reason=f"must be {expected}", fault="type_mismatch")


def invalid_value(attribute: str, reason: str) -> DefinitionRefused:
    return DefinitionRefused(attribute=attribute, reason=reason, fault="invalid_value")


def attribute_not_accepted(attribute: str, reason: str) -> DefinitionRefused:
    return DefinitionRefused(attribute=attribute, reason=reason, fault="attribute_not_accepted")


def boolean(attribute: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise type_mismatch(attribute, "true or false")
    return value


def integer(attribute: str, value: object, *, least: int, most: int | None = None) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise type_mismatch(attribute, "an integer")
    if value < least or (most is not None and value > most):
        raise invalid_value(attribute, f"must be at least {least}" if most is None else f"must be {least}..{most}")
    return value


def string(attribute: str, value: object, *, longest: int | None = None) -> str:
    if not isinstance(value, str):
        raise type_mismatch(attribute, "a string")
    if longest is not None and len(value) > longest:
        raise invalid_value(attribute, f"is longer than {longest} characters")
    return value


def one_of(attribute: str, value: object, allowed: Collection[str]) -> str:
    if string(attribute, value) not in allowed:
        raise invalid_value(attribute, f"{str(value)[:80]!r} is none of {', '.join(allowed)}")
    return str(value)


def mapping(attribute: str, value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise type_mismatch(attribute, "an object")
    return value


def array(attribute: str, value: object) -> list[object]:
    if not isinstance(value, list):
        raise type_mismatch(attribute, "an array")
    return value


def strings(attribute: str, value: object) -> list[str]:
    return [string(f"{attribute}[{index}]", item) for index, item in enumerate(array(attribute, value))]


def storable(attribute: str, value: object, depth: int = 0) -> None:
    """Refuses what JSON can say and PostgreSQL cannot keep: NUL, lone surrogates, infinities, and deep nesting."""
    if depth > MAX_DEPTH:
        raise invalid_value(attribute, f"is nested deeper than {MAX_DEPTH} levels")
    if isinstance(value, str):
        _storable_text(attribute, value)
    elif isinstance(value, float) and not math.isfinite(value):
        raise invalid_value(attribute, "holds a number too large")
    elif isinstance(value, list):
        for item in value:
            storable(attribute, item, depth + 1)
    elif isinstance(value, dict):
        for key, item in value.items():
            _storable_text(attribute, key)
            storable(attribute, item, depth + 1)


def _storable_text(attribute: str, text: str) -> None:
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise invalid_value(attribute, "holds a NUL character or half a surrogate pair")
