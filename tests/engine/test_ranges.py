"""Any byte range of a computed archive is that slice of the whole."""

import random
from itertools import pairwise
from pathlib import Path

import pytest

from exports.engine.contents import CHUNK, Contents
from exports.engine.entries import Body, Form
from exports.engine.formats import FORMATS
from exports.engine.formats.gzip import FRAME, FRAME_HEADER, framed_length
from exports.engine.volumes import stream
from tests.engine.making import Making

COMPUTED = [name for name, each in FORMATS.items() if each.computed]
MIB = 1 << 20
#: Around the borders of DEFLATE frames, of what is read at once, and of the blob store's blocks.
SIZES = sorted(
    {border * times + step for border, most in ((FRAME, 5), (CHUNK, 3), (MIB, 3)) for times in range(1, most + 1)
     for step in (-1, 0, 1)}
)  # fmt: skip


def noise(size: int) -> bytes:
    return random.Random(size).randbytes(size)


def text(size: int) -> bytes:
    line = b"%d bottles of beer on the wall, and so on and on\n"
    return b"".join(line % number for number in range(size // 50 + 1))[:size].ljust(size)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Making:
    """4,500 small entries, and large ones of every form between them."""
    made = Making(tmp_path_factory.mktemp("ranges"))
    sizes = iter(SIZES)
    for number in range(4500):
        if number % 100 == 50 and (size := next(sizes, None)):
            made.file(f"noise/{size}", noise(size))
            made.file(f"text/{size}", text(size))
        elif number % 97 == 0:
            made.folder(f"empty/{number}/")
        else:
            made.file(f"{'é' * (number % 3)}{number:05}", text(number % 700) or b"")
    assert next(sizes, None) is None
    assert {entry.encoding for entry in made.entries if entry.name.startswith("noise")} == {"raw"}
    assert {entry.encoding for entry in made.entries if entry.name.startswith("text")} == {"deflate"}
    return made


@pytest.fixture(scope="module")
def wholes(made: Making) -> dict[str, bytes]:
    return {kind: made.bytes(kind) for kind in COMPUTED}


@pytest.mark.parametrize("kind", COMPUTED)
def test_500_random_ranges_are_slices_of_the_whole(kind: str, made: Making, wholes: dict[str, bytes]) -> None:
    whole, plan, draw = wholes[kind], made.only(kind), random.Random(kind)
    assert len(whole) == plan.length
    for number in range(500):
        start = draw.randrange(len(whole))
        end = min(start + draw.choice((1, 100, 5000, 400_000, 3 * MIB)), len(whole))
        got = b"".join(stream(plan, made.source, start, end))
        assert got == whole[start:end], (number, start, end)


@pytest.mark.parametrize("kind", COMPUTED)
def test_ranges_around_every_mark_are_slices_of_the_whole(kind: str, made: Making, wholes: dict[str, bytes]) -> None:
    whole, plan = wholes[kind], made.only(kind)
    assert len(plan.marks) > 4
    for mark in plan.marks:
        for start in range(max(mark.offset - 2, 0), min(mark.offset + 3, len(whole))):
            for length in (1, 2, 700):
                end = min(start + length, len(whole))
                assert b"".join(stream(plan, made.source, start, end)) == whole[start:end], (mark, start, end)


@pytest.mark.parametrize("kind", COMPUTED)
def test_the_first_byte_the_last_none_and_all_are_slices(kind: str, made: Making, wholes: dict[str, bytes]) -> None:
    whole, plan = wholes[kind], made.only(kind)
    size = len(whole)
    for start, end in ((0, 1), (0, 0), (size, size), (size - 1, size), (0, size), (1, size), (0, size - 1), (7, 7)):
        assert b"".join(stream(plan, made.source, start, end)) == whole[start:end], (start, end)


def test_ranges_in_the_central_directory_are_slices_of_the_whole(made: Making, wholes: dict[str, bytes]) -> None:
    whole, plan = wholes["zip"], made.only("zip")
    begin, behind = plan.end.offset, plan.end.offset + plan.end.aux
    assert whole[begin : begin + 4] == b"PK\1\2" and whole[behind : behind + 4] == b"PK\5\6"
    draw = random.Random(7)
    starts = [begin - 1, begin, begin + 1, behind - 1, behind, behind + 1, len(whole) - 1]
    starts += [begin + mark.aux + step for mark in plan.marks for step in (-1, 0, 1)]
    starts += [draw.randrange(begin, len(whole)) for _ in range(100)]
    for start in starts:
        for length in (1, 60, len(whole)):
            end = min(start + length, len(whole))
            assert b"".join(stream(plan, made.source, start, end)) == whole[start:end], (start, end)


@pytest.mark.parametrize("kind", COMPUTED)
def test_ranges_around_the_borders_of_each_large_body_are_slices(
    kind: str, made: Making, wholes: dict[str, bytes]
) -> None:
    whole, plan = wholes[kind], made.only(kind)
    large = [entry for entry in made.entries if entry.size in SIZES]
    assert len(large) == 2 * len(SIZES)
    position, format_ = plan.marks[0], FORMATS[kind]
    for entry in made.entries:
        after = format_.after(entry, position)
        if entry in large:
            for start in (position.offset, after.offset - 10):
                for end in (start + 1, after.offset - 1, after.offset + 1):
                    if start < end:
                        assert b"".join(stream(plan, made.source, start, end)) == whole[start:end], entry.name
        position = after


@pytest.mark.parametrize("form", [Form.PLAIN, Form.STORED, Form.FRAMED])
@pytest.mark.parametrize("encoding", ["raw", "deflate"])
def test_a_body_is_read_from_anywhere_to_anywhere(form: Form, encoding: str, made: Making) -> None:
    if form is Form.FRAMED and encoding == "deflate":
        form = Form.STORED  # gzip frames raw content alone
    entries = [entry for entry in made.entries if entry.size in SIZES and entry.encoding == encoding]
    assert len(entries) == len(SIZES)
    for entry in entries:
        length = {Form.PLAIN: entry.size, Form.STORED: entry.stored_size, Form.FRAMED: framed_length(entry.size)}[form]
        body = Body(entry, form, length)
        with Contents() as contents:
            whole = b"".join(contents.chunks(body, 0, length))
            assert len(whole) == length
            if form is Form.PLAIN:
                assert whole == made.plain[entry.name]
            cuts = sorted({0, 1, FRAME, FRAME + FRAME_HEADER, FRAME + FRAME_HEADER + 1, CHUNK, MIB, length - 1, length})
            cuts = [cut for cut in cuts if 0 <= cut <= length]
            for start, end in [*pairwise(cuts), *((cut, length) for cut in cuts), *((0, cut) for cut in cuts)]:
                assert b"".join(contents.chunks(body, start, end)) == whole[start:end], (entry.name, start, end)


@pytest.mark.parametrize("kind", COMPUTED)
def test_pieces_are_large_enough_to_be_worth_a_call(kind: str, made: Making) -> None:
    sizes = [len(piece) for piece in stream(made.only(kind), made.source)]
    assert all(size >= CHUNK for size in sizes[3:-1])
    assert sizes[0] < CHUNK, "somebody waits for the first byte"
    assert max(sizes) <= 2 * MIB


def test_a_bzip2_has_no_ranges(made: Making, tmp_path: Path) -> None:
    plan = made.only("tar_bz2")
    assert plan.length is None
    with pytest.raises(ValueError, match="cannot be computed in part"):
        next(stream(plan, made.source, 5, 10))
