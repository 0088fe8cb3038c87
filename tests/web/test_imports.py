"""An archive comes back: seen first, then taken, watched and undone; and nobody brings back what is not theirs."""

import re

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from cells import reading, writing
from cells.models import Cell
from exports.models import Import, ImportCheck, Run
from exports.services import downloads, import_checks, imports, running
from exports.services import exports as services
from tests.clients import content
from tests.factories import make_cell, put_documents, put_file, put_files

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def cell(alice: User) -> Cell:
    cell = make_cell(alice, "home")
    put_documents(cell, [("note", "1", {"text": "kept"})])
    put_files(cell, {"kept.txt": b"kept", "lost.txt": b"lost", "changed.txt": b"before"})
    return cell


@pytest.fixture
def run(cell: Cell, alice: User) -> Run:
    """Of how the cell was, before it changed."""
    export = services.export_create(
        owner=alice,
        type="export",
        name="papers",
        cells=None,
        definition={"search": {}, "documents": "lines"},
        transports=[],
        schedules=[],
    )
    run = running.run_export(run_id=services.export_start(export=export).pk)
    writing.file_delete(cell=cell, path="lost.txt")
    put_file(cell, "changed.txt", b"after")
    put_file(cell, "new.txt", b"new")
    return run


def signed_in(user: User) -> Client:
    client = Client(raise_request_exception=False)
    client.force_login(user)
    return client


def chosen(answer) -> str:
    """The signed archive that the next page's forms carry."""
    return re.search(r'name="archive" value="([^"]+)"', answer.content.decode())[1]


def worked_out(client: Client, archive: str) -> str:
    """What would change, once a worker has found it; until then the page says that it is being worked out."""
    asked = client.post("/web/cells/home/import/check", {"archive": archive}).content.decode()
    assert "is being worked out" in asked
    import_checks.run_check(check_id=ImportCheck.objects.get().pk)
    return client.get("/web/cells/home/import/check", {"archive": archive}).content.decode()


def paths(cell: Cell) -> set[str]:
    cell.refresh_from_db()
    return set(reading.files_of(cell).values_list("path", flat=True))


@pytest.mark.parametrize("source", ["file", "export"])
def test_an_archive_is_looked_at_brought_back_and_undone(alice: User, cell: Cell, run: Run, source: str) -> None:
    client, before = signed_in(alice), paths(cell)
    if source == "file":
        whole = content(
            client.get(f"/api/v1/export/{run.export_id}/download/{downloads.passkey(export=run.export)}/papers.zip")
        )
        given = {"file": SimpleUploadedFile("papers.zip", whole)}
    else:
        given = {"export": run.export_id}
    page = client.post("/web/cells/home/import/choose", given, follow=True)
    token = chosen(page)
    difference = worked_out(client, token)
    assert "lost.txt" in difference and "changed.txt" in difference and "new.txt" in difference
    assert paths(cell) == before

    client.post("/web/cells/home/import/start", {"archive": token, "mode": "replace"})
    assert paths(cell) == before
    imports.run_import(import_id=Import.objects.get().pk)
    assert paths(cell) == {"kept.txt", "lost.txt", "changed.txt"}
    assert "Undo the import" in client.get("/web/cells/home/import").content.decode()
    client.post("/web/cells/home/import/undo")
    assert paths(cell) == before


def test_what_is_no_archive_is_said_to_be_none_and_changes_nothing(alice: User, cell: Cell) -> None:
    client, before = signed_in(alice), paths(cell)
    page = client.post(
        "/web/cells/home/import/choose", {"file": SimpleUploadedFile("x.zip", b"PK\x03\x04 no")}, follow=True
    )
    assert "cannot be brought back" in worked_out(client, chosen(page))
    client.post("/web/cells/home/import/start", {"archive": chosen(page), "mode": "replace"})
    assert client.post("/web/cells/home/import/choose", {"export": "1" * 5000}).status_code == 302
    assert not Import.objects.exists()
    assert paths(cell) == before


def test_what_is_being_worked_out_can_be_stopped(alice: User, cell: Cell, run: Run) -> None:
    client, before = signed_in(alice), paths(cell)
    archive = {"archive": chosen(client.post("/web/cells/home/import/choose", {"export": run.export_id}, follow=True))}
    asked = client.post("/web/cells/home/import/check", archive, headers={"HX-Request": "true"})
    assert b"hx-get" in asked.content and b"No worker is alive" in asked.content and b"<h1" not in asked.content
    stopped = client.post("/web/cells/home/import/check", {**archive, "cancel": "1"}).content
    assert b"Show what would change" in stopped and not ImportCheck.objects.exists()
    assert b"Show what would change" in client.get("/web/cells/home/import/check", archive).content
    assert paths(cell) == before


@pytest.mark.parametrize(("count", "days"), [(0, 7), (5, 0), (5, 7)])
def test_the_page_says_whether_it_can_be_undone(
    count: int, days: int, alice: User, cell: Cell, run: Run, settings
) -> None:
    settings.IMPORT_UNDO_COUNT, settings.IMPORT_UNDO_DAYS = count, days
    page = signed_in(alice).post("/web/cells/home/import/choose", {"export": run.export_id}, follow=True)
    is_kept = bool(count and days)
    assert (b"can be undone" in page.content, b"cannot be undone" in page.content) == (is_kept, not is_kept)


def test_nobody_brings_back_what_is_not_theirs(alice: User, bob: User, cell: Cell, run: Run) -> None:
    """Neither by another's export, nor by another's choice, nor by a digest that somebody wrote down."""
    make_cell(bob, "bobs")
    token = chosen(signed_in(alice).post("/web/cells/home/import/choose", {"export": run.export_id}, follow=True))
    client = signed_in(bob)
    assert client.post("/web/cells/bobs/import/choose", {"export": run.export_id}).status_code == 404
    for archive in (token, f"run:{run.pk}", "blob:" + "0" * 64, "file:/etc/passwd", token[:-1]):
        told = client.post("/web/cells/bobs/import/check", {"archive": archive})
        assert b"too old" in told.content and not ImportCheck.objects.exists()
        client.post("/web/cells/bobs/import/start", {"archive": archive, "mode": "replace"})
    for route in ("", "/choose", "/check", "/start", "/undo", "/live"):
        assert client.post(f"/web/cells/home/import{route}", {"export": run.export_id}).status_code == 404
    assert not Import.objects.exists()
