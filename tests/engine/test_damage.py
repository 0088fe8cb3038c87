"""What is damaged is named, all of it and nothing else; and nothing half-written is left."""

import os
import random
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from cells.errors import BlobDamaged, NoSpace
from exports.engine.contents import CHUNK, Contents, damage
from exports.engine.entries import Body, Entry, Form
from exports.engine.formats import FORMATS
from exports.engine.volumes import stream, write
from exports.errors import EntriesDamaged
from tests.engine.making import Making

MIB = 1 << 20
COMPUTED = [name for name, each in FORMATS.items() if each.computed]


def noise(size: int) -> bytes:
    return random.Random(size).randbytes(size)


@pytest.fixture
def made(tmp_path: Path) -> Making:
    """Entries of every size and encoding; each of the named ones in a store file of its own."""
    making = Making(tmp_path)
    for number in range(60):
        making.file(f"{number}", b"small text %d " % number * 20)
        if number % 20 == 10:
            own(making, tmp_path, making.file(f"text {number}", noise(250_000 + number).hex().encode()))
            own(making, tmp_path, making.file(f"noise {number}", noise(300_000 + number)))
            own(making, tmp_path, making.file(f"short {number}", noise(1000 + number)))
            own(making, tmp_path, making.file(f"shorttext {number}", b"text %d " % number * 100))
    return making


def own(making: Making, folder: Path, entry: Entry) -> Entry:
    path = folder / f"blob-{entry.ordinal}"
    with making.path.open("rb") as file:
        file.seek(entry.offset)
        path.write_bytes(file.read(entry.stored_size))
    making.entries[entry.ordinal] = entry._replace(file=str(path), offset=0)
    return making.entries[entry.ordinal]


def truncate(entry: Entry) -> None:
    os.truncate(entry.file, entry.stored_size - 1)


def empty(entry: Entry) -> None:
    os.truncate(entry.file, 0)


def remove(entry: Entry) -> None:
    os.unlink(entry.file)


def folder(entry: Entry) -> None:
    os.unlink(entry.file)
    os.mkdir(entry.file)


def flip(entry: Entry, at: int) -> None:
    with open(entry.file, "r+b") as file:
        file.seek(at)
        old = file.read(1)
        file.seek(at)
        file.write(bytes([old[0] ^ 0x10]))


def flip_first(entry: Entry) -> None:
    flip(entry, 0)


def flip_middle(entry: Entry) -> None:
    flip(entry, entry.stored_size // 2)


def flip_last(entry: Entry) -> None:
    # The last bits of a DEFLATE stream may mean nothing: then a TAR, inflated, is right all the same.
    flip(entry, entry.stored_size - (1 if entry.encoding == "raw" else 3))


HARMS = [truncate, empty, remove, folder, flip_first, flip_middle, flip_last]
VICTIMS = [
    ["text 10"],
    ["noise 30"],
    ["short 50"],
    ["shorttext 10"],
    ["text 50", "noise 10", "short 30", "shorttext 50"],
]


def left(path: Path) -> list[str]:
    return [each.name for each in path.iterdir()]


@pytest.mark.parametrize("harm", HARMS)
@pytest.mark.parametrize(
    ("kind", "victims"),
    # A bzip2 reads as a TAR does.
    [(kind, victims) for kind in FORMATS for victims in (VICTIMS[-1:] if kind == "tar_bz2" else VICTIMS)],
)
def test_exactly_the_damaged_entries_are_named_and_no_file_is_left(
    kind: str, harm, victims: list[str], made: Making, tmp_path: Path
) -> None:
    target = tmp_path / "volumes"
    target.mkdir()
    hurt = [entry for entry in made.entries if entry.name in victims]
    for entry in hurt:
        harm(entry)
    with pytest.raises(EntriesDamaged) as caught:
        write(made.only(kind), made.source, str(target / "a"))
    assert set(caught.value.damaged) == {entry.ordinal for entry in hurt}
    assert all(caught.value.damaged.values())
    assert left(target) == []
    # What is left without them is an archive.
    made.entries = [entry for entry in made.entries if entry not in hurt]
    assert write(made.only(kind), lambda first, last: iter(
        [each for each in made.entries if first <= each.ordinal < last]), str(target / "a")) > 0  # fmt: skip


def test_an_entry_without_a_place_is_damaged(made: Making, tmp_path: Path) -> None:
    made.entries[3] = made.entries[3]._replace(file="", offset=0)
    large = next(entry for entry in made.entries if entry.name == "text 10")
    made.entries[large.ordinal] = large._replace(file="", offset=0)
    for kind in FORMATS:
        with pytest.raises(EntriesDamaged) as caught:
            write(made.only(kind), made.source, str(tmp_path / "a"))
        assert set(caught.value.damaged) == {3, large.ordinal}


@pytest.mark.parametrize("kind", ["tar", "tar_bz2"])
@pytest.mark.parametrize("name", ["shorttext 10", "text 10", "7"])
def test_content_that_inflates_to_something_else_is_named(kind: str, name: str, made: Making, tmp_path: Path) -> None:
    """The stored bytes are as recorded; what was recorded of the plain ones is wrong."""
    entry = next(each for each in made.entries if each.name == name)
    assert entry.encoding == "deflate"
    made.entries[entry.ordinal] = entry._replace(crc32=entry.crc32 ^ 1)
    target = tmp_path / "volumes"
    target.mkdir()
    with pytest.raises(EntriesDamaged) as caught:
        write(made.only(kind), made.source, str(target / "a"))
    assert set(caught.value.damaged) == {entry.ordinal}
    assert left(target) == []


@pytest.mark.parametrize("kind", COMPUTED)
@pytest.mark.parametrize("harm", HARMS)
@pytest.mark.parametrize("name", ["text 50", "noise 50", "short 50", "shorttext 50"])
def test_a_stream_of_damaged_content_ends_early(kind: str, harm, name: str, made: Making) -> None:
    harm(next(entry for entry in made.entries if entry.name == name))
    plan, got = made.only(kind), 0
    with pytest.raises(BlobDamaged):
        for piece in stream(plan, made.source):
            got += len(piece)
    assert got < plan.length


@pytest.mark.parametrize("form", Form)
@pytest.mark.parametrize("harm", HARMS)
@pytest.mark.parametrize("name", ["text 50", "noise 50"])
def test_the_last_bytes_of_a_damaged_content_are_not_given_away(form: Form, harm, name: str, made: Making) -> None:
    """Who reads `chunks` whole and counts has too few, even if nobody asks for what comes after the last one."""
    entry = next(each for each in made.entries if each.name == name)
    if form is Form.FRAMED and entry.encoding != "raw":
        form = Form.STORED
    harm(entry)
    length = {Form.PLAIN: entry.size, Form.STORED: entry.stored_size}.get(form) or entry.size + 5 * -(
        -entry.size // 65535
    )
    got = 0
    with Contents() as contents, pytest.raises(BlobDamaged):
        for piece in contents.chunks(Body(entry, form, length), 0, length):
            got += len(piece)
    assert got < length


def test_damage_is_empty_when_all_is_well(made: Making) -> None:
    assert list(damage(iter(made.entries))) == list(damage(iter(made.entries), Form.PLAIN)) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MiB."""
    where = tmp_path / "small"
    where.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "none", where], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"no file system may be mounted here: {done.stderr.strip()}")
    yield where
    subprocess.run(["umount", where], check=True)


@pytest.mark.parametrize("kind", FORMATS)
def test_a_full_disk_is_named_and_no_file_is_left(kind: str, small_disk: Path, tmp_path: Path) -> None:
    made = Making(tmp_path)
    made.file("noise", noise(6 * MIB))
    (small_disk / "deep" / "er").mkdir(parents=True)
    with pytest.raises(NoSpace) as caught:
        write(made.only(kind), made.source, str(small_disk / "deep" / "er" / "a"))
    assert caught.value.params == {"mount": str(small_disk)}
    assert left(small_disk / "deep" / "er") == []


@pytest.mark.parametrize("kind", FORMATS)
def test_a_disk_that_fills_up_while_we_write_is_named_and_no_file_is_left(
    kind: str, small_disk: Path, tmp_path: Path
) -> None:
    """There was room when the volume was begun."""
    made = Making(tmp_path)
    made.file("noise", noise(3 * MIB))

    def tick(count: int) -> None:
        if not (small_disk / "other").exists():
            (small_disk / "other").write_bytes(bytes(2 * MIB))

    with pytest.raises(NoSpace) as caught:
        write(made.only(kind), made.source, str(small_disk / "a"), tick)
    assert caught.value.params == {"mount": str(small_disk)}
    assert left(small_disk) == ["other"]


@pytest.mark.parametrize("kind", FORMATS)
def test_stopping_leaves_no_file_and_no_thread(kind: str, made: Making, tmp_path: Path) -> None:
    class Stopped(Exception):
        pass

    def tick(count: int) -> None:
        raise Stopped

    target = tmp_path / "volumes"
    target.mkdir()
    before = threading.active_count()
    with pytest.raises(Stopped):
        write(made.only(kind), made.source, str(target / "a"), tick)
    assert left(target) == [] and threading.active_count() <= before


@pytest.mark.parametrize("kind", FORMATS)
def test_ticks_count_what_is_written(kind: str, made: Making, tmp_path: Path) -> None:
    counts: list[int] = []
    length = write(made.only(kind), made.source, str(tmp_path / "a"), counts.append)
    assert sum(counts) == length == (tmp_path / "a").stat().st_size
    assert len(counts) > 1


def test_what_stood_there_stays_until_the_new_volume_is_whole(made: Making, tmp_path: Path) -> None:
    target = tmp_path / "volumes"
    target.mkdir()
    (target / "a").write_bytes(b"of yesterday")
    remove(next(entry for entry in made.entries if entry.name == "noise 50"))
    with pytest.raises(EntriesDamaged):
        write(made.only("zip"), made.source, str(target / "a"))
    assert left(target) == ["a"] and (target / "a").read_bytes() == b"of yesterday"


def test_a_final_name_that_cannot_be_taken_leaves_no_part(made: Making, tmp_path: Path) -> None:
    target = tmp_path / "volumes"
    (target / "a" / "in the way").mkdir(parents=True)
    with pytest.raises(OSError, match="a"):
        write(made.only("zip"), made.source, str(target / "a"))
    assert left(target) == ["a"]


def test_a_name_without_a_folder_is_one_here(made: Making, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert write(made.only("zip"), made.source, "a.zip") == Path("a.zip").stat().st_size
    assert left(tmp_path / "here") == ["a.zip"]


def test_neighbours_in_one_file_are_read_ahead_and_still_told_apart(tmp_path: Path) -> None:
    made = Making(tmp_path)
    for number in range(2000):
        made.file(str(number), b"%d " % number * 60)
    assert made.entries[-1].offset > CHUNK // 8
    for ordinal in (0, 700, 1999):
        flip_at = made.entries[ordinal].offset
        flip(made.entries[ordinal], flip_at)
    assert [ordinal for ordinal, _ in damage(iter(made.entries))] == [0, 700, 1999]
    with pytest.raises(EntriesDamaged) as caught:
        write(made.only("tar"), made.source, str(tmp_path / "a"))
    assert list(caught.value.damaged) == [0, 700, 1999]
