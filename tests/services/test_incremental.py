"""Exports of what is new: `exports/services/incremental.py` (`spec/v1.md §11`)."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connections
from django.utils import timezone

from cells import writing
from cells.models import Cell
from cells.quota import cell_writing
from exports.engine.manifest import NAME
from exports.models import Event, Export, Run
from exports.services import downloads, exports, lifecycle, manifest, retention, running
from exports.states import RunState
from tests.factories import make_cell, put_documents, put_file, put_files

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def cell(alice: User) -> Cell:
    cell = make_cell(alice)
    put_files(cell, {"old.txt": b"old", "folder/other.txt": b"other"})
    put_documents(cell, [("book", "b1", {"title": "one"}), ("film", "f1", {"title": "one"})])
    return cell


@pytest.fixture
def export(cell: Cell, alice: User) -> Export:
    return exports.export_create(
        owner=alice,
        type="export_incremental",
        name="changes",
        cells=None,
        definition={"search": {}, "json": True},
        transports=[],
        schedules=[],
    )


ALL = {"old.txt", "folder/other.txt", "documents/book.json", "documents/film.json"}


def run(export: Export) -> set[str]:
    """The names that a new run exports."""
    started = exports.export_start(export=export)
    return finish(started)


def finish(started: Run) -> set[str]:
    done = running.run_export(run_id=started.pk)
    assert done is not None and done.state == RunState.DONE, done and done.error
    return {name for _, name, *_ in manifest.entries_iter(run_id=done.pk)}


def change(export: Export, **changes: Any) -> None:
    exports.export_update(export=export, user=export.owner, changes=changes)


def test_the_first_run_has_all_and_later_ones_what_is_new(export: Export, cell: Cell) -> None:
    """§11: "First run: all objects found. Every later run, manual or scheduled: only objects new or modified"."""
    assert run(export) == ALL
    put_file(cell, "new.txt")
    put_file(cell, "folder/other.txt", b"changed")
    put_documents(cell, [("book", "b2", {"title": "two"})])
    assert run(export) == {"new.txt", "folder/other.txt", "documents/book.json"}
    assert run(export) == set()


def test_of_a_doctype_only_the_new_documents_are_there(export: Export, cell: Cell) -> None:
    run(export)
    put_documents(cell, [("book", "b2", {"title": "two"}), ("book", "b3", {"title": "three"})])
    run(export)
    done = export.runs.latest("pk")
    opened = downloads.open_entry(run=done, path="documents/book.json")
    text = b"".join(opened.chunks(0, opened.length))
    assert b'"count": 2' in text and b'"two"' in text and b'"three"' in text and b'"one"' not in text


def test_nothing_new_ends_done_and_the_archive_says_so(export: Export) -> None:
    """§11: "Nothing new → run ends `done`, `_files` empty, baseline moves"."""
    run(export)
    assert run(export) == set()
    second = export.runs.latest("pk")
    assert second.order["since"] < second.order["baseline"]
    assert list(second.entries.values_list("name", flat=True)) == [NAME]
    assert run(export) == set()
    assert export.runs.latest("pk").order["since"] == second.order["baseline"]


def test_what_is_moved_is_new_at_its_new_place(export: Export, cell: Cell) -> None:
    run(export)
    writing.file_move(cell=cell, source="folder", target="elsewhere")
    assert run(export) == {"elsewhere/other.txt", "deleted.jsonl"}


def test_what_changes_while_a_run_waits_or_runs_comes_in_one_of_the_two(export: Export, cell: Cell) -> None:
    """§11: "Baseline = **start** time of the last run that ended done / done_with_warnings; an object qualifies if
    `_last_modified` ≥ baseline": what is written between start and freeze comes twice, never not."""
    run(export)
    waiting = exports.export_start(export=export)
    put_file(cell, "between.txt")
    assert finish(waiting) == {"between.txt"}
    assert run(export) == {"between.txt"}
    assert run(export) == set()


@pytest.mark.parametrize("end", [lambda run: lifecycle.run_fail(run), lambda run: lifecycle.run_end_stopped(run)])
def test_failed_and_stopped_runs_do_not_move_the_baseline(export: Export, cell: Cell, end: Any) -> None:
    """§11: "Failed and stopped runs do not move it"."""
    run(export)
    put_file(cell, "new.txt")
    end(lifecycle.claim(run_id=exports.export_start(export=export).pk))
    assert run(export) == {"new.txt"}


def test_an_expired_run_was_a_successful_one(export: Export, cell: Cell) -> None:
    run(export)
    retention.run_expire(export.runs.get())
    put_file(cell, "new.txt")
    assert run(export) == {"new.txt"}


@pytest.mark.parametrize(
    "changes", [{"definition": {"search": {"objecttypes": ["book", "film"]}}}, {"cells": ["alice-cell"]}]
)
def test_another_selection_begins_anew(export: Export, changes: dict[str, Any]) -> None:
    """§11: "Changing `search` or `type` resets the baseline"; so does naming the cells."""
    run(export)
    change(export, **changes)
    assert run(export) == ALL
    assert run(export) == set()


def test_another_type_begins_anew(export: Export) -> None:
    """§11, again."""
    run(export)
    change(export, type="export")
    assert run(export) == run(export) == ALL
    change(export, type="export_incremental")
    assert run(export) == ALL
    assert run(export) == set()


def test_what_says_nothing_of_the_selection_changes_no_baseline(export: Export, cell: Cell) -> None:
    run(export)
    change(export, name="other", definition={"batch_size": 7})
    assert run(export) == set()


def until_somebody_waits() -> None:
    """Inside a transaction, where PostgreSQL shows the same activity again unless it is told to look."""
    deadline = time.monotonic() + 60
    with connections["default"].cursor() as cursor:
        while time.monotonic() < deadline:
            cursor.execute("SELECT pg_stat_clear_snapshot()")
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
            )
            if cursor.fetchone()[0]:
                return
    pytest.fail("nobody waits for the cell")


@pytest.mark.parametrize("attempt", range(3))
def test_what_a_writer_has_not_committed_yet_is_not_lost(export: Export, cell: Cell, attempt: int) -> None:
    """Its rows say a time before the run, which did not see them."""
    written, go = threading.Event(), threading.Event()

    def write() -> None:
        try:
            with cell_writing(cell):
                put_file(cell, "slow.txt")
                put_documents(cell, [("film", "slow", {"title": "slow"})])
                written.set()
                assert go.wait(60)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        writer = pool.submit(write)
        assert written.wait(60)
        assert run(export) == ALL
        go.set()
        writer.result()
    assert run(export) == {"slow.txt", "documents/film.json"}
    assert run(export) == set()


def test_who_waits_for_the_cell_writes_the_time_at_which_it_has_it(export: Export, cell: Cell) -> None:
    def write() -> None:
        try:
            put_file(cell, "waited.txt")
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        with cell_writing(cell):
            writer = pool.submit(write)
            until_somebody_waits()
            started = exports.export_start(export=export)
        writer.result()
    begun = started.order["baseline"]
    assert cell.files.get(path="waited.txt").updated_at.isoformat() > begun


def test_other_types_have_no_baseline(alice: User, cell: Cell, export: Export) -> None:
    change(export, type="export")
    started = exports.export_start(export=export)
    assert not started.order.keys() & {"since", "baseline"}
    assert Event.objects.filter(type="EXPORT_UPDATE").count() == 1


def test_packages_hold_what_is_new(export: Export, cell: Cell) -> None:
    """§11, for the data files of §8.3: a package of the documents since, none when there are none."""
    change(export, definition={"search": {}, "json": False, "xml": True, "eas_fields": {}})
    first = run(export)
    assert len(first) == 1 and all(name.endswith("@local.xml") for name in first)
    assert run(export) == set()
    put_documents(cell, [("film", "f2", {"title": "new"})])
    [name] = run(export)
    assert name == f"changes/{cell.documents.get(doc_id='f2').pk}@local.xml"


def test_after_a_switch_the_data_tells_where_the_files_lie(cell: Cell, alice: User) -> None:
    """A generation that is shown counts as new, files as well as what is said of them."""
    put_documents(cell, [("film", "f2", {"still": {"_file": "/old.txt"}})])
    options: dict[str, Any] = {"cells": None, "transports": [], "schedules": []}
    definition = {"search": {"objecttypes": ["film"]}, "json": True, "batch_size": 0}
    export = exports.export_create(
        owner=alice, type="export_incremental", name="changes", definition=definition, **options
    )
    assert "old.txt" in run(export)
    Cell.objects.update(switched_at=timezone.now())
    names = run(export)
    [data] = [name for name in names if name.startswith("changes/")]
    opened = downloads.open_entry(run=export.runs.latest("pk"), path=data)
    assert "old.txt" in names and b'"path":"../old.txt"' in b"".join(opened.chunks(0, opened.length))
