"""`GET /move/importing/realtime` (`spec/move.md §6.10`), with a real client against the real server."""

import contextlib
import json
import socket
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
import redis
from django.db import connection
from websockets.exceptions import InvalidStatus
from websockets.frames import Opcode
from websockets.sync.client import connect

from cells.models import Cell
from exports import broadcast
from exports.api.move.realtime import server
from exports.models import Import, ImportMode
from exports.services import import_lifecycle
from exports.states import ImportState
from tests.clients import content
from tests.factories import make_cell
from tests.spec.move.asking import Move
from tests.spec.move.sockets import PATIENCE, PROTOCOL, call, ended, listening, realtime, still_waits, told

pytestmark = pytest.mark.django_db(transaction=True)
WAITING = "/alice/move/importing/realtime"
GO_ON = {"redirect": "http://localhost:8000/web/cells/alice/"}
FAILED = {"redirect": "http://localhost:8000/web/cells/alice/import"}


def importing(cell: Cell) -> Import:
    source = "file:/nowhere"
    row = import_lifecycle.import_create(
        cell=cell, owner=cell.owner, source=source, mode=ImportMode.REPLACE, name="x", nudge=False
    )
    found = import_lifecycle.claim(import_id=row.pk)
    assert found is not None
    return found


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


@pytest.mark.usefixtures("quick")
def test_pages_know_that_somebody_answers(settings, as_nobody: Move, cell: Cell) -> None:
    """They open no websocket in vain, and none before there is something to wait for."""
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        client.flushdb()
    path, opens = "alice/move/importing", b'data-realtime="/alice/move/importing/realtime"'
    row = importing(cell)
    assert opens not in content(as_nobody.get(path))
    with listening():
        until = time.monotonic() + PATIENCE
        while not broadcast.listener_alive():
            assert time.monotonic() < until
    assert opens in content(as_nobody.get(path))
    import_lifecycle.import_fail(row)
    assert opens not in content(as_nobody.get(path))


def test_without_a_proxy_the_web_process_says_so(as_nobody: Move, cell: Cell) -> None:
    for path in ("realtime/", "move/importing/realtime", "alice/move/importing/realtime"):
        response = as_nobody.get(path)
        [error] = json.loads(content(response))["errors"]
        assert (response.status_code, error["title"]) == (501, "Not Implemented")
        assert "manage.py realtime" in error["detail"]


def test_at_a_cells_own_host_the_path_need_not_name_it(settings, cell: Cell) -> None:
    settings.UNIT_HOST = "unit.example.org"
    with listening() as port:
        for host, page in {"alice.unit.example.org": "/web/cells/alice/", "localhost": "/web/sign-in"}.items():
            wire = socket.create_connection(("127.0.0.1", port))
            with wire, connect(f"ws://{host}/move/importing/realtime", sock=wire, proxy=None) as caller:
                assert told(caller) == {"redirect": f"http://localhost:8000{page}"}


@pytest.mark.parametrize("trusted", [True, False])
def test_a_proxy_that_rewrites_tells_what_was_asked_for(trusted: bool, settings, cell: Cell) -> None:
    settings.UNIT_HOST, settings.TRUSTED_PROXY_URL = "unit.example.org", trusted
    headers = {"X-Forwarded-Host": "alice.unit.example.org", "X-Forwarded-Path": "/move/importing/realtime"}
    with listening() as port:
        if trusted:
            with connect(f"ws://localhost:{port}/inner", additional_headers=headers, proxy=None) as caller:
                assert told(caller) == {"redirect": "http://localhost:8000/web/cells/alice/"}
        else:
            with pytest.raises(InvalidStatus, match="404"):
                connect(f"ws://localhost:{port}/inner", additional_headers=headers, proxy=None)


def test_a_stopped_server_says_that_it_goes(process_env: dict[str, str], tmp_path: Path, cell: Cell) -> None:
    importing(cell)
    with contextlib.ExitStack() as later, realtime(process_env, tmp_path / "realtime.log") as port:
        caller = later.enter_context(call(port, WAITING))
        still_waits(caller)
    assert ended(caller)[0] == 1001


def test_it_can_be_stopped_at_any_moment(db: None) -> None:
    """Also while it connects to Redis, whose client takes that for a lost connection."""
    for _ in range(40):
        with listening():
            pass


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
