"""`manifest.json`, the list of contents that closes every archive, and the digest that seals a run.

What is in it depends on the entries alone: no time of export, no number of the run. Equal content, equal archive.
"""

import hashlib
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from json.encoder import encode_basestring as quoted

from exports.engine.entries import Entry

NAME = "manifest.json"
FORMAT = "exportsite-archive"
VERSION = 1
EPOCH = datetime(1970, 1, 1)


class Seal:
    """The digest over all that decides an archive's bytes. Order matters; places of bytes do not count."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256(f"{FORMAT} {VERSION}\n".encode())
        self.count = 0
        self.bytes = 0
        self.newest = 0

    def add(self, entry: Entry) -> None:
        self.count += 1
        self.bytes += entry.size
        self.newest = max(self.newest, entry.mtime)
        self._hash.update(repr((entry[1:11], entry.pack_offset is not None)).encode())

    def miss(self, path: str, reason: str) -> None:
        self._hash.update(repr((path, reason)).encode())

    def hexdigest(self) -> str:
        return self._hash.hexdigest()


def lines(entries: Iterable[Entry], missing: Iterable[tuple[str, str]] = ()) -> Iterator[bytes]:
    """The text of a manifest, one entry a line. `missing`: (path, reason) of what is in the cell, not in the archive.

    Laid out as `FORMAT.md` says.
    """
    yield b'{"format": "%b", "version": %d, "entries": [' % (FORMAT.encode(), VERSION)
    count = size = 0
    for entry in entries:
        yield (b",\n" if count else b"\n") + _line(entry)
        count += 1
        size += entry.size
    yield b'\n], "missing": ['
    for number, (path, reason) in enumerate(missing):
        yield (b",\n" if number else b"\n") + f'{{"path": {quoted(path)}, "reason": {quoted(reason)}}}'.encode()
    yield b'], "count": %d, "bytes": %d}\n' % (count, size)


def _line(entry: Entry) -> bytes:
    path = "" if entry.path is None else f', "path": {quoted(entry.path)}'
    content = f', "size": {entry.size}, "crc32": "{entry.crc32:08x}", "sha256": "{entry.sha256}"'
    if entry.is_folder:
        content = ""
    executable = ', "executable": true' if entry.mode & 0o100 and not entry.is_folder else ""
    flags = executable + (', "generated": true' if _is_generated(entry) else "")
    text = f'{{"name": {quoted(entry.name)}{path}{content}, "mtime": "{timestamp(entry.mtime)}"{flags}}}'
    return text.encode()


def _is_generated(entry: Entry) -> bool:
    """A file of a document is a copy (an older content, another picture) that must not be taken for the file."""
    return entry.pack_offset is not None or entry.asset_id is not None


def timestamp(mtime: int) -> str:
    """ISO 8601 in UTC with all six decimals."""
    return (EPOCH + timedelta(microseconds=mtime)).isoformat(timespec="microseconds") + "Z"
