"""`spec/move.md §7`: the steps of a move between two servers, as browsers and the other server take them."""

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
from exports.models import Arrival, Departure, Import, Notification
from exports.services import departures, move_notes, notifications
from exports.services.preferences import preference_update
from exports.states import DepartureState
from tests.clients import content
from tests.factories import make_cell, put_documents
from tests.spec.move.asking import Move, api_error, attributes, plain
from tests.spec.move.other import OPAQUE
from tests.spec.move.target import target_server

pytestmark = pytest.mark.django_db(transaction=True)
TARGET = {
    "target_url": "https://new.example/bobs",
    "target_token": "t" * 43,
    "target_client_id": "i",
    "target_client_secret": "s",
}


@pytest.fixture
def signed_in(alice: User, cell: Cell) -> Client:
    client = Client()
    client.force_login(alice)
    return client


def asked(client: Client, **changes: str | None) -> Any:
    form = {name: value for name, value in {**TARGET, **changes}.items() if value is not None}
    return client.post("/move/request", form)


def code(alice: User, cell: Cell) -> str:
    return move_notes.code_make(cell=cell, user=alice)


def page(response: Any, status: int, *said: str) -> str:
    """An HTML page whatever was accepted, which says all of these."""
    text = content(response).decode()
    assert response.status_code == status, text
    assert response.headers["Content-Type"].startswith("text/html")
    assert [each for each in said if each not in text] == []
    return text


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


# --- the target: POST /move/importing, /move/imports, /move/abort ---------------------------------------------------


def test_a_cell_is_announced(as_bob: Move, target: Cell) -> None:
    """§7.7: "`moved_from` = source (if given) …, **204**"; §6.10: the page shows "the source domain … and the own
    domain". Our headers tell another exportsite what else we can do."""
    waiting = as_bob.get("bobs/move/importing")
    assert "Moving in progress" not in page(waiting, 200, "No import is running")
    response = as_bob.post("move/importing?source=old.example")
    assert (response.status_code, content(response)) == (204, b"")
    assert response.headers["Exportsite-Move"] == "transfer" and response.headers["Exportsite-Cell"] == "bobs"
    page(as_bob.get("bobs/move/importing"), 200, "Moving in progress", "old.example", "localhost:8000/bobs")
    target.refresh_from_db()
    assert target.held_at is None and not Import.objects.exists()


def test_only_who_may_import_announces(as_alice: Move, as_nobody: Move, alice: User, cell: Cell, target: Cell) -> None:
    """§3.3: "`POST /move/importing`, …: token, **POST on whole `io.cozy.imports`**"."""
    plain(as_nobody.post("move/importing?source=x"), 401, "No token in request")
    narrow = Move(alice, cell=cell, scopes=("io.cozy.exports",))
    for step in ("importing", "finalize", "abort"):
        plain(narrow.post(f"move/{step}"), 403, "Forbidden")
    plain(as_alice.post("bobs/move/importing?source=x"), 403, "Forbidden")
    assert move_notes.source_of(cell=cell) == move_notes.source_of(cell=target) == ""


def test_a_cell_comes_from_a_server_that_knows_only_the_spec(as_bob: Move, target: Cell) -> None:
    """§7.6: "attributes `url` (settings link), `vault` (bool), `move_from`"; "our `/move/importing` page must answer
    200 to the redirected GET"; §8: the cell is blocked while it is moved into."""
    body = attributes(
        url=f"https://old.example/#/exports/{OPAQUE}", vault=True,
        move_from={"url": "https://old.example/", "token": "secret"},
    )  # fmt: skip
    response = as_bob.post("move/imports", body)
    assert response.status_code == 303
    arrival = Arrival.objects.select_related("imported").get()
    assert (arrival.source_url, arrival.transfer, arrival.vault) == ("https://old.example", "", True)
    page(as_bob.get("bobs/move/importing"), 200, "Moving in progress", "old.example", "url=?waiting")
    target.refresh_from_db()
    assert target.held_at is not None
    assert as_bob.post("move/abort").status_code == 204
    target.refresh_from_db()
    assert target.held_at is None
    over = page(as_bob.get("bobs/move/importing?waiting"), 200, "No import is running")
    assert 'content="0; url=http://localhost:8000/web/cells/bobs/import"' in over


@pytest.mark.parametrize(
    "move_from", [{"url": "", "token": "t"}, {"url": "ftp://old.example/"}, {"url": "https://u@old.example"}]
)
def test_what_cannot_be_a_server_is_refused(as_bob: Move, target: Cell, move_from: dict) -> None:
    body = attributes(url=f"https://old.example/#/exports/{OPAQUE}", move_from=move_from)
    page(as_bob.post("move/imports", body), 500, "exports: not found")
    target.refresh_from_db()
    assert not Import.objects.exists() and target.held_at is None


@pytest.mark.parametrize("value", ["x", 5, ["https://old.example"]])
def test_move_from_is_an_object(as_bob: Move, value: object) -> None:
    malformed = "JSON input is malformed or is missing mandatory fields"
    answer = as_bob.post("move/imports", attributes(url="x", move_from=value))
    api_error(answer, 400, "Bad Request", malformed)
    assert not Import.objects.exists()


# --- the source: POST /move/finalize, /move/abort -------------------------------------------------------------------


def departed(alice: User, cell: Cell, **fields: object) -> tuple[Departure, Move]:
    """A classic departure that was offered, and the other server's client."""
    other = Move(alice, cell=cell, scopes=("io.cozy.imports",), expires=timedelta(days=1))
    departure, _ = departures.departure_request(
        cell=cell, owner=alice, target_url="https://new.example", target_token="t", base_url="http://localhost:8000"
    )
    Departure.objects.filter(pk=departure.pk).update(
        **{"state": DepartureState.OFFERED, "classic": True, "accepted_at": timezone.now(), **fields},
        token_digest=tokens.digest(other.token),
    )
    return departure, other


@pytest.mark.parametrize("query", ["", "?subdomain=flat", "?subdomain=nested"])
def test_the_other_server_finalizes(alice: User, cell: Cell, query: str) -> None:
    """§7.8: "marks the instance moved, unblocks …. **204**"; said twice, it is as good as once."""
    departure, other = departed(alice, cell)
    for _ in range(2):
        assert other.post(f"move/finalize{query}").status_code == 204
    departure.refresh_from_db()
    cell.refresh_from_db()
    assert (departure.state, cell.moved_to) == (DepartureState.MOVED, "https://new.example")


def test_only_the_other_servers_token_finalizes(alice: User, cell: Cell, as_alice: Move) -> None:
    departure, _ = departed(alice, cell)
    plain(as_alice.post("move/finalize"), 403, "Forbidden")
    departure.refresh_from_db()
    cell.refresh_from_db()
    assert (departure.state, cell.moved_to) == (DepartureState.OFFERED, "")


def test_what_is_held_back_is_not_finalized_without_its_digest(alice: User, cell: Cell) -> None:
    """A transfer has doors of its own; by the door of the spec nobody gets past the proof."""
    departure, other = departed(alice, cell, classic=False)
    assert other.post("move/finalize").status_code == 409
    departure.refresh_from_db()
    assert departure.state == DepartureState.OFFERED


def test_the_other_server_aborts(alice: User, cell: Cell) -> None:
    """§7.9: "Unblocks. **204**. Called by the target on import failure"."""
    departure, other = departed(alice, cell)
    assert other.post("move/abort").status_code == 204
    departure.refresh_from_db()
    cell.refresh_from_db()
    assert (departure.state, cell.moved_to, cell.held_at) == (DepartureState.ABORTED, "", None)
    assert not Notification.objects.exists(), "the other server's mail tells"


def test_what_has_moved_cannot_be_aborted(alice: User, cell: Cell) -> None:
    departure, other = departed(alice, cell)
    other.post("move/finalize")
    assert other.post("move/abort").status_code == 409
    departure.refresh_from_db()
    cell.refresh_from_db()
    assert (departure.state, cell.moved_to) == (DepartureState.MOVED, "https://new.example")


def test_how_passwords_are_taken_along(signed_in: Client) -> None:
    """§7.10: "a 200 page explaining how to import passwords"."""
    page(signed_in.get("/move/vault"), 200, "password manager", "export its content into a file")
    german = signed_in.get("/move/vault", headers={"Accept-Language": "de"})
    assert '<html lang="de">' in page(german, 200, "Passwortmanager")
