"""One's own account: what is kept, what is shown once, what ends."""

import re

import pytest
from django.contrib.auth.models import User
from django.test import Client

from cells import tokens
from cells.models import AccessToken
from exports import selectors
from tests.clients import V1
from tests.factories import make_cell

pytestmark = pytest.mark.django_db


@pytest.fixture
def client(alice: User) -> Client:
    client = Client(raise_request_exception=False)
    client.force_login(alice)
    return client


def test_zone_language_and_mails_are_kept_and_followed(client: Client, alice: User) -> None:
    client.post("/web/account/preferences", {"timezone": "Asia/Tokyo", "language": "de", "notify": "problems"})
    wanted = selectors.preference_get(user=alice)
    assert (wanted.timezone, wanted.language, wanted.notify) == ("Asia/Tokyo", "de", "problems")
    assert '<html lang="de">' in client.get("/web/", headers={"Accept-Language": "en"}).content.decode()


def test_what_is_no_zone_is_refused_and_nothing_changes(client: Client, alice: User) -> None:
    answer = client.post("/web/account/preferences", {"timezone": "Moon/Crater", "language": "", "notify": "all"})
    assert b"Moon/Crater" in answer.content
    assert selectors.preference_get(user=alice).timezone == ""


@pytest.mark.parametrize("zone", ["../../etc/passwd", "x" * 5000, "Europe/Berlin\0"])
def test_a_cookie_may_hold_any_zone(client: Client, zone: str) -> None:
    client.cookies["zone"] = zone
    assert client.get("/web/account").status_code == 200


def test_a_token_is_shown_once_works_and_is_revoked(client: Client, alice: User) -> None:
    make_cell(alice, "home")
    page = client.post("/web/account/tokens/new", {"cell": "home", "days": "30"}).content.decode()
    raw = re.search(r'id="raw"[^>]* value="([^"]+)"', page)[1]
    stored = tokens.token_find(raw, note=False)
    assert (stored.cell.name, stored.scopes, stored.user) == ("home", ["root"], alice)
    v1 = V1()
    v1.token = raw
    assert v1.get("cell/home").status_code == 200
    again = client.get("/web/account").content.decode()
    assert raw not in again and stored.digest not in again and stored.digest[:16] in again
    client.post("/web/account/tokens/revoke", {"token": stored.digest[:16]})
    assert v1.get("cell/home").status_code >= 400


@pytest.mark.parametrize("start", ["", "a", "%", "_" * 16])
def test_a_vague_name_revokes_nothing(client: Client, alice: User, start: str) -> None:
    tokens.token_create(user=alice)
    client.post("/web/account/tokens/revoke", {"token": start})
    assert AccessToken.objects.filter(user=alice).count() == 1


def test_nobody_revokes_or_makes_tokens_for_others(client: Client, bob: User) -> None:
    make_cell(bob, "bobs")
    raw = tokens.token_create(user=bob)
    client.post("/web/account/tokens/revoke", {"token": tokens.digest(raw)[:16]})
    client.post("/web/account/tokens/new", {"cell": "bobs", "days": "30"})
    assert list(AccessToken.objects.values_list("user__username", flat=True)) == ["bob"]


def test_a_new_password_needs_the_old_one_and_ends_other_sessions(client: Client, alice: User) -> None:
    other = Client()
    other.force_login(alice)
    new = {"new_password1": "another password", "new_password2": "another password"}
    client.post("/web/account/password", {"old_password": "wrong", **new})
    assert User.objects.get(pk=alice.pk).check_password("alice's password")
    client.post("/web/account/password", {"old_password": "alice's password", **new})
    assert User.objects.get(pk=alice.pk).check_password("another password")
    assert client.get("/web/").status_code == 200
    assert other.get("/web/").status_code == 302
