"""TAR (POSIX.1-2001), read strictly: files and folders, ustar headers, PAX records of path, size and mtime.

A TAR.GZ or TAR.BZ2 is inflated while it is read, within the budget; contents go to a temporary file, where they can be
found again.
"""

import bz2
import gzip
import io
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, Never

from exports.engine.archives.base import HARMLESS, NO_CRC, Archive, Budget, Content, Member, Source, safe_name
from exports.engine.formats.tar import BLOCK, FOLDER, HEADER, PAX, REGULAR, padding
from exports.errors import ArchiveRefused, ArchiveTooLarge, NoArchive

_CHUNK = 256 * 1024
_LONGEST_PAX = 64 * 1024
_OPENERS = {b"\x1f\x8b\x08": gzip.open, b"BZh": bz2.open}
_KNOWN = {"path", "size", "mtime", "atime", "ctime"}


@contextmanager
def plain_tar(source: Source, budget: Budget) -> Iterator[Source | None]:
    """The plain bytes of a TAR, or None for what is none. Raises NoArchive, ArchiveTooLarge."""
    head = source.read(0, min(source.length, BLOCK))
    opener = _OPENERS.get(head[:3])
    if opener is None:
        yield source if head[257:262] == b"ustar" else None
        return
    limit = min(budget.bytes, max(HARMLESS, source.length * budget.ratio))
    with (
        io.BufferedReader(opener(_Reader(source)), _CHUNK) as packed,
        tempfile.NamedTemporaryFile() as plain,
        _Inflated(packed, plain, limit) as inflated,
    ):
        yield inflated


class TarArchive(Archive):
    def __init__(self, source: Source, budget: Budget) -> None:
        super().__init__(source, budget)
        self._add(self._read())

    def check_layout(self, tick: Callable[[], object]) -> None:
        """Reading the members has compared all there is: they follow each other."""

    def open(self, member: Member) -> Content:
        return _TarContent(self.source, member)

    def _read(self) -> Iterator[Member]:
        position, told = 0, {}
        while True:
            head = self.source.read(position, BLOCK)
            if not any(head):
                break
            name, size, kind = _header(head)
            if kind == PAX:
                if told or size > _LONGEST_PAX:
                    _refuse(name, "two PAX headers, or a long one")
                told = _pax(name, self.source.read(position + BLOCK, size + padding(size))[:size])
                position += BLOCK + size + padding(size)
                continue
            size = int(told.get("size", size))
            name = safe_name(told.get("path", name) if kind != FOLDER else told.get("path", name).rstrip("/") + "/")
            if kind == FOLDER and size:
                _refuse(name, "a folder with content")
            if kind != FOLDER and name.endswith("/"):
                _refuse(name, "a file with the name of a folder")
            told = {}
            end = position + BLOCK + size + padding(size)
            if not self.source.holds(end):
                raise NoArchive(reason="it ends in the middle of an entry")
            yield Member(name, position, size, size, NO_CRC, False, BLOCK)
            position = end
        if told:
            raise NoArchive(reason="it ends behind a PAX header")
        self._check_end(position)

    def _check_end(self, position: int) -> None:
        """Zeros, two blocks of them at least; anything else would be seen by some readers and not by others."""
        if not self.source.holds(position + 2 * BLOCK):
            raise NoArchive(reason="its two closing blocks are missing")
        position += BLOCK
        while self.source.holds(position + _CHUNK) or position < self.source.length:
            piece = self.source.read(position, min(_CHUNK, self.source.length - position))
            if any(piece):
                raise NoArchive(reason="something follows its end")
            position += len(piece)


class _TarContent(Content):
    """A TAR has no checksums of contents: whoever reads it compares digests with a manifest."""

    def __init__(self, source: Source, member: Member) -> None:
        self._source = source
        self._at = member.offset + member.extra
        self._end = self._at + member.size

    def read(self, size: int) -> bytes:
        data = self._source.read(self._at, min(size, self._end - self._at))
        self._at += len(data)
        return data


class _Inflated(Source):
    """What is packed, plain, as far as anybody wanted it: `length` grows until the end was seen.

    Bytes are read in their order. Those that `holds` was asked for are kept in `plain` to be read again, by several
    threads; those that were read at once (headers) are not: millions of them without contents take no disk.
    """

    def __init__(self, packed: IO[bytes], plain: IO[bytes], limit: int) -> None:
        super().__init__(plain.name)
        self._packed, self._plain, self._limit = packed, plain, limit

    def holds(self, end: int) -> bool:
        while self.length < end and (chunk := self._next(min(_CHUNK, end - self.length))):
            self._plain.seek(self.length - len(chunk))
            self._plain.write(chunk)
            self._plain.flush()
        return super().holds(end)

    def read(self, offset: int, size: int) -> bytes:
        if offset != self.length:
            return super().read(offset, size)
        data = self._next(size)
        if len(data) < size:
            raise NoArchive(reason=f"it has {self.length} bytes and speaks of byte {offset + size}")
        return data

    def _next(self, most: int) -> bytes:
        try:
            data = self._packed.read(most)
        except (gzip.BadGzipFile, zlib.error, EOFError, ValueError) as error:
            raise NoArchive(reason=f"it does not inflate ({error})") from error
        except OSError as error:
            if error.errno is not None:
                raise
            raise NoArchive(reason=f"it does not inflate ({error})") from error  # how bz2 speaks of bad data
        self.length += len(data)
        if self.length > self._limit:
            raise ArchiveTooLarge(found=f"more than {self._limit}", what="bytes unpacked", limit=self._limit)
        return data


class _Reader:
    """A source as a file, for the standard library's readers of gzip and bzip2."""

    def __init__(self, source: Source) -> None:
        self._source, self._at = source, 0

    def read(self, size: int) -> bytes:
        data = self._source.read(self._at, min(size, self._source.length - self._at))
        self._at += len(data)
        return data


def _header(head: bytes) -> tuple[str, int, bytes]:
    name, _, _, _, size, _, checksum, kind, _, magic, _, _, _, _, _, prefix = HEADER.unpack(head)
    if magic.rstrip(b"\0 ") != b"ustar" or _octal(checksum) != sum(head) - sum(checksum) + 8 * 32:
        raise NoArchive(reason="a header of it is damaged")
    raw = (prefix.rstrip(b"\0") + b"/" if prefix.rstrip(b"\0") else b"") + name.rstrip(b"\0")
    kind = kind.replace(b"\0", REGULAR)
    try:
        shown = raw.decode()
    except UnicodeDecodeError:
        _refuse(raw[:200].decode(errors="backslashreplace"), "its name is not UTF-8")
    if kind not in (REGULAR, FOLDER, PAX):
        _refuse(shown, "it is a link, a device or something else that is neither file nor folder")
    return shown, _octal(size), kind


def _octal(field: bytes) -> int:
    digits = field.strip(b"\0 ")
    if not digits or digits.strip(b"01234567"):
        raise NoArchive(reason="a number in a header of it is none")
    return int(digits, 8)


def _pax(name: str, data: bytes) -> dict[str, str]:
    """The records; their lengths must cut the data exactly, and say nothing that we do not know."""
    told: dict[str, str] = {}
    try:
        while data:
            length = int(data[: data.index(b" ", 0, 8)])
            record, data = data[:length], data[length:]
            key, equals, value = record[record.index(b" ") + 1 :].decode().partition("=")
            if not equals or not value.endswith("\n") or len(record) != length or key in told or key not in _KNOWN:
                raise ValueError(key)
            told[key] = value[:-1]
        if "size" in told and not (told["size"].isascii() and told["size"].isdigit() and len(told["size"]) < 16):
            raise ValueError("size")
    except ValueError:
        _refuse(name, "a PAX record of it cannot be read")
    return told


def _refuse(name: str, reason: str) -> Never:
    raise ArchiveRefused(entry=name[:200], reason=reason)
