"""ZIP (APPNOTE 6.3.10): no data descriptors, ZIP64 only where a number needs it, UTF-8 names, Unix times and modes."""

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import lru_cache
from struct import Struct

from exports.engine.entries import Body, Entry, Form, Mark, Piece
from exports.engine.formats.base import Format

LOCAL = Struct("<4sHHHIIIIHH")
CENTRAL = Struct("<4sHHHHIIIIHHHHHII")
END64 = Struct("<4sQHHIIQQQQ")
LOCATOR64 = Struct("<4sIQI")
END = Struct("<4sHHHHIIH")
TIMES = Struct("<HHBi")
SIZES64 = Struct("<HHQQ")

LIMIT32 = 0xFFFFFFFF
LIMIT16 = 0xFFFF
UNIX = 3 << 8
UTF8_NAME = 1 << 11
STORED, DEFLATED = 0, 8
FOLDER_ATTRIBUTE = 0x10
#: Seconds that all read alike in the extended timestamp: 7-Zip and libarchive take negative ones for 2038–2106.
TIMES_LAST = 2**31 - 1
#: For all others NTFS times (10 MHz since 1601), which 7-Zip and Windows read; the rest see the DOS time.
TIMES_NTFS = Struct("<HHIHHQQQ")
NTFS_EPOCH = 11_644_473_600_000_000
DOS_FIRST = (1 << 21) | (1 << 16)
DOS_LAST = (127 << 25) | (12 << 21) | (31 << 16) | (23 << 11) | (59 << 5) | 29


CENTRAL_REST = Struct("<HHHII")
MADE_BY = b"PK\1\2" + (UNIX | 20).to_bytes(2, "little")


@lru_cache(maxsize=4096)
def dos_day(day: int) -> int:
    """The DOS date of a day since 1970, in the upper half of 32 bits; outside 1980–2107 -1 or 1 (before, after)."""
    if not 3652 <= day < 50403:
        return -1 if day < 3652 else 1
    date = datetime.fromtimestamp(day * 86400, UTC)
    return ((date.year - 1980) << 25) | (date.month << 21) | (date.day << 16)


def times(mtime: int) -> bytes:
    """The extra field with the exact time."""
    if 0 <= mtime < (TIMES_LAST + 1) * 1000000:
        return TIMES.pack(0x5455, 5, 1, mtime // 1000000)
    ticks = max(mtime + NTFS_EPOCH, 0) * 10
    return TIMES_NTFS.pack(10, 32, 0, 1, 24, ticks, ticks, ticks)


def dos_time(seconds: int) -> int:
    """Date and time of ZIP, in UTC so that it is the same on every machine; clamped to 1980–2107."""
    day, second = divmod(seconds, 86400)
    date = dos_day(day)
    if date in (-1, 1):
        return DOS_FIRST if date == -1 else DOS_LAST
    return date | (second // 3600 << 11) | (second % 3600 // 60 << 5) | (second % 60 // 2)


class Zip64(Format):
    name = "zip"
    extension = ".zip"
    content_type = "application/zip"
    edition = "zip.1"
    has_directory = True

    def after(self, entry: Entry, mark: Mark) -> Mark:
        _ordinal, offset, central, count = mark
        # An ASCII name has as many bytes as characters; encoding each of 300,000 names costs more than asking.
        name = len(entry.name) if entry.name.isascii() else len(entry.name.encode())
        extra = TIMES.size if 0 <= entry.mtime < (TIMES_LAST + 1) * 1000000 else TIMES_NTFS.size
        local_extra = central_extra = extra
        if entry.size >= LIMIT32 or entry.stored_size >= LIMIT32:
            local_extra += 20
            central_extra += 20
        if offset >= LIMIT32:
            central_extra = extra + 28
        return Mark(
            entry.ordinal + 1,
            offset + 30 + name + local_extra + entry.stored_size,
            central + 46 + name + central_extra,
            count + 1,
        )

    def pieces(self, entry: Entry, mark: Mark) -> Iterator[Piece]:
        name, flags, method, needed, extra = self._common(entry)
        size, stored = entry.size, entry.stored_size
        if size >= LIMIT32 or stored >= LIMIT32:
            extra = SIZES64.pack(1, 16, size, stored) + extra
            size = stored = LIMIT32
        when = dos_time(entry.mtime // 1000000)
        yield (
            LOCAL.pack(b"PK\3\4", needed, flags, method, when, entry.crc32, stored, size, len(name), len(extra))
            + name
            + extra
        )
        if entry.stored_size:
            yield Body(entry, Form.STORED, entry.stored_size)

    @staticmethod
    def _common(entry: Entry) -> tuple[bytes, int, int, int, bytes]:
        name = entry.name.encode()
        flags = 0 if len(name) == len(entry.name) else UTF8_NAME
        method = DEFLATED if entry.encoding == "deflate" else STORED
        needed = 45 if entry.size >= LIMIT32 or entry.stored_size >= LIMIT32 else 20
        return name, flags, method, needed, times(entry.mtime)

    def directory(self, entry: Entry, offset: int, opening: bytes) -> bytes:
        attributes = entry.mode << 16 | (FOLDER_ATTRIBUTE if entry.is_folder else 0)
        if offset < LIMIT32 and entry.size < LIMIT32 and entry.stored_size < LIMIT32:
            # Then it says what the local header says, in the same words (APPNOTE 4.3.7, 4.3.12).
            return MADE_BY + opening[4:30] + CENTRAL_REST.pack(0, 0, 0, attributes, offset) + opening[30:]
        return self._far_directory(entry, offset, attributes)

    def _far_directory(self, entry: Entry, offset: int, attributes: int) -> bytes:
        name, flags, method, needed, extra = self._common(entry)
        size, stored, values = entry.size, entry.stored_size, b""
        # An offset alone would do, but Info-ZIP takes it for a size when an entry before has exactly LIMIT32 bytes.
        if size >= LIMIT32 or stored >= LIMIT32 or offset >= LIMIT32:
            values = size.to_bytes(8, "little") + stored.to_bytes(8, "little")
            size = stored = LIMIT32
        if offset >= LIMIT32:
            values += offset.to_bytes(8, "little")
            offset, needed = LIMIT32, 45
        if values:
            extra = b"\1\0" + len(values).to_bytes(2, "little") + values + extra
        return (
            CENTRAL.pack(
                b"PK\1\2",
                UNIX | needed,
                needed,
                flags,
                method,
                dos_time(entry.mtime // 1000000),
                entry.crc32,
                stored,
                size,
                len(name),
                len(extra),
                0,
                0,
                0,
                attributes,
                offset,
            )
            + name
            + extra
        )

    def closing(self, end: Mark) -> bytes:
        start, size, count = end.offset, end.aux, end.count
        if start < LIMIT32 and size < LIMIT32 and count < LIMIT16:
            return END.pack(b"PK\5\6", 0, 0, count, count, size, start, 0)
        few = min(count, LIMIT16)
        return (
            END64.pack(b"PK\6\6", 44, UNIX | 45, 45, 0, 0, count, count, size, start)
            + LOCATOR64.pack(b"PK\6\7", 0, start + size, 1)
            + END.pack(b"PK\5\6", 0, 0, few, few, min(size, LIMIT32), min(start, LIMIT32), 0)
        )
