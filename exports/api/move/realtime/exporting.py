"""`/realtime/`: the protocol `io.cozy.websocket`, for exports alone (`spec/move.md §4.11`)."""

import asyncio
from typing import Any, NamedTuple

import orjson
from websockets.exceptions import ConnectionClosed

from cells.models import AccessToken
from exports.api.move.errors import MoveError
from exports.api.move.permissions import EXPORTS, permission_check, token_known
from exports.api.move.realtime.database import ask
from exports.api.move.realtime.documents import error
from exports.api.move.realtime.hub import Hub, Watcher
from exports.api.move.realtime.socket import Places, Socket
from exports.services import waiting

#: From the handshake to the first subscription.
PATIENCE = 60.0
#: On one socket: clients subscribe once to each type.
COMMANDS = 200
#: Events that the other side has not taken yet.
OUTBOX = 32
OF_USER = 20


async def exporting(socket: Socket, hub: Hub, places: Places) -> None:
    conversation = _Conversation(socket, hub, places)
    sending = asyncio.create_task(conversation.send())
    try:
        await conversation.hear()
    finally:
        conversation.leave()
        sending.cancel()


class _Command(NamedTuple):
    method: str
    #: As far as an error may repeat it: of AUTH the payload is the token.
    shown: dict[str, Any]
    token: str = ""
    type: str = ""
    id: str = ""


class _Conversation:
    """AUTH comes first; then SUBSCRIBE and UNSUBSCRIBE, as often as they like."""

    def __init__(self, socket: Socket, hub: Hub, places: Places) -> None:
        self._socket, self._hub, self._places = socket, hub, places
        self._events: asyncio.Queue[str] = asyncio.Queue(OUTBOX)
        self._token: AccessToken | None = None
        self._watcher: Watcher | None = None
        #: Ids of exports; "" is all of them.
        self._ids: set[str] = set()

    async def hear(self) -> None:
        """Until the other side goes, or is let go."""
        try:
            async with asyncio.timeout(PATIENCE) as patience:
                for _ in range(COMMANDS):
                    if not await self._obey(_parsed(await self._socket.recv())):
                        return
                    if self._watcher:
                        patience.reschedule(None)
        except TimeoutError:
            await self._socket.close(1008, "nothing was subscribed to")
        else:
            await self._socket.close(1008, "too many commands")

    async def send(self) -> None:
        try:
            while True:
                await self._socket.put(await self._events.get())
        except ConnectionClosed:
            pass

    def leave(self) -> None:
        if self._watcher:
            self._hub.unwatch(self._watcher)

    async def _obey(self, command: _Command) -> bool:
        """Whether to go on."""
        if command.method == "AUTH" and self._token is None:
            return await self._authenticate(command)
        if self._token is None or command.method not in ("SUBSCRIBE", "UNSUBSCRIBE"):
            title = f"The {command.method} method is not supported"
            await self._refuse("405 Method Not Allowed", "method not allowed", title, command)
        elif not command.type:
            title = f"The type parameter is mandatory for {command.method}"
            await self._refuse("404 Page Not Found", "page not found", title, command)
        elif command.method == "UNSUBSCRIBE":
            self._ids.discard(command.id)
        else:
            await self._subscribe(self._token, command)
        return self._token is not None

    async def _authenticate(self, command: _Command) -> bool:
        try:
            self._token = await ask(token_known, command.token)
        except MoveError:
            await self._refuse("401 Unauthorized", "unauthorized", "The authentication has failed", command)
            return False
        if not self._places.take(self._socket, f"user {self._token.user_id}", OF_USER):
            await self._socket.close(1013, "too many websockets of one user")
            return False
        return True

    async def _subscribe(self, token: AccessToken, command: _Command) -> None:
        try:
            permission_check(token, command.type, "GET")
        except MoveError:
            title = f"The application can't subscribe to {command.type}"
            await self._refuse("403 Forbidden", "forbidden", title, command)
            return
        if command.type != EXPORTS:  # silence would be taken for "nothing has happened"
            title = f"Only {EXPORTS} is told here"
            await self._refuse("501 Not Implemented", "not implemented", title, command)
            return
        self._ids.add(command.id)
        if self._watcher is None:
            self._watcher = Watcher(waiting.scope_of(token), self._tell, self._end)
            await self._hub.watch(self._watcher)

    async def _refuse(self, status: str, code: str, title: str, command: _Command) -> None:
        await self._socket.put(error(status, code, title, command.shown))

    def _tell(self, uid: str, text: str) -> None:
        if not self._ids & {"", uid}:
            return
        try:
            self._events.put_nowait(text)
        except asyncio.QueueFull:
            self._socket.transport.abort()

    def _end(self) -> None:
        self._ids.clear()
        self._closing = asyncio.ensure_future(self._socket.close(1008, "the token opens nothing any more"))


def _parsed(message: str | bytes) -> _Command:
    """What is no command is one without a method."""
    try:
        given = orjson.loads(message)
    except orjson.JSONDecodeError:
        given = None
    method, payload = (given.get("method"), given.get("payload")) if isinstance(given, dict) else (None, None)
    method = method.upper() if isinstance(method, str) else ""
    if method == "AUTH":
        return _Command(method, {"method": method}, token=payload if isinstance(payload, str) else "")
    wanted = payload if isinstance(payload, dict) else {}
    type, id = (text if isinstance(text := wanted.get(name), str) else "" for name in ("type", "id"))
    return _Command(method, {"method": method, "payload": {"type": type, "id": id}}, type=type, id=id)
