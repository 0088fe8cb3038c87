"""TAR (POSIX.1-2001): ustar headers, PAX records only where ustar cannot say it."""

from collections.abc import Iterator
from functools import lru_cache
from struct import Struct

from exports.engine.entries import Body, Entry, Form, Mark, Piece
from exports.engine.formats.base import Format

BLOCK = 512
#: An archive ends with two zero blocks and is, as GNU tar and Python make it, a multiple of this.
RECORD = 10240
HEADER = Struct("100s8s8s8s12s12s8s1s100s6s2s32s32s8s8s155s12x")
LARGEST_OCTAL = 8**11 - 1
REGULAR, FOLDER, PAX = b"0", b"5", b"x"
NULS = bytes(RECORD + BLOCK)


def padding(size: int) -> int:
    return -size % BLOCK


@lru_cache(maxsize=64)
def octal8(value: int) -> bytes:
    return b"%07o\0" % value


def block(name: bytes, prefix: bytes, mode: int, size: int, mtime: int, kind: bytes) -> bytes:
    """One ustar header, owned by nobody in particular (uid and gid 0, no names)."""
    zero = octal8(0)
    raw = HEADER.pack(
        name, octal8(mode & 0o7777), zero, zero, b"%011o\0" % size, b"%011o\0" % mtime, b"        ", kind, b"",
        b"ustar\0", b"00", b"", b"", zero, zero, prefix,
    )  # fmt: skip
    return b"%b%06o\0 %b" % (raw[:148], sum(raw), raw[156:])


def split(name: bytes) -> tuple[bytes, bytes] | None:
    """(prefix, name) as ustar wants them, or None when the name is too long for it."""
    if len(name) <= 100:
        return b"", name
    cut = name.rfind(b"/", 0, 156) if len(name) <= 256 else -1
    # The slash that ends a folder's name is no place to cut.
    return (name[:cut], name[cut + 1 :]) if 0 < cut < len(name) - 1 and len(name) - cut - 1 <= 100 else None


def record(key: bytes, value: bytes) -> bytes:
    """One PAX record, whose length counts its own digits."""
    rest = len(key) + len(value) + 3
    length = rest + len(str(rest))
    length = rest + len(str(length))
    return b"%d %b=%b\n" % (length, key, value)


def header(entry: Entry) -> bytes:
    """All that stands before the content of `entry`: one block, or a PAX header and one."""
    name, mtime = entry.name.encode(), entry.mtime // 1000000
    pax = b""
    places = split(name) if len(name) == len(entry.name) else None
    if places is None:
        pax += record(b"path", name)
        places = b"", entry.name.encode("ascii", "replace")[:100]
    if entry.size > LARGEST_OCTAL:
        pax += record(b"size", b"%d" % entry.size)
    if not 0 <= mtime <= LARGEST_OCTAL:
        pax += record(b"mtime", b"%d" % mtime)
    kind = FOLDER if entry.is_folder else REGULAR
    size, mtime = (0 if entry.size > LARGEST_OCTAL else entry.size), min(max(mtime, 0), LARGEST_OCTAL)
    plain = block(places[1], places[0], entry.mode, size, mtime, kind)
    if not pax:
        return plain
    return (
        block(b"PaxHeaders/" + places[1][-89:].rstrip(b"/"), b"", 0o644, len(pax), mtime, PAX)
        + pax
        + NULS[: padding(len(pax))]
        + plain
    )


def header_length(entry: Entry) -> int:
    """As `len(header(entry))`, at a tenth of its cost for the usual entry."""
    usual = len(entry.name) <= 100 and entry.name.isascii() and entry.size <= LARGEST_OCTAL
    if usual and 0 <= entry.mtime // 1000000 <= LARGEST_OCTAL:
        return BLOCK
    return len(header(entry))


class Tar(Format):
    name = "tar"
    extension = ".tar"
    content_type = "application/x-tar"
    edition = "tar.1"
    reads = Form.PLAIN

    def after(self, entry: Entry, mark: Mark) -> Mark:
        length = header_length(entry) + entry.size + padding(entry.size)
        return Mark(entry.ordinal + 1, mark.offset + length, 0, mark.count + 1)

    def pieces(self, entry: Entry, mark: Mark) -> Iterator[Piece]:
        yield header(entry)
        if entry.size:
            yield Body(entry, Form.PLAIN, entry.size)
            if pad := padding(entry.size):
                yield NULS[:pad]

    def closing(self, end: Mark) -> bytes:
        return NULS[: 2 * BLOCK + -(end.offset + 2 * BLOCK) % RECORD]
