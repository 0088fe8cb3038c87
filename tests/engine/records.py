"""Our own reading of ZIP, by APPNOTE and nothing else, to see records that programs keep to themselves."""

from collections.abc import Iterator
from pathlib import Path
from struct import iter_unpack, unpack
from typing import BinaryIO, NamedTuple


class Record(NamedTuple):
    """One header, local or central. `extras`: id → body."""

    at: int
    needed: int
    flags: int
    method: int
    crc32: int
    stored: int
    size: int
    name: bytes
    extras: dict[int, bytes]
    offset: int


class Zip(NamedTuple):
    central: list[Record]
    local: list[Record]
    #: The end record's and, if there is one, the ZIP64 end record's fields.
    end: tuple[int, ...]
    end64: tuple[int, ...] | None
    directory: tuple[int, int]


def extras(data: bytes) -> dict[int, bytes]:
    found = {}
    while data:
        kind, length = unpack("<HH", data[:4])
        assert kind not in found and len(data) >= 4 + length
        found[kind], data = data[4 : 4 + length], data[4 + length :]
    return found


def read(path: Path) -> Zip:
    """Every record; asserts that signatures and places agree, and that nothing stands between them."""
    with path.open("rb") as file:
        size = path.stat().st_size
        tail_at = max(size - 98, 0)
        file.seek(tail_at)
        tail = file.read()
        assert tail[-22:-18] == b"PK\5\6"
        end = unpack("<HHHHIIH", tail[-18:])
        end64, behind = None, size - 22
        if len(tail) >= 98 and tail[-42:-38] == b"PK\6\7":
            disk, at, disks = unpack("<IQI", tail[-38:-22])
            assert (disk, at, disks) == (0, size - 98, 1) and tail[-98:-94] == b"PK\6\6"
            end64, behind = unpack("<QHHIIQQQQ", tail[-94:-42]), at
        count, length, start = end64[6:9] if end64 else (end[3], end[4], end[5])
        assert start + length == behind
        file.seek(start)
        central = list(_central(file.read(length), start))
        assert len(central) == count
        local = []
        expected = 0
        for record in central:
            local.append(_local(file, record.offset))
            assert record.offset == expected
            expected = local[-1].at + _body(local[-1])
        assert expected == start
    return Zip(central, local, end, end64, (start, length))


def _body(record: Record) -> int:
    return record.stored if record.stored < 0xFFFFFFFF else unpack("<QQ", record.extras[1])[1]


def _central(data: bytes, start: int) -> Iterator[Record]:
    at = 0
    while at < len(data):
        assert data[at : at + 4] == b"PK\1\2"
        (
            _, needed, flags, method, _, crc, stored, size, name, extra, comment, disk, _, _, offset
        ) = unpack("<HHHHIIIIHHHHHII", data[at + 4 : at + 46])  # fmt: skip
        assert comment == disk == 0
        found = extras(data[at + 46 + name : at + 46 + name + extra])
        if offset == 0xFFFFFFFF:
            offset = [value for (value,) in iter_unpack("<Q", found[1])][-1]
        yield Record(
            start + at, needed, flags, method, crc, stored, size, data[at + 46 : at + 46 + name], found, offset
        )
        at += 46 + name + extra


def _local(file: BinaryIO, offset: int) -> Record:
    """`at` is where the content begins."""
    file.seek(offset)
    head = file.read(30)
    assert head[:4] == b"PK\3\4"
    needed, flags, method, _, crc, stored, size, name, extra = unpack("<HHHIIIIHH", head[4:])
    text, found = file.read(name), extras(file.read(extra))
    return Record(offset + 30 + name + extra, needed, flags, method, crc, stored, size, text, found, offset)
