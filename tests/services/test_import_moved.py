"""What a move archive brings back is what it was made of."""

import zipfile
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.db import connection

from cells.models import Cell
from tests.engine.hostile import Part, manifest_part, zip_of
from tests.factories import make_cell, put_documents, put_file
from tests.services.imported import command, contents, run

pytestmark = pytest.mark.django_db(transaction=True)


def kept(doc_id: str, path: str) -> bytes:
    body = b'{"path": "%b", "size": 1, "mtime": 0, "doc": {}}' % path.encode()
    return b'{"doctype": "_cell.movefile", "id": "%b", "rev": "1-a", "body": %b}\n' % (doc_id.encode(), body)


def archive(folder: Path, lines: bytes) -> Path:
    listed = [("a.txt", b"1"), ("documents/x.jsonl", lines)]
    made = [Part(name.encode(), data) for name, data in listed]
    path = folder / "ours.zip"
    path.write_bytes(zip_of([*made, manifest_part(listed, generated=["documents/x.jsonl"])]))
    return path


def bodies(cell: Cell) -> list[tuple[str, str]]:
    """As PostgreSQL writes them: Python would round numbers on both sides."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT doc_id, body::text FROM cells_document WHERE cell_id = %s ORDER BY doc_id", [cell.pk])
        return cursor.fetchall()


def test_numbers_and_odd_ids_come_back_as_they_were(alice: User, tmp_path: Path) -> None:
    cell, new = make_cell(alice, "house"), make_cell(alice, "new")
    line = b'{"doctype": "n", "id": "1", "rev": "1-a", "body": {"i": %b, "f": 0.1%b, "e": 1.50}}\n'
    assert run(cell, archive(tmp_path, line % (b"9" * 40, b"0" * 30 + b"1"))).state == "done"
    put_documents(cell, [("n", "_x", {}), ("n", "a/../b", {}), ("n", "v", {"_value": 5})])
    command("cell_export", "house", "--layout", "move", "-o", tmp_path / "move.zip")
    row = run(new, tmp_path / "move.zip")
    assert (row.state, row.error) == ("done", None)
    assert bodies(new) == bodies(cell) and len(bodies(cell)) == 4


def test_two_imports_that_know_a_file_by_different_ids(alice: User, tmp_path: Path) -> None:
    """Merged, both ids are kept; the file still stands once in the next archive."""
    cell = make_cell(alice, "house")
    put_file(cell, "b.txt", b"2")
    for doc_id in ("one", "two"):
        assert run(cell, archive(tmp_path, kept(doc_id, "a.txt")), mode="merge").state == "done"
    assert len(contents(cell)[1]) == 2
    command("cell_export", "house", "--layout", "move", "-o", tmp_path / "move.zip")
    with zipfile.ZipFile(tmp_path / "move.zip") as opened:
        names = [name for name in opened.namelist() if name.endswith(".txt")]
    assert sorted(names) == ["My Cozy/Files/a.txt", "My Cozy/Files/b.txt"]
