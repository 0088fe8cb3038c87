"""JSON whose arrays may be endless: an iterator anywhere in the value is written as an array, element by element."""

import json
from collections.abc import Iterator
from itertools import chain

from django.http import HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase

_CHUNK = 64 * 1024
_CONTENT_TYPE = "application/json; charset=utf-8"


def json_response(value: object) -> HttpResponseBase:
    """One chunk or less has a Content-Length; what is longer streams, in constant memory."""
    chunks = _chunks(value)
    first, second = next(chunks, b""), next(chunks, None)
    if second is None:
        return HttpResponse(first, content_type=_CONTENT_TYPE)
    return StreamingHttpResponse(chain((first, second), chunks), content_type=_CONTENT_TYPE)


def _chunks(value: object) -> Iterator[bytes]:
    parts: list[str] = []
    size = 0
    for part in _parts(value):
        parts.append(part)
        size += len(part)
        if size >= _CHUNK:
            yield "".join(parts).encode()
            parts, size = [], 0
    if parts:
        yield "".join(parts).encode()


def _parts(value: object) -> Iterator[str]:
    if isinstance(value, Iterator):
        yield from _array(value)
    elif not _has_iterator(value):
        yield json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    elif isinstance(value, dict):
        yield "{"
        for index, (key, item) in enumerate(value.items()):
            yield f"{',' if index else ''}{json.dumps(key, ensure_ascii=False)}:"
            yield from _parts(item)
        yield "}"
    else:
        yield from _array(iter(value))


def _array(items: Iterator[object]) -> Iterator[str]:
    yield "["
    for index, item in enumerate(items):
        if index:
            yield ","
        yield from _parts(item)
    yield "]"


def _has_iterator(value: object) -> bool:
    if isinstance(value, dict):
        return any(map(_has_iterator, value.values()))
    if isinstance(value, list):
        return any(map(_has_iterator, value))
    return isinstance(value, Iterator)
