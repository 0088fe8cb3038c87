"""`spec/v1.md §11` with the files of §8.2: what changed of a document is also what changed of its files; over HTTP."""

from typing import Any

import orjson
import pytest

from cells import writing
from cells.models import Cell, Document
from tests.clients import V1, content
from tests.factories import make_cell, put_documents, put_file
from tests.spec.v1.asking import created, run
from tests.spec.v1.packed import got, path_to

pytestmark = pytest.mark.django_db(transaction=True)

BOTH = {"image": [{"type": "current"}], "other": [{"type": "current"}]}


@pytest.fixture
def gallery(alice: Any) -> Cell:
    """Book n has the cover n, and all have the same file in a field that is not asked for."""
    cell = make_cell(alice, "gallery")
    for name in ("c1.jpg", "c2.jpg", "deep/c3.jpg", "scan.bin"):
        put_file(cell, name, name.encode())
    put_documents(
        cell,
        [
            ("book", "b1", {"cover": {"_file": "c1.jpg"}, "scan": {"_file": "scan.bin"}}),
            ("book", "b2", {"cover": [{"_file": "/c2.jpg"}], "scan": {"_file": "scan.bin"}}),
            ("film", "f1", {"chapters": [{"still": {"_file": "deep/c3.jpg"}}]}),
            ("note", "n1", {"text": "no file"}),
        ],
    )
    return cell


@pytest.fixture
def export(gallery: Cell, as_alice: V1) -> dict[str, Any]:
    given = {"eas_fields": ["book.cover", "chapters.still"], "classes": BOTH, "json": True, "batch_size": 0}
    export = created(as_alice, type="export_incremental", name="news", **given)
    assert documents(as_alice, run(as_alice, export)) == ["b1", "b2", "f1", "n1"]
    return export


def documents(client: V1, export: dict[str, Any]) -> list[str]:
    """The ids of the documents that the data file has; [] without one."""
    paths = [file["path"] for file in export["_files"] if file["path"].endswith(".json")]
    texts = [got(client.get(path_to(export, f"/file/{path}"))) for path in paths]
    return [each["_uuid"] for text in texts for each in orjson.loads(text)["objects"]]


def shipped(client: V1, export: dict[str, Any]) -> list[bytes]:
    paths = [file["path"] for file in export["_files"] if "/files/" in file["path"]]
    return [content(client.get(path_to(export, f"/file/{path}"))) for path in paths]


def test_a_changed_file_brings_its_unchanged_document(as_alice: V1, gallery: Cell, export: dict[str, Any]) -> None:
    """§11: "only objects new or modified since the last successful run": a new cover is a modified book."""
    put_file(gallery, "c2.jpg", b"another")
    put_file(gallery, "scan.bin", b"in no field that is asked for")
    again = run(as_alice, export)
    assert documents(as_alice, again) == ["b2"]
    assert shipped(as_alice, again) == [b"another"]
    assert run(as_alice, export)["_files"] == []


def test_in_rows_of_tables_too_and_beside_what_was_written(as_alice: V1, gallery: Cell, export: dict[str, Any]) -> None:
    put_file(gallery, "deep/c3.jpg", b"another")
    put_documents(gallery, [("note", "n1", {"text": "written"})])
    again = run(as_alice, export)
    assert documents(as_alice, again) == ["f1", "n1"]
    assert shipped(as_alice, again) == [b"another"]


@pytest.mark.parametrize("move", [False, True])
def test_a_file_that_went_brings_its_document_without_it(
    as_alice: V1, gallery: Cell, export: dict[str, Any], move: bool
) -> None:
    if move:
        writing.file_move(cell=gallery, source="deep", target="elsewhere")
    else:
        writing.file_delete(cell=gallery, path="deep")
    again = run(as_alice, export)
    assert again["_state"] == "done_with_warnings"
    assert documents(as_alice, again) == ["f1"]
    assert shipped(as_alice, again) == []
    assert run(as_alice, export)["_files"] == []


def test_a_search_and_its_window_count_what_came_by_its_files(as_alice: V1, gallery: Cell, alice: Any) -> None:
    """§7.2: "a positive integer caps the result", of what has changed."""
    search = {"objecttypes": ["book"], "search": [{"type": "match", "string": "jpg"}], "limit": 1}
    given = {"search": search, "eas_fields": ["book.cover"], "classes": BOTH, "json": True}
    export = created(as_alice, type="export_incremental", name="window", **given)
    assert documents(as_alice, run(as_alice, export)) == ["b1"]
    put_file(gallery, "c2.jpg", b"another")
    assert documents(as_alice, run(as_alice, export)) == ["b2"]
    put_file(gallery, "deep/c3.jpg", b"of no book")
    assert run(as_alice, export)["_files"] == []


def test_without_files_in_the_export_they_bring_nothing(as_alice: V1, gallery: Cell) -> None:
    """§8.2: "`null`/`{}` for `eas_fields` → no files at all": nothing of the data changes with them."""
    export = created(as_alice, type="export_incremental", name="data", eas_fields={}, csv={}, json=True)
    run(as_alice, export)
    put_file(gallery, "c2.jpg", b"another")
    assert run(as_alice, export)["_files"] == []


def test_paths_that_lead_nowhere_are_no_trouble(as_alice: V1, gallery: Cell) -> None:
    fields = {"": {"files": True}, "a..b": {"files": True}, "_tags": {"files": True}, "book.cover": {"files": True}}
    export = created(as_alice, type="export_incremental", name="odd", eas_fields=fields, classes=BOTH, json=True)
    run(as_alice, export)
    put_file(gallery, "c1.jpg", b"another")
    assert shipped(as_alice, run(as_alice, export)) == [b"another"]
    assert Document.objects.count() == 4
