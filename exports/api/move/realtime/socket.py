"""One connection, and how many of a kind there may be."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

from websockets.asyncio.server import ServerConnection

#: In which the other side has to take a message.
WRITE_SECONDS = 10.0


class Socket(ServerConnection):
    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.talk: Callable[[], Awaitable[None]]
        self.lost = False
        #: Called when the connection is gone, also one that never got past its handshake.
        self.afterwards = contextlib.ExitStack()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        super().connection_lost(exc)
        self.afterwards.close()

    async def put(self, text: str) -> None:
        """Raises ConnectionClosed. Who does not read is cut off."""
        try:
            async with asyncio.timeout(WRITE_SECONDS):
                await self.send(text)
        except TimeoutError:
            self.transport.abort()


class Places:
    """How many sockets there are of each address, and of each user."""

    def __init__(self) -> None:
        self._taken: Counter[str] = Counter()

    def take(self, socket: Socket, of: str, most: int) -> bool:
        """False when there is none left. It is free again when the connection is gone."""
        if socket.lost or self._taken[of] >= most:
            return False
        self._taken[of] += 1
        socket.afterwards.callback(self._leave, of)
        return True

    def _leave(self, of: str) -> None:
        self._taken[of] -= 1
        self._taken += Counter()  # forgets those that have none
