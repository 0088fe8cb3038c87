"""Ten million tiny entries (lessons §4.23): archives that really have them are refused, in bounded memory."""

import gzip
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from exports.engine.formats.tar import BLOCK
from tests.engine.hostile import CENTRAL, LOCAL
from tests.engine.processes import in_process

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
MANY, BATCH = 10_000_000, 50_000
END64, LOCATOR64 = struct.Struct("<4sQHHIIQQQQ"), struct.Struct("<4sIQI")
END = struct.Struct("<4sHHHHIIH")


def batches() -> Iterator[list[tuple[int, bytes]]]:
    for first in range(0, MANY, BATCH):
        yield [(number, b"%08d" % number) for number in range(first, first + BATCH)]


def zip_with(path: Path, announced: int) -> None:
    """Well-formed but for the number of entries that its end announces."""
    local = LOCAL.pack(b"PK\3\4", 20, 0, 0, 0x21 << 16, 0, 0, 0, 8, 0)
    with path.open("wb") as out:
        for batch in batches():
            out.write(b"".join([local + name for _, name in batch]))
        begin = out.tell()
        head = CENTRAL.pack(b"PK\1\2", 20, 20, 0, 0, 0x21 << 16, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0)[:-4]
        place, each = struct.Struct("<I"), LOCAL.size + 8
        for batch in batches():
            out.write(b"".join([head + place.pack(number * each) + name for number, name in batch]))
        end = out.tell()
        out.write(END64.pack(b"PK\6\6", END64.size - 12, 45, 45, 0, 0, announced, announced, end - begin, begin))
        out.write(LOCATOR64.pack(b"PK\6\7", 0, end, 1))
        out.write(END.pack(b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0))


def tar_gz(path: Path) -> None:
    """5 GB of headers, a gzip member for each batch."""
    head = bytearray(BLOCK)
    head[100:156] = b"0000644\0" + b"0000000\0" * 2 + b"00000000000\0" + b"07346545000\0" + b" " * 8
    head[156:157], head[257:265] = b"0", b"ustar\x0000"
    before, behind, rest = bytes(head[8:148]), bytes(head[156:]), sum(head)
    with path.open("wb") as out:
        for batch in batches():
            blocks = [name + before + b"%06o\0 " % (rest + sum(name)) + behind for _, name in batch]
            out.write(gzip.compress(b"".join(blocks), 1))
        out.write(gzip.compress(bytes(2 * BLOCK)))


@pytest.mark.parametrize("kind", ["zip", "lying zip", "tar.gz"])
def test_ten_million_tiny_entries(kind: str, tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    if kind == "tar.gz":
        tar_gz(archive)
    else:
        zip_with(archive, MANY if kind == "zip" else 1000)
    found = in_process("refusal", str(archive))
    print(kind, archive.stat().st_size >> 20, "MiB", found)
    wanted = {
        "zip": "archive_too_large: The archive has 10000000 entries; 2000000 are allowed.",
        "lying zip": "no_archive",
        "tar.gz": "archive_too_large",
    }
    assert found["told"].startswith(wanted[kind]), found
    assert found["peak"] - found["idle"] < 100, found
