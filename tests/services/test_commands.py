"""`cell_export`, `verify` and `requeue_exports`: without web or broker, with the exit codes of design §8."""

import io
import os
import zipfile
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command

from cells.blobs import BlobStore
from cells.models import Blob, Cell
from exports.models import Run, RunEntry
from tests.factories import make_cell, put_files

pytestmark = pytest.mark.django_db(transaction=True)

FILES = {"a.txt": b"alpha\n" * 999, "b/c.txt": b"gamma\n" * 5000, "b/d.bin": bytes(range(256)) * 4000}


@pytest.fixture
def house(alice: User) -> Cell:
    cell = make_cell(alice, "house")
    put_files(cell, FILES)
    return cell


def call(name: str, *arguments: str) -> tuple[int, str, str]:
    out, err, code = io.StringIO(), io.StringIO(), 0
    try:
        call_command(name, *arguments, stdout=out, stderr=err)
    except SystemExit as end:
        code = int(str(end.code))
    return code, out.getvalue(), err.getvalue()


def damage(path: str) -> None:
    blob = Blob.objects.get(sha256=Cell.objects.get().files.get(path=path).blob_id)
    stored = Path(BlobStore().path(blob.store_file))
    stored.chmod(0o600)
    content = bytearray(stored.read_bytes())
    content[blob.offset + 5] ^= 255
    stored.write_bytes(content)


@pytest.mark.parametrize("format", ["zip", "tar", "tar_gz", "tar_bz2"])
def test_cell_export_writes_one_verified_archive_and_leaves_nothing_else(
    format: str, house: Cell, tmp_path: Path, store: Path
) -> None:
    target = tmp_path / "house.archive"
    code, said, _ = call("cell_export", "house", "-o", str(target), "--format", format)
    assert code == 0
    assert said.startswith(f"{target}: 3 entries, {target.stat().st_size} bytes")
    assert call("verify", str(target))[:2] == (0, "1 verified, 0 bad\n")
    assert [path.name for path in tmp_path.iterdir() if path != store] == ["house.archive"]
    assert [path for room in ("runs", "volumes") for path in (store / room).rglob("*") if path.is_file()] == []
    assert not RunEntry.objects.exists()


@pytest.mark.parametrize(
    ("name", "magic"),
    [("a.ZIP", b"PK"), ("a.tar.gz", b"\x1f\x8b"), ("a.tgz", b"\x1f\x8b"), ("a.tar.bz2", b"BZh"), ("a", b"PK")],
)
def test_cell_export_makes_what_the_name_of_the_file_says(name: str, magic: bytes, house: Cell, tmp_path: Path) -> None:
    assert call("cell_export", "house", "-o", str(tmp_path / name))[0] == 0
    assert (tmp_path / name).read_bytes().startswith(magic)


def test_cell_export_replaces_files_and_nothing_else(house: Cell, tmp_path: Path) -> None:
    """A device was renamed over: `-o /dev/stdout` would have taken it from everybody."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for output in (pipe, tmp_path):
        with pytest.raises(CommandError, match="no file that could be replaced"):
            call("cell_export", "house", "-o", str(output))
    assert pipe.is_fifo() and not Run.objects.exists()


def test_cell_export_says_what_is_missing_and_exits_with_3(house: Cell, tmp_path: Path) -> None:
    damage("b/c.txt")
    code, _, complaints = call("cell_export", "house", "-o", str(tmp_path / "x.zip"))
    assert code == 3
    assert "missing: b/c.txt: " in complaints
    with zipfile.ZipFile(tmp_path / "x.zip") as archive:
        assert archive.namelist() == ["a.txt", "b/d.bin", "manifest.json"]


def test_cell_export_refuses_what_it_cannot_do_and_changes_nothing(house: Cell, tmp_path: Path) -> None:
    for arguments in (["nobody", "-o", str(tmp_path / "x.zip")], ["house", "-o", str(tmp_path / "no" / "x.zip")]):
        with pytest.raises(CommandError):
            call("cell_export", *arguments)
    assert not Run.objects.exists()
    assert not (tmp_path / "x.zip").exists()


@pytest.mark.parametrize("place", [0.2, 0.5, 0.98])
@pytest.mark.parametrize("format", ["zip", "tar", "tar_gz", "tar_bz2"])
def test_verify_finds_a_flipped_bit_and_a_cut(format: str, place: float, house: Cell, tmp_path: Path) -> None:
    target = tmp_path / "house.archive"
    call("cell_export", "house", "-o", str(target), "--format", format)
    whole = target.read_bytes()
    target.write_bytes(whole[: int(len(whole) * place)])
    assert call("verify", str(target))[0] == 1
    if place == 0.2:  # in content; bits of padding or of times say nothing of the content
        flipped = bytearray(whole)
        flipped[int(len(whole) * place)] ^= 1
        target.write_bytes(flipped)
        assert call("verify", str(target))[0] == 1


def test_verify_takes_a_file_of_zeros_for_no_archive(tmp_path: Path) -> None:
    (tmp_path / "zeros.tar").write_bytes(bytes(20480))
    assert call("verify", str(tmp_path / "zeros.tar"))[:2] == (1, "1 verified, 1 bad\n")


def test_verify_all_names_the_damaged_blob(house: Cell) -> None:
    assert call("verify", "--all")[0] == 0
    damage("a.txt")
    code, said, complaints = call("verify", "--all")
    assert (code, said) == (1, "3 verified, 1 bad\n")
    assert house.files.get(path="a.txt").blob_id in complaints
