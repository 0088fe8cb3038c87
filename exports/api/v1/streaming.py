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
    elif (text := _text(value)) is not None:
        yield text
    elif isinstance(value, dict):
        yield "{"
        for index, (key, item) in enumerate(value.items()):
            yield f"{',' if index else ''}{_ENCODER.encode(key)}:"
            yield from _parts(item)
        yield "}"
    else:
        yield from _array(iter(value))


def _array(items: Iterator[object]) -> Iterator[str]:
    yield "["
    for index, item in enumerate(items):
        if index:
            yield ","
        text = _text(item)
        if text is None:
            yield from _parts(item)
        else:
            yield text
    yield "]"


def _text(value: object) -> str | None:
    """None when there is an iterator in the value; none is touched."""
    try:
        return _ENCODER.encode(value)
    except _HoldsIterator:
        return None


class _HoldsIterator(Exception):
    pass


class _Encoder(json.JSONEncoder):
    def default(self, value: object) -> object:
        if isinstance(value, Iterator):
            raise _HoldsIterator
        return super().default(value)


_ENCODER = _Encoder(ensure_ascii=False, separators=(",", ":"))
