"""Lines of NDJSON that speak of documents: what each says, and why some cannot be stored."""

import os
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import orjson

from cells.errors import NameRefused
from cells.validators import doctype_name, document_id

LONGEST_LINE = 16 * 1024 * 1024
DEEPEST = 200
BATCH_LINES = 5000
_BATCH_BYTES = 8 * 1024 * 1024
_KEYS = {"doctype", "id", "rev", "body", "deleted"}


class Refusal(Exception):
    """Why one line cannot be stored."""


class Line(NamedTuple):
    number: int
    doctype: str
    doc_id: str
    deleted: bool
    #: The line itself where it has a body: numbers keep the precision they were written with.
    entry: str


def batches(lines: Iterable[bytes], refuse: Callable[[int, str], None]) -> Iterator[list[Line]]:
    """Some thousand lines or 8 MB at a time; empty ones are left out, and those told to `refuse` (number, reason)."""
    batch: list[Line] = []
    size = 0
    for number, line in enumerate(lines, 1):
        if not line or line.isspace():
            continue
        try:
            entry = _line(number, line)
        except Refusal as refusal:
            refuse(number, str(refusal))
            continue
        batch.append(entry)
        size += len(line)
        if len(batch) >= BATCH_LINES or size >= _BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _line(number: int, line: bytes) -> Line:
    entry = checked_json(line, DEEPEST + 1)
    if type(entry) is not dict:
        raise Refusal("not an object")
    if not entry.keys() <= _KEYS:
        raise Refusal(f"unknown attribute {min(entry.keys() - _KEYS)[:100]!r}")
    doctype, doc_id, deleted = entry.get("doctype"), entry.get("id"), entry.get("deleted", False)
    if type(doctype) is not str or type(deleted) is not bool or (type(doc_id) is not str and doc_id is not None):
        raise Refusal("doctype and id must be strings, deleted true or false")
    if deleted and doc_id is None:
        raise Refusal("a deletion needs an id")
    if not deleted and type(entry.get("body")) is not dict:
        raise Refusal("body must be an object")
    try:
        _doctype(doctype)
        doc_id = os.urandom(16).hex() if doc_id is None else _document_id(doc_id)
    except NameRefused as error:
        raise Refusal(str(error)) from error
    return Line(number, doctype, doc_id, deleted, "{}" if deleted else line.decode())


def checked_json(text: bytes, deepest: int = DEEPEST, longest: int | None = None) -> Any:
    """The value, or Refusal for what PostgreSQL or our limits (`longest`: LONGEST_LINE) do not take."""
    longest = longest or LONGEST_LINE
    if len(text) > longest:
        raise Refusal(f"longer than {longest} bytes")
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise Refusal(f"not JSON: {error}") from error
    if b"\\u0000" in text and _has_nul(value):
        raise Refusal("\\u0000 cannot be stored")
    if text.count(b"{") + text.count(b"[") > deepest and _is_too_deep(value, deepest):
        raise Refusal(f"nested deeper than {DEEPEST}")
    return value


def _has_nul(value: Any) -> bool:
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            if "\0" in value:
                return True
        elif isinstance(value, dict):
            waiting.extend(value)
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)
    return False


def _is_too_deep(value: Any, deepest: int) -> bool:
    level = [value]
    for _ in range(deepest):
        inner: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                inner.extend(item.values())
            elif isinstance(item, list):
                inner.extend(item)
        level = [item for item in inner if isinstance(item, dict | list)]
        if not level:
            return False
    return True


@lru_cache(maxsize=1024)
def _doctype(doctype: str) -> str:
    return doctype_name(doctype)


def _document_id(doc_id: str) -> str:
    return doc_id if doc_id.isalnum() and doc_id.isascii() and len(doc_id) <= 256 else document_id(doc_id)
