"""A large cell that is deleted is gone for everybody at once; its rows go afterwards, whoever is killed meanwhile."""

import pytest
from django.contrib.auth.models import User

from cells import reading, removing, tokens, writing
from cells.errors import CellNotFound, SessionNotFound
from cells.models import AccessToken, Cell, Deletion, Document, File, FileVersion, SnapshotFile, Usage
from cells.quota import bytes_used
from exports.errors import ImportLeaseLost
from exports.models import Event, Export, Import, ImportMode, Notification, Run
from exports.services import import_lifecycle, imports, running, snapshots
from exports.services.import_lifecycle import import_create
from exports.states import ImportState, RunState
from tests.clients import V1
from tests.elsewhere import elsewhere
from tests.factories import make_cell, put_documents, put_file, put_files
from tests.spec.cell.asking import CellClient, empty, refused

pytestmark = pytest.mark.django_db(transaction=True)
MODELS = (File, FileVersion, Document, Usage, Deletion)


@pytest.fixture
def cell(alice: User, monkeypatch) -> Cell:
    """With more rows than are removed at once."""
    monkeypatch.setattr(removing, "AT_ONCE", 3)
    cell = make_cell(alice, "large")
    put_files(cell, {f"a/{n}": b"1" for n in range(10)})
    put_file(cell, "a/1", b"2")
    put_documents(cell, [("book", str(n), {}) for n in range(10)])
    writing.document_delete(cell=cell, doctype="book", doc_id="3")
    return cell


def rows(cell: Cell) -> list[int]:
    mine = {File: "cell", FileVersion: "file__cell", Document: "cell", Usage: "cell", Deletion: "cell"}
    return [model.objects.filter(**{mine[model]: cell.pk}).count() for model in MODELS]


def test_it_is_hidden_at_once_and_its_rows_go_afterwards(alice: User, cell: Cell) -> None:
    other, before = make_cell(alice, "other"), rows(cell)
    put_file(other, "kept", b"kept")
    token, owner = tokens.token_create(user=alice, cell=cell), CellClient(alice)
    empty(owner.delete("/large", x_personium_recursive="true"), 204)
    assert rows(cell) == before == [11, 1, 9, 1, 1]

    assert list(Cell.objects.all()) == list(reading.cells_of(alice)) == [other]
    refused(owner.get("/large/__export"), "PR404-DV-0003")
    assert V1(alice).get("cell/large").status_code == 404
    assert [each["name"] for each in V1(alice).get("cell").json()["objects"]] == ["other"]
    with pytest.raises(SessionNotFound):
        tokens.token_find(token)
    with pytest.raises(CellNotFound):
        put_file(cell, "late")
    again = make_cell(alice, "large")
    put_file(again, "new", b"new")

    assert removing.cells_remove() == 1
    assert rows(cell) == [0, 0, 0, 0, 0] and not Cell.every.filter(pk=cell.pk).exists()
    assert bytes_used(again) == 3 and bytes_used(other) == 4
    assert removing.cells_remove() == 0


@pytest.mark.parametrize("after", range(0, 9, 2))
def test_who_is_killed_leaves_it_hidden_and_the_next_one_goes_on(cell: Cell, after: int, monkeypatch) -> None:
    writing.cell_delete(cell=cell)
    real, calls = removing._remove_some, iter(range(after))

    def some(*arguments: object) -> int:
        if next(calls, None) is None:
            raise KeyboardInterrupt
        return real(*arguments)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(removing, "_remove_some", some)
        removing.cells_remove()
    assert not Cell.objects.exists() and Cell.every.filter(pk=cell.pk).exists()
    assert removing.cells_remove() == 1
    assert rows(cell) == [0, 0, 0, 0, 0] and not AccessToken.objects.filter(cell=cell.pk).exists()


def test_a_small_one_goes_at_once(cell: Cell, monkeypatch) -> None:
    monkeypatch.setattr(removing, "AT_ONCE", 100)
    writing.cell_delete(cell=cell)
    assert not Cell.every.exists() and rows(cell) == [0, 0, 0, 0, 0]


def test_what_was_ordered_of_it_fails_and_goes_with_it(cell: Cell) -> None:
    run = snapshots.snapshot_start(cell=cell, name="x")
    writing.cell_delete(cell=cell)
    done = running.run_export(run_id=run.pk)
    assert done is not None and done.state == RunState.FAILED and done.error["code"] == "cell_not_found"
    removing.cells_remove()
    assert not Run.objects.exists() and not SnapshotFile.objects.exists() and not Export.objects.exists()


def test_an_import_into_it_ends_and_is_told_to_nobody(cell: Cell) -> None:
    """It was fetched to its end, and a mail said that the import of a cell called " 1" had failed."""
    waiting = import_create(cell=cell, owner=cell.owner, source="link:x", mode=ImportMode.REPLACE, name="")
    events = Event.objects.count()
    writing.cell_delete(cell=cell)
    assert imports.run_import(import_id=waiting.pk) is None
    row = Import.objects.get(pk=waiting.pk)
    assert row.state == ImportState.PENDING
    # one that somebody has begun
    Import.objects.filter(pk=row.pk).update(state=ImportState.PROCESSING)
    row.state = ImportState.PROCESSING
    with pytest.raises(ImportLeaseLost):
        import_lifecycle.heartbeat(row)
    assert not import_lifecycle.import_fail(row)
    assert (Event.objects.count(), Notification.objects.count()) == (events, 0)
    assert removing.cells_remove() == 1 and not Import.objects.exists()


def test_a_second_one_leaves_it_to_the_first(cell: Cell, monkeypatch) -> None:
    """It found the rows that the first was removing, took the others for few, and removed them in one transaction."""
    writing.cell_delete(cell=cell)
    real, seconds = removing._remove_some, []

    def some(*arguments: object) -> int:
        monkeypatch.setattr(removing, "_remove_some", real)
        elsewhere(lambda: seconds.append((removing.cells_remove(), rows(cell))))
        return real(*arguments)

    before = rows(cell)
    monkeypatch.setattr(removing, "_remove_some", some)
    assert removing.cells_remove() == 1 and seconds == [(0, before)]
    assert rows(cell) == [0, 0, 0, 0, 0] and not Cell.every.exists()
