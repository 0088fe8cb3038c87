"""Moving a cell away by the pages, with a browser and without; the other server is a small one of the tests."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from playwright.sync_api import expect

from cells import tokens
from cells.models import AccessToken, Cell
from exports.models import Departure, Import, Notification
from exports.services import arrivals, departure_lifecycle, overview, running
from exports.states import DepartureState
from tests.factories import make_cell, put_file
from tests.spec.move.other import OPAQUE, other_server
from tests.spec.move.target import target_server
from tests.web.test_pages import look

pytestmark = pytest.mark.django_db(transaction=True)
PAGE = "/web/cells/home/move"


@pytest.fixture
def cell(alice: User) -> Cell:
    cell = make_cell(alice, "home")
    put_file(cell, "old.txt", b"old")
    return cell


@pytest.fixture
def client(alice: User, cell: Cell) -> Client:
    client = Client()
    client.force_login(alice)
    return client


@pytest.fixture
def local(settings) -> None:
    settings.EGRESS_ALLOW = ["127.0.0.0/8"]


def form(url: str, **changes: str) -> dict[str, str]:
    return {"target_url": url, "target_token": "t" * 43, "password": "alice's password", **changes}


def untouched(cell: Cell) -> bool:
    cell.refresh_from_db()
    return cell.held_at is None and not cell.moved_to


@pytest.mark.usefixtures("local")
def test_a_move_begins_with_the_password_and_no_mail(client: Client, cell: Cell) -> None:
    with target_server(Exportsite_Move="transfer", Exportsite_Cell="there") as target:
        answer = client.post(PAGE, form(f"{target.url}/there"))
    assert (answer.status_code, answer.headers["Location"]) == (302, PAGE)
    [(path, headers, _)] = target.told
    assert path == "/there/move/importing?source=localhost%3A8000" and headers["Authorization"] == "Bearer " + "t" * 43
    departure = Departure.objects.get()
    assert departure.state == DepartureState.EXPORTING and not Notification.objects.exists()
    shown = client.get(PAGE).content.decode()
    assert "gathering" in shown and "End the move" in shown and "t" * 43 not in shown


@pytest.mark.usefixtures("local")
@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"password": "wrong"}, "Login or password is wrong"),
        ({"password": ""}, "This field is required"),
        ({"target_url": "nonsense"}, "Enter a valid URL"),
        ({"target_url": "ftp://a.example/x"}, "Invalid target_url"),
        ({"target_url": "http://localhost:8000/"}, "Invalid target_url"),
        ({"target_url": "http://127.0.0.1:9/x"}, "Cannot reach the other"),
        ({"target_url": "http://10.0.0.1/x"}, "Cannot reach the other"),
    ],
)
def test_what_cannot_begin_leaves_nothing_behind(client: Client, cell: Cell, changes: dict, said: str) -> None:
    answer = client.post(PAGE, form("http://127.0.0.1:9/x", **changes))
    assert answer.status_code == 200 and said in answer.content.decode()
    assert not Departure.objects.exclude(state=DepartureState.ABORTED).exists()
    assert untouched(cell) and not Notification.objects.exists()


@pytest.mark.usefixtures("local")
def test_what_the_other_server_says_is_told(client: Client, cell: Cell) -> None:
    with target_server(403) as target:
        answer = client.post(PAGE, form(target.url))
    assert "The other server refused the move: 403" in answer.content.decode()
    assert Departure.objects.get().state == DepartureState.ABORTED and untouched(cell)


@pytest.mark.usefixtures("local")
def test_a_move_is_ended_until_it_is_decided(client: Client, cell: Cell) -> None:
    with target_server(Exportsite_Move="transfer", Exportsite_Cell="there") as target:
        client.post(PAGE, form(target.url))
    answer = client.post(f"{PAGE}/abort", follow=True)
    assert "The move has been ended" in answer.content.decode()
    departure = Departure.objects.get()
    assert (departure.state, departure.tell) == (DepartureState.ABORTED, "abort") and untouched(cell)
    assert not Notification.objects.exists(), "who ended it knows"
    Departure.objects.update(state=DepartureState.MOVED)
    Cell.objects.update(moved_to="https://new.example/there", held_at=timezone.now())
    shown = client.get(PAGE).content.decode()
    assert "https://new.example/there" in shown and "End the move" not in shown and "Move the cell" not in shown
    client.post(f"{PAGE}/abort")
    assert Departure.objects.get().state == DepartureState.MOVED


@pytest.mark.usefixtures("local")
def test_a_superuser_moves_the_cell_for_its_owner(admin_user: User, cell: Cell, alice: User) -> None:
    """In his own name he exported nothing: the cell is not his."""
    client = Client()
    client.force_login(admin_user)
    with target_server(Exportsite_Move="transfer", Exportsite_Cell="there") as target:
        client.post(PAGE, form(target.url, password="password"))
    departure = Departure.objects.get()
    running.run_export(run_id=departure.run_id)
    departure.refresh_from_db()
    assert (departure.owner, departure.state) == (alice, DepartureState.OFFERED)


def test_a_stranger_sees_and_ends_nothing(bob: User, cell: Cell) -> None:
    stranger = Client()
    stranger.force_login(bob)
    for answer in (
        stranger.get(PAGE), stranger.get(f"{PAGE}/live"), stranger.post(PAGE, form("https://a.example/b")),
        stranger.post(f"{PAGE}/abort"),
    ):  # fmt: skip
        assert answer.status_code == 404
    assert not Departure.objects.exists()


def test_a_token_for_taking_in_is_good_for_nothing_else(client: Client, cell: Cell, alice: User) -> None:
    wanted = {"cell": "home", "use": "move", "days": "30"}
    answer = client.post("/web/account/tokens/new", wanted)
    assert "http://localhost:8000/home" in answer.content.decode()
    token = AccessToken.objects.get()
    assert (token.cell, token.scopes) == (cell, ["io.cozy.imports"])
    bearer = {"Authorization": f"Bearer {answer.context['raw']}"}
    assert Client().get("/api/v1/cell/home", headers=bearer).status_code == 403
    assert Client().post("/home/move/importing?source=x", headers=bearer).status_code == 204
    refused = client.post("/web/account/tokens/new", {**wanted, "cell": ""})
    assert "Choose the cell" in refused.content.decode() and AccessToken.objects.count() == 1
    plain = client.post("/web/account/tokens/new", {"cell": "home", "use": "", "days": "1"})
    assert tokens.token_find(plain.context["raw"]).scopes == ["root"]


def test_the_page_shows_every_phase_on_both_sides(people, alice: User, cell: Cell) -> None:
    overview.worker_noted()
    person = people(viewport={"width": 1280, "height": 900}).sign_in(alice)
    assert look(person.go(PAGE), "move") == []
    row = departure_lifecycle.departure_create(
        cell=cell, owner=alice, target_url="https://new.example/there", base_url="http://localhost:8000",
        secret_digest="x", bytes_total=80_000_000,
    )  # fmt: skip
    page = person.go(PAGE)
    live = page.locator("#live")
    expect(live).to_contain_text("waits for your word")
    Departure.objects.update(state=DepartureState.OFFERED, bytes_sent=20_000_000, heard_at=timezone.now())
    expect(live).to_contain_text("19.1\xa0MB / 76.3\xa0MB")
    expect(live).to_contain_text("The cell can still be changed")
    assert look(page, "move-sending") == []
    departure_lifecycle.departure_hold(row)
    expect(live).to_contain_text("Cannot be changed since")
    assert look(page, "move-held") == []
    person.click("End the move")
    expect(page.get_by_text("The move has been ended")).to_be_visible()
    expect(live).to_contain_text("not moved")
    assert look(page, "move-ended") == []

    arrivals.arrival_start(cell=cell, owner=alice, source_url="https://old.example", token="t", transfer="a" * 32)
    Import.objects.update(done=1_000_000, total=4_000_000)
    page = person.go(PAGE)
    expect(live).to_contain_text("Nobody can change the cell until it is here")
    assert look(page, "move-coming") == []
    found = look(person.go("/move/importing"), "importing")
    assert [each for each in found if "meta-refresh" not in each] == [], "§6.10 wants a page that follows by itself"
    page = person.go(PAGE)
    person.click("End the move")
    expect(live).to_contain_text("not moved")
    assert untouched(cell)


def test_a_moved_cell_is_shown_as_moved(people, alice: User, cell: Cell) -> None:
    Cell.objects.update(moved_to="https://new.example/there", held_at=timezone.now() - timedelta(days=1))
    person = people(viewport={"width": 1280, "height": 900}).sign_in(alice)
    page = person.go("/web/cells/")
    expect(page.get_by_role("link", name="https://new.example/there")).to_be_visible()
    page = person.go("/web/cells/home/")
    expect(page.get_by_role("heading", name="“home” has moved")).to_be_visible()
    assert look(page, "cell-moved") == []
    person.complaints = [each for each in person.complaints if "410 (Gone)" not in each]
    person.click("How the move went", "link")
    expect(page.get_by_role("heading", name="Move to another server")).to_be_visible()


def test_whoever_signs_in_on_the_way_to_another_server_gets_there(people, cell: Cell) -> None:
    """§7.1 leads on to any address, and the policy lets no form go there: not even by redirects."""
    person = people()
    with other_server({"": b""}) as other:
        there = f"{other.url}/move/exports/{OPAQUE}"
        page = person.go(f"/move/authorize?state=x&redirect_uri={there}")
        page.get_by_label("Login or e-mail").fill("alice")
        page.get_by_label("Password").fill("alice's password")
        person.click("Sign in")
        page.wait_for_url(f"{there}?state=x&code=*")
        page.close()  # it asks that server for an icon, and complains once it is gone
