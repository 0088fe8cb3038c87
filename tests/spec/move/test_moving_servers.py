"""`spec/move.md §7`: the steps of a move between two servers that the other server takes."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from rest_framework.request import Request

from cells import tokens
from cells.models import Cell
from exports.api.move import bodies
from exports.errors import MoveAborted
from exports.models import Arrival, Departure, Import, Notification
from exports.services import departures, move_notes
from exports.services.secrets import secrets_open
from exports.states import DepartureState
from tests.clients import content
from tests.spec.move.asking import Move, api_error, attributes, page, plain
from tests.spec.move.other import OPAQUE
from tests.spec.move.target import target_server

pytestmark = pytest.mark.django_db(transaction=True)


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
    other = Move(alice, cell=cell, scopes=(departures.SCOPE,), expires=timedelta(days=1))
    departure, _ = departures.departure_request(
        cell=cell, owner=alice, target_url="https://new.example", target_token="t", base_url="http://localhost:8000"
    )
    Departure.objects.filter(pk=departure.pk).update(
        **{"state": DepartureState.OFFERED, "classic": True, "accepted_at": timezone.now(), **fields},
        token_digest=tokens.digest(other.token),
    )
    return departure, other


@pytest.mark.usefixtures("other_servers")
def test_the_token_that_the_other_server_gets_ends_the_move_and_nothing_else(
    alice: User, cell: Cell, monkeypatch
) -> None:
    """§7.6: `move_from.token`. Whoever kept the body of an import back until he had aborted replaced the cell."""
    with target_server() as there:
        departure, secret = departures.departure_request(
            cell=cell, owner=alice, target_url=there.url, target_token="t", base_url="http://localhost:8000"
        )
        departure = departures.departure_go(secret=secret, user=alice)
    other = Move()
    other.token = secrets_open(departure.secrets)["token"]
    body = attributes(url=f"https://new.example/#/exports/{OPAQUE}")
    honest = bodies.attributes

    def late(request: Request) -> dict[str, object]:
        departures.departure_abort(departure, MoveAborted(reason="the other server ended it"), tell=False)
        return honest(request)

    with monkeypatch.context() as patch:
        patch.setattr(bodies, "attributes", late)
        for step in ("imports", "imports/precheck", "importing?source=x", "exports"):
            plain(other.post(f"move/{step}", body), 403, "Forbidden")
    departure.refresh_from_db()
    cell.refresh_from_db()
    assert (departure.state, cell.held_at) == (DepartureState.EXPORTING, None)
    assert not Import.objects.exists() and other.post("move/abort").status_code == 204
    departure.refresh_from_db()
    assert departure.state == DepartureState.ABORTED


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


def test_what_was_announced_is_shown_until_it_has_come(as_bob: Move, target: Cell) -> None:
    """§6.10: no page says for a day that a cell is coming which is here, or will not come."""
    as_bob.post("move/importing?source=old.example")
    body = attributes(transfer="a" * 32, move_from={"url": "https://old.example/", "token": "secret"})
    assert as_bob.post("move/imports", body).status_code == 303
    page(as_bob.get("bobs/move/importing"), 200, "Moving in progress", "old.example")
    assert as_bob.post("move/abort").status_code == 204
    page(as_bob.get("bobs/move/importing"), 200, "No import is running")
    as_bob.post("move/importing?source=old.example")
    assert as_bob.post("move/abort").status_code == 204
    page(as_bob.get("bobs/move/importing"), 200, "No import is running")
