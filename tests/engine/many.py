"""Archives of any number of empty entries that cost little to make: each entry is there, and has a name of its own."""

import struct
from pathlib import Path

from isal import igzip

from exports.engine.formats.tar import BLOCK, REGULAR, block
from exports.engine.restore import Source
from tests.engine.hostile import CENTRAL, END, LOCAL

END64, LOCATOR64, PLACE = struct.Struct("<4sQHHIIQQQQ"), struct.Struct("<4sIQI"), struct.Struct("<I")


class ManyZip(Source):
    """A ZIP that is there only where somebody reads it; well-formed but for the number that its end announces."""

    def __init__(self, many: int, announced: int) -> None:
        self._local = LOCAL.pack(b"PK\3\4", 20, 0, 0, 0x21 << 16, 0, 0, 0, 8, 0)
        self._central = CENTRAL.pack(b"PK\1\2", 20, 20, 0, 0, 0x21 << 16, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0)[: -PLACE.size]
        self._begin = many * (LOCAL.size + 8)
        self._end = self._begin + many * (CENTRAL.size + 8)
        size = self._end - self._begin
        self._tail = (
            END64.pack(b"PK\6\6", END64.size - 12, 45, 45, 0, 0, announced, announced, size, self._begin)
            + LOCATOR64.pack(b"PK\6\7", 0, self._end, 1)
            + END.pack(b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
        )
        super().__init__("/dev/null", 0, self._end + len(self._tail))

    def read(self, offset: int, size: int) -> bytes:
        if offset < 0 or not self.holds(offset + size):
            return super().read(offset, size)
        data = bytearray()
        while len(data) < size:
            data += self._record(offset + len(data))[: size - len(data)]
        return bytes(data)

    def _record(self, at: int) -> bytes:
        """From `at` to the end of the record that lies there."""
        if at >= self._end:
            return self._tail[at - self._end :]
        length = LOCAL.size + 8
        if at < self._begin:
            number, begun = divmod(at, length)
            return (self._local + b"%08d" % number)[begun:]
        number, begun = divmod(at - self._begin, CENTRAL.size + 8)
        return (self._central + PLACE.pack(number * length) + b"%08d" % number)[begun:]


def many_tar_gz(path: Path, batches: int, each: int) -> None:
    """A gzip member for each batch (1,000 at most): the same headers, but for the batch that their names tell.

    The digits of n and 999 - n add up to 27 whatever n is, so that the checksums are the same too.
    """
    headers = b"".join(block(b"000999/%05d" % number, b"", 0o644, 0, 0, REGULAR) for number in range(each))
    parts = headers.split(b"000999/")
    with path.open("wb") as out:
        for batch in range(batches):
            out.write(igzip.compress((b"%03d%03d/" % (batch, 999 - batch)).join(parts), 1))
        out.write(igzip.compress(bytes(2 * BLOCK)))
