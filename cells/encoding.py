"""Plain bytes to stored bytes and back. Pure bytes: knows no Django, no rows, no places.

Stored bytes are the plain ones (`raw`), or one raw DEFLATE stream (`deflate`) of independent blocks of 1 MiB of plain
bytes, each but the last ended by a full flush. They are a function of the content alone: neither chunking nor the
number of threads shows in them.
"""

import hashlib
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from io import FileIO
from os import pread
from struct import pack, unpack_from
from typing import NamedTuple, Protocol

from isal import isal_zlib

from cells.errors import BlobDamaged

Buffer = bytes | bytearray | memoryview

RAW = "raw"
DEFLATE = "deflate"
#: Plain bytes between two full flushes.
BLOCK = 1 << 20
#: Content below this is small: it may share a pack file and is encoded without threads.
SMALL = 64 << 10

_LEVEL = 2
_PIECE = 16 << 10
_PIECES = 4
_READ = 256 << 10


class Stored(NamedTuple):
    """What is known of a content once it has been encoded; CRCs are CRC-32, `sha256` is lower-case hex."""

    sha256: str
    size: int
    crc32: int
    encoding: str
    stored_size: int
    stored_crc32: int
    #: Little-endian u64 each: where plain MiB 1, 2, 3 … begin in the stored stream. Empty for raw or ≤ 1 MiB.
    points: bytes


class Readable(Protocol):
    """What `read_plain` must know of a blob: `Stored` and the Blob row both are this."""

    sha256: str
    size: int
    encoding: str
    stored_size: int
    points: bytes


def encode(data: Buffer) -> tuple[Stored, Buffer]:
    """Encode content that is whole in memory, without threads; gives the same bytes as an `Encoder`."""
    size = memoryview(data).nbytes
    if size > BLOCK:
        parts: list[Buffer] = []
        encoder = Encoder(parts.append, threads=0)
        encoder.feed(data)
        return encoder.finish(), b"".join(parts)
    sha256, crc = hashlib.sha256(data).hexdigest(), isal_zlib.crc32(data)
    if size < SMALL:
        body = _deflate(data, True)
        deflated = _saves_enough(len(body), size)
    else:
        deflated = _worth_deflating(memoryview(data))
        body = _deflate(data, True) if deflated else b""
    if deflated:
        return Stored(sha256, size, crc, DEFLATE, len(body), isal_zlib.crc32(body), b""), body
    return Stored(sha256, size, crc, RAW, size, crc, b""), data


class Encoder:
    """Encodes a content of any length in one pass; holds at most `threads` + 3 blocks.

    `write` gets the stored bytes in order, on the caller's thread, and must have used them up when it returns. After an
    exception from `feed` or `finish` only `abort` may follow.
    """

    def __init__(self, write: Callable[[Buffer], object], *, threads: int = 2) -> None:
        """`threads` deflate large content; 0 does it on the caller's own."""
        self._write = write
        self._threads = threads
        self._sha256 = hashlib.sha256()
        self._size = self._crc = 0
        self._stored_size = self._stored_crc = 0
        self._encoding = ""
        self._starts: list[int] = []
        self._block: bytearray | memoryview = bytearray()
        self._pool: ThreadPoolExecutor | None = None
        self._pending: deque[Future[bytes]] = deque()

    def feed(self, chunk: Buffer) -> None:
        """Take the next plain bytes; the caller may reuse the buffer afterwards."""
        view = memoryview(chunk).cast("B")
        while view:
            if self._encoding == RAW:
                self._count(view)
                self._store(view)
                return
            if len(self._block) == BLOCK:  # held back until now: a finished stream must end with its last block
                block, self._block = self._block, bytearray()
                self._pass_on(block, last=False)
            elif type(chunk) is bytes and not self._block and len(view) >= BLOCK:  # nobody can change it: no copy
                self._block, view = view[:BLOCK], view[BLOCK:]
            else:
                room = BLOCK - len(self._block)
                self._block += view[:room]
                view = view[room:]

    def finish(self) -> Stored:
        """Encode and write what is left; the last call."""
        if not self._encoding:
            stored, body = encode(self._block)
            self._write(body)
            return stored
        if self._encoding == DEFLATE:
            self._pass_on(self._block, last=True)
            self._drain(0)
        self.abort()
        points = pack(f"<{len(self._starts) - 1}Q", *self._starts[1:]) if self._starts else b""
        if self._encoding == RAW:
            self._stored_crc = self._crc
        digest = self._sha256.hexdigest()
        return Stored(digest, self._size, self._crc, self._encoding, self._stored_size, self._stored_crc, points)

    def abort(self) -> None:
        """Stop the threads; what was written is of no use."""
        if self._pool:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None
        self._pending.clear()

    def _pass_on(self, block: Buffer, *, last: bool) -> None:
        if not self._encoding:
            self._encoding = DEFLATE if _worth_deflating(memoryview(block)) else RAW
        if self._encoding == RAW:
            self._count(block)
            self._store(block)
        elif self._threads:
            if not self._pool:
                self._pool = ThreadPoolExecutor(self._threads, "deflate")
            self._pending.append(self._pool.submit(_deflate, block, last))
            self._count(block)
            self._drain(self._threads + 1)
        else:
            self._count(block)
            self._store_deflated(_deflate(block, last))

    def _drain(self, keep: int) -> None:
        while len(self._pending) > keep:
            self._store_deflated(self._pending.popleft().result())

    def _count(self, plain: Buffer) -> None:
        self._sha256.update(plain)
        self._crc = isal_zlib.crc32(plain, self._crc)
        self._size += memoryview(plain).nbytes

    def _store_deflated(self, body: bytes) -> None:
        self._starts.append(self._stored_size)
        self._stored_crc = isal_zlib.crc32(body, self._stored_crc)
        self._store(body)

    def _store(self, body: Buffer) -> None:
        self._write(body)
        self._stored_size += memoryview(body).nbytes


def read_plain(path: str, offset: int, stored: Readable, start: int, end: int) -> Iterator[bytes]:
    """The plain bytes [start, end) in pieces of at most 1 MiB, of the content whose stored bytes begin at `offset`.

    Opens the file at once, so that it may be unlinked while it is read. Raises BlobDamaged, at once when the file is
    missing, else in the middle, when bytes are missing or do not inflate to the length they should have. CRCs are the
    caller's matter.
    """
    if not 0 <= start <= end <= stored.size:
        raise ValueError(f"[{start}, {end}) is no range of {stored.size} bytes")
    try:
        file = FileIO(path)
    except FileNotFoundError as missing:
        raise BlobDamaged(sha256=stored.sha256, reason="its store file is missing") from missing
    return (_read_raw if stored.encoding == RAW else _inflate)(file, offset, stored, start, end)


def _read_raw(file: FileIO, offset: int, stored: Readable, start: int, end: int) -> Iterator[bytes]:
    with file:
        while start < end:
            piece = _read_exactly(file, offset + start, min(_READ, end - start), stored)
            yield piece
            start += len(piece)


def _inflate(file: FileIO, offset: int, stored: Readable, start: int, end: int) -> Iterator[bytes]:
    starts = (0, *unpack_from(f"<{len(stored.points) // 8}Q", stored.points), stored.stored_size)
    with file:
        while start < end:
            number, skip = divmod(start, BLOCK)
            body = _read_exactly(file, offset + starts[number], starts[number + 1] - starts[number], stored)
            plain = _inflate_block(body, min(BLOCK, stored.size - number * BLOCK), number == len(starts) - 2, stored)
            until = min(len(plain), end - number * BLOCK)
            yield plain if until - skip == len(plain) else plain[skip:until]
            start = number * BLOCK + until


def _inflate_block(body: bytes, size: int, last: bool, stored: Readable) -> bytes:
    inflater = isal_zlib.decompressobj(-15)
    try:
        plain = inflater.decompress(body, size + 1)  # one more than it should be: damaged bytes cannot fill the memory
    except isal_zlib.error as broken:
        raise BlobDamaged(sha256=stored.sha256, reason=f"they do not inflate ({broken})") from broken
    if len(plain) != size or inflater.eof != last or inflater.unused_data:
        raise BlobDamaged(sha256=stored.sha256, reason=f"a block of {size} bytes does not inflate to that length")
    return plain


def _read_exactly(file: FileIO, position: int, length: int, stored: Readable) -> bytes:
    data = pread(file.fileno(), length, position)
    while len(data) < length:
        more = pread(file.fileno(), length - len(data), position + len(data))
        if not more:
            raise BlobDamaged(sha256=stored.sha256, reason=f"the store file ends {length - len(data)} bytes early")
        data += more
    return data


def _worth_deflating(head: memoryview) -> bool:
    """Judge by 4 pieces of 16 KiB, spread over what is given (64 KiB at least, the first MiB at most)."""
    step = (len(head) - _PIECE) // (_PIECES - 1)
    pieces = (head[i * step : i * step + _PIECE] for i in range(_PIECES))
    return _saves_enough(sum(len(isal_zlib.compress(piece, 1, -15)) for piece in pieces), _PIECES * _PIECE)


def _saves_enough(deflated: int, plain: int) -> bool:
    return deflated * 100 <= plain * 92


def _deflate(block: Buffer, last: bool) -> bytes:
    # One call for the whole block: what isal writes depends on how its input is cut.
    deflater = isal_zlib.compressobj(_LEVEL, zlib.DEFLATED, -15)
    return deflater.compress(block) + deflater.flush(zlib.Z_FINISH if last else zlib.Z_FULL_FLUSH)
