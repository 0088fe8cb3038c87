"""`GET /move/importing/realtime`: one message when the import has ended, or at once when there is none (§6.10)."""

import asyncio
import contextlib

import orjson
from django.conf import settings
from django.urls import reverse
from websockets.exceptions import ConnectionClosed

from cells.models import Cell
from exports.api.move.realtime.database import ask
from exports.api.move.realtime.hub import Hub
from exports.api.move.realtime.socket import Socket
from exports.services import cell_jobs


async def importing(socket: Socket, hub: Hub, cell: str | None, import_id: int | None) -> None:
    if import_id is not None:
        with hub.import_awaited(import_id) as ended:
            if not await _awaited(socket, ended):
                return
    page = await ask(_page_of, cell)
    await socket.put(orjson.dumps({"redirect": f"{settings.PUBLIC_URL}{page}"}).decode())


def _page_of(name: str | None) -> str:
    """Where the cell's owner goes on, or reads why the import failed. The sign-in comes before, for who needs it."""
    cell = Cell.objects.filter(name=name).first() if name else None
    if cell is None:  # gone, meanwhile
        return settings.LOGIN_URL
    return reverse("web:cell-import" if cell_jobs.import_failed(cell=cell) else "web:cell", args=[cell.name])


async def _awaited(socket: Socket, ended: asyncio.Event) -> bool:
    """Whether it ended while the other side still listened. What should send nothing, and does, is let go."""
    over, heard = asyncio.ensure_future(ended.wait()), asyncio.ensure_future(socket.recv())
    try:
        await asyncio.wait({over, heard}, return_when=asyncio.FIRST_COMPLETED)
        if not heard.done():
            return True
        with contextlib.suppress(ConnectionClosed):
            heard.result()
            await socket.close(1008, "nothing is to be sent here")
        return False
    finally:
        over.cancel()
        heard.cancel()
