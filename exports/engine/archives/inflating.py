"""The bytes of one member: never more than announced, and at the end compared with their CRC-32."""

from isal import isal_zlib

from exports.engine.archives.base import Content, Member, Source
from exports.errors import ArchiveRefused

_CHUNK = 256 * 1024


class _Checked(Content):
    """`data`: where the member's bytes begin."""

    def __init__(self, source: Source, member: Member, data: int) -> None:
        self._source, self._member = source, member
        self._at, self._end = data, data + member.packed
        self._given = self._crc = 0
        self._over = False

    def read(self, size: int) -> bytes:
        parts: list[bytes] = []
        while size > 0 and not self._over:
            part = self._some(size)
            self._given += len(part)
            if self._given > self._member.size:
                self._refuse("it holds more than it announces")
            self._crc = isal_zlib.crc32(part, self._crc)
            size -= len(part)
            if self._over:
                self._check()
            parts.append(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _some(self, most: int) -> bytes:
        raise NotImplementedError

    def _packed(self, most: int) -> bytes:
        data = self._source.read(self._at, min(most, self._end - self._at))
        self._at += len(data)
        return data

    def _check(self) -> None:
        if self._given != self._member.size:
            self._refuse("it holds less than it announces")
        if self._crc != self._member.crc32:
            self._refuse("its CRC-32 is wrong")

    def _refuse(self, reason: str) -> None:
        raise ArchiveRefused(entry=self._member.name[:200], reason=reason)


class Plain(_Checked):
    def _some(self, most: int) -> bytes:
        data = self._packed(most)
        self._over = self._at == self._end
        return data


class Deflated(_Checked):
    def __init__(self, source: Source, member: Member, data: int) -> None:
        super().__init__(source, member, data)
        self._inflater = isal_zlib.decompressobj(-15)
        self._waiting = b""

    def _some(self, most: int) -> bytes:
        if not self._waiting:
            self._waiting = self._packed(_CHUNK)
        fed = len(self._waiting)
        try:
            plain = self._inflater.decompress(self._waiting, most)
        except isal_zlib.error as error:
            self._refuse(f"it does not inflate ({error})")
        self._waiting = self._inflater.unconsumed_tail
        if self._inflater.eof:
            if self._inflater.unused_data or self._waiting or self._at < self._end:
                self._refuse("something follows its compressed bytes")
            self._over = True
        elif not plain and self._at == self._end and len(self._waiting) == fed:
            self._refuse("its compressed bytes end too early")
        return plain
