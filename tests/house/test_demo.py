"""The demo cell's content: what issue 2 §1 asks for, and the same on every machine."""

import hashlib
import json
import struct
import zlib
from pathlib import Path

import pytest

from exportsite.demo import write_demo


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "demo"
    write_demo(folder)
    return folder


def test_it_has_documents_files_empty_folders_foreign_names_and_something_large(demo: Path) -> None:
    files = [path for path in demo.rglob("*") if path.is_file()]
    assert len(files) > 300
    assert max(path.stat().st_size for path in files) > 50_000_000
    assert sum(not str(path).isascii() for path in files) > 50
    assert [path for path in demo.rglob("*") if path.is_dir() and not any(path.iterdir())]
    assert max(len(path.relative_to(demo).parts) for path in files) >= 7
    assert [path.name for path in files if path.stat().st_mode & 0o100] == ["bauen.sh"]
    assert min(path.stat().st_size for path in files) == 0


def test_every_document_is_an_object_of_its_own_and_every_file_it_names_exists(demo: Path) -> None:
    lines = [json.loads(line) for line in (demo / "documents.jsonl").read_text().splitlines()]
    assert len({(line["doctype"], line["id"]) for line in lines}) == len(lines) > 400
    assert len({line["doctype"] for line in lines}) >= 4
    named = [value["_file"] for line in lines for value in line["body"].values() if "_file" in str(value)]
    assert named and all((demo / path).is_file() for path in named)


def test_the_same_bytes_and_times_again(demo: Path, tmp_path: Path) -> None:
    write_demo(tmp_path / "again")
    assert digest(tmp_path / "again") == digest(demo)


def digest(folder: Path) -> str:
    whole = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        whole.update(f"{path.relative_to(folder)} {path.stat().st_mtime}".encode() + path.read_bytes())
    return whole.hexdigest()


def test_the_pictures_are_whole_png_files(demo: Path) -> None:
    pictures = list(demo.rglob("*.png"))
    assert len(pictures) > 80
    for path in pictures[::9]:
        width, height, pixels = read_png(path.read_bytes())
        assert len(pixels) == height * (width + 1)


def read_png(data: bytes) -> tuple[int, int, bytes]:
    """(width, height, filtered rows) of a palette image; every chunk's CRC is checked."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    place, chunks = 8, {}
    while place < len(data):
        length, kind = struct.unpack_from(">I4s", data, place)
        body = data[place + 8 : place + 8 + length]
        assert struct.unpack_from(">I", data, place + 8 + length)[0] == zlib.crc32(kind + body)
        chunks[kind] = body
        place += 12 + length
    width, height = struct.unpack_from(">II", chunks[b"IHDR"])
    assert list(chunks) == [b"IHDR", b"PLTE", b"IDAT", b"IEND"]
    return width, height, zlib.decompress(chunks[b"IDAT"])
