"""JSON:API documents that come in (`spec/move.md §2.1`): the first JSON value of the body, and what is in it."""

import json
from typing import Any

from rest_framework.request import Request

from exports.api.move.errors import body_malformed

#: Options and links are short; more of a body is not read.
LARGEST = 1 << 20
_INT64 = range(-(2**63), 2**63)


def attributes(request: Request) -> dict[str, Any]:
    """Of `{"data": {"attributes": {…}}}`; absent or null ones are none. Unknown ones are there and ignored."""
    try:
        text = request._request.read(LARGEST + 1).decode()
        if len(text) > LARGEST:
            raise body_malformed()
        value, _ = json.JSONDecoder(parse_constant=_no_number).raw_decode(text.lstrip(" \t\r\n"))
    except (ValueError, RecursionError):
        raise body_malformed() from None
    data = value.get("data") if isinstance(value, dict) else None
    if not isinstance(data, dict):
        raise body_malformed()
    found = data.get("attributes")
    if found is not None and not isinstance(found, dict):
        raise body_malformed()
    return found or {}


def _no_number(text: str) -> None:
    raise ValueError(text)


def integer(found: dict[str, Any], name: str) -> int:
    """A JSON integer within 64 bits: 6e10 and "12" are none. Null is the default, 0."""
    value = found.get(name)
    if value is None:
        return 0
    if type(value) is not int or value not in _INT64:
        raise body_malformed()
    return value


def flag(found: dict[str, Any], name: str) -> bool:
    value = found.get(name)
    if value is not None and not isinstance(value, bool):
        raise body_malformed()
    return bool(value)


def integers(found: dict[str, Any], name: str) -> list[int]:
    value = found.get(name) or []
    if not isinstance(value, list) or not all(type(each) is int and each in _INT64 for each in value):
        raise body_malformed()
    return value


def text(found: dict[str, Any], name: str) -> str:
    value = found.get(name)
    if value is not None and not isinstance(value, str):
        raise body_malformed()
    return value or ""


def mapping(found: dict[str, Any], name: str) -> dict[str, Any]:
    value = found.get(name)
    if value is not None and not isinstance(value, dict):
        raise body_malformed()
    return value or {}


def texts(found: dict[str, Any], name: str) -> list[str]:
    value = found.get(name)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise body_malformed()
    return value
