"""What exports of changes say of what was deleted (`exports/services/deletions.py`, issue 3: "deletions listed")."""

from datetime import timedelta
from typing import Any

import orjson
import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.utils import timezone

from cells import generations, writing
from cells.deletions import deletions_note
from cells.models import Cell, Deletion, Document
from exports.models import Event, Export, Run
from exports.services import downloads, exports, incremental, manifest, running, schedules
from exports.states import RunState
from tests.cells.contents import in_threads
from tests.factories import make_cell, put_documents, put_file, put_files

pytestmark = pytest.mark.django_db(transaction=True)
NAME = "deleted.jsonl"


@pytest.fixture
def cell(alice: User) -> Cell:
    cell = make_cell(alice)
    put_files(cell, {"old.txt": b"old", "folder/other.txt": b"other"})
    put_documents(cell, [("book", "b1", {"n": 1}), ("book", "b2", {"n": 2}), ("film", "f1", {"n": 1})])
    return cell


def make(alice: User, **definition: Any) -> Export:
    definition = {"search": {}, "json": True, **definition}
    options: dict[str, Any] = {"cells": None, "transports": [], "schedules": []}
    return exports.export_create(
        owner=alice, type="export_incremental", name="changes", definition=definition, **options
    )


@pytest.fixture
def export(cell: Cell, alice: User) -> Export:
    export = make(alice)
    run(export)
    return export


def run(export: Export) -> set[str]:
    done = running.run_export(run_id=exports.export_start(export=export).pk)
    assert done is not None and done.state == RunState.DONE, done and done.error
    return {entry[1] for entry in manifest.entries_iter(run_id=done.pk)}


def listed(export: Export) -> list[str]:
    """What a new run lists as deleted; [] without the file."""
    names = run(export)
    if NAME not in names:
        return []
    opened = downloads.open_entry(run=export.runs.latest("pk"), path=NAME)
    lines = [orjson.loads(line) for line in b"".join(opened.chunks(0, opened.length)).splitlines()]
    for line in lines:
        assert line["cell"] == "alice-cell" and line["deleted_at"].endswith("Z")
    return [line["path"] if "path" in line else f"{line['doctype']}/{line['id']}" for line in lines]


def test_a_first_run_lists_nothing(export: Export, cell: Cell, alice: User) -> None:
    """§11: "First run: all objects found"."""
    writing.file_delete(cell=cell, path="old.txt")
    assert NAME not in run(make(alice))


def test_what_was_deleted_since_the_last_good_run_is_listed_once(export: Export, cell: Cell) -> None:
    number = Document.objects.get(doc_id="b1").pk
    writing.file_delete(cell=cell, path="folder")
    writing.document_delete(cell=cell, doctype="book", doc_id="b1")
    writing.documents_put(cell=cell, lines=[b'{"doctype": "film", "id": "f1", "deleted": true}'])
    assert listed(export) == ["folder/", "folder/other.txt", "book/b1", "film/f1"]
    opened = downloads.open_entry(run=export.runs.latest("pk"), path=NAME)
    assert f'"_system_object_id": {number}'.encode() in b"".join(opened.chunks(0, opened.length))
    assert listed(export) == []


def test_what_came_again_is_new_and_not_deleted(export: Export, cell: Cell) -> None:
    writing.file_delete(cell=cell, path="old.txt")
    writing.document_delete(cell=cell, doctype="book", doc_id="b1")
    put_file(cell, "old.txt", b"newer")
    put_documents(cell, [("book", "b1", {"n": 3})])
    assert run(export) == {"old.txt", "documents/book.json"}


def test_what_was_moved_is_gone_from_its_old_place(export: Export, cell: Cell) -> None:
    writing.file_move(cell=cell, source="folder", target="elsewhere")
    assert listed(export) == ["folder/", "folder/other.txt"]


def test_a_run_of_deletions_alone_is_not_idle(export: Export, cell: Cell) -> None:
    """§11: "Nothing new → run ends `done`"; easydb has no events of empty scheduled runs, but this one is not empty."""
    exports.export_update(
        export=export, user=export.owner, changes={"schedules": [{"days": [], "hours": [], "minutes": [0]}]}
    )
    Event.objects.all().delete()
    writing.document_delete(cell=cell, doctype="book", doc_id="b1")
    row = export.schedules.get()
    assert schedules.dispatch_due(now=row.next_run_at + timedelta(seconds=1)) == 1
    done = running.run_export(run_id=Run.objects.latest("pk").pk)
    assert done is not None and done.entry_count == 2
    assert Event.objects.filter(type="EXPORT_FINISH").exists()


def test_only_what_the_export_takes_is_listed(export: Export, cell: Cell, alice: User) -> None:
    only_books, only_files = make(alice, search={"objecttypes": ["book"]}), make(alice, json=False)
    run(only_books), run(only_files)
    writing.file_delete(cell=cell, path="old.txt")
    put_documents(cell, [("play", "p", {})])
    for doctype, doc_id in (("book", "b1"), ("film", "f1"), ("play", "p")):
        writing.document_delete(cell=cell, doctype=doctype, doc_id=doc_id)
    assert listed(only_books) == ["old.txt", "book/b1"]
    assert listed(only_files) == ["old.txt"]


def test_a_cells_own_file_of_that_name_keeps_it(export: Export, cell: Cell) -> None:
    put_file(cell, NAME, b"mine")
    writing.file_delete(cell=cell, path="old.txt")
    assert run(export) == {NAME, "deleted (2).jsonl"}


def switched(cell: Cell) -> int:
    """The cell shows another generation, with one file and one document of the old; gives the number of the old."""
    generation = writing.new_generation(cell)
    with connection.cursor() as cursor:
        for table, columns, name in (
            ("cells_file", "path, folder, is_folder, sha256, size, mtime, executable, content_type, version", "path"),
            ("cells_document", "doctype, doc_id, rev, body", "doc_id"),
        ):
            cursor.execute(
                f"INSERT INTO {table} (cell_id, generation, {columns}, created_at, updated_at)"  # noqa: S608
                f" SELECT cell_id, %s, {columns}, created_at, updated_at FROM {table}"
                f" WHERE cell_id = %s AND generation = %s AND {name} IN ('old.txt', 'b2')",
                [generation, cell.pk, cell.generation],
            )
    return writing.switch_generation(cell, generation)


def test_a_switch_of_generations_lists_what_is_gone_and_all_else_is_new(export: Export, cell: Cell) -> None:
    """The times in rows of an import may lie before the last run, which did not see them."""
    old = switched(cell)
    names = run(export)
    assert names == {"old.txt", "documents/book.json", NAME}
    writing.drop_generation(cell, old)
    assert listed(export) == []
    assert Deletion.objects.values("doctype", "name").distinct().count() == 4


def test_what_is_written_while_a_switch_is_prepared_is_listed_too(
    export: Export, cell: Cell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is gone is noted before the cell is held; writers come in between."""

    def note(**which: Any) -> None:
        deletions_note(**which)
        if which.get("since") is None:
            assert in_threads(lambda: put_file(cell, "late.txt")) == []

    monkeypatch.setattr(generations, "deletions_note", note)
    old = switched(cell)
    assert listed(export) == ["folder/", "folder/other.txt", "late.txt", "book/b1", "film/f1"]
    writing.drop_generation(cell, old)


def test_who_prepares_a_switch_is_known_as_a_writer_before_it_takes_the_time(cell: Cell) -> None:
    """A run between the two would take its baseline behind the time of a deletion that it cannot see yet."""
    with transaction.atomic(), connection.cursor() as cursor:
        deletions_note(cell=cell, generation=cell.generation)
        assert not Deletion.objects.exists()
        cursor.execute("SELECT pg_current_xact_id_if_assigned() IS NOT NULL")
        assert cursor.fetchone() == (True,)


def test_a_switch_back_lists_what_only_the_other_had(export: Export, cell: Cell) -> None:
    old = switched(cell)
    run(export)
    put_file(cell, "imported.txt")
    run(export)
    writing.switch_generation(cell, old)
    assert listed(export) == ["imported.txt"]
    assert {"old.txt", "folder/other.txt"} <= set(export.runs.latest("pk").entries.values_list("name", flat=True))


def test_generations_that_nobody_saw_leave_no_trace(cell: Cell) -> None:
    generation = writing.new_generation(cell)
    Document.objects.filter(doc_id="b1").update(generation=generation)
    writing.drop_generation(cell, generation)
    assert not Deletion.objects.exists()


def test_deletions_are_kept_as_long_as_somebody_will_list_them(export: Export, cell: Cell, settings: Any) -> None:
    writing.file_delete(cell=cell, path="old.txt")
    now = timezone.now()
    assert incremental.deletions_sweep(now=now + timedelta(days=80)) == 0 and Deletion.objects.count() == 1
    assert listed(export) == ["old.txt"]
    assert incremental.deletions_sweep(now=now + timedelta(days=80)) == 0  # of the last day: a run may still wait
    Deletion.objects.update(deleted_at=now - timedelta(days=2))
    assert incremental.deletions_sweep(now=now) == 1


def test_without_exports_of_changes_nothing_is_remembered(cell: Cell) -> None:
    writing.file_delete(cell=cell, path="old.txt")
    assert incremental.deletions_sweep(now=timezone.now()) == 0
    assert incremental.deletions_sweep(now=timezone.now() + timedelta(days=2)) == 1


def test_who_comes_too_late_begins_anew(export: Export, cell: Cell) -> None:
    """A list that is not whole would be a lie: after DELETIONS_KEPT all is new."""
    first = export.runs.get()
    first.order["baseline"] = (timezone.now() - timedelta(days=91)).isoformat()
    first.save()
    writing.file_delete(cell=cell, path="old.txt")
    assert incremental.deletions_sweep(now=timezone.now() + timedelta(days=92)) == 1
    assert run(export) == {"folder/other.txt", "documents/book.json", "documents/film.json"}
