"""Signing in, what every page promises to the browser, and strangers. Without a browser: these are answers."""

import pytest
from django.contrib.auth.models import User
from django.test import Client

from cells import tokens
from cells.errors import SessionNotFound
from exports.models import Export
from exports.services import exports as services
from tests.clients import V1
from tests.factories import make_cell

pytestmark = pytest.mark.django_db


@pytest.fixture
def export(alice: User) -> Export:
    return services.export_create(
        owner=alice, type="export", name="mine", cells=None, definition={"search": {}}, transports=[], schedules=[]
    )


def signed_in(user: User) -> Client:
    client = Client(raise_request_exception=False)
    client.force_login(user)
    return client


def sign_in(client: Client, password: str, **more: str):
    return client.post("/web/sign-in", {"login": "alice", "password": password, **more})


def test_a_person_signs_in_and_goes_where_they_wanted(alice: User) -> None:
    client = Client()
    asked = client.get("/web/?page=2")
    assert asked["Location"] == "/web/sign-in?next=/web/%3Fpage%3D2"
    answer = sign_in(client, "alice's password", next="/web/exports/new")
    assert (answer.status_code, answer["Location"]) == (302, "/web/exports/new")
    assert client.get("/web/").status_code == 200


@pytest.mark.parametrize(
    "elsewhere", ["https://evil.example/", "//evil.example", "javascript:alert(1)", "/\\evil.example"]
)
def test_nobody_is_led_to_another_site(alice: User, elsewhere: str) -> None:
    assert sign_in(Client(), "alice's password", next=elsewhere)["Location"] == "/web/"


def test_pages_and_sessions_of_v1_count_the_same_failures(alice: User, settings) -> None:
    settings.LOGIN_ATTEMPTS = 3
    client = Client()
    for _ in range(2):
        assert sign_in(client, "wrong").status_code == 403
    v1 = V1()
    token = v1.get("session").json()["token"]
    v1.post(f"session/authenticate?token={token}&login=alice&password=wrong")
    answer = sign_in(client, "alice's password")
    assert b"has to wait" in answer.content
    assert "_auth_user_id" not in client.session


def test_the_administration_has_no_door_of_its_own(alice: User, settings) -> None:
    """Django's own login page counts nothing."""
    answer = Client().get("/admin/login/?next=/admin/")
    assert (answer.status_code, answer["Location"]) == (302, "/web/sign-in?next=/admin/")
    assert Client().post("/admin/login/", {"username": "alice", "password": "alice's password"}).status_code == 302


def test_a_session_ends_with_the_sign_out(alice: User) -> None:
    client = signed_in(alice)
    assert client.get("/web/sign-out").status_code == 405
    assert client.get("/web/").status_code == 200
    client.post("/web/sign-out")
    assert client.get("/web/").status_code == 302


def test_a_form_without_the_pages_token_changes_nothing(alice: User, export: Export) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(alice)
    answer = client.post(f"/web/exports/{export.pk}/start")
    assert answer.status_code == 403
    assert b"Load the page anew" in answer.content
    assert not export.runs.exists()


@pytest.mark.parametrize("path", ["/", "/web/sign-in", "/web/", "/web/exports/new", "/web/nothing", "/admin/"])
def test_no_page_runs_inline_scripts_or_loads_from_elsewhere(alice: User, path: str) -> None:
    User.objects.filter(pk=alice.pk).update(is_staff=True, is_superuser=True)
    answer = signed_in(User.objects.get(pk=alice.pk)).get(path)
    policy = answer["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert b" style=" not in answer.content and b"<style" not in answer.content and b" onclick" not in answer.content


def test_cookies_stay_with_us(alice: User) -> None:
    client = Client()
    client.get("/web/sign-in")
    sign_in(client, "alice's password")
    for name in ("sessionid", "csrftoken"):
        assert client.cookies[name]["samesite"] == "Lax" and client.cookies[name]["httponly"], name


def words_of(answer) -> str:
    """What the page says, without its frame, which has a token of its own each time."""
    return answer.content.decode().partition("<main")[2].partition("</main>")[0]


ROUTES = ["", "live", "edit", "delete", "contents", "contents/raw?path=a", "contents/zip"]


@pytest.mark.parametrize("route", ROUTES)
def test_a_strangers_export_is_an_unknown_one(bob: User, export: Export, route: str) -> None:
    client = signed_in(bob)
    known, unknown = (client.get(f"/web/exports/{number}/{route}") for number in (export.pk, 987654))
    assert known.status_code == unknown.status_code == 404
    assert words_of(known).replace(f"Export {export.pk} ", "Export 987654 ") == words_of(unknown)


@pytest.mark.parametrize("verb", ["start", "stop", "renew", "delete", "edit"])
def test_a_stranger_changes_nothing(bob: User, export: Export, verb: str) -> None:
    before = Export.objects.filter(pk=export.pk).values().get()
    assert signed_in(bob).post(f"/web/exports/{export.pk}/{verb}", {"name": "stolen"}).status_code == 404
    assert Export.objects.filter(pk=export.pk).values().get() == before
    assert not export.runs.exists()


def test_a_part_of_a_page_leads_the_whole_page_to_the_sign_in(export: Export) -> None:
    answer = Client().get(f"/web/exports/{export.pk}/live", headers={"HX-Request": "true"})
    assert (answer.status_code, answer["HX-Redirect"]) == (204, "/web/sign-in")


@pytest.mark.parametrize(
    ("method", "path", "fields"),
    [
        ("get", "/web/cells/home/", {"after": "\0"}),
        ("post", "/web/account/tokens/revoke", {"token": "\0" * 20}),
        ("post", "/web/exports/preview", {"export": "9" * 5000}),
    ],
)
def test_what_no_page_sends_breaks_nothing(alice: User, method: str, path: str, fields: dict[str, str]) -> None:
    """Neither PostgreSQL's texts nor Python's numbers take everything."""
    make_cell(alice, "home")
    assert getattr(signed_in(alice), method)(path, fields).status_code < 400


def test_a_changed_password_ends_all_sessions_but_this(alice: User) -> None:
    """The page says so. A token that was made for a program stays."""
    program = tokens.token_create(user=alice)
    raw, session = tokens.session_create()
    given = {"login": "alice", "password": "alice's password", "address": "192.0.2.1"}
    tokens.session_authenticate(token=session, methods=["easydb"], **given)
    here, elsewhere = signed_in(alice), signed_in(alice)
    new = "another password"
    fields = {"old_password": "alice's password", "new_password1": new, "new_password2": new}
    assert here.post("/web/account/password", fields).status_code == 302
    assert (here.get("/web/").status_code, elsewhere.get("/web/").status_code) == (200, 302)
    assert tokens.token_find(program).user == alice
    with pytest.raises(SessionNotFound):
        tokens.token_find(raw)
