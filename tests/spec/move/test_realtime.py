"""Websockets of the move API (`spec/move.md §4.11, §6.10`), with a real client against the real process."""

import contextlib
import json
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.db import connection
from websockets.exceptions import InvalidStatus
from websockets.frames import Opcode
from websockets.sync.client import connect

from cells import tokens
from cells.models import AccessToken, Cell
from exports.api.move.realtime import exporting, hub, server
from exports.errors import MoveRunning
from exports.models import Import, ImportMode, MoveExport, Run
from exports.services import import_lifecycle, lifecycle, move_exports, running
from exports.states import ImportState
from tests.factories import make_cell
from tests.spec.move.asking import EMPTY, Move, exported, manifest
from tests.spec.move.sockets import PROTOCOL, call, ended, listening, realtime, still_waits, subscribe, told

pytestmark = pytest.mark.django_db(transaction=True)
WAITING = "/alice/move/importing/realtime"
GO_ON = {"redirect": "http://localhost:8000/web/cells/alice/"}
FAILED = {"redirect": "http://localhost:8000/web/cells/alice/import"}


@pytest.fixture
def process(process_env: dict[str, str], tmp_path: Path) -> Iterator[int]:
    """The port of a process; it has nothing to complain of."""
    with realtime(process_env, tmp_path / "realtime.log") as port:
        yield port
    assert (tmp_path / "realtime.log").read_text() == ""


@pytest.fixture
def port(db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The same in a thread, which starts in no time, and looks at no row unless it is told to."""
    monkeypatch.setattr(hub, "CHECK_SECONDS", 3600)
    with listening() as port:
        yield port


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks at the rows all the time, and hears of nothing."""
    monkeypatch.setattr(hub, "CHECK_SECONDS", 0.05)


def importing(cell: Cell) -> Import:
    source = "file:/nowhere"
    row = import_lifecycle.import_create(
        cell=cell, owner=cell.owner, source=source, mode=ImportMode.REPLACE, name="x", nudge=False
    )
    found = import_lifecycle.claim(import_id=row.pk)
    assert found is not None
    return found


# --- GET /move/importing/realtime -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "page"),
    [
        ("/move/importing/realtime", "/web/sign-in"),
        (WAITING, "/web/cells/alice/"),
        (WAITING + "?x=1", "/web/cells/alice/"),
    ],
)
def test_without_an_import_the_way_on_is_told_at_once(port: int, cell: Cell, path: str, page: str) -> None:
    """§6.10: "If settings key `importing` is not true → immediately one message `{"redirect": …}` then close"."""
    with call(port, path) as caller:
        assert told(caller) == {"redirect": f"http://localhost:8000{page}"}
        assert ended(caller) == (1000, "")


@pytest.mark.parametrize("ending", ["done", "failed", "gone", "all gone"])
def test_the_end_of_an_import_is_told(port: int, cell: Cell, ending: str) -> None:
    """§6.10: "the same message when an `import` job of this instance reaches `done` **or** `errored`, then close"."""
    other = make_cell(cell.owner, "another")
    row, unrelated = importing(cell), importing(other)
    with call(port, WAITING) as caller, call(port, "/another/move/importing/realtime") as second:
        still_waits(caller)
        if ending == "done":
            import_lifecycle.generation_reserve(row)
            import_lifecycle.publish(row, {})
        elif ending == "failed":
            assert import_lifecycle.import_fail(row)
        else:
            (row if ending == "gone" else cell).delete()
            import_lifecycle.transition(unrelated.pk, ImportState.PENDING)  # one that says nothing, but is a nudge
        signs_in = {"redirect": "http://localhost:8000/web/sign-in"}
        assert told(caller) == {"failed": FAILED, "all gone": signs_in}.get(ending, GO_ON)
        assert ended(caller) == (1000, "")
        still_waits(second)


def test_a_lost_lease_is_not_an_end(port: int, cell: Cell) -> None:
    row = importing(cell)
    with call(port, WAITING) as caller:
        still_waits(caller)
        import_lifecycle.transition(row.pk, ImportState.PENDING)
        still_waits(caller)
        import_lifecycle.import_fail(import_lifecycle.claim(import_id=row.pk))
        assert told(caller) == FAILED


@pytest.mark.parametrize("offered", [None, [PROTOCOL], ["another", PROTOCOL], ["another"]])
def test_the_subprotocol_is_optional_and_no_origin_is_checked(port: int, cell: Cell, offered: list[str] | None) -> None:
    """§6.10: "no origin check, optional subprotocol `io.cozy.websocket`"."""
    with call(port, WAITING, subprotocols=offered, origin="https://elsewhere.example") as caller:
        assert caller.subprotocol == (PROTOCOL if offered and PROTOCOL in offered else None)
        assert told(caller) == GO_ON


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("redis_url", ["", "redis://127.0.0.1:1/0"])
def test_what_redis_does_not_tell_the_row_tells(settings, cell: Cell, redis_url: str) -> None:
    """The row is the truth: neither a lost message nor a dead Redis leaves anybody waiting."""
    settings.REDIS_URL = redis_url or settings.REDIS_URL
    row = importing(cell)
    with listening() as port, call(port, WAITING) as caller:
        still_waits(caller)
        Import.objects.filter(pk=row.pk).update(state=ImportState.FAILED)
        assert told(caller) == FAILED


def test_pings_keep_it_open_and_whoever_answers_none_is_let_go(cell: Cell) -> None:
    """§6.10: "Server pings every 54 s, expects pongs within 60 s"."""
    assert (server.PING_SECONDS, server.PONG_SECONDS) == (54, 60)
    row = importing(cell)
    with listening(ping=0.01, pong=30) as port, call(port, WAITING) as caller:
        while caller.pings < 5:
            still_waits(caller)
        import_lifecycle.import_fail(row)
        assert told(caller) == FAILED
    importing(cell)
    with listening(ping=0.01, pong=0.05) as port, call(port, WAITING) as caller:
        send = caller.protocol.send_frame
        caller.protocol.send_frame = lambda frame: None if frame.opcode is Opcode.PONG else send(frame)
        assert ended(caller) == (1011, "keepalive ping timeout")


def test_who_waits_sends_nothing(port: int, cell: Cell) -> None:
    """§6.10: "client sends nothing"."""
    row = importing(cell)
    with call(port, WAITING) as caller, call(port, WAITING) as longer:
        caller.send("anything")
        assert ended(caller) == (1008, "nothing is to be sent here")
        longer.send("x" * (server.LARGEST_MESSAGE + 1))
        assert ended(longer)[0] == 1009
    row.refresh_from_db()
    assert row.state == ImportState.PROCESSING


def test_what_is_no_websocket_of_ours_is_refused_in_words(port: int, cell: Cell) -> None:
    for path, answer in {
        "/nobody/move/importing/realtime": (404, b"Instance not found"),
        "/%00/move/importing/realtime": (404, b"Instance not found"),
        "/alice/realtime/": (404, b"Not Found"),
        "/realtime": (404, b"Not Found"),
        "/": (404, b"Not Found"),
    }.items():
        with pytest.raises(InvalidStatus) as refused, call(port, path):
            pass
        assert (refused.value.response.status_code, refused.value.response.body) == answer, path
    for path in (WAITING, "/realtime/"):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"http://127.0.0.1:{port}{path}")
        assert refused.value.code == 426
    assert urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz").read() == b"ok\n"


def test_at_a_cells_own_host_the_path_need_not_name_it(settings, cell: Cell) -> None:
    settings.UNIT_HOST = "unit.example.org"
    with listening() as port:
        for host, page in {"alice.unit.example.org": "/web/cells/alice/", "localhost": "/web/sign-in"}.items():
            wire = socket.create_connection(("127.0.0.1", port))
            with wire, connect(f"ws://{host}/move/importing/realtime", sock=wire, proxy=None) as caller:
                assert told(caller) == {"redirect": f"http://localhost:8000{page}"}


def test_a_stopped_server_says_that_it_goes(process_env: dict[str, str], tmp_path: Path, cell: Cell) -> None:
    importing(cell)
    with contextlib.ExitStack() as later, realtime(process_env, tmp_path / "realtime.log") as port:
        caller = later.enter_context(call(port, WAITING))
        still_waits(caller)
    assert ended(caller)[0] == 1001


def test_waiting_takes_neither_threads_nor_connections_of_the_database(process: int, cell: Cell) -> None:
    """What fifty sockets hold is what one holds."""
    row = importing(cell)
    with contextlib.ExitStack() as open_:
        callers = [open_.enter_context(call(process, WAITING)) for _ in range(50)]
        for caller in callers:
            still_waits(caller)
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")
            assert cursor.fetchone()[0] <= 1 + 4
        import_lifecycle.import_fail(row)
        assert [told(caller) for caller in callers] == [FAILED] * 50


# --- /realtime/ -----------------------------------------------------------------------------------------------------


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
