"""What data files are made of: objects of several cells in one order, and files by their paths."""

from datetime import UTC, datetime

import orjson
import pytest
from django.contrib.auth.models import User

from cells.frozen import ALL, Snapshot
from cells.models import Cell, Document
from tests.factories import make_cell, put_documents, put_file

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def cells(alice: User) -> list[Cell]:
    """The documents of the two in turns."""
    found = [make_cell(alice, "first"), make_cell(alice, "second")]
    for number in range(4):
        put_documents(found[number % 2], [("book", f"b{number}", {"n": number})])
    return found


def numbers(rows: list[tuple]) -> list[int]:
    return [orjson.loads(row[4])["book"]["n"] for row in rows]


def test_objects_of_all_cells_come_by_id(cells: list[Cell]) -> None:
    ids = [cell.pk for cell in cells]
    with Snapshot() as snapshot:
        rows = list(snapshot.objects(ids, "here"))
        some = list(snapshot.objects(ids[:1], "here"))
    assert (numbers(rows), numbers(some)) == ([0, 1, 2, 3], [0, 2])
    document = Document.objects.get(doc_id="b0")
    changed = round(document.updated_at.timestamp() * 1_000_000)
    assert rows[0][:4] == (document.pk, ids[0], "book", changed)
    assert orjson.loads(rows[0][4])["_global_object_id"] == f"{document.pk}@here"


def test_objects_since_a_moment(cells: list[Cell]) -> None:
    Document.objects.filter(doc_id__in=("b0", "b3")).update(updated_at=datetime(2020, 1, 1, tzinfo=UTC))
    with Snapshot() as snapshot:
        ids = [cell.pk for cell in cells]
        selection = snapshot.selection(ALL, ids, datetime(2020, 1, 2, tzinfo=UTC))
        rows = list(snapshot.objects(ids, "here", selection))
    assert numbers(rows) == [1, 2]


def test_others_may_read_between_two_objects(cells: list[Cell]) -> None:
    """Linked ones, for example."""
    ids = [cell.pk for cell in cells]
    with Snapshot() as snapshot:
        for row in snapshot.objects(ids, "here"):
            assert numbers(list(snapshot.objects_by_id([row[0]], ids, "here"))) == numbers([row])


def test_ids_of_other_cells_and_old_generations_find_nothing(cells: list[Cell]) -> None:
    first, _ = cells
    ids = list(Document.objects.values_list("pk", flat=True))
    with Snapshot() as snapshot:
        assert numbers(list(snapshot.objects_by_id(ids, [first.pk], "here"))) == [0, 2]
        assert list(snapshot.objects_by_id([-1, 2**62], [first.pk], "here")) == []
    Cell.objects.filter(pk=first.pk).update(generation=2)
    with Snapshot() as snapshot:
        assert list(snapshot.objects_by_id(ids, [first.pk], "here")) == []


def test_files_at_paths(cells: list[Cell]) -> None:
    long = "/".join(["x" * 200] * 3)
    for path in ("a/b.txt", long + "1", long + "2"):
        put_file(cells[0], path, path.encode())
    with Snapshot() as snapshot:
        rows = snapshot.files_at(cells[0].pk, ["a", "a/b.txt", "A/b.txt", long + "2"])
        assert snapshot.files_at(cells[1].pk, ["a/b.txt"]) == []
    assert {row[0]: row[2] for row in rows} == {"a/b.txt": 7, long + "2": len(long) + 1}
