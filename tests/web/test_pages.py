"""Every page, in a real browser: nothing for axe to complain of in light and dark, no sideways scrolling at 360 px,
little weight. `make screenshots` walks the same way and keeps the pictures."""

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Page, expect

from cells.models import Cell
from exports.models import Export
from exports.services import downloads, lifecycle, overview, running, snapshots
from exports.services import exports as services
from exports.services.exports import TransportSpec
from exportsite.demo import _documents, _landscape, _notes
from tests.factories import make_cell, put_documents, put_file, put_files

pytestmark = pytest.mark.django_db(transaction=True)

AXE = (Path(__file__).parent / "axe-4.14.1.min.js").read_text()
HEAVIEST = 100 * 1024
SHOTS = os.environ.get("SCREENSHOTS", "")
MAIL = {"recipients": [{"user": {"type": "email", "login": "grandmother@example.org"}}], "message": "For you."}


@pytest.fixture
def cell(alice: User) -> Cell:
    cell = make_cell(alice, "home", quota=20_000_000)
    put_files(cell, dict(list(_notes().items())[:12]))
    put_file(cell, "Fotos/Ostsee.png", _landscape(random.Random(7)))
    put_documents(cell, list(_documents({}))[:60])
    return cell


@pytest.fixture
def export(cell: Cell, alice: User) -> Export:
    """Three runs, a schedule, a mail that waits."""
    export = services.export_create(
        owner=alice,
        type="export",
        name="Family papers",
        cells=["home"],
        definition={"search": {}, "json": True},
        transports=[TransportSpec("email", "zip", {"attach": False}, MAIL)],
        schedules=[
            {"weekdays": ["sun"], "days_of_month": list(range(1, 8)), "hours": [10], "timezone": "Europe/Berlin"}
        ],
    )
    for number in range(3):
        put_file(cell, f"Notizen/new {number}.md", b"more words\n" * 400 * number)
        assert str(running.run_export(run_id=services.export_start(export=export).pk).state) == "done"
    failed = services.export_create(
        owner=alice, type="export", name="Broken", cells=["home"], definition={}, transports=[], schedules=[]
    )
    run = services.export_start(export=failed)
    lifecycle.run_fail(lifecycle.claim(run_id=run.pk))
    running.run_export(run_id=snapshots.snapshot_start(cell=cell, name="monday").pk)
    lifecycle.run_fail(lifecycle.claim(run_id=snapshots.snapshot_start(cell=cell, name="tuesday").pk))
    return export


def pages(export: Export) -> Iterator[tuple[str, str]]:
    one = f"/web/exports/{export.pk}/"
    yield "exports", "/web/"
    yield "export", one
    yield "export-new", "/web/exports/new"
    yield "export-edit", one + "edit"
    yield "export-delete", one + "delete"
    yield "contents", one + "contents"
    yield "content-text", one + "contents?path=Notizen/new 1.md"
    yield "content-image", one + "contents?path=Fotos/Ostsee.png"
    yield "link", f"{one}download/{downloads.passkey(export=export)}/"
    yield "cells", "/web/cells/"
    yield "cell", "/web/cells/home/"
    yield "cell-file", "/web/cells/home/?path=Fotos/Ostsee.png"
    yield "cell-remove", "/web/cells/home/remove"
    yield "documents", "/web/cells/home/documents?doctype=contact"
    yield "import", "/web/cells/home/import"
    yield "snapshots", "/web/cells/home/snapshots"
    yield "snapshot-remove", "/web/cells/home/snapshots/remove?name=monday.zip"
    yield "move", "/web/cells/home/move"
    yield "account", "/web/account"
    yield "not-found", "/web/exports/999999/"


def violations(page: Page, *rules: str) -> list[str]:
    """What axe finds: each with the element. The source is evaluated from outside: the policy lets no page do so."""
    page.evaluate(AXE)
    only = {"runOnly": {"type": "rule", "values": list(rules)}} if rules else {}
    found = page.evaluate("async (options) => (await axe.run(options)).violations", only)
    return [f"{each['id']}: {node['html'][:160]}" for each in found for node in each["nodes"]]


def look(page: Page, name: str) -> list[str]:
    """Complaints about the page at hand, in light, dark and narrow."""
    settled(page)
    complaints = [f"{name}: {each}" for each in violations(page)]
    shoot(page, f"{name}-light")
    page.emulate_media(color_scheme="dark")
    complaints += [f"{name} dark: {each}" for each in violations(page, "color-contrast")]
    shoot(page, f"{name}-dark")
    page.emulate_media(color_scheme="light")
    page.set_viewport_size({"width": 360, "height": 740})
    width = page.evaluate("document.documentElement.scrollWidth")
    complaints += [f"{name}: {width} px wide at 360 px"] if width > 360 else []
    shoot(page, f"{name}-narrow")
    page.set_viewport_size({"width": 1280, "height": 900})
    return complaints


def weight(person, path: str) -> int:
    """Bytes of everything the page brought with it, unpacked, wherever the browser had it from."""
    page = settled(person.go(path))
    page.wait_for_function("performance.getEntriesByType('resource').length >= 3")  # under load they come to light late
    return page.evaluate("""() =>
        [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")]
            .filter((each) => !each.name.includes("/raw?"))
            .reduce((sum, each) => sum + each.decodedBodySize, 0)""")


#: Adds up how far things jumped while the page came; not what follows from somebody's click.
SHIFTS = """window.shifted = 0;
new PerformanceObserver((list) => {
    for (const each of list.getEntries()) if (!each.hadRecentInput) window.shifted += each.value;
}).observe({type: "layout-shift", buffered: true})"""


def settled(page: Page) -> Page:
    """Nothing is on its way any more that the page asked for when it came."""
    expect(page.locator(".htmx-request")).to_have_count(0)
    return page


def shoot(page: Page, name: str) -> None:
    if SHOTS:
        page.screenshot(path=f"{SHOTS}/{name}.png", full_page=True)


def test_every_page_is_whole_for_everybody(people, alice: User, export: Export) -> None:
    overview.worker_noted()
    person = people(viewport={"width": 1280, "height": 900})
    complaints = []
    for name, path in (("welcome", "/"), ("trouble", "/#server_error:export.not.done"), ("sign-in", "/web/sign-in")):
        complaints += look(person.go(path), name)
    person.sign_in(alice)
    for name, path in pages(export):
        complaints += look(person.go(path), name)
    assert complaints == []


def test_every_page_is_light(people, alice: User, export: Export) -> None:
    """Scripts, styles and markup together; people's own pictures are theirs. And nothing jumps while it comes."""
    person = people().sign_in(alice)
    person.context.add_init_script(SHIFTS)
    weights: dict[str, int] = {}
    shifts: dict[str, float] = {}
    for name, path in pages(export):
        weights[name] = weight(person, path)
        shifts[name] = person.page.evaluate("window.shifted")
    assert {name: shift for name, shift in shifts.items() if shift > 0.01} == {}
    assert 50_000 < min(weights.values()) <= max(weights.values()) <= HEAVIEST, weights
    if SHOTS:
        lines = [f"{name:16}{weight / 1024:8.1f} KB\n" for name, weight in weights.items()]
        (Path(SHOTS) / "weights.txt").write_text("".join(lines))


def test_the_policy_lets_the_administration_and_the_api_description_work(people, alice: User) -> None:
    """Whatever the policy refused would be in the console, and fail here."""
    User.objects.filter(pk=alice.pk).update(is_staff=True, is_superuser=True)
    person = people(viewport={"width": 1280, "height": 900}).sign_in(alice)
    page = person.go("/admin/")
    expect(page.get_by_role("heading", name="State of the server")).to_be_visible()
    shoot(page, "admin-light")
    person.go("/admin/exports/run/")
    page.get_by_role("link", name="Runs").first.click()
    expect(person.go("/api/docs").locator(".swagger-ui .info")).to_be_visible(timeout=30_000)
