"""Takes metadata out of a picture's file and leaves every pixel as it is. JPEG, PNG and WebP alone can be cut so.

Colour profiles stay, and how the picture is to be turned: without them it would look another way.
"""

import re
import struct
import zlib
from collections.abc import Iterator

from exports.engine.images.painting import Unpaintable

_EXIF_TURN = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0%b\0\0\0\0\0\0"
#: JFIF, and Adobe's word on how CMYK is meant. Of APP2 only colour profiles.
_KEPT_SEGMENTS = (0xE0, 0xEE)
#: In the coded pixels FF 00 is a byte FF, FF D0 to FF D7 are places to begin again, and more FF fill up.
_NEXT_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_KEPT_CHUNKS = frozenset(b"tRNS gAMA cHRM sRGB iCCP sBIT bKGD hIST pHYs sPLT acTL fcTL fdAT cICP mDCV cLLI".split())
_WEBP_EXIF, _WEBP_XMP = 0x08, 0x04


def stripped(data: memoryview, kind: str, turn: int) -> Iterator[bytes]:
    """Pieces of the file without metadata. `kind` is Pillow's name of the format, `turn` the EXIF orientation.

    Raises Unpaintable where the file is broken, or of another format.
    """
    exif = _EXIF_TURN % struct.pack("<H", turn) if turn > 1 else b""
    try:
        way = {"JPEG": _jpeg, "MPO": _jpeg, "PNG": _png, "WEBP": _webp}[kind]
    except KeyError:
        raise Unpaintable(f"metadata cannot be taken out of a {kind} without changing it") from None
    try:
        yield from way(data, exif)
    except (IndexError, struct.error) as error:
        raise Unpaintable("its structure is broken") from error


def _jpeg(data: memoryview, exif: bytes) -> Iterator[bytes]:
    """What follows the end of the picture goes too: thumbnails, films, and what cameras put there."""
    yield b"\xff\xd8"
    if exif:
        body = b"Exif\0\0" + exif
        yield b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body
    position = 2
    while True:
        while data[position] == 0xFF and data[position + 1] == 0xFF:
            position += 1
        if data[position] != 0xFF:
            raise Unpaintable("its structure is broken")
        marker = data[position + 1]
        if marker == 0xD9:
            yield b"\xff\xd9"
            return
        (length,) = struct.unpack_from(">H", data, position + 2)
        end = position + 2 + length
        if end > len(data) or length < 2:
            raise Unpaintable("its structure is broken")
        if marker == 0xDA:
            following = _NEXT_MARKER.search(data, end)
            if following is None:
                raise Unpaintable("it ends in the middle")
            end = following.start()
        if _is_kept(marker, data[position + 4 : end]):
            yield bytes(data[position:end])
        position = end


def _is_kept(marker: int, body: memoryview) -> bool:
    if marker == 0xFE:
        return False
    if marker == 0xE2:
        return bytes(body[:12]) == b"ICC_PROFILE\0"
    return marker in _KEPT_SEGMENTS or not 0xE0 <= marker <= 0xEF


def _png(data: memoryview, exif: bytes) -> Iterator[bytes]:
    yield bytes(data[:8])
    position = 8
    while True:
        length, name = struct.unpack_from(">I4s", data, position)
        end = position + 12 + length
        if end > len(data):
            raise Unpaintable("it ends in the middle")
        if name == b"IDAT" and exif:
            crc = zlib.crc32(b"eXIf" + exif)
            yield struct.pack(">I4s", len(exif), b"eXIf") + exif + struct.pack(">I", crc)
            exif = b""
        if name in _KEPT_CHUNKS or name[:1].isupper():
            yield bytes(data[position:end])
        if name == b"IEND":
            return
        position = end


def _webp(data: memoryview, exif: bytes) -> Iterator[bytes]:
    """The length of all stands in front, so the chunks are looked at twice."""
    kept = list(_webp_kept(data))
    size = 4 + sum(end - start for start, end in kept)
    extra = b"EXIF" + struct.pack("<I", len(exif)) + exif if exif else b""
    yield b"RIFF" + struct.pack("<I", size + len(extra)) + b"WEBP"
    for start, end in kept:
        chunk = bytes(data[start:end])
        if chunk[:4] == b"VP8X":
            flags = chunk[8] & ~(_WEBP_EXIF | _WEBP_XMP) | (_WEBP_EXIF if exif else 0)
            chunk = chunk[:8] + bytes([flags]) + chunk[9:]
        yield chunk
    yield extra


def _webp_kept(data: memoryview) -> Iterator[tuple[int, int]]:
    position, whole = 12, min(8 + struct.unpack_from("<I", data, 4)[0], len(data))
    while position < whole:
        name, length = struct.unpack_from("<4sI", data, position)
        end = position + 8 + length + length % 2
        if end > len(data):
            raise Unpaintable("it ends in the middle")
        if name in (b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF", b"ICCP"):
            yield position, end
        position = end
