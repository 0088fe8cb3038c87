"""Snapshots of a cell: made, taken along, brought back from, deleted; by nobody but its owner."""

from zipfile import ZipFile

import pytest
from django.contrib.auth.models import User
from django.test import Client
from playwright.sync_api import expect

from cells import reading, writing
from cells.models import Cell, SnapshotFile
from exports.models import Import, ImportCheck, Run
from exports.services import import_checks, imports, lifecycle, running, snapshots
from exports.states import ACTIVE
from tests.factories import make_cell, put_file

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def cell(alice: User) -> Cell:
    cell = make_cell(alice, "home")
    put_file(cell, "letter.txt", b"dear")
    return cell


def signed_in(user: User) -> Client:
    client = Client(raise_request_exception=False)
    client.force_login(user)
    return client


def paths(cell: Cell) -> set[str]:
    cell.refresh_from_db()
    return set(reading.files_of(cell).values_list("path", flat=True))


def test_a_snapshot_is_made_fetched_brought_back_and_deleted(people, alice: User, cell: Cell) -> None:
    person = people().sign_in(alice)
    page = person.go("/web/cells/home/")
    person.click("Snapshots", "link")
    expect(page.get_by_role("heading", name="No snapshots yet")).to_be_visible()
    page.get_by_label("Name", exact=True).fill("no/slash")
    person.click("Make it")
    expect(page.get_by_text("Enter a valid value")).to_be_visible()
    assert not Run.objects.exists()
    page.get_by_label("Name", exact=True).fill("monday")
    person.click("Make it")
    expect(page.locator("#live")).to_contain_text("No worker is alive")
    expect(page.get_by_role("button", name="Make it")).to_be_disabled()
    running.run_export(run_id=Run.objects.get().pk)
    expect(page.get_by_role("link", name="monday.zip", exact=True)).to_be_visible()
    assert not page.locator("#live").count()

    with page.expect_download() as fetched:
        page.get_by_role("link", name="monday.zip", exact=True).click()
    assert fetched.value.suggested_filename == "monday.zip"
    with ZipFile(fetched.value.path()) as archive:
        assert archive.testzip() is None and b"dear" in map(archive.read, archive.namelist())

    writing.file_delete(cell=cell, path="letter.txt")
    person.click("Bring back monday.zip")
    expect(page.locator("#check")).to_contain_text("Stop working it out")
    import_checks.run_check(check_id=ImportCheck.objects.get().pk)
    expect(page.locator("#check")).to_contain_text("letter.txt")
    person.click("Import")
    expect(page.locator("#live")).to_contain_text("waiting")
    imports.run_import(import_id=Import.objects.get().pk)
    expect(page.get_by_role("button", name="Undo the import")).to_be_visible()
    assert paths(cell) == {"letter.txt"}

    person.go("/web/cells/home/snapshots")
    person.click("Delete monday.zip", "link")
    assert SnapshotFile.objects.filter(name="monday.zip").exists()
    person.click("Delete")
    expect(page.get_by_role("heading", name="No snapshots yet")).to_be_visible()
    assert not SnapshotFile.objects.exists()


def test_a_failed_one_says_why_and_is_no_archive(alice: User, cell: Cell) -> None:
    client = signed_in(alice)
    lifecycle.run_fail(lifecycle.claim(run_id=snapshots.snapshot_start(cell=cell, name="monday").pk))
    page = client.get("/web/cells/home/snapshots").content
    assert b"monday.error" in page and b"Internal error." in page and b"snapshots/raw?name=monday.error" not in page
    assert client.get("/web/cells/home/snapshots/raw?name=monday.error").status_code == 404
    assert client.post("/web/cells/home/import/choose", {"snapshot": "monday.error"}).status_code == 404


def test_a_name_that_is_taken_and_a_busy_cell_are_said(alice: User, cell: Cell) -> None:
    client = signed_in(alice)
    running.run_export(run_id=snapshots.snapshot_start(cell=cell, name="monday").pk)
    assert b"already exists" in client.post("/web/cells/home/snapshots", {"name": "monday"}).content
    snapshots.snapshot_start(cell=cell, name="tuesday")
    assert b"has to wait" in client.post("/web/cells/home/snapshots", {"name": "friday"}).content
    assert Run.objects.filter(state__in=ACTIVE).count() == 1
    assert set(SnapshotFile.objects.values_list("name", flat=True)) == {"monday.zip", "tuesday.zip"}


@pytest.mark.parametrize("name", ["monday\n", "a b", "../x", "ü", "x" * 193])
def test_a_name_that_the_cell_api_refuses_is_refused(name: str, alice: User, cell: Cell) -> None:
    """`spec/cell.md §5.1`: "a trailing \\n must fail"."""
    assert signed_in(alice).post("/web/cells/home/snapshots", {"name": name}).status_code == 200
    assert not SnapshotFile.objects.exists() and not Run.objects.exists()


def test_nobody_has_anothers_snapshots(alice: User, bob: User, cell: Cell) -> None:
    running.run_export(run_id=snapshots.snapshot_start(cell=cell, name="monday").pk)
    make_cell(bob, "bobs")
    client = signed_in(bob)
    for route in ("", "/live", "/raw?name=monday.zip", "/remove?name=monday.zip"):
        assert client.get(f"/web/cells/home/snapshots{route}").status_code == 404, route
        assert client.post(f"/web/cells/home/snapshots{route}", {"name": "monday.zip"}).status_code == 404, route
    for given in ("monday.zip", "../home/monday.zip", "a\0b"):
        assert client.get("/web/cells/bobs/snapshots/raw", {"name": given}).status_code == 404
        assert client.post("/web/cells/bobs/import/choose", {"snapshot": given}).status_code == 404
    assert Run.objects.count() == 1 and SnapshotFile.objects.get().name == "monday.zip"
