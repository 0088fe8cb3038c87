"""Issue 5: "120 hostile URLs … on every URL-taking field: 0 reach a forbidden listener", for the two of a move between
servers: where it goes to, and where it says it comes from (`spec/move.md §6.3, §7.4, §7.6`)."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from cells import tokens
from cells.models import Cell
from exports.models import Arrival, Departure, Import, Run
from exports.services import arrivals, departures, imports
from exports.services.secrets import secrets_open
from exports.states import DepartureState
from tests.clients import content
from tests.spec.move.asking import Move, attributes
from tests.spec.move.target import target_server
from tests.spec.move.test_hostile import URLS, Listener, listener

pytestmark = pytest.mark.django_db(transaction=True)
__all__ = ["listener"]


def form(token: str, url: str) -> dict[str, str]:
    target = {"target_url": url, "target_token": "t", "target_client_id": "i", "target_client_secret": "s"}
    return {"client_id": "i", "client_secret": "s", "token": token, **target}


def confirmed(client: Client) -> int:
    """The owner says yes to what was asked last; the status of the answer."""
    departure = Departure.objects.latest("created_at")
    secret = secrets_open(departure.secrets)["confirm"]
    return client.get("/move/go", {"secret": secret}).status_code


def test_no_target_reaches_anything(signed_in: Client, alice: User, cell: Cell, listener: Listener) -> None:
    """Refused when it is asked for, or when it would be dialled; our own page dials by the same service."""
    token = tokens.token_create(user=alice, cell=cell, scopes=["io.cozy.exports.requests"], expires=timedelta(hours=1))
    dialled = 0
    for number, url in enumerate(URLS):
        url = url.replace("{port}", str(listener.port))
        asked = Client().post("/move/request", form(token, url))
        assert asked.status_code in (200, 400), content(asked)
        if asked.status_code == 200:
            dialled += 1
            assert confirmed(signed_in) == 400, url
        if number % 6 == 0:
            given = {"target_url": url, "target_token": "t", "password": "alice's password"}
            assert signed_in.post("/web/cells/alice/move", given).status_code == 200, url
    assert listener.count == 0
    assert dialled > 60, "most of them are written like any other address"
    cell.refresh_from_db()
    assert not Run.objects.exists() and cell.held_at is None
    assert set(Departure.objects.values_list("state", flat=True)) <= {DepartureState.ASKED, DepartureState.ABORTED}


def test_no_redirect_of_a_target_is_followed(
    signed_in: Client, alice: User, cell: Cell, listener: Listener, settings
) -> None:
    """A POST brings a token: it goes nowhere but where the owner said."""
    settings.EGRESS_ALLOW = ["127.0.0.2/32"]
    token = tokens.token_create(user=alice, cell=cell, scopes=["io.cozy.exports.requests"], expires=timedelta(hours=1))
    for status in (301, 302, 307, 308):
        with target_server(status, host="127.0.0.2", Location=f"http://127.0.0.1:{listener.port}/x") as target:
            assert Client().post("/move/request", form(token, target.url)).status_code == 200
            assert confirmed(signed_in) == 400
        assert len(target.told) == 1
    assert listener.count == 0 and not Run.objects.exists()


def test_nothing_of_a_departure_reaches_anything(alice: User, cell: Cell, listener: Listener) -> None:
    """A name may lead elsewhere by the time that the other server is told: it is looked at whenever it is dialled."""
    for url in URLS[:: len(URLS) // 20]:
        row = Departure.objects.create(
            cell=cell, owner=alice, state=DepartureState.ABORTED, tell="abort", base_url="http://localhost:8000",
            target_url=url.replace("{port}", str(listener.port)), secrets=_sealed(alice, cell),
        )  # fmt: skip
        departures.tell_target(uid=row.uid)
        row.refresh_from_db()
        assert (row.tell, row.tries) == ("abort", 1)
    assert listener.count == 0


def _sealed(alice: User, cell: Cell) -> bytes:
    departure, _ = departures.departure_request(
        cell=cell, owner=alice, target_url="https://new.example/x", target_token="t", base_url="http://localhost:8000"
    )
    return bytes(departure.secrets)


def test_no_source_reaches_anything(as_bob: Move, target: Cell, listener: Listener) -> None:
    """What was let in is fetched by nobody, and not told how it ended either."""
    tried = 0
    for number, url in enumerate(URLS):
        url = url.replace("{port}", str(listener.port))
        body = attributes(transfer=f"{number:032}", move_from={"url": url, "token": "t"})
        answer = as_bob.post("move/imports", body)
        assert answer.status_code in (303, 500), content(answer)
        if answer.status_code == 500:
            continue
        tried += 1
        row = Import.objects.latest("pk")
        imports.run_import(import_id=row.pk)
        assert Arrival.objects.get(pk=row.pk).fetched == 0
        arrivals.arrival_abort(cell=target)
        Arrival.objects.filter(pk=row.pk).update(tell="abort", tell_at=timezone.now())
        arrivals.tell_source(import_id=row.pk)
        target.refresh_from_db()
        assert target.held_at is None
    assert listener.count == 0
    assert tried > 60
