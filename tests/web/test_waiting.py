"""The page to wait on (`spec/move.md §6.10`): by websocket where one can be had, else by looking again."""

import json
import shutil
from collections.abc import Iterator

import pytest
import redis
from django.contrib.auth.models import User
from playwright.sync_api import Browser, Page, WebSocketRoute, expect

from cells.models import Cell
from exports import broadcast
from exports.models import Import, ImportMode
from exports.services import import_lifecycle
from tests.factories import make_cell
from tests.journey.test_nginx import Site, site  # noqa: F401
from tests.web.conftest import Person

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def cell(alice: User) -> Cell:
    return make_cell(alice, "home")


@pytest.fixture(autouse=True)
def listening(settings) -> Iterator[None]:
    """As if a process held websockets."""
    broadcast.listener_noted(600)
    yield
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        client.flushdb()


@pytest.fixture
def running(cell: Cell) -> Import:
    options = {"source": "file:/nowhere", "mode": ImportMode.REPLACE, "name": "x", "nudge": False}
    row = import_lifecycle.import_create(cell=cell, owner=cell.owner, **options)
    found = import_lifecycle.claim(import_id=row.pk)
    assert found is not None
    import_lifecycle.heartbeat(found, done=20, total=100)
    return found


def test_what_the_websocket_tells_is_followed(people, running: Import) -> None:
    """§6.10: "The page opens the websocket and follows the `redirect` it receives"."""
    person = people()
    opened: list[WebSocketRoute] = []
    person.page.route_web_socket("**/home/move/importing/realtime", lambda socket: opened.append(socket))
    page = person.go("/home/move/importing")
    expect(page.get_by_role("heading", name="Import in progress")).to_be_visible()
    while not opened:
        page.wait_for_timeout(20)
    opened[0].send(json.dumps({"redirect": f"{person.base}/web/sign-in"}))
    page.wait_for_url("**/web/sign-in")
    assert len(opened) == 1


def test_without_a_websocket_the_page_looks_again(people, settings, running: Import) -> None:
    """`make run` has no process for them, and its pages try none."""
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        client.flushdb()
    person = people()
    opened: list[WebSocketRoute] = []
    person.page.route_web_socket("**", lambda socket: opened.append(socket))
    person.page.clock.install()
    page = person.go("/home/move/importing")
    expect(page.locator("#main")).to_contain_text("20 %")
    import_lifecycle.heartbeat(running, done=70, total=100)
    page.clock.run_for(5000)
    expect(page.locator("#main")).to_contain_text("70 %")
    page.clock.run_for(5000)
    import_lifecycle.import_fail(running)
    with page.expect_request("http://localhost:8000/web/cells/home/import"):
        page.clock.run_for(5000)
    assert opened == []


def test_a_websocket_that_is_refused_is_tried_once(people, running: Import) -> None:
    """Where a process holds websockets and no proxy leads to it, the web process answers 501."""
    person = people()
    person.page.clock.install()
    page = person.go("/home/move/importing")
    for percent in (30, 40):
        import_lifecycle.heartbeat(running, done=percent, total=100)
        page.clock.run_for(5000)
        expect(page.locator("#main")).to_contain_text(f"{percent} %")
    [refused] = person.complaints
    assert "WebSocket" in refused and "501" in refused
    person.complaints.clear()


def test_a_websocket_that_was_lost_is_opened_again(people, running: Import) -> None:
    person = people()
    opened: list[WebSocketRoute] = []
    person.page.route_web_socket("**/home/move/importing/realtime", lambda socket: opened.append(socket))
    person.page.clock.install()
    page = person.go("/home/move/importing")
    for count in (1, 2):
        while len(opened) < count:
            page.wait_for_timeout(20)
        opened[-1].close(code=1001)
        page.clock.run_for(5000)
    while len(opened) < 3:
        page.wait_for_timeout(20)
    expect(page.get_by_role("heading", name="Import in progress")).to_be_visible()


def test_where_nothing_runs_nothing_is_opened(people, cell: Cell) -> None:
    person = people()
    opened: list[WebSocketRoute] = []
    person.page.route_web_socket("**", lambda socket: opened.append(socket))
    page = person.go("/home/move/importing")
    expect(page.locator("#main")).to_contain_text("No import is running")
    assert opened == [] and page.locator("script").count() == 0


@pytest.mark.skipif(shutil.which("nginx") is None, reason="no nginx here")
def test_behind_the_real_proxy_the_end_is_told_by_the_real_websocket(
    browser: Browser,
    site: Site,  # noqa: F811
    running: Import,
) -> None:
    context = browser.new_context()
    try:
        person = Person(context, f"http://localhost:{site.port}")
        told: list[str] = []
        person.page.on("websocket", lambda socket: socket.on("framereceived", lambda frame: told.append(frame)))
        with person.page.expect_websocket():
            page: Page = person.go("/home/move/importing")
        expect(page.locator("#main")).to_contain_text("20 %")
        with page.expect_request("http://localhost:8000/web/cells/home/import"):
            import_lifecycle.import_fail(running)
        assert [json.loads(frame) for frame in told] == [{"redirect": "http://localhost:8000/web/cells/home/import"}]
    finally:
        context.close()
