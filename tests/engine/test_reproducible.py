"""The same manifest is the same archive: whoever reads it, in whatever pieces, from wherever the contents are."""

import hashlib
import random
import shutil
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from exports.engine.formats import FORMATS
from exports.engine.formats.bzip2 import PIECE, TarBz2
from exports.engine.manifest import Seal
from exports.engine.volumes import stream, write
from tests.engine.making import Making
from tests.engine.processes import archive_digest, in_process

COMPUTED = [name for name, each in FORMATS.items() if each.computed]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Making:
    making = Making(tmp_path_factory.mktemp("reproducible"))
    draw = random.Random(3)
    for number in range(3000):
        making.file(f"{number // 100}/ü{number}", draw.randbytes(20).hex().encode() * draw.randrange(30))
    making.file("noise", draw.randbytes(3_000_000))
    making.file("text", draw.randbytes(2_000_000).hex().encode())
    making.folder("empty/")
    return making


def rows(made: Making) -> list[list]:
    return [[*entry[:12], entry.points.hex(), *entry[13:]] for entry in made.entries]


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def digests(made: Making, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("whole")
    return {kind: sha256(made.archive(kind, folder / kind)) for kind in FORMATS}


@pytest.mark.parametrize("kind", COMPUTED)
def test_another_process_gives_the_same_bytes(kind: str, made: Making, digests: dict[str, str]) -> None:
    again = in_process("archive_digest", kind, rows(made), [], environment={"PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo"})
    assert again == digests[kind]


@pytest.mark.parametrize("kind", COMPUTED)
def test_two_processes_at_once_and_any_cuts_give_the_same_bytes(
    kind: str, made: Making, digests: dict[str, str]
) -> None:
    length, draw = made.only(kind).length, random.Random(4)
    cuts = [sorted(draw.sample(range(length), count)) for count in (0, 1, 20, 150)]
    with ProcessPoolExecutor(2) as pool:
        found = list(pool.map(archive_digest, [kind] * len(cuts), [rows(made)] * len(cuts), cuts))
    assert set(found) == {digests[kind]}


@pytest.mark.parametrize("kind", FORMATS)
def test_contents_elsewhere_in_other_files_give_the_same_bytes(
    kind: str, made: Making, digests: dict[str, str], tmp_path: Path
) -> None:
    """As after a pack file was rewritten, or on another machine."""
    moved = Making(tmp_path)
    draw, before = random.Random(5), made.path.read_bytes()
    order = made.entries.copy()
    draw.shuffle(order)
    places = {}
    for number in range(7):
        with (tmp_path / f"pack{number}").open("wb") as file:
            for entry in order[number::7]:
                file.write(draw.randbytes(draw.randrange(50)))
                places[entry.ordinal] = (file.name, file.tell())
                file.write(before[entry.offset : entry.offset + entry.stored_size])
    for entry in made.entries:
        path, offset = places[entry.ordinal]
        moved.entries.append(entry._replace(file=path, offset=offset))
    assert sha256(moved.archive(kind, tmp_path / "archive")) == digests[kind]
    assert moved.only(kind) == made.only(kind)


@pytest.mark.parametrize("kind", COMPUTED)
def test_contents_may_move_while_an_archive_is_read(
    kind: str, made: Making, digests: dict[str, str], tmp_path: Path
) -> None:
    """The source tells a new place for what is asked for later; what was open stays readable."""
    old, new = tmp_path / "old", tmp_path / "new"
    shutil.copy(made.path, old)

    def source(first: int, last: int):
        for entry in made.entries[first:last]:
            if entry.ordinal == 1500:
                new.write_bytes(b"shifted" + old.read_bytes())
                old.unlink()
            if new.exists():
                yield entry._replace(file=str(new), offset=entry.offset + 7)
            else:
                yield entry._replace(file=str(old))

    digest = hashlib.sha256()
    for piece in stream(made.only(kind), source):
        digest.update(piece)
    assert digest.hexdigest() == digests[kind] and not old.exists()


def test_a_bzip2_does_not_show_chunks_or_threads() -> None:
    plain = random.Random(6).randbytes(1_500_000).hex().encode()
    whole = b"".join(TarBz2.compress([plain], threads=1))
    for threads, size in ((1, 1000), (2, PIECE - 1), (3, PIECE), (4, PIECE + 1), (2, 7_777)):
        chunks = [plain[at : at + size] for at in range(0, len(plain), size)]
        assert b"".join(TarBz2.compress(chunks, threads=threads)) == whole


def test_two_writers_of_one_volume_do_not_disturb_each_other(made: Making, tmp_path: Path) -> None:
    """One of them has lost its lease and does not know yet."""
    plan, path = made.only("zip"), str(tmp_path / "a")
    once = False

    def tick(count: int) -> None:
        nonlocal once
        if not once:
            once = True
            write(plan, made.source, path)

    assert write(plan, made.source, path, tick) == plan.length
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a", "store"]
    assert sha256(tmp_path / "a") == hashlib.sha256(made.bytes("zip")).hexdigest()


def test_the_seal_is_the_same_in_another_process(made: Making) -> None:
    seal = Seal()
    for entry in made.entries:
        seal.add(entry)
    assert in_process("seal", rows(made), environment={"PYTHONHASHSEED": "9"}) == seal.hexdigest()
