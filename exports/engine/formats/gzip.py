"""TAR.GZ from streams that are compressed already.

Each file is one gzip member (RFC 1952 §2.2 lets them be concatenated): the padding owed by the file before,
the tar header, and the blob's own DEFLATE stream, or its raw bytes in stored blocks. Only some hundred bytes of
header are compressed here.
"""

import hashlib
import zlib
from collections.abc import Iterator
from struct import Struct

from isal import isal_zlib

from exports.engine.entries import Body, Entry, Form, Mark, Piece
from exports.engine.formats.base import Format
from exports.engine.formats.tar import NULS, header, padding

MEMBER = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"
TRAILER = Struct("<II")
#: The largest stored DEFLATE block (RFC 1951 §3.2.4) and the bytes that announce it.
FRAME = 65535
FRAME_HEADER = 5


def framed_length(size: int) -> int:
    return size + FRAME_HEADER * -(-size // FRAME)


def squeeze(data: bytes, flush: int) -> bytes:
    """DEFLATE some hundred bytes. Run lengths alone: TAR headers are mostly zeros, and zlib's small state starts
    in 5 µs (its default takes 71). isal would be as fast, but chooses its code by the CPU it runs on."""
    deflate = zlib.compressobj(1, zlib.DEFLATED, -9, 1, zlib.Z_RLE)
    return deflate.compress(data) + deflate.flush(flush)


def zlib_fingerprint() -> str:
    """Another zlib (zlib-ng, say) may compress a header to other bytes; then the ETag must differ too."""
    sample = bytes(300) + b"".join(b"folder-%d/name %03o\0" % (n, n * 7919) for n in range(64))
    return hashlib.sha256(squeeze(sample, zlib.Z_SYNC_FLUSH)).hexdigest()[:8]


class TarGz(Format):
    name = "tar_gz"
    extension = ".tar.gz"
    content_type = "application/gzip"
    edition = f"tar_gz.1.{zlib_fingerprint()}"

    def after(self, entry: Entry, mark: Mark) -> Mark:
        body = 0
        if entry.size:
            body = entry.stored_size if entry.encoding == "deflate" else framed_length(entry.size)
        length = len(MEMBER) + len(self._opening(entry, mark)[1]) + body + TRAILER.size
        return Mark(entry.ordinal + 1, mark.offset + length, padding(entry.size), mark.count + 1)

    @staticmethod
    def _opening(entry: Entry, mark: Mark) -> tuple[bytes, bytes]:
        plain = NULS[: mark.aux] + header(entry)
        return plain, squeeze(plain, zlib.Z_SYNC_FLUSH if entry.size else zlib.Z_FINISH)

    def pieces(self, entry: Entry, mark: Mark) -> Iterator[Piece]:
        plain, squeezed = self._opening(entry, mark)
        yield MEMBER + squeezed
        if not entry.size:
            yield TRAILER.pack(zlib.crc32(plain), len(plain))
            return
        if entry.encoding == "deflate":
            yield Body(entry, Form.STORED, entry.stored_size)
        else:
            yield Body(entry, Form.FRAMED, framed_length(entry.size))
        crc = isal_zlib.crc32_combine(zlib.crc32(plain), entry.crc32, entry.size)
        yield TRAILER.pack(crc, (len(plain) + entry.size) & 0xFFFFFFFF)

    def owed(self, entry: Entry) -> int:
        return padding(entry.size)

    def closing(self, end: Mark) -> bytes:
        # Two zero blocks; how long the TAR inside is, and so how far from a whole record, is not known here.
        plain = NULS[: end.aux + 1024]
        return MEMBER + squeeze(plain, zlib.Z_FINISH) + TRAILER.pack(zlib.crc32(plain), len(plain))
