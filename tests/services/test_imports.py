"""Imports: what was exported comes back, wholly or not at all, and can be undone."""

import io
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command

from cells.models import Cell
from tests.factories import make_cell, put_documents, put_file, put_files

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def house(alice: User) -> Cell:
    cell = make_cell(alice, "house")
    put_files(cell, {"a.txt": b"alpha\n" * 999, "b/c.txt": b"gamma\n" * 5000, "b/d.bin": bytes(range(256)) * 4000})
    put_file(cell, "bin/run\n\\x", b"#!", executable=True)
    put_documents(cell, [("contact", str(n), {"name": f"N {n}", "n": 1.50}) for n in range(10)])
    return cell


def call(name: str, *arguments: str) -> str:
    out = io.StringIO()
    call_command(name, *arguments, stdout=out, stderr=io.StringIO())
    return out.getvalue()


@pytest.mark.parametrize("ending", ["zip", "tar", "tar.gz", "tar.bz2"])
def test_a_round_trip_gives_the_identical_archive(ending: str, house: Cell, alice: User, tmp_path: Path) -> None:
    before, after = tmp_path / f"before.{ending}", tmp_path / f"after.{ending}"
    call("cell_export", "house", "-o", str(before))
    other = make_cell(alice, "other")
    put_file(other, "old", b"old")
    said = call("cell_import", "other", str(before))
    assert said == "4 files and folders, 10 documents\n"
    call("cell_export", "other", "-o", str(after))
    assert after.read_bytes() == before.read_bytes()


def test_a_snapshot_round_trip_gives_the_identical_archive(house: Cell, alice: User, tmp_path: Path) -> None:
    before, after = tmp_path / "before.zip", tmp_path / "after.zip"
    call("cell_export", "house", "-o", str(before), "--layout", "cell")
    call("cell_import", "house", str(before))
    call("cell_export", "house", "-o", str(after), "--layout", "cell")
    assert after.read_bytes() == before.read_bytes()
