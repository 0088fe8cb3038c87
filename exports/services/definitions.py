"""What a v1 definition asks for, in a word (`spec/v1.md §8`)."""

from typing import Any

#: Formats of data files, by their attribute.
_FORMATS = ("csv", "xml", "json", "xlsx")


def is_documented(definition: dict[str, Any]) -> bool:
    """Whether documents go out at all."""
    return any(is_on(definition.get(name)) for name in _FORMATS)


def is_packaged(definition: dict[str, Any]) -> bool:
    """Whether the packages of §8.3 are asked for; else documents lie beside the files, one JSON a doctype."""
    return (
        any(is_on(definition.get(name)) for name in ("csv", "xml", "xlsx"))
        or bool(definition.get("json") and definition.get("json_one_file_per_object"))
        or any(definition.get(name) is not None for name in ("fields", "batch_size", "eas_fields"))
        or any(definition.get(name) for name in ("flat", "include_parents"))
    )


def is_on(value: object) -> bool:
    """An empty object asks for a format with all its defaults."""
    return value is not None and value is not False
