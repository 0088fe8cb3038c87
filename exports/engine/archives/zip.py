"""ZIP (APPNOTE 6.3.10), read strictly: what two readers could take for two different things is refused.

All bytes must belong to one entry each, to the directory or to the end: nothing before, between or behind. Local
headers must say what the directory says. Methods 0 and 8, no encryption, one disk; data descriptors and ZIP64 where
they are needed.
"""

import stat
from collections.abc import Callable, Iterator
from struct import Struct, unpack_from
from typing import Never

from exports.engine.archives.base import Archive, Budget, Member, Source, safe_name
from exports.engine.archives.inflating import Deflated, Plain
from exports.engine.formats.zip64 import CENTRAL, DEFLATED, END, END64, LIMIT16, LIMIT32, LOCAL, LOCATOR64, STORED
from exports.errors import ArchiveRefused, ArchiveTooLarge, NoArchive

_CHUNK = 256 * 1024
_COMMENT = 0xFFFF
_END, _LOCATOR64, _END64 = b"PK\5\6", b"PK\6\7", b"PK\6\6"
#: How it was deflated (bits 1 and 2), a data descriptor, a name in UTF-8.
_FLAGS, _DESCRIBED, _UTF8 = 0x0006, 0x0008, 0x0800
_NEWEST = 45
_ZIP64, _UNICODE_NAME = 0x0001, 0x7075
_DESCRIPTORS = Struct("<III"), Struct("<IQQ")


class ZipArchive(Archive):
    """Raises NoArchive for a broken structure, ArchiveRefused for a bad entry, ArchiveTooLarge."""

    def __init__(self, source: Source, budget: Budget) -> None:
        super().__init__(source, budget)
        count, self._directory, self._directory_end = _end(source)
        if count > budget.entries:
            raise ArchiveTooLarge(found=count, what="entries", limit=budget.entries)
        self._add(self._read_directory(count))

    def check_layout(self, tick: Callable[[], object]) -> None:
        reached, before = 0, ""
        for member in self.members():
            if member.offset < reached:
                _refuse(member.name, f"it overlaps {before!r}")
            if member.offset > reached:
                _refuse(member.name, f"{member.offset - reached} bytes before it belong to nothing")
            data, is_long = self._check_local(member)
            reached = data + member.packed
            if member.extra & _DESCRIBED:
                reached += self._descriptor(member, reached, is_long)
            before = member.name
            tick()
        if reached != self._directory:
            raise NoArchive(reason="its directory does not begin where its entries end")

    def open(self, member: Member) -> Plain | Deflated:
        data, _ = self._check_local(member)
        return (Deflated if member.deflated else Plain)(self.source, member, data)

    def _read_directory(self, count: int) -> Iterator[Member]:
        position, held, at = self._directory, b"", 0
        for _ in range(count):
            if len(held) - at < CENTRAL.size + 3 * LIMIT16:
                ahead = min(_CHUNK, self._directory_end - position)
                held, position, at = held[at:] + self.source.read(position, ahead), position + ahead, 0
            if len(held) - at < CENTRAL.size or held[at : at + 4] != b"PK\1\2":
                raise NoArchive(reason=f"its directory does not have the {count} entries that it announces")
            length = CENTRAL.size + sum(unpack_from("<HHH", held, at + 28))
            if len(held) - at < length:
                raise NoArchive(reason="an entry of its directory is cut off")
            yield _member(held[at : at + length], self._directory)
            at += length
        if at < len(held) or position != self._directory_end:
            raise NoArchive(reason="there is something between its directory and its end")

    def _check_local(self, member: Member) -> tuple[int, bool]:
        """(where its data begins, whether it has ZIP64 sizes)."""
        name = member.name.encode()
        head = self.source.read(member.offset, LOCAL.size)
        magic, needed, flags, method, _, crc, packed, size, name_size, extra_size = LOCAL.unpack(head)
        rest = self.source.read(member.offset + LOCAL.size, name_size + extra_size)
        if magic != b"PK\3\4" or needed & 0xFF > _NEWEST:
            _refuse(member.name, "there is no local header of a known version where the directory says")
        if rest[:name_size] != name or flags != member.extra or (method == DEFLATED) != member.deflated:
            _refuse(member.name, "its local header has another name, method or flags than the directory")
        extra = _extra(member.name, rest[name_size:])
        if is_long := _ZIP64 in extra:
            if len(extra[_ZIP64]) != 16 or (size, packed) != (LIMIT32, LIMIT32):
                _refuse(member.name, "its local header has forged ZIP64 sizes")
            size, packed = unpack_from("<QQ", extra[_ZIP64])
        told = (member.crc32, member.packed, member.size)
        # What a descriptor tells stands as 0 here; libarchive has the size all the same.
        late = flags & _DESCRIBED and all(
            value in (0, real) for value, real in zip((crc, packed, size), told, strict=True)
        )
        if method not in (STORED, DEFLATED) or ((crc, packed, size) != told and not late):
            _refuse(member.name, "its local header has another size or CRC-32 than the directory")
        data = member.offset + LOCAL.size + len(rest)
        if data + member.packed > self._directory:
            _refuse(member.name, "it reaches into the directory")
        return data, is_long

    def _descriptor(self, member: Member, position: int, is_long: bool) -> int:
        kind = _DESCRIPTORS[is_long]
        told = kind.pack(member.crc32, member.packed, member.size)
        found = self.source.read(position, min(kind.size + 4, self._directory - position))
        length = next((len(each) for each in (b"PK\7\x08" + told, told) if found.startswith(each)), 0)
        if not length:
            _refuse(member.name, "its data descriptor says something else than the directory")
        return length


def _end(source: Source) -> tuple[int, int, int]:
    """(entries, where the directory begins, where it ends)."""
    size = min(source.length, END.size + _COMMENT)
    tail = source.read(source.length - size, size)
    at = tail.rfind(_END)
    if at < 0 or len(tail) - at < END.size:
        raise NoArchive(reason="it has no end record of a ZIP")
    _, disk, first_disk, here, count, length, offset, comment = END.unpack_from(tail, at)
    if at + END.size + comment != len(tail):
        raise NoArchive(reason="something follows its end record")
    for other in _positions(tail[:at]):
        if other + END.size + int.from_bytes(tail[other + 20 : other + 22], "little") == len(tail):
            raise NoArchive(reason="it has two end records")
    end = source.length - len(tail) + at
    if (disk, first_disk) != (0, 0) or here != count:
        raise NoArchive(reason="it is one of several disks")
    if end >= LOCATOR64.size and source.read(end - LOCATOR64.size, 4) == _LOCATOR64:
        count, length, offset, end = _end64(source, end, (count, length, offset))
    elif count == LIMIT16 or LIMIT32 in (length, offset):
        raise NoArchive(reason="its ZIP64 end record is missing")
    if offset + length != end:
        raise NoArchive(
            reason="its directory is not where its end record says: something was put before it, or taken out"
        )
    return count, offset, end


def _positions(tail: bytes) -> Iterator[int]:
    at = tail.find(_END)
    while at >= 0:
        yield at
        at = tail.find(_END, at + 1)


def _end64(source: Source, end: int, told: tuple[int, int, int]) -> tuple[int, int, int, int]:
    _, disk, offset64, disks = LOCATOR64.unpack(source.read(end - LOCATOR64.size, LOCATOR64.size))
    if (disk, disks) not in ((0, 1), (0, 0)) or offset64 + END64.size + LOCATOR64.size != end:
        raise NoArchive(reason="its ZIP64 end record is not where it should be")
    magic, size, _, needed, disk, first_disk, here, count, length, offset = END64.unpack(
        source.read(offset64, END64.size)
    )
    if magic != _END64 or size != END64.size - 12 or needed & 0xFF > _NEWEST:
        raise NoArchive(reason="its ZIP64 end record is of an unknown kind")
    if (disk, first_disk) != (0, 0) or here != count:
        raise NoArchive(reason="it is one of several disks")
    for short, long, limit in zip(told, (count, length, offset), (LIMIT16, LIMIT32, LIMIT32), strict=True):
        if short not in (long, limit):
            raise NoArchive(reason="its two end records contradict each other")
    return count, length, offset, offset64


def _member(record: bytes, limit: int) -> Member:
    """From a record of the directory; `limit` is where the directory begins."""
    (
        _, _, needed, flags, method, _, crc, packed, size, name_size, extra_size, _, disk, _, attributes, offset,
    ) = CENTRAL.unpack_from(record)  # fmt: skip
    raw = record[CENTRAL.size : CENTRAL.size + name_size]
    name = safe_name(_decoded(raw, flags))
    if flags & 0x2041:
        _refuse(name, "it is encrypted")
    if flags & ~(_FLAGS | _DESCRIBED | _UTF8) or needed & 0xFF > _NEWEST or disk not in (0, LIMIT16):
        _refuse(name, "it needs something that no ordinary ZIP needs")
    if method not in (STORED, DEFLATED):
        _refuse(name, f"compression method {method} is not known here")
    kind = stat.S_IFMT(attributes >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR) or (kind == stat.S_IFDIR and not name.endswith("/")):
        _refuse(name, "it is a link, a device or something else that is neither file nor folder")
    extra = _extra(name, record[CENTRAL.size + name_size : CENTRAL.size + name_size + extra_size])
    if _UNICODE_NAME in extra and extra[_UNICODE_NAME][5:] != raw:
        _refuse(name, "it has two names")
    size, packed, offset = _long(name, extra.get(_ZIP64), size, packed, offset, disk)
    if method == STORED and size != packed:
        _refuse(name, "it is not compressed, and yet has two sizes")
    if name.endswith("/") and size:
        _refuse(name, "a folder with content")
    if offset + LOCAL.size + name_size + packed > limit:
        _refuse(name, "it reaches into the directory")
    return Member(name, offset, size, packed, crc, method == DEFLATED, flags)


def _decoded(raw: bytes, flags: int) -> str:
    try:
        # Without the flag the code page is anybody's guess; UTF-8 that is valid was meant to be (Info-ZIP, older JDKs).
        return raw.decode()
    except UnicodeDecodeError:
        shown = raw[:200].decode(errors="backslashreplace")
        _refuse(shown, "its name is not UTF-8" + ("" if flags & _UTF8 else ", and no ASCII"))


def _extra(name: str, data: bytes) -> dict[int, bytes]:
    fields: dict[int, bytes] = {}
    while data:
        if len(data) < 4 or len(data) < 4 + (size := int.from_bytes(data[2:4], "little")):
            _refuse(name, "its extra fields are broken")
        kind = int.from_bytes(data[:2], "little")
        if kind in fields and kind == _ZIP64:
            _refuse(name, "it has two ZIP64 fields")
        fields[kind], data = data[4 : 4 + size], data[4 + size :]
    return fields


def _long(name: str, field: bytes | None, size: int, packed: int, offset: int, disk: int) -> tuple[int, int, int]:
    """The numbers that do not fit 32 bits stand in the field, in this order, and no others."""
    wanted = [value == LIMIT32 for value in (size, packed, offset)]
    if field is None:
        # 0xFFFFFFFF itself would need the field.
        if any(wanted) or disk:
            _refuse(name, "its ZIP64 sizes are missing")
        return size, packed, offset
    if len(field) != 8 * sum(wanted) + 4 * (disk == LIMIT16):
        _refuse(name, "its ZIP64 sizes are forged")
    values = iter(unpack_from(f"<{sum(wanted)}Q", field))
    size, packed, offset = (
        next(values) if is_long else value for is_long, value in zip(wanted, (size, packed, offset), strict=True)
    )
    if disk == LIMIT16 and any(field[-4:]):
        _refuse(name, "it is on another disk")
    return size, packed, offset


def _refuse(name: str, reason: str) -> Never:
    raise ArchiveRefused(entry=name[:200], reason=reason)
