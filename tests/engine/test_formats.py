"""Foreign programs read what the engine writes: every format, every count, every name, every byte."""

import random
import tarfile
import time
import zipfile
from calendar import timegm
from pathlib import Path

import pytest

from exports.engine.entries import EXECUTABLE_MODE, FILE_MODE, FOLDER_MODE, Entry
from exports.engine.formats import FORMATS
from tests.engine.judges import JUDGES, PAIRS, Judge, empty_zip, tree
from tests.engine.making import Making

ZIP_JUDGES = [judge for judge in JUDGES if "zip" in judge.formats]


def extension(name: str) -> str:
    return FORMATS[name].extension


def micros(*date: int) -> int:
    return timegm((*date, 0, 0, 0)[:6]) * 1_000_000


NAMES = (
    "a.txt",
    "with space/and  two",
    "quotes ' \" ` $HOME $(id) %s %n",
    "-rf",
    "--checkpoint-action=exec=false",
    "@list",
    "dots.../...x",
    "tilde~/~root",
    "star * ? [a-z] {b,c}",
    "percent %41 & | < > : ;x",
    "ünï/日本語/ñandú €.txt",
    "nfd-e\u0301/u\u0308",
    "emoji 👩‍👩‍👧‍👦 🏳️‍🌈.png",
    "rtl \u202egnp.exe",
    "עברית/عربى",
    "zero\u200bwidth\ufeff",
    "CON",
    "aux.txt",
    "trailing dot.",
    "trailing space ",
    " leading",
    "x" * 100,
    "x" * 99 + "y/z",
    "p" * 155 + "/" + "n" * 100,
    "p" * 155 + "/" + "n" * 101,
    "p" * 156 + "/" + "n",
    "deep/" * 80 + "end",
    "u" + "é" * 126,
    "long/" + "/".join("é" * 120 for _ in range(8)),
    "n" * 255,
    "many/" + "/".join("m" * 250 for _ in range(11)),
)


@pytest.fixture(scope="module")
def rich(tmp_path_factory: pytest.TempPathFactory) -> Making:
    """Odd names, all dates that a file system here can hold, both modes, empty folders, contents of every form."""
    made = Making(tmp_path_factory.mktemp("rich"))
    for number, name in enumerate(NAMES):
        made.file(name, f"content of {number}\n".encode() * number)
    for name, mtime in DATES.items():
        made.file(f"dates/{name}", name.encode(), mtime=mtime)
    made.file("bin/run", b"#!/bin/sh\n", mode=EXECUTABLE_MODE)
    made.folder("empty/")
    made.folder("leer/ünï " + "é" * 60 + "/" + "f" * 90 + "/", mtime=micros(2001, 2, 3))
    text = b"".join(b"%d bottles of beer\n" % number for number in range(200_000))
    for size in (0, 1, 511, 512, 513, 65535, 65536, 262_144, 262_145, 1 << 20, (1 << 20) + 1, 3_000_000):
        made.file(f"text/{size}", text[:size])
    for size in (65535, 65536, 131_070, 300_000):
        made.file(f"noise/{size}", noise(size))
    return made


def noise(size: int) -> bytes:
    return random.Random(size).randbytes(size)


DATES = {
    "epoch": 0,
    "1975": micros(1975, 6, 7, 8, 9, 11),
    "1980": micros(1980, 1, 1),
    "odd": micros(2023, 11, 14, 22, 13, 21) + 999_999,
    "leap": micros(2024, 2, 29, 23, 59, 59),
    "2038": (2**31 - 1) * 1_000_000,
}
#: Outside what the extended timestamp of ZIP can say alike to all.
FAR = {
    "1901": -(2**31) * 1_000_000,
    "1969": -1,
    "2038": 2**31 * 1_000_000,
    "2107": micros(2107, 12, 31, 23, 59, 59),
    "2108": micros(2108, 1, 1),
    "2108-12": micros(2108, 12, 31, 23, 59, 59),
    "2200": micros(2200, 1, 1, 0, 0, 1),
    "2445": micros(2445, 1, 1, 0, 0, 1),
}


@pytest.fixture(scope="module")
def archives(rich: Making, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("archives")
    return {name: rich.archive(name, folder / f"rich{extension(name)}") for name in FORMATS}


@pytest.mark.parametrize(("judge", "kind"), PAIRS)
def test_a_foreign_program_unpacks_every_byte_name_time_and_mode(
    judge: Judge, kind: str, rich: Making, archives: dict[str, Path], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    judge.called().check(archives[kind])
    judge.extract(archives[kind], out)
    found = judge.found(out)
    for entry in rich.entries:
        there = found[judge.spells(entry.name)]
        assert there.is_folder == entry.is_folder
        assert there.data == rich.plain.get(entry.name, b"")
        if (judge.name, kind) != ("python", "zip"):  # zipfile unpacks neither times nor modes
            assert there.mtime == entry.mtime // 1_000_000, entry.name
            assert there.executable == bool(entry.mode & 0o100), entry.name
    expected = {entry.name for entry in rich.entries} | parents(rich.entries)
    assert found.keys() == {judge.spells(name) for name in expected}


def parents(entries: list[Entry]) -> set[str]:
    """The folders on the way to entries."""
    return {entry.name[: at + 1] for entry in entries for at, sign in enumerate(entry.name) if sign == "/"}


@pytest.mark.parametrize(("judge", "kind"), PAIRS)
def test_a_foreign_program_lists_the_names(judge: Judge, kind: str, rich: Making, archives: dict[str, Path]) -> None:
    listed = judge.called().names(archives[kind])
    assert len(listed) == len(rich.entries)
    assert {entry.name for entry in rich.entries if entry.name.isascii()} <= set(listed)


def test_python_reads_the_records_of_a_zip(rich: Making, archives: dict[str, Path]) -> None:
    with zipfile.ZipFile(archives["zip"]) as archive:
        infos = archive.infolist()
    assert [info.filename for info in infos] == [entry.name for entry in rich.entries]
    for info, entry in zip(infos, rich.entries, strict=True):
        assert info.external_attr >> 16 == entry.mode
        assert bool(info.external_attr & 0x10) == info.is_dir() == entry.is_folder
        assert bool(info.flag_bits & 0x800) == (not entry.name.isascii())
        assert info.flag_bits & 0x8 == 0
        assert (info.file_size, info.compress_size, info.CRC) == (entry.size, entry.stored_size, entry.crc32)
        seconds = max(entry.mtime // 1_000_000, timegm((1980, 1, 1, 0, 0, 0)))
        assert info.date_time == time.gmtime(seconds // 2 * 2)[:6]


def test_python_reads_the_records_of_a_tar(rich: Making, archives: dict[str, Path]) -> None:
    with tarfile.open(archives["tar"]) as archive:
        members = archive.getmembers()
    assert [member.name + "/" * member.isdir() for member in members] == [entry.name for entry in rich.entries]
    for member, entry in zip(members, rich.entries, strict=True):
        assert (member.size, member.mtime) == (entry.size, entry.mtime // 1_000_000)
        assert member.mode == (entry.mode & 0o7777)
        assert (member.uid, member.gid, member.uname, member.gname) == (0, 0, "", "")
        needs_pax = not entry.name.isascii() or len(entry.name) > 256
        assert member.pax_headers.keys() >= ({"path"} if needs_pax else set())
        if len(entry.name) <= 100 and entry.name.isascii():
            assert not member.pax_headers


@pytest.mark.parametrize(("judge", "kind"), PAIRS)
def test_dates_outside_the_usual_are_exact_in_tar_and_never_far_off_in_zip(
    judge: Judge, kind: str, tmp_path: Path
) -> None:
    made = Making(tmp_path)
    for name, mtime in FAR.items():
        made.file(name, b"x", mtime=mtime)
    archive = made.archive(kind, tmp_path / f"far{extension(kind)}")
    judge.called().check(archive)
    (tmp_path / "out").mkdir()
    judge.extract(archive, tmp_path / "out")
    found = tree(tmp_path / "out")
    assert found.keys() == FAR.keys()
    for name, mtime in FAR.items():
        seconds = mtime // 1_000_000
        if kind != "zip" or judge.name == "7z":
            assert found[name].mtime == seconds
        elif judge.name != "python":
            clamped = min(max(seconds, micros(1980, 1, 1) // 10**6), micros(2107, 12, 31, 23, 59, 58) // 10**6)
            # The DOS time is taken for local time, and Info-ZIP is a day off at its end.
            assert abs(found[name].mtime - clamped) <= 86_400 * 2, name


@pytest.mark.parametrize("count", [0, 1, 2])
@pytest.mark.parametrize(("judge", "kind"), PAIRS)
def test_few_entries_or_none_are_an_archive(judge: Judge, kind: str, count: int, tmp_path: Path) -> None:
    made = Making(tmp_path)
    for number in range(count):
        made.file(f"{number}.txt", b"hello")
    archive = made.archive(kind, tmp_path / f"few{extension(kind)}")
    judge.called().check(archive)
    assert judge.names(archive) == [f"{number}.txt" for number in range(count)]
    assert count or kind != "zip" or empty_zip(archive)


MANY = [
    pytest.param(judge, kind, count, id=f"{judge.name}-{kind}-{count}", marks=() if quick else pytest.mark.slow)
    for count in (65_535, 65_536, 300_000)
    for kind in FORMATS
    for judge in JUDGES
    if kind in judge.formats
    for quick in ((kind == "zip" and count < 300_000) or (kind, count) == ("tar", 65_536),)
]


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory):
    """(format, count) → an archive of so many small files and folders, made once."""
    folder = tmp_path_factory.mktemp("many")
    made: dict[tuple[str, int], Path] = {}

    def archive(kind: str, count: int) -> Path:
        if (kind, count) not in made:
            making = Making(folder)
            entry = making.file("0/000000", b"The same in all of them, but for the name.\n")
            for number in range(1, count):
                if number % 1000:
                    making.again(f"{number // 1000}/{number:06}", entry)
                else:
                    making.again(f"{number // 1000}/", entry, **FOLDER)
            made[kind, count] = making.archive(kind, folder / f"{count}{extension(kind)}")
        return made[kind, count]

    return archive


FOLDER = {
    "mode": FOLDER_MODE, "size": 0, "crc32": 0, "stored_size": 0, "stored_crc32": 0, "encoding": "raw",
}  # fmt: skip


@pytest.mark.parametrize(("judge", "kind", "count"), MANY)
def test_many_entries_test_clean_and_are_all_listed(judge: Judge, kind: str, count: int, many) -> None:
    archive = many(kind, count)
    names = judge.called().checked_names(archive)
    assert len(names) == len(set(names)) == count
    assert {f"{count // 2000}/", f"0/{1:06}", f"{(count - 1) // 1000}/{count - 1:06}"} <= set(names)


@pytest.mark.slow
@pytest.mark.parametrize(("judge", "kind"), PAIRS)
def test_65_536_entries_are_all_unpacked(judge: Judge, kind: str, many, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    judge.called().extract(many(kind, 65_536), out)
    found = judge.found(out)
    assert sum(not each.is_folder for each in found.values()) == 65_536 - 65
    assert {each.data for each in found.values() if not each.is_folder} == {
        b"The same in all of them, but for the name.\n"
    }
    assert FILE_MODE & 0o100 == 0 and not any(each.executable for each in found.values() if not each.is_folder)
