"""The snapshot that exports read."""

import hashlib
import re
from collections.abc import Iterable

import orjson
import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from cells import writing
from cells.frozen import Snapshot
from cells.models import Blob, Cell, Document
from tests.factories import MTIME, make_cell, put_documents, put_file, put_files

pytestmark = pytest.mark.django_db(transaction=True)  # a snapshot is read on a connection of its own
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


def lines_of(pieces: Iterable[bytes]) -> list[bytes]:
    """Documents come in pieces of many lines."""
    return b"".join(pieces).splitlines(keepends=True)


@pytest.fixture
def cell(alice: User) -> Cell:
    return make_cell(alice)


def test_files_come_by_path_with_all_that_an_archive_needs(cell: Cell) -> None:
    put_file(cell, "b/é", b"x" * 3_000_000, executable=True)
    put_files(cell, {"a-": b"1", "a/z": b"2"})
    writing.folder_create(cell=cell, path="empty/inner")
    with Snapshot() as snapshot:
        rows = list(snapshot.files(cell.pk))
    assert [row[0] for row in rows] == ["a-", "a/z", "b/é", "empty/inner"]
    blob = Blob.objects.get(size=3_000_000)
    mtime = int(MTIME.timestamp()) * 1_000_000 + MTIME.microsecond
    assert rows[2] == (
        "b/é", False, 3_000_000, mtime, True, hashlib.sha256(b"x" * 3_000_000).hexdigest(), blob.crc32, "deflate",
        blob.stored_size, blob.stored_crc32, "application/octet-stream",
    )  # fmt: skip
    folder = rows[3]
    assert folder[1] is True and folder[2] == 0 and folder[5:10] == (None,) * 5


def test_a_snapshot_sees_one_moment_and_blocks_nobody(cell: Cell) -> None:
    put_files(cell, {"a": b"old", "b": b"old"})
    put_documents(cell, [("book", "1", {"n": 1}), ("book", "2", {"n": 2})])
    with Snapshot() as snapshot:
        put_file(cell, "a", b"newer")
        writing.file_delete(cell=cell, path="b")
        put_documents(cell, [("book", "1", {"n": 100}), ("film", "3", {})])
        writing.switch_generation(cell, writing.new_generation(cell))
        assert [(row[0], row[2]) for row in snapshot.files(cell.pk)] == [("a", 3), ("b", 3)]
        assert [(name, count) for name, count, _ in snapshot.doctypes(cell.pk)] == [("book", 2)]
        bodies = [
            orjson.loads(line)["body"] for line in lines_of(snapshot.documents(cell.pk, "book", "lines", "local"))
        ]
        assert bodies == [{"n": 1}, {"n": 2}]
    with Snapshot() as snapshot:
        assert list(snapshot.files(cell.pk)) == [] == snapshot.doctypes(cell.pk)


def test_doctypes_are_counted_with_their_last_change(cell: Cell) -> None:
    before = int(timezone.now().timestamp() * 1_000_000)
    put_documents(cell, [("film", "1", {}), ("a.b", "1", {}), ("film", "2", {})])
    with Snapshot() as snapshot:
        found = snapshot.doctypes(cell.pk)
    assert [(name, count) for name, count, _ in found] == [("a.b", 1), ("film", 2)]
    assert all(before <= changed <= int(timezone.now().timestamp() * 1_000_000) for _, _, changed in found)


BODIES = {
    "empty": {},
    "own ids": {"_id": "theirs", "_version": 9, "_rev": "1-x", "kept": True},
    "only own ids": {"_id": "theirs"},
    "characters": {'k\u2028"\\\n\x01\x7f\t': "é \U0001f600 ' \" \\ \x02 \r\n , $1 %s {0}"},
    "nested": {"a": [{"b": [1, 2.5, None, False]}], "_objecttype": "evil"},
    "/é": {"n": 123456789012345678},
}


def test_lines_are_json_as_it_can_be_put_again(cell: Cell) -> None:
    put_documents(cell, [("io.cozy-x_y", doc_id, body) for doc_id, body in BODIES.items() if doc_id[0] != "/"])
    with Snapshot() as snapshot:
        lines = lines_of(snapshot.documents(cell.pk, "io.cozy-x_y", "lines", "local"))
    assert all(line.endswith(b"\n") and line.count(b"\n") == 1 for line in lines)
    found = [orjson.loads(line) for line in lines]
    assert [one["id"] for one in found] == sorted(doc_id for doc_id in BODIES if doc_id[0] != "/")
    for one in found:
        assert list(one) == ["doctype", "id", "rev", "body"]
        assert (one["doctype"], one["body"]) == ("io.cozy-x_y", BODIES[one["id"]])
    assert writing.documents_put(cell=cell, lines=lines).updated == len(lines)


def test_objects_have_the_form_of_v1(cell: Cell) -> None:
    """`spec/v1.md §7.1`: system keys at the top and "one block named like the objecttype holding `_id`, `_version`"."""
    put_documents(cell, [("book", doc_id.strip("/"), body) for doc_id, body in BODIES.items()])
    put_documents(cell, [("book", "empty", {})])
    with Snapshot() as snapshot:
        lines = lines_of(snapshot.documents(cell.pk, "book", "objects", 'my "instance"'))
    for line in lines:
        one = orjson.loads(line)
        document = Document.objects.get(doc_id=one["_uuid"])
        assert list(one) == [
            "_objecttype", "_system_object_id", "_global_object_id", "_uuid", "_created", "_last_modified", "book",
        ]  # fmt: skip
        assert (one["_objecttype"], one["_system_object_id"]) == ("book", document.pk)
        assert one["_global_object_id"] == f'{document.pk}@my "instance"'
        assert TIME.fullmatch(one["_created"]) and TIME.fullmatch(one["_last_modified"])
        own = {key: value for key, value in document.body.items() if key not in ("_id", "_version")}
        version = 2 if document.doc_id == "empty" else 1
        assert one["book"] == {"_id": document.pk, "_version": version, **own}
        assert line.count(b'"_version"') == 1
    assert len(lines) == len(BODIES)


def test_other_cells_are_not_in_it(cell: Cell, bob: User) -> None:
    other = make_cell(bob, "bob-cell")
    put_files(other, {"secret": b"1"})
    put_documents(other, [("book", "secret", {})])
    with Snapshot() as snapshot:
        assert list(snapshot.files(cell.pk)) == [] == snapshot.doctypes(cell.pk)
        assert list(snapshot.documents(cell.pk, "book", "lines", "local")) == []
