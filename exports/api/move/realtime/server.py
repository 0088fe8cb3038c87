"""The process that holds the websockets of the move API (`spec/move.md §4.11, §6.10`).

One of its own, beside the web processes: WSGI has no websockets, and granian's other interfaces, which have, send no
pings. RSGI would keep what a slow client does not take in memory too (436 MB of 400, WSGI 33), and ASGI lead each piece
of a download through the event loop. nginx sends the two addresses here; without it pages ask again instead.
"""

import asyncio
import functools
import http
import logging
import re
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from django.conf import settings
from django.db import Error
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from cells.errors import CellNotFound
from exports.api.move.permissions import cell_named
from exports.api.move.realtime.database import ask
from exports.api.move.realtime.exporting import exporting
from exports.api.move.realtime.hub import Hub
from exports.api.move.realtime.importing import importing
from exports.api.move.realtime.socket import Places, Socket
from exports.services import cell_jobs
from exports.services.addresses import asked_url, cell_of_host

log = logging.getLogger(__name__)

PROTOCOL = Subprotocol("io.cozy.websocket")
#: §6.10
PING_SECONDS, PONG_SECONDS = 54.0, 60.0
SOCKETS, OF_ADDRESS = 2000, 100
LARGEST_MESSAGE = 4096
_IMPORTING = re.compile(r"/(?:(?P<cell>[^/]+)/)?move/importing/realtime")


@asynccontextmanager
async def listening(
    host: str, port: int, *, ping: float = PING_SECONDS, pong: float = PONG_SECONDS
) -> AsyncIterator[int]:
    """Serves while the block is open; gives the port. Sockets that are open at its end are closed with 1001."""
    hub = Hub()
    door = _Door(hub)
    # At DEBUG the library would log every frame, and so tokens; what it calls errors are clients that went away.
    silent = logging.getLogger("websockets")
    silent.setLevel(logging.CRITICAL)
    serving = serve(
        door.talk,
        host,
        port,
        process_request=door.admit,
        create_connection=Socket,
        select_subprotocol=lambda _, offered: PROTOCOL if PROTOCOL in offered else None,
        compression=None,
        server_header=None,
        ping_interval=ping,
        ping_timeout=pong,
        close_timeout=3,
        max_size=LARGEST_MESSAGE,
        max_queue=4,
        logger=silent,
    )
    async with hub.working(), serving as server:
        yield server.sockets[0].getsockname()[1]


async def run(host: str, port: int) -> None:
    """Until SIGTERM or SIGINT."""
    over = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, over.set)
    async with listening(host, port):
        await over.wait()


class _Door:
    def __init__(self, hub: Hub) -> None:
        self._hub, self._places = hub, Places()

    async def admit(self, socket: Socket, request: Request) -> Response | None:
        """None opens the websocket that `socket.talk` then holds."""
        host, path = _asked(request)
        if path == "/healthz":
            return socket.respond(http.HTTPStatus.OK, "ok\n")
        if len(socket.server.handler_tasks) > SOCKETS:
            return socket.respond(http.HTTPStatus.SERVICE_UNAVAILABLE, "Too many websockets")
        if not self._places.take(socket, _address(socket, request), OF_ADDRESS):
            return socket.respond(http.HTTPStatus.TOO_MANY_REQUESTS, "Too many websockets of one address")
        if path == "/realtime/":
            socket.talk = functools.partial(exporting, socket, self._hub, self._places)
            return None
        try:
            return await self._admit_importing(socket, f"/{cell}{path}" if (cell := cell_of_host(host)) else path)
        except CellNotFound:
            return socket.respond(http.HTTPStatus.NOT_FOUND, "Instance not found")
        except Error as error:
            log.warning("a websocket was refused: the database does not answer (%s)", type(error).__name__)
            return socket.respond(http.HTTPStatus.SERVICE_UNAVAILABLE, "The database does not answer")

    async def _admit_importing(self, socket: Socket, path: str) -> Response | None:
        found = _IMPORTING.fullmatch(path)
        if not found:
            return socket.respond(http.HTTPStatus.NOT_FOUND, "Not Found")
        cell = found["cell"]
        import_id = await ask(_import_of, cell) if cell else None
        socket.talk = functools.partial(importing, socket, self._hub, cell, import_id)
        return None

    async def talk(self, socket: Socket) -> None:
        try:
            await socket.talk()
        except ConnectionClosed:
            pass
        except Exception as error:
            log.error("a websocket failed: %s", type(error).__name__, exc_info=error)
            await socket.close(1011)


def _address(socket: Socket, request: Request) -> str:
    """As `cells.api.sessions.client_address`."""
    seen = request.headers.get_all("X-Forwarded-For") if settings.TRUSTED_PROXY else []
    return (seen[-1].rpartition(",")[2].strip() if seen else "") or str((socket.remote_address or ("",))[0])


def _asked(request: Request) -> tuple[str, str]:
    """(host, path). At a cell's own host the path does not name it."""

    def told(name: str) -> str:
        return ",".join(request.headers.get_all(name))

    return asked_url(told("Host"), request.path.partition("?")[0], told)


def _import_of(name: str) -> int | None:
    row = cell_jobs.import_running(cell=cell_named(name))
    return row.pk if row else None
