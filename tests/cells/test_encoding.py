"""Stored bytes are one ordinary DEFLATE stream, a function of the content alone, and every damage shows."""

import hashlib
import json
import random
import tracemalloc
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cells.encoding import BLOCK, SMALL, Encoder, Stored, encode, read_plain
from cells.errors import BlobDamaged

_RANDOM = random.Random(7)
TEXT = "".join(
    json.dumps({"n": n, "who": _RANDOM.choice(["Zoë", "Ngọc", "Ola"]), "ms": _RANDOM.randrange(10**6)}) + "\n"
    for n in range(80_000)
).encode()[: 3 * BLOCK + 12_345]
NOISE = _RANDOM.randbytes(2 * BLOCK + 777)
SIZES = (0, 1, 63, 5_000, SMALL - 1, SMALL, SMALL + 1, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, 3 * BLOCK + 12_345)


def run(content: bytes, cuts: list[int], threads: int = 2) -> tuple[Stored, bytes]:
    parts: list[bytes] = []
    encoder = Encoder(lambda part: parts.append(bytes(part)), threads=threads)
    for start, end in zip([0, *cuts], [*cuts, len(content)], strict=True):
        encoder.feed(content[start:end])
    return encoder.finish(), b"".join(parts)


def at(path: Path, body: bytes, offset: int = 100) -> str:
    path.write_bytes(b"#" * offset + body + b"#" * 100)
    return str(path)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("source", [TEXT, NOISE], ids=["text", "noise"])
def test_what_is_stored_is_described_rightly_and_inflates_with_stock_zlib(source: bytes, size: int):
    content = source[:size]
    stored, body = run(content, [])
    assert stored.sha256 == hashlib.sha256(content).hexdigest()
    assert (stored.size, stored.crc32) == (len(content), zlib.crc32(content))
    assert (stored.stored_size, stored.stored_crc32) == (len(body), zlib.crc32(body))
    inflater = zlib.decompressobj(-15)
    assert (inflater.decompress(body) if stored.encoding == "deflate" else body) == content
    assert stored.encoding == "raw" or (inflater.eof and not inflater.unused_data)


def test_text_is_deflated_and_noise_and_tiny_content_stay_raw():
    assert [encode(content)[0].encoding for content in (TEXT, TEXT[:5000], TEXT[: SMALL + 1])] == ["deflate"] * 3
    assert [encode(content)[0].encoding for content in (b"", b"ok", NOISE, NOISE[:5000], NOISE[: SMALL + 1])] == (
        ["raw"] * 5
    )


def test_an_archive_inside_is_not_deflated_again():
    packed = zlib.compress(TEXT, 6)
    assert encode(packed)[0].encoding == "raw"
    assert encode(packed[:SMALL])[0].encoding == "raw"


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("source", [TEXT, NOISE], ids=["text", "noise"])
def test_neither_chunks_nor_threads_show_in_the_stored_bytes(source: bytes, size: int):
    content = source[:size]
    stored, body = encode(content)
    for threads in (0, 1, 2, 4):
        for step in (4096, 100_000, BLOCK - 1, BLOCK, BLOCK + 1):
            assert run(content, list(range(step, len(content), step)), threads) == (stored, bytes(body))


@settings(max_examples=60, deadline=None)
@given(cuts=st.lists(st.integers(0, len(TEXT)), max_size=12).map(sorted), threads=st.integers(0, 3))
def test_any_cutting_of_the_input_gives_the_same_bytes(cuts: list[int], threads: int):
    assert run(TEXT, cuts, threads) == encode(TEXT)


def test_the_caller_may_reuse_its_buffer():
    parts: list[bytes] = []
    encoder, buffer = Encoder(lambda part: parts.append(bytes(part))), bytearray(300_000)
    for start in range(0, len(TEXT), len(buffer)):
        piece = TEXT[start : start + len(buffer)]
        buffer[: len(piece)] = piece
        encoder.feed(memoryview(buffer)[: len(piece)])
        buffer[:] = bytes(len(buffer))
    assert (encoder.finish(), b"".join(parts)) == encode(TEXT)


def test_each_point_is_where_a_block_can_be_inflated_by_itself():
    stored, body = encode(TEXT)
    points = [int.from_bytes(stored.points[i : i + 8], "little") for i in range(0, len(stored.points), 8)]
    assert len(points) == 3
    for number, point in enumerate(points, start=1):
        assert zlib.decompressobj(-15).decompress(bytes(body)[point:], 1000) == TEXT[number * BLOCK :][:1000]


def test_points_are_kept_only_for_deflated_content_above_one_mib():
    assert encode(TEXT[:BLOCK])[0].points == b""
    assert len(encode(TEXT[: BLOCK + 1])[0].points) == 8
    assert encode(NOISE)[0].points == b""


def test_a_write_that_fails_reaches_the_caller_and_no_thread_is_left():
    def full_disk(part: bytes) -> None:
        raise OSError(28, "No space left on device")

    encoder = Encoder(full_disk)
    with pytest.raises(OSError, match="No space"):
        encoder.feed(TEXT * 4)
    threads = list(encoder._pool._threads)
    encoder.abort()
    assert threads
    assert not any(thread.is_alive() for thread in threads)


@pytest.mark.parametrize("source", [TEXT, NOISE], ids=["text", "noise"])
def test_memory_does_not_grow_with_the_content(source: bytes):
    def peak(times: int) -> int:
        tracemalloc.start()
        encoder = Encoder(len)
        for _ in range(times):
            encoder.feed(memoryview(source))
        encoder.finish()
        _, top = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return top

    peak(1)
    assert peak(24) < max(peak(4), 8 << 20) * 1.5


@settings(max_examples=150, deadline=None)
@given(data=st.data(), name=st.sampled_from(["text", "noise", "small text", "small noise"]))
def test_any_range_reads_as_the_slice_of_the_plain_bytes(tmp_path_factory, data, name: str):
    content = {"text": TEXT, "noise": NOISE, "small text": TEXT[:9000], "small noise": NOISE[:9000]}[name]
    stored, body = encode(content)
    start = data.draw(st.integers(0, len(content)))
    end = data.draw(st.integers(start, len(content)))
    pieces = list(read_plain(at(tmp_path_factory.getbasetemp() / "f", bytes(body)), 100, stored, start, end))
    assert b"".join(pieces) == content[start:end]
    assert all(0 < len(piece) <= BLOCK for piece in pieces)


@pytest.mark.parametrize("edges", [(0, BLOCK), (BLOCK, 2 * BLOCK), (BLOCK - 1, BLOCK + 1), (3 * BLOCK, len(TEXT))])
def test_ranges_on_the_edges_of_blocks_are_exact(tmp_path: Path, edges: tuple[int, int]):
    stored, body = encode(TEXT)
    assert b"".join(read_plain(at(tmp_path / "f", body), 100, stored, *edges)) == TEXT[slice(*edges)]


def test_points_may_come_as_the_database_gives_them(tmp_path: Path):
    stored, body = encode(TEXT)
    stored = stored._replace(points=memoryview(stored.points))
    assert b"".join(read_plain(at(tmp_path / "f", body), 100, stored, BLOCK + 5, len(TEXT))) == TEXT[BLOCK + 5 :]


@pytest.mark.parametrize("source", [TEXT, TEXT[:9000], NOISE, NOISE[:9000]], ids=["text", "9k text", "noise", "9k"])
@pytest.mark.parametrize("lost", [1, 8, 1000])
def test_a_store_file_that_ends_early_is_damage(tmp_path: Path, source: bytes, lost: int):
    stored, body = encode(source)
    path = tmp_path / "f"
    path.write_bytes(bytes(body)[:-lost])
    with pytest.raises(BlobDamaged, match="early"):
        list(read_plain(str(path), 0, stored, 0, stored.size))


def test_a_missing_store_file_is_damage_at_once(tmp_path: Path):
    with pytest.raises(BlobDamaged, match="missing"):
        read_plain(str(tmp_path / "gone"), 0, encode(TEXT)[0], 0, 10)


def test_a_stream_that_inflates_to_more_or_less_than_it_should_is_damage(tmp_path: Path):
    stored, body = encode(TEXT[:9000])
    for size in (8999, 9001):
        with pytest.raises(BlobDamaged, match="length"):
            list(read_plain(at(tmp_path / "f", body), 100, stored._replace(size=size), 0, size))


def test_overwritten_stored_bytes_never_pass_as_the_content(tmp_path: Path):
    stored, body = encode(TEXT)
    for position in range(0, len(body), len(body) // 40):
        broken = bytearray(body)
        broken[position : position + 64] = bytes(64)
        try:
            plain = b"".join(read_plain(at(tmp_path / "f", bytes(broken)), 100, stored, 0, stored.size))
        except BlobDamaged:
            continue
        assert zlib.crc32(plain) != stored.crc32


def test_a_deflate_bomb_in_a_damaged_place_cannot_fill_the_memory(tmp_path: Path):
    stored, _ = encode(TEXT[:9000])
    bomb = zlib.compress(bytes(200 << 20), 9, wbits=-15)
    tracemalloc.start()
    with pytest.raises(BlobDamaged):
        list(read_plain(at(tmp_path / "f", bomb), 100, stored._replace(stored_size=len(bomb)), 0, 9000))
    assert tracemalloc.get_traced_memory()[1] < 8 << 20
    tracemalloc.stop()


def test_an_open_read_survives_the_unlinking_of_its_file(tmp_path: Path):
    stored, body = encode(TEXT)
    path = at(tmp_path / "f", body)
    reader = read_plain(path, 100, stored, 0, stored.size)
    Path(path).unlink()
    assert b"".join(reader) == TEXT


def test_a_range_outside_the_content_is_a_mistake_of_the_caller(tmp_path: Path):
    stored, body = encode(TEXT[:100])
    for start, end in ((0, 101), (-1, 5), (6, 5)):
        with pytest.raises(ValueError, match="range"):
            read_plain(at(tmp_path / "f", body), 100, stored, start, end)
