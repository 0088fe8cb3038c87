"""ZIP64 stands where a number needs it, and nowhere else."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from zlib import crc32

import pytest
from isal import isal_zlib

from exports.engine.entries import Body, Entry, Mark
from exports.engine.formats import FORMATS
from exports.engine.volumes import stream
from tests import ram
from tests.engine import records
from tests.engine.judges import JUDGES, Judge
from tests.engine.making import Making

GIB = 1 << 30
LIMIT = 0xFFFFFFFF
ZEROS = bytes(1 << 20)
ZIP_JUDGES = [judge for judge in JUDGES if "zip" in judge.formats]
TAR_JUDGES = [judge for judge in JUDGES if "tar" in judge.formats]
#: Sizes around what 32 bits hold.
SIZES = [pytest.param(LIMIT, id="4GiB-1"), pytest.param(4 * GIB, id="4GiB"), pytest.param(5 * GIB, id="5GiB")]


@pytest.fixture
def room() -> Iterator[Path]:
    """In memory only if it has twice the usual 5 GB and more: several of these tests may run at once."""
    folder = ram.make_folder(8 * GIB)
    assert shutil.disk_usage(folder).free > 14 * GIB, "14 GB of free disk are needed"
    yield folder
    shutil.rmtree(folder)


def zeros(size: int) -> Iterator[memoryview]:
    whole = memoryview(ZEROS)
    for _ in range(size >> 20):
        yield whole
    yield whole[: size & 0xFFFFF]


def zeros_crc32(size: int) -> int:
    crc, block, each = 0, crc32(ZEROS), size >> 20
    for _ in range(each):
        crc = isal_zlib.crc32_combine(crc, block, 1 << 20)
    return crc32(ZEROS[: size & 0xFFFFF], crc)


def sparse(made: Making, folder: Path, name: str, size: int) -> Entry:
    """A raw content of zeros that takes no disk."""
    path = folder / f"sparse-{size}"
    path.touch()
    os.truncate(path, size)
    entry = made.file(name, b"")
    crc = zeros_crc32(size)
    made.entries[-1] = entry._replace(
        size=size,
        crc32=crc,
        stored_size=size,
        stored_crc32=crc,
        encoding="raw",
        file=str(path),
        offset=0,
        sha256="0" * 64,
    )
    return made.entries[-1]


def test_small_archives_have_no_zip64_record(tmp_path: Path) -> None:
    made = Making(tmp_path)
    made.folder("folder/")
    for number in range(300):
        made.file(f"folder/{number}é", b"text " * number)
    made.file("noise", os.urandom(100_000))
    path = made.archive("zip", tmp_path / "a.zip")
    found = records.read(path)
    assert found.end64 is None
    assert len(found.central) == 302
    for record in found.central + found.local:
        assert record.needed == 20
        assert record.extras.keys() == {0x5455}
    assert b"PK\6\6" not in path.read_bytes() and b"PK\6\7" not in path.read_bytes()


@pytest.mark.parametrize("count", [65_534, 65_535, 65_536])
def test_only_a_count_that_16_bits_cannot_say_brings_a_zip64_end(count: int, tmp_path: Path) -> None:
    made = Making(tmp_path)
    entry = made.file("0", b"x")
    for number in range(1, count):
        made.again(str(number), entry)
    found = records.read(made.archive("zip", tmp_path / "a.zip"))
    assert len(found.central) == count
    assert (found.end64 is None) == (count < 65_535)
    assert found.end[2:4] == (min(count, 65_535),) * 2
    # Nothing but the count asks for it.
    assert found.end[4:6] == (found.directory[1], found.directory[0])
    assert not any(1 in record.extras for record in found.central + found.local)


def check_records(path: Path, entries: list[Entry]) -> records.Zip:
    """Sizes and offset are in 64 bits exactly where one of them must be."""
    found = records.read(path)
    for central, local, entry in zip(found.central, found.local, entries, strict=True):
        large, far = max(entry.size, entry.stored_size) >= LIMIT, central.offset >= LIMIT
        sizes = entry.size.to_bytes(8, "little") + entry.stored_size.to_bytes(8, "little")
        for record, long in ((local, large), (central, large or far)):
            assert record.crc32 == entry.crc32
            assert (record.size, record.stored) == ((LIMIT, LIMIT) if long else (entry.size, entry.stored_size))
            offset = central.offset.to_bytes(8, "little") if far and record is central else b""
            assert record.extras.get(1, b"") == (sizes + offset if long else b"")
        assert (local.needed, central.needed) == (45 if large else 20, 45 if large or far else 20)
    assert (found.end64 is not None) == (found.directory[0] >= LIMIT or len(entries) >= 65_535)
    return found


def accepted(made: Making, kind: str, path: Path, judges: list[Judge], last: str) -> Path:
    """Written, and read whole by every judge."""
    made.archive(kind, path)
    for judge in judges:
        names = judge.called().checked_names(path)
        assert (len(names), names[-1]) == (len(made.entries), last), judge.name
    return path


@pytest.mark.parametrize("size", [LIMIT - 1, LIMIT, 4 * GIB, 5 * GIB, 5 << 40])
@pytest.mark.parametrize("stored", ["little", "as much"])
def test_the_planned_length_holds_for_any_size(size: int, stored: str, tmp_path: Path) -> None:
    """Without a byte of content: the pieces of each entry and its directory record are as long as planned."""
    entry = (
        Making(tmp_path)
        .file("large", b"x" * 9999)
        ._replace(
            size=size,
            stored_size=4096 if stored == "little" else size,
            encoding="deflate" if stored == "little" else "raw",
        )
    )
    for kind in FORMATS.values():
        for offset in (0, LIMIT - 1, LIMIT, 7 << 40):
            mark = Mark(0, offset, 0, 0)
            pieces = sum(each.length if type(each) is Body else len(each) for each in kind.pieces(entry, mark))
            after = kind.after(entry, mark)
            assert after.offset - offset == pieces, kind.name
            if kind.has_directory:
                assert after.aux == len(kind.directory(entry, offset, next(kind.pieces(entry, Mark(0, offset, 0, 0)))))


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("size", SIZES)
def test_a_compressed_file_around_4_gib_is_read_by_all(size: int, room: Path) -> None:
    made = Making(room)
    made.encoded("large", zeros(size))
    made.file("after", b"small")
    assert made.entries[0].stored_size < size // 100
    path = accepted(made, "zip", room / "a.zip", ZIP_JUDGES, "after")
    found = check_records(path, made.entries)
    assert found.end64 is None


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("size", SIZES)
def test_a_raw_file_around_4_gib_and_offsets_behind_it_are_read_by_all(size: int, room: Path) -> None:
    made = Making(room)
    sparse(made, room, "large", size)
    made.file("after", b"small")
    path = accepted(made, "zip", room / "a.zip", ZIP_JUDGES, "after")
    found = check_records(path, made.entries)
    assert found.end64 is not None and found.central[1].offset > size


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_file_of_9_gib_is_read_from_a_tar_by_all(room: Path) -> None:
    """Past the 8 GiB of ustar's octal size."""
    made = Making(room)
    made.encoded("large", zeros(9 * GIB))
    made.file("after", b"small")
    accepted(made, "tar", room / "a.tar", TAR_JUDGES, "after")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_file_past_4_gib_is_read_from_a_tar_gz_by_all(room: Path) -> None:
    """Past what gzip's trailer can count. Listing inflates, and so checks, all of it."""
    made = Making(room)
    made.encoded("large", zeros(4 * GIB + 1))
    made.file("after", b"small")
    path = made.archive("tar_gz", room / "a.tar.gz")
    for judge in TAR_JUDGES:
        assert judge.called().names(path) == ["large", "after"], judge.name


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_ranges_far_behind_4_gib_are_those_of_the_whole(room: Path) -> None:
    made = Making(room)
    sparse(made, room, "raw", 5 * GIB + 1)
    made.encoded("deflated", zeros(5 * GIB + 1))
    made.file("after", b"small")
    for kind in ("zip", "tar_gz"):
        path = made.archive(kind, room / "whole")
        plan, size = made.only(kind), path.stat().st_size
        with path.open("rb") as file:
            for start in (0, LIMIT - 1, LIMIT, 4 * GIB, 5 * GIB - 7, 5 * GIB + 1, size - 100_000, size - 1):
                file.seek(start)
                whole = file.read(50_000)
                assert b"".join(stream(plan, made.source, start, start + len(whole))) == whole
        path.unlink()
