"""The bytes of entries: read from where the stores keep them, checked against what the manifest says."""

import os
from collections import OrderedDict
from collections.abc import Iterator
from typing import Self

from isal import isal_zlib
from isal.isal_zlib import crc32

from cells.encoding import read_plain
from cells.errors import BlobDamaged
from exports.engine.entries import Body, Entry, Form
from exports.engine.formats.gzip import FRAME, FRAME_HEADER

CHUNK = 256 * 1024
#: Files held open; pack files are few, single blobs are opened once.
OPEN_FILES = 16


class Contents:
    """Reads entries' bytes. Every stored byte that is read whole is checked against its CRC-32.

    Neighbours in a pack file are read ahead together. Raises BlobDamaged. Not for several threads at once.
    """

    def __init__(self) -> None:
        self._files: OrderedDict[str, int] = OrderedDict()
        self._window = b""
        self._window_file, self._window_start, self._expected = "", 0, -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        while self._files:
            os.close(self._files.popitem()[1])

    def short(self, body: Body) -> bytes:
        """The whole of a body whose `length` is at most `CHUNK`."""
        entry, form = body.entry, body.form
        data = self.small(entry)
        if form is Form.STORED or (form is Form.PLAIN and entry.encoding == "raw"):
            return data
        if form is Form.FRAMED:
            return b"".join(framed(data, entry.size))
        try:
            plain = isal_zlib.decompress(data, wbits=-15, bufsize=entry.size)
        except isal_zlib.error as error:
            raise BlobDamaged(sha256=entry.sha256, reason=str(error)) from error
        if len(plain) != entry.size or crc32(plain) != entry.crc32:
            raise BlobDamaged(sha256=entry.sha256, reason="it inflates to something else")
        return plain

    def small(self, entry: Entry) -> bytes:
        """The whole stored content of `entry`, for contents up to `CHUNK`."""
        file, offset, size = entry.file, entry.offset, entry.stored_size
        at = offset - self._window_start
        if file != self._window_file or at < 0 or at + size > len(self._window):
            # Reading ahead pays only when entries follow each other in the file, as after a bulk load.
            ahead = CHUNK if file == self._window_file and offset == self._expected else size
            self._window = self._pread(entry, offset, max(ahead, size))
            self._window_file, self._window_start, at = file, offset, 0
        self._expected = offset + size
        data = self._window if at == 0 and size == len(self._window) else self._window[at : at + size]
        self._check(entry, len(data), crc32(data))
        return data

    def _pread(self, entry: Entry, offset: int, size: int) -> bytes:
        try:
            return os.pread(self._open(entry), size, offset)
        except OSError as error:
            raise BlobDamaged(sha256=entry.sha256, reason=error.strerror) from error

    def _open(self, entry: Entry) -> int:
        if not entry.file:
            raise BlobDamaged(sha256=entry.sha256, reason="the store has no such blob")
        if (fd := self._files.get(entry.file)) is None:
            fd = self._files[entry.file] = os.open(entry.file, os.O_RDONLY)
            if len(self._files) > OPEN_FILES:
                os.close(self._files.popitem(last=False)[1])
        return fd

    @staticmethod
    def _check(entry: Entry, size: int, crc: int) -> None:
        if size != entry.stored_size:
            raise BlobDamaged(sha256=entry.sha256, reason=f"{size} of {entry.stored_size} bytes are there")
        if crc != entry.stored_crc32:
            raise BlobDamaged(sha256=entry.sha256, reason="its CRC-32 is wrong")

    def chunks(self, body: Body, start: int, end: int) -> Iterator[bytes]:
        """Bytes [start, end) of a body, in pieces of about `CHUNK`."""
        entry = body.entry
        if body.form is Form.FRAMED:
            return self._framed(entry, start, end)
        if body.form is Form.STORED or entry.encoding == "raw":
            return self._stored(entry, start, end)
        return self._plain(entry, start, end)

    def _plain(self, entry: Entry, start: int, end: int) -> Iterator[bytes]:
        if not entry.file:
            raise BlobDamaged(sha256=entry.sha256, reason="the store has no such blob")
        whole, crc, position = start == 0 and end == entry.size, 0, start
        try:
            for chunk in read_plain(entry.file, entry.offset, entry, start, end):
                crc = crc32(chunk, crc)
                position += len(chunk)
                if whole and position == end and crc != entry.crc32:
                    raise BlobDamaged(sha256=entry.sha256, reason="its CRC-32 is wrong")
                yield chunk
        except OSError as error:
            raise BlobDamaged(sha256=entry.sha256, reason=error.strerror) from error

    def _stored(self, entry: Entry, start: int, end: int) -> Iterator[bytes]:
        crc, position = 0, start
        while position < end:
            # The last piece is looked at before it is given away, so that a whole read never ends well on damage.
            chunk = self._pread(entry, entry.offset + position, min(CHUNK, end - position))
            if not chunk:
                raise BlobDamaged(sha256=entry.sha256, reason=f"{position} of {entry.stored_size} bytes are there")
            position += len(chunk)
            crc = crc32(chunk, crc)
            if position == end and start == 0 and end == entry.stored_size:
                self._check(entry, end, crc)
            yield chunk

    def _framed(self, entry: Entry, start: int, end: int) -> Iterator[bytes]:
        first = start // (FRAME + FRAME_HEADER)
        position = first * (FRAME + FRAME_HEADER)
        held = b""
        for chunk in self._stored(entry, first * FRAME, entry.size):
            held += chunk
            usable = len(held) if first * FRAME + len(held) == entry.size else len(held) // FRAME * FRAME
            piece = b"".join(framed(held[:usable], entry.size - first * FRAME))
            held, first = held[usable:], first + usable // FRAME
            if wanted := piece[max(start - position, 0) : end - position]:
                yield wanted
            position += len(piece)
            if position >= end:
                return


def framed(data: bytes, left: int) -> Iterator[bytes]:
    """`data` as stored DEFLATE blocks; `left` counts its bytes and all that follow, so that the last is marked."""
    for at in range(0, len(data), FRAME):
        size = min(FRAME, len(data) - at)
        yield b"%c%b%b" % (at + size == left, size.to_bytes(2, "little"), (size ^ 0xFFFF).to_bytes(2, "little"))
        yield data[at : at + size]


def damage(entries: Iterator[Entry], form: Form = Form.STORED) -> Iterator[tuple[int, str]]:
    """(ordinal, reason) of every entry whose bytes are not what the manifest says.

    `form`: as what they are read; PLAIN inflates, and so finds content that never was what the manifest says.
    """
    with Contents() as contents:
        for entry in entries:
            if not entry.stored_size:
                continue
            try:
                length = entry.size if form is Form.PLAIN else entry.stored_size
                if max(length, entry.stored_size) <= CHUNK:
                    contents.short(Body(entry, form, length))
                else:
                    for _ in contents.chunks(Body(entry, form, length), 0, length):
                        pass
            except BlobDamaged as error:
                yield entry.ordinal, str(error.params["reason"])
