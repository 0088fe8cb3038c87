"""`/realtime/` (`spec/move.md §4.11`), with a real client against the real server."""

import contextlib
import json
from datetime import timedelta
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from websockets.exceptions import InvalidStatus

from cells import tokens
from cells.models import AccessToken, Cell
from exports.api.move.realtime import exporting, server
from exports.errors import MoveRunning
from exports.models import MoveExport, Run
from exports.services import lifecycle, move_exports, running
from tests.factories import make_cell
from tests.spec.move.asking import EMPTY, Move, exported, manifest
from tests.spec.move.sockets import PROTOCOL, call, ended, listening, realtime, still_waits, subscribe, told

pytestmark = pytest.mark.django_db(transaction=True)


def shown(client: Move, export: MoveExport) -> dict:
    return manifest(client, move_exports.opaque(export))


def test_an_export_is_created_and_updated(process: int, as_alice: Move, cell: Cell) -> None:
    """§4.11: "`CREATED` (state exporting) then `UPDATED` (done/error); payload `{id, rev, type, doc}`"."""
    before = exported(as_alice)
    with call(process, "/realtime/", subprotocols=[PROTOCOL]) as caller:
        subscribe(caller, as_alice.token)
        still_waits(caller)
        export = exported(as_alice)
        created, updated = told(caller), told(caller)
        still_waits(caller)
    document = shown(as_alice, export)
    assert before.pk != export.pk == document["id"]
    assert [created["event"], updated["event"]] == ["CREATED", "UPDATED"]
    payload = updated["payload"]
    assert payload.keys() == {"id", "rev", "type", "doc"}
    assert (payload["id"], payload["rev"], payload["type"]) == (export.pk, document["meta"]["rev"], "io.cozy.exports")
    assert payload["doc"] == {"_id": export.pk, "_rev": payload["rev"], **document["attributes"]}
    assert payload["doc"]["state"] == "done" and payload["rev"].startswith("2-")
    assert created["payload"]["rev"] == created["payload"]["doc"]["_rev"] and created["payload"]["rev"].startswith("1-")
    unfinished = {"state": "exporting", "total_size": -1, "parts_length": 0, "parts_cursors": [], "error": ""}
    assert unfinished.items() <= created["payload"]["doc"].items()


def test_a_failure_is_updated_with_its_reason_and_a_conflict_is_no_document(
    port: int, as_alice: Move, cell: Cell
) -> None:
    """§4.3: "**no document is created**" when an archive is already being created."""
    with call(port, "/realtime/") as caller:
        subscribe(caller, as_alice.token)
        as_alice.post("move/exports", EMPTY)
        as_alice.post("move/exports", EMPTY)
        conflict = Run.objects.latest("pk")
        assert conflict.state == "failed"
        first = lifecycle.claim(run_id=Run.objects.earliest("pk").pk)
        assert told(caller)["payload"]["doc"]["state"] == "exporting"
        lifecycle.run_fail(first, MoveRunning())
        failed = told(caller)
        still_waits(caller)
    assert failed["event"] == "UPDATED" and failed["payload"]["id"] == first.move.pk
    assert (failed["payload"]["doc"]["state"], failed["payload"]["doc"]["error"]) == ("error", str(MoveRunning()))


def test_everybody_hears_of_their_own(port: int, as_alice: Move, alice: User, bob: User, cell: Cell) -> None:
    second = make_cell(alice, "second")
    make_cell(bob, "bobs")
    scopes = ("io.cozy.exports:GET",)
    tokens_of = {
        "all": Move(alice, scopes=scopes),
        "cell": Move(alice, cell=cell, scopes=scopes),
        "second": Move(alice, cell=second, scopes=scopes),
        "bob": Move(bob, scopes=scopes),
    }
    with contextlib.ExitStack() as open_:
        callers = {name: open_.enter_context(call(port, "/realtime/")) for name in tokens_of}
        for name, caller in callers.items():
            subscribe(caller, tokens_of[name].token)
        export = exported(as_alice)
        for name in ("all", "cell"):
            assert [told(callers[name])["payload"]["id"] for _ in range(2)] == [export.pk] * 2
        for caller in callers.values():
            still_waits(caller)


def test_one_export_alone_can_be_subscribed_to_and_given_up(port: int, as_alice: Move, cell: Cell) -> None:
    as_alice.post("move/exports", EMPTY)
    run = Run.objects.get()
    with call(port, "/realtime/") as one, call(port, "/realtime/") as other, call(port, "/realtime/") as none:
        subscribe(one, as_alice.token, id=run.move.pk)
        subscribe(other, as_alice.token, id="another")
        subscribe(none, as_alice.token)
        none.send(json.dumps({"method": "unsubscribe", "payload": {"type": "io.cozy.exports"}}))
        still_waits(none)
        running.run_export(run_id=run.pk)
        assert [told(one)["event"], told(one)["event"]] == ["CREATED", "UPDATED"]
        still_waits(other)
        still_waits(none)


AUTH = {"status": "401 Unauthorized", "code": "unauthorized", "title": "The authentication has failed"}


@pytest.mark.parametrize("token", ["", "unknown", None, 5, "\0", "expired"])
def test_without_a_good_token_there_is_an_error_and_an_end(port: int, alice: User, cell: Cell, token: object) -> None:
    expired = tokens.token_create(user=alice, expires=timedelta(seconds=-1))
    with call(port, "/realtime/") as caller:
        caller.send(json.dumps({"method": "AUTH", "payload": expired if token == "expired" else token}))
        assert told(caller) == {"event": "error", "payload": {**AUTH, "source": {"method": "AUTH"}}}
        assert ended(caller) == (1000, "")


@pytest.mark.parametrize(
    "first", ['{"method": "SUBSCRIBE", "payload": {"type": "io.cozy.exports"}}', "[]", "x", "{}", ""]
)
def test_auth_comes_first(port: int, cell: Cell, as_alice: Move, first: str) -> None:
    with call(port, "/realtime/") as caller:
        caller.send(first)
        assert told(caller)["payload"]["status"] == "405 Method Not Allowed"
        assert ended(caller) == (1000, "")


def test_what_cannot_be_subscribed_to_is_said_and_the_rest_goes_on(port: int, alice: User, cell: Cell) -> None:
    """§4.11: "subscribe to `io.cozy.exports` with GET permission"."""
    writer = Move(alice, cell=cell, scopes=("io.cozy.exports:POST", "io.cozy.exports:GET:one-id", "io.cozy.files"))
    with call(port, "/realtime/") as caller:
        caller.send(json.dumps({"method": "auth", "payload": writer.token}))
        for type, status in {
            "io.cozy.exports": "403 Forbidden",
            "io.cozy.contacts": "403 Forbidden",
            "io.cozy.files": "501 Not Implemented",
            "": "404 Page Not Found",
        }.items():
            caller.send(json.dumps({"method": "SUBSCRIBE", "payload": {"type": type}}).encode())
            refused = told(caller)
            assert (refused["event"], refused["payload"]["status"]) == ("error", status)
            assert refused["payload"]["source"] == {"method": "SUBSCRIBE", "payload": {"type": type, "id": ""}}
        exported(Move(alice, cell=cell, scopes=("io.cozy.exports",)))
        still_waits(caller)


@pytest.mark.usefixtures("quick")
def test_a_token_that_is_revoked_hears_no_more(as_alice: Move, cell: Cell) -> None:
    with listening() as port, call(port, "/realtime/") as caller:
        subscribe(caller, as_alice.token)
        AccessToken.objects.filter(digest=tokens.digest(as_alice.token)).delete()
        assert ended(caller) == (1008, "the token opens nothing any more")


def test_sockets_are_counted_by_address_and_by_user(monkeypatch, as_alice: Move, alice: User, cell: Cell) -> None:
    monkeypatch.setattr(server, "OF_ADDRESS", 3)
    monkeypatch.setattr(exporting, "OF_USER", 2)
    with listening() as port:
        for _ in range(3):  # places are free again afterwards
            with (
                call(port, "/realtime/") as first,
                call(port, "/realtime/") as second,
                call(port, "/realtime/") as third,
            ):
                for caller in (first, second):
                    subscribe(caller, as_alice.token)
                third.send(json.dumps({"method": "AUTH", "payload": as_alice.token}))
                assert ended(third) == (1013, "too many websockets of one user")
                with call(port, "/realtime/"), pytest.raises(InvalidStatus) as refused, call(port, "/realtime/"):
                    pass
                assert refused.value.response.status_code == 429
                still_waits(first)


def test_who_says_nothing_or_too_much_is_let_go(monkeypatch, as_alice: Move, cell: Cell) -> None:
    monkeypatch.setattr(exporting, "PATIENCE", 0.05)
    with listening() as port, call(port, "/realtime/") as caller:
        assert ended(caller) == (1008, "nothing was subscribed to")
    monkeypatch.setattr(exporting, "PATIENCE", 60)
    with listening() as port, call(port, "/realtime/") as caller:
        subscribe(caller, as_alice.token)
        for _ in range(exporting.COMMANDS - 3):
            caller.send('{"method": "UNSUBSCRIBE", "payload": {"type": "io.cozy.exports", "id": "x"}}')
        assert ended(caller) == (1008, "too many commands")


def test_no_token_reaches_a_log(process_env: dict[str, str], tmp_path: Path, as_alice: Move, cell: Cell) -> None:
    log = tmp_path / "realtime.log"
    with realtime({**process_env, "LOG_LEVEL": "DEBUG"}, log) as port, call(port, "/realtime/?x=secret") as caller:
        subscribe(caller, as_alice.token)
        exported(as_alice)
        assert told(caller)["event"] == "CREATED"
    assert as_alice.token not in log.read_text() and "secret" not in log.read_text()
