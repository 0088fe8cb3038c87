"""An export of another server comes by its link: asked for first, then fetched, watched and undone."""

import pytest
from django.contrib.auth.models import User
from django.test import Client
from playwright.sync_api import expect

from cells import reading
from cells.models import Cell
from exports.models import Import
from exports.services import import_lifecycle, imports, overview
from exports.states import ImportState
from tests.factories import make_cell, put_file
from tests.spec.move.incoming import document, file, zipped
from tests.spec.move.other import other_server
from tests.web.test_pages import look

pytestmark = pytest.mark.django_db(transaction=True)
PART = zipped(*file("f1", "letter.txt", b"dear"), document("io.cozy.contacts", "c1", name="Zoë"))
LABEL = "The link of an export on another server"


@pytest.fixture
def cell(alice: User) -> Cell:
    cell = make_cell(alice, "home", quota=100_000)
    put_file(cell, "old.txt", b"old")
    return cell


@pytest.fixture
def local(settings) -> None:
    settings.EGRESS_ALLOW = ["127.0.0.0/8"]


def paths(cell: Cell) -> set[str]:
    cell.refresh_from_db()
    return set(reading.files_of(cell).values_list("path", flat=True))


@pytest.mark.usefixtures("local")
def test_an_export_of_another_server_is_asked_for_fetched_and_undone(people, alice: User, cell: Cell) -> None:
    overview.worker_noted()
    person = people(viewport={"width": 1280, "height": 900}).sign_in(alice)
    page = person.go("/web/cells/home/import")
    told = {"created_at": "2026-03-01T10:00:00+01:00", "without_files": True, "with_doctypes": ["io.note", "<b>"]}
    with other_server({"": PART}, contents_size=4, **told) as other:
        page.get_by_label(LABEL).fill(other.link)
        person.click("Ask the other server")
        expect(page.locator("#check")).to_contain_text("A finished export waits there")
        expect(page.locator("#check")).to_contain_text("1 Mar 2026, 10:00")
        expect(page.locator("#check")).to_contain_text("these kinds of documents alone: io.note, <b>")
        expect(page.locator("#check")).to_contain_text("It holds no files")
        expect(page.get_by_role("heading", name="127.0.0.1")).to_be_visible()
        assert other.link not in page.content() and "QUFB" not in page.url
        assert look(page, "import-link") == []
        page.get_by_label("Merge, the archive wins").check()
        person.click("Import")
        expect(page.locator("#live")).to_contain_text("waiting")
        assert paths(cell) == {"old.txt"}

        row = Import.objects.get()
        Import.objects.filter(pk=row.pk).update(state=ImportState.PROCESSING, fence=1)
        import_lifecycle.heartbeat(Import.objects.get(), done=3_000_000)
        expect(page.locator("#live")).to_contain_text("2.9\xa0MB fetched from the other server")
        import_lifecycle.transition(row.pk, ImportState.PENDING)
        imports.run_import(import_id=row.pk)
    expect(page.get_by_role("button", name="Undo the import")).to_be_visible()
    assert paths(cell) == {"old.txt", "letter.txt"}
    person.click("Undo the import")
    expect(page.locator("#live")).to_contain_text("undone")
    assert paths(cell) == {"old.txt"}


@pytest.mark.usefixtures("local")
@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"state": "exporting"}, b"No finished export was found behind this link"),
        ({"contents_size": 200_000}, b"97.7\xc2\xa0KB more than the cell may hold"),
    ],
)
def test_what_cannot_be_had_is_said_before_anything_is_begun(alice: User, cell: Cell, told: dict, said: bytes) -> None:
    client = Client()
    client.force_login(alice)
    with other_server({"": PART}, **told) as other:
        page = client.post("/web/cells/home/import/choose", {"link": other.link}, follow=True)
        answer = client.post("/web/cells/home/import/check", {"archive": _chosen(page)})
    assert said in answer.content
    assert [path for path, _ in other.asked] == ["/move/exports/QUFB"]
    assert paths(cell) == {"old.txt"} and not Import.objects.exists()


def test_a_link_into_our_own_network_tells_nothing_and_reaches_nothing(alice: User, cell: Cell) -> None:
    client = Client()
    client.force_login(alice)
    with other_server({"": PART}) as other:
        page = client.post("/web/cells/home/import/choose", {"link": other.link}, follow=True)
        answer = client.post("/web/cells/home/import/check", {"archive": _chosen(page)})
    assert b"No finished export was found behind this link" in answer.content
    assert other.asked == []


@pytest.mark.parametrize("link", ["https://cloud.example.org/", "file:///etc/passwd#/exports/QUFB", "x", "\0"])
def test_what_is_no_link_is_said_to_be_none(alice: User, cell: Cell, link: str) -> None:
    client = Client()
    client.force_login(alice)
    page = client.post("/web/cells/home/import/choose", {"link": link}, follow=True)
    assert b"This is no link of an export" in page.content and page.context["archive"] == ""


def test_a_choice_is_good_for_its_cell_alone(alice: User, cell: Cell) -> None:
    make_cell(alice, "second")
    client = Client()
    client.force_login(alice)
    page = client.post("/web/cells/home/import/choose", {"link": "https://other.example/#/exports/QUFB"}, follow=True)
    client.post("/web/cells/second/import/start", {"archive": _chosen(page), "mode": "replace"})
    assert not Import.objects.exists()


def _chosen(page) -> str:
    assert page.context["archive"]
    return page.context["archive"]
