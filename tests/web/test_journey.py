"""What people do, from the first sign-in on, with their hands."""

import random
from datetime import timedelta
from pathlib import Path
from zipfile import ZipFile

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from playwright.sync_api import expect

from cells.models import Cell, File
from exports.models import Export, Run, Schedule
from exports.services import lifecycle, overview, running
from exportsite.demo import _landscape
from tests.factories import make_cell, put_documents, put_file

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_new_person_fills_exports_watches_and_takes_along(people, alice: User, tmp_path: Path) -> None:
    person = people().sign_in(alice)
    page = person.page
    person.click("To the cells", "link")
    page.get_by_label("Name of a new cell").fill("home")
    person.click("Make the cell")
    for name in ("letter.txt", "story.md"):
        (tmp_path / name).write_text(f"{name}\n" * 500)
    page.get_by_label("Choose files").set_input_files([tmp_path / "letter.txt", tmp_path / "story.md"])
    person.click("Upload")
    expect(page.get_by_role("link", name="story.md")).to_be_visible()
    assert File.objects.get(path="story.md").size == 4500

    page.get_by_role("link", name="Exports", exact=True).click()
    person.click("Make the first one", "link")
    expect(page.locator("#preview")).to_contain_text("Files2")
    page.get_by_label("Name", exact=True).fill("Papers")
    person.click("Save and start")
    expect(page.locator("#live")).to_contain_text("No worker is alive")
    expect(page.locator("#live")).to_contain_text("next in the queue")

    run = Run.objects.get()
    overview.worker_noted()
    page.locator("#stop").focus()
    claimed = lifecycle.claim(run_id=run.pk)
    lifecycle.heartbeat(
        claimed, phase="verify", bytes_done=5000, bytes_planned=10_000, frozen_at=timezone.now() - timedelta(seconds=5)
    )
    expect(page.locator("#live progress")).to_have_attribute("value", "50")
    expect(page.locator("#live")).to_contain_text("Checking every byte")
    expect(page.locator("#live")).to_contain_text("Time left")
    expect(page.locator("#live")).not_to_contain_text("No worker is alive")
    assert page.evaluate("document.activeElement.id") == "stop"  # however often the part is replaced
    page.evaluate("window.same = true")

    Run.objects.filter(pk=run.pk).update(heartbeat_at=timezone.now() - timedelta(hours=1))
    lifecycle.requeue_lost()  # the worker was killed, and the tick found out
    expect(page.locator("#live")).to_contain_text("next in the queue")
    assert page.evaluate("window.same")
    assert str(running.run_export(run_id=run.pk).state) == "done"
    expect(page.get_by_role("link", name="Papers.zip")).to_be_visible()
    expect(page.get_by_text("Its worker was lost")).to_be_visible()
    assert not page.locator("#live[hx-get]").count()  # nothing asks any more

    with page.expect_download() as fetched:
        page.get_by_role("link", name="Papers.zip").click()
    with ZipFile(fetched.value.path()) as archive:
        assert archive.testzip() is None and "story.md" in archive.namelist()

    person.click("Look inside", "link")
    person.click("letter.txt", "link")
    expect(page.locator("pre")).to_contain_text("letter.txt")


def test_without_javascript_everything_can_be_ordered(people, alice: User) -> None:
    put_documents(make_cell(alice, "home"), [("note", "1", {"a": 1}), ("contact", "2", {"b": 2})])
    person = people(java_script_enabled=False).sign_in(alice)
    page = person.page
    person.click("Make the first one", "link")
    page.get_by_label("Name", exact=True).fill("By hand")
    page.get_by_label("contact").check()
    person.click("Count what it would hold")
    expect(page.locator("#preview")).to_contain_text("Documents1")
    page.get_by_label("Mail me when it has run").select_option("about warnings and failures")
    person.click("Add a schedule")
    page.get_by_label("Sunday").check()
    page.get_by_label("Days of the month").fill("1-7")
    page.get_by_label("Hours").fill("10")
    page.get_by_label("Time zone").fill("Europe/Berlin")
    person.click("WebDAV")
    page.get_by_label("Address").fill("https://cloud.example.org/dav")
    page.get_by_label("Login").fill("me")
    page.get_by_label("Password").fill("hunter2")
    person.click("S3")
    person.click("Save")
    expect(page.get_by_role("alert")).to_contain_text("It is not saved yet")
    expect(page.get_by_text("This field is required").first).to_be_visible()
    assert not Export.objects.exists()
    page.get_by_role("button", name="Remove this delivery").last.click()
    page.get_by_label("Password").fill("hunter2")
    person.click("Save")
    expect(page.get_by_role("heading", name="By hand")).to_be_visible()
    expect(page.get_by_text("every first Sunday of the month at 10:00 (Europe/Berlin)")).to_be_visible()

    export = Export.objects.get()
    assert (export.definition["search"], export.definition["notify"]) == ({"objecttypes": ["contact"]}, "problems")
    assert [row.type for row in export.transports.all()] == ["webdav"]
    assert export.transports.get().secrets and b"hunter2" not in bytes(export.transports.get().secrets)
    person.click("Change", "link")
    assert "hunter2" not in page.content()
    page.get_by_label("Name", exact=True).fill("By hand too")
    person.click("Save")
    changed = Export.objects.get()
    assert (changed.name, changed.version) == ("By hand too", 2)
    assert changed.transports.get().secrets
    assert Schedule.objects.get().definition["days_of_month"] == [1, 2, 3, 4, 5, 6, 7]
    person.click("Delete", "link")
    assert Export.objects.exists()
    person.click("Delete")
    assert not Export.objects.exists()


def test_two_people_do_not_see_each_other(people, alice: User, bob: User) -> None:
    put_file(make_cell(alice, "alices"), "diary.txt", b"alice's secret")
    theirs = people().sign_in(alice)
    theirs.go("/web/exports/new")
    theirs.page.get_by_label("Name", exact=True).fill("Alice's own")
    theirs.click("Save")
    export = Export.objects.get()
    other = people().sign_in(bob)
    for path in ("/web/", "/web/cells/", "/web/exports/new"):
        shown = other.go(path).content()
        assert "Alice" not in shown and "alices" not in shown, path
    other.go("/web/cells/alices/")
    expect(other.page.get_by_role("heading", name="There is nothing here")).to_be_visible()
    other.go(f"/web/exports/{export.pk}/")
    expect(other.page.get_by_role("heading", name="There is nothing here")).to_be_visible()


def test_an_image_is_drawn_and_a_program_in_it_is_not_run(people, alice: User) -> None:
    cell = make_cell(alice, "home")
    put_file(cell, "hill.png", _landscape(random.Random(1)))
    put_file(cell, "evil.html", b"<script>document.title = 'owned'</script>")
    person = people().sign_in(alice)
    person.go("/web/cells/home/?path=hill.png")
    page = person.page
    page.wait_for_load_state("networkidle")
    assert page.evaluate("document.querySelector('img.view').naturalWidth") == 640
    person.go("/web/cells/home/?path=evil.html")
    expect(page.locator("pre")).to_contain_text("document.title")
    assert page.title() != "owned"


def test_folders_are_dropped_with_what_is_in_them(people, alice: User) -> None:
    """The drop itself is the browser's; what follows is asked for with files as it would give them."""
    make_cell(alice, "home")
    person = people().sign_in(alice)
    page = person.go("/web/cells/home/?path=")
    page.evaluate("""() => {
        const file = (name) => new File([name], name, {lastModified: Date.UTC(2020, 1, 2)});
        sendAll(document.querySelector("[data-put]"), [["a/b/c d.txt", file("c d.txt")], ["é#?.txt", file("x")]]);
    }""")
    expect(page.get_by_role("link", name="é#?.txt")).to_be_visible()
    cell = Cell.objects.get()
    paths = File.objects.filter(cell=cell).order_by("path").values_list("path", flat=True)
    assert list(paths) == ["a", "a/b", "a/b/c d.txt", "é#?.txt"]
    assert File.objects.get(path="a/b/c d.txt").mtime.date().isoformat() == "2020-02-02"
