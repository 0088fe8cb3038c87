"""The form of an export in a browser: it shows what a choice needs, and leads to what is new or wrong."""

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import expect

from exports.models import Export
from exports.services import exports as services
from exports.services import overview, running
from tests.factories import make_cell, put_documents, put_file

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def cell(alice: User):
    cell = make_cell(alice, "home")
    put_documents(cell, [("note", str(number), {"n": number}) for number in range(1200)])
    put_file(cell, "a.txt", b"a" * 3000)
    return cell


def test_what_a_choice_has_no_use_for_is_out_of_the_way(people, alice: User, cell) -> None:
    page = people().sign_in(alice).go("/web/exports/new")
    formats, kinds = page.get_by_label("JSON", exact=True), page.get_by_label("note", exact=True)
    expect(formats).not_to_be_visible()
    page.get_by_label("For other programs").check()
    expect(formats).to_be_visible()
    page.get_by_label("None, the files alone").check()
    expect(formats).not_to_be_visible()
    expect(kinds).not_to_be_visible()
    page.get_by_label("Complete, to be kept").check()
    expect(kinds).to_be_visible()


def test_the_page_opens_where_something_is_new_or_wrong(people, alice: User, cell) -> None:
    person = people().sign_in(alice)
    page = person.go("/web/exports/new")
    person.click("SFTP")
    at = "document.activeElement"
    page.wait_for_function(f"{at}.querySelector('legend')?.textContent == 'SFTP'")
    person.click("Save")
    page.wait_for_function(f"{at}.getAttribute('role') == 'alert'")
    page.get_by_role("alert").get_by_role("link", name="Host key of the server").press("Enter")
    page.wait_for_function(f"{at}.name == 'sftp-0-host_key'")
    assert not Export.objects.exists()


def test_how_long_it_will_take_is_known_from_what_others_ran(people, alice: User, bob: User, cell) -> None:
    put_file(make_cell(bob, "bobs"), "b.txt", b"b")
    person = people().sign_in(alice)
    preview = person.go("/web/exports/new").locator("#preview")
    expect(preview).to_contain_text("Documents1,200")
    expect(preview).to_contain_text("known after the first run")
    export = services.export_create(
        owner=bob, type="export", name="", cells=None, definition={}, transports=[], schedules=[]
    )
    running.run_export(run_id=services.export_start(export=export).pk)
    expect(person.go("/web/exports/new").locator("#preview")).to_contain_text("Takes about1 second")


def test_more_takes_longer(alice: User, cell) -> None:
    export = services.export_create(
        owner=alice, type="export", name="", cells=None, definition={}, transports=[], schedules=[]
    )
    running.run_export(run_id=services.export_start(export=export).pk)
    few, more, large = (
        overview.usual_seconds(amount=amount)
        for amount in (
            overview.Amount(1, 1, []),
            overview.Amount(1_000_000, 1, [("note", 5_000_000)]),
            overview.Amount(1, 10**13, []),
        )
    )
    assert few and more and large and few * 100 < more < large


def test_names_of_doctypes_are_those_of_all_cells(alice: User, cell) -> None:
    other = make_cell(alice, "other")
    put_documents(other, [("contact", "1", {}), ("note", "1", {}), ("zebra", "1", {})])
    assert overview.doctype_names(cells=[cell, other]) == ["contact", "note", "zebra"]
    assert overview.doctype_names(cells=[cell]) == ["note"]
    assert overview.doctype_names(cells=[]) == []
