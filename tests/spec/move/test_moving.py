"""`spec/move.md §7`: the steps of a move between two servers that people are sent through."""

import re
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest
from django.contrib.auth.models import User
from django.core import mail
from django.test import Client
from django.utils import timezone

from cells import tokens
from cells.models import Cell
from exports.models import Departure, Notification
from exports.services import move_notes, notifications
from exports.services.preferences import preference_update
from exports.states import DepartureState
from tests.factories import make_cell, put_documents
from tests.spec.move.asking import Move, attributes, page, plain
from tests.spec.move.target import target_server

pytestmark = pytest.mark.django_db(transaction=True)
TARGET = {
    "target_url": "https://new.example/bobs",
    "target_token": "t" * 43,
    "target_client_id": "i",
    "target_client_secret": "s",
}


def asked(client: Client, **changes: str | None) -> Any:
    form = {name: value for name, value in {**TARGET, **changes}.items() if value is not None}
    return client.post("/move/request", form)


def code(alice: User, cell: Cell) -> str:
    return move_notes.code_make(cell=cell, user=alice)


def confirmation() -> str:
    """Sends what is due; the link of the only mail."""
    mail.outbox.clear()
    for row in Notification.objects.filter(next_at__isnull=False):
        notifications.notification_send(notification_id=row.pk)
    [message] = mail.outbox
    return re.search(r"http://\S+/move/go\?secret=[0-9a-f]{16}(?=\s)", message.body)[0]


# --- GET /move/authorize, POST /move/initialize ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "following"),
    [
        ("get", "/move/authorize?state=a&redirect_uri=https%3A//b.example/", None),
        ("post", "/move/initialize", "/web/cells/"),
        ("get", "/move/vault", None),
    ],
)
def test_who_is_not_signed_in_is_led_to_our_sign_in(cell: Cell, method: str, path: str, following: str | None) -> None:
    """§7.1, §7.2, §7.10: "Not logged in → 303"; and from there back, to a page of ours alone."""
    response = getattr(Client(), method)(path)
    assert response.status_code == 303
    where = urlsplit(response.headers["Location"])
    assert (where.netloc, where.path) == ("", "/web/sign-in")
    assert parse_qs(where.query) == {"next": [following or path]}


def test_the_browser_is_handed_back_with_a_code(signed_in: Client, cell: Cell, alice: User) -> None:
    """§7.1: "Else 303 … to redirect_uri with its own query kept plus `state`, `code`, `vault`, `used` and `quota` (only
    if limited); fragment emptied, URL ends with `#`"."""
    response = signed_in.get(
        "/move/authorize", {"state": "x y&z", "redirect_uri": "https://move.example/cb?a=1&b=#frag"}
    )
    assert response.status_code == 303
    url, hash, fragment = response.headers["Location"].partition("#")
    assert (hash, fragment) == ("#", "")
    assert url.startswith("https://move.example/cb?a=1&b=&")
    told = dict(parse_qsl(urlsplit(url).query, keep_blank_values=True))
    assert told.keys() == {"a", "b", "state", "code", "vault", "used"}
    assert (told["state"], told["vault"]) == ("x y&z", "false") and int(told["used"]) > 20_000
    assert move_notes.code_find(told["code"]) == (cell, alice)

    Cell.objects.filter(pk=cell.pk).update(quota=10**9)
    put_documents(cell, [("com.bitwarden.ciphers", "c", {"x": 1})])
    again = signed_in.get("/alice/move/authorize", {"redirect_uri": "http://move.example?code=old"})
    told = dict(parse_qsl(urlsplit(again.headers["Location"]).query, keep_blank_values=True))
    assert (told["quota"], told["vault"], told["state"]) == (str(10**9), "true", "") and told["code"] != "old"


@pytest.mark.parametrize(
    ("redirect_uri", "said"),
    [
        ("https://[broken/", "bad url: could not parse"),
        ("https://a.example:x/", "bad url: could not parse"),
        ("https://a.example/\r\nSet-Cookie: x=y", "bad url: could not parse"),
        ("https://ä.example/", "bad url: could not parse"),
        ("https:///nowhere", "bad url: could not parse"),
        ("javascript:alert(1)", "bad url: bad scheme"),
        ("cozy://a.example/", "bad url: bad scheme"),
        ("", "bad url: bad scheme"),
    ],
)
def test_a_browser_is_led_to_nothing_but_addresses(signed_in: Client, redirect_uri: str, said: str) -> None:
    """§7.1: "`redirect_uri` unparsable → 400 …; scheme not http(s) → 400 `bad url: bad scheme`"."""
    plain(signed_in.get("/move/authorize", {"redirect_uri": redirect_uri}), 400, said)


def test_who_owns_several_cells_says_which(signed_in: Client, alice: User, bob: User) -> None:
    make_cell(alice, "second")
    make_cell(bob, "bobs")
    response = signed_in.get("/move/authorize", {"state": "s", "redirect_uri": "https://a.example/"})
    text = page(response, 200, "Which cell?")
    link = re.search(r'href="(/second/move/authorize\?[^"]+)"', text)[1].replace("&amp;", "&")
    assert signed_in.get(link).headers["Location"].startswith("https://a.example/?state=s&code=")
    assert "bobs" not in text
    plain(signed_in.get("/bobs/move/authorize", {"redirect_uri": "https://a.example/"}), 403, "Forbidden")


def test_there_is_one_limit_for_all_that_begins_something(signed_in: Client, as_alice: Move) -> None:
    """§4.1: "The *same counter* is shared with `GET /move/authorize` and `POST /move/initialize`"; the 6th gets 404."""
    for _ in range(2):
        assert signed_in.get("/move/authorize", {"redirect_uri": "https://a.example/"}).status_code == 303
        assert signed_in.post("/move/initialize").status_code == 303
    assert as_alice.post("move/exports", attributes()).status_code == 201
    plain(signed_in.get("/move/authorize", {"redirect_uri": "https://a.example/"}), 404, "Not found")
    plain(signed_in.post("/move/initialize"), 404, "Not found")
    plain(as_alice.post("move/exports", attributes()), 404, "Not found")


def test_the_wizard_is_told_what_moves(signed_in: Client, settings) -> None:
    """§7.2: "Else **307** to `<wizard URL>/initialize` with …, `code`, `vault`, `used`, …, `cozy_url`"."""
    settings.MOVE_WIZARD_URL = "https://wizard.example"
    response = signed_in.post("/move/initialize")
    assert response.status_code == 307
    url = urlsplit(response.headers["Location"])
    told = dict(parse_qsl(url.query))
    assert (url.netloc, url.path) == ("wizard.example", "/initialize")
    assert told.keys() == {"code", "vault", "used", "cozy_url"}
    assert told["cozy_url"] == "http://localhost:8000/"


def test_without_a_wizard_our_own_page_asks(signed_in: Client) -> None:
    """§7.2: "Wizard URL …, configurable". Nobody is handed to somebody else's unless the administrator says so."""
    response = signed_in.post("/move/initialize")
    where = "http://localhost:8000/web/cells/alice/move"
    assert (response.status_code, response.headers["Location"]) == (303, where)


# --- POST /move/request ---------------------------------------------------------------------------------------------

REFUSED = [
    ({}, "No client_id"),
    ({"client_id": "i"}, "No client_secret"),
    ({"client_id": "i", "client_secret": "s"}, "No code or token"),
    ({"client_id": "i", "client_secret": "s", "token": "x" * 43}, "Invalid JWT token"),
    ({"code": "unknown"}, "Invalid JWT token"),
    ({"code": None, "target_url": ""}, "No target_url"),
    ({"code": None, "target_url": "http://localhost:8000/"}, "Invalid target_url"),
    ({"code": None, "target_url": "nonsense", "target_token": ""}, "Invalid target_url"),
    ({"code": None, "target_url": "https://user@new.example/"}, "Invalid target_url"),
    ({"code": None, "target_token": "", "target_client_id": ""}, "No target_token"),
    ({"code": None, "target_client_id": "", "target_client_secret": ""}, "No target_client_id"),
    ({"code": None, "target_client_secret": ""}, "No target_client_secret"),
]


@pytest.mark.parametrize(("form", "said"), REFUSED)
def test_a_request_is_refused_by_a_page(alice: User, cell: Cell, form: dict, said: str) -> None:
    """§7.4: "Refusals: 400 HTML containing one of …. Checked in that order, credentials of the source first."; a code
    is not used up by it."""
    good = code(alice, cell)
    if "code" in form:
        form = {**form, "code": form["code"] or good}
    page(asked(Client(), **form), 400, said)
    assert not Departure.objects.exists() and not Notification.objects.exists()
    page(asked(Client(), code=good), 200, "alice@example.org")


def test_the_owner_is_asked_by_mail(alice: User, cell: Cell) -> None:
    """§7.4: "send mail `move_confirm` with `https://<domain>/move/go?secret=<secret>`, answer 200 HTML naming the
    e-mail address"; §6.9: "`ConfirmLink`, `PublicName`, `Source` (domain), `Target` (host)"."""
    page(asked(Client(), code=code(alice, cell)), 200, "alice@example.org")
    assert confirmation().startswith("http://localhost:8000/move/go?secret=")
    [message] = mail.outbox
    assert (message.subject, message.to) == ("Would you like to move your data now?", ["alice@example.org"])
    assert "localhost:8000/alice" in message.body and "new.example" in message.body
    departure = Departure.objects.get()
    assert (departure.state, departure.target_url) == (DepartureState.ASKED, "https://new.example/bobs")
    cell.refresh_from_db()
    assert cell.held_at is None


def test_a_code_is_good_once_and_for_its_owner(alice: User, bob: User, cell: Cell) -> None:
    """§7: "can only be used inside `/move/request`"; ours is good once, and for ten minutes."""
    first = code(alice, cell)
    assert Move().get("move/exports/x", HTTP_AUTHORIZATION=f"Bearer {first}").status_code == 400
    assert asked(Client(), code=first).status_code == 200
    page(asked(Client(), code=first), 400, "Invalid JWT token")
    second = code(alice, cell)
    Cell.objects.filter(pk=cell.pk).update(owner=bob)
    page(asked(Client(), code=second), 400, "Invalid JWT token")
    assert Departure.objects.count() == 1


def test_a_token_of_the_source_asks_too(alice: User, bob: User, cell: Cell) -> None:
    """§7.4: "or `client_id` + `client_secret` + `token`"; MoveScope is `io.cozy.exports.requests io.cozy.imports`."""
    credentials = {"client_id": "i", "client_secret": "s"}
    for scopes, status in ((["io.cozy.imports"], 400), (["io.cozy.exports.requests"], 200)):
        token = tokens.token_create(user=alice, cell=cell, scopes=scopes, expires=timedelta(hours=1))
        assert asked(Client(), **credentials, token=token).status_code == status
    assert Departure.objects.get().owner == alice


def test_the_mail_speaks_the_owners_language(alice: User, cell: Cell) -> None:
    preference_update(user=alice, language="de")
    asked(Client(), code=code(alice, cell))
    confirmation()
    assert mail.outbox[0].subject == "Möchten Sie Ihre Daten jetzt umziehen?"


def test_a_mail_that_comes_too_late_is_not_sent(alice: User, cell: Cell) -> None:
    asked(Client(), code=code(alice, cell))
    Departure.objects.update(created_at=timezone.now() - timedelta(minutes=6))
    row = Notification.objects.get()
    assert notifications.notification_send(notification_id=row.pk) is False
    row.refresh_from_db()
    assert (row.next_at, mail.outbox) == (None, [])


# --- GET /move/go ---------------------------------------------------------------------------------------------------


def confirm_link(alice: User, cell: Cell, **form: str) -> str:
    assert asked(Client(), code=code(alice, cell), **form).status_code == 200
    return confirmation().removeprefix("http://localhost:8000")


def test_the_move_begins_when_the_owner_says_so(
    signed_in: Client, alice: User, cell: Cell, settings, other_servers
) -> None:
    """§7.5: "`POST <target>/move/importing?source=<own domain>` with the target token; …; **303** to
    `<target>/move/importing`"; the secret is "not consumed on use"."""
    with target_server() as target:
        link = confirm_link(alice, cell, target_url=target.url)
        for _ in range(2):
            response = signed_in.get(link)
            assert (response.status_code, response.headers["Location"]) == (303, f"{target.url}/move/importing")
    [(path, headers, body)] = target.told
    assert (path, body) == ("/move/importing?source=localhost%3A8000", None)
    assert headers["Authorization"] == "Bearer " + "t" * 43
    departure = Departure.objects.get()
    assert departure.state == DepartureState.EXPORTING and departure.classic


def test_another_exportsite_says_what_the_cell_is_called_there(
    signed_in: Client, alice: User, cell: Cell, other_servers
) -> None:
    with target_server(Exportsite_Move="transfer", Exportsite_Cell="bobs") as target:
        response = signed_in.get(confirm_link(alice, cell, target_url=target.url + "/"))
    assert response.headers["Location"] == f"{target.url}/bobs/move/importing"
    departure = Departure.objects.get()
    assert (departure.classic, departure.target_url) == (False, f"{target.url}/bobs")


@pytest.mark.parametrize("name", ["..", "a/b", "web", "A", "a?b=c", "x" * 200])
def test_a_name_that_is_none_is_refused(signed_in: Client, alice: User, cell: Cell, other_servers, name: str) -> None:
    with target_server(Exportsite_Move="transfer", Exportsite_Cell=name) as target:
        page(signed_in.get(confirm_link(alice, cell, target_url=target.url)), 400, "refused the move")
    assert Departure.objects.get().state == DepartureState.ASKED


def test_without_a_session_the_owner_says_nothing(alice: User, bob: User, cell: Cell) -> None:
    """§7.5: "No session → 401 plain `You must be authenticated`"; a browser is shown the way to the sign-in."""
    link = confirm_link(alice, cell)
    plain(Client().get(link), 401, "You must be authenticated")
    text = page(Client().get(link, headers={"Accept": "text/html"}), 401, "You must be authenticated")
    assert "/web/sign-in?next=/move/go%3Fsecret%3D" in text
    as_bob = Client()
    as_bob.force_login(bob)
    page(as_bob.get(link), 400, "Invalid secret")
    assert Departure.objects.get().state == DepartureState.ASKED


@pytest.mark.parametrize("secret", ["", "0" * 16, "\0", "ü"])
def test_an_unknown_secret_begins_nothing(signed_in: Client, alice: User, cell: Cell, secret: str) -> None:
    """§7.5: "Unknown/expired secret → 400 HTML `Invalid secret`"."""
    confirm_link(alice, cell)
    page(signed_in.get("/move/go", {"secret": secret}), 400, "Invalid secret")
    assert Departure.objects.get().state == DepartureState.ASKED


def test_a_secret_is_good_for_five_minutes(signed_in: Client, alice: User, cell: Cell) -> None:
    """§9.1: "move secret TTL | 5 min"."""
    link = confirm_link(alice, cell)
    Departure.objects.update(created_at=timezone.now() - timedelta(minutes=5))
    page(signed_in.get(link), 400, "Invalid secret")
    assert Departure.objects.get().state == DepartureState.ASKED


def test_a_server_that_is_away_is_said_to_be(signed_in: Client, alice: User, cell: Cell, other_servers) -> None:
    """§7.5: "target unreachable … → 400 HTML `Cannot reach the other Cozy`"; the link can be tried again."""
    with target_server() as target:
        url = target.url
    link = confirm_link(alice, cell, target_url=url)
    page(signed_in.get(link), 400, "Cannot reach the other Cozy")
    departure = Departure.objects.get()
    assert (departure.state, departure.run) == (DepartureState.ASKED, None)
