"""The process of the websockets on a test's database, and people at websockets."""

import asyncio
import contextlib
import json
import queue
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.frames import Opcode
from websockets.sync.client import ClientConnection, connect

from exports.api.move.realtime import server
from exportsite.processes import Child

ROOT = Path(__file__).resolve().parents[3]
PATIENCE = 30
PROTOCOL = "io.cozy.websocket"


@contextlib.contextmanager
def realtime(env: dict[str, str], log: Path) -> Iterator[int]:
    """The port of a real process, as docker-compose.yml starts it."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with log.open("wb") as file:
        child = Child("realtime", [sys.executable, "manage.py", "realtime", "--port", str(port)], cwd=ROOT, env=env,
                      stdout=file, stderr=subprocess.STDOUT)  # fmt: skip
    try:
        await_port(port, child)
        yield port
    finally:
        child.stop()


def await_port(port: int, child: Child) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until and child.poll() is None:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port)).close()
            return
        time.sleep(0.05)
    raise AssertionError(f"{child.name} does not answer")


class Caller(ClientConnection):
    """Notes what a client is not shown."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self.pings = 0
        super().__init__(*args, **options)

    def process_event(self, event: Any) -> None:
        if getattr(event, "opcode", None) is Opcode.PING:
            self.pings += 1
        super().process_event(event)


@contextlib.contextmanager
def call(port: int, path: str, **options: Any) -> Iterator[Caller]:
    options = {"ping_interval": None, "proxy": None, "create_connection": Caller, **options}
    with connect(f"ws://127.0.0.1:{port}{path}", **options) as caller:
        yield caller


def told(caller: ClientConnection) -> Any:
    return json.loads(caller.recv(PATIENCE))


def ended(caller: ClientConnection) -> tuple[int, str]:
    """How the server closes the websocket, having told nothing more."""
    with pytest.raises(ConnectionClosed):
        raise AssertionError(f"told: {caller.recv(PATIENCE)!r}")
    return caller.close_code, caller.close_reason


def still_waits(caller: ClientConnection) -> None:
    """Nothing was told before the answer to a ping that was sent now."""
    assert caller.ping().wait(PATIENCE)
    with pytest.raises(TimeoutError):
        caller.recv(0)


def subscribe(caller: ClientConnection, token: str, type: str = "io.cozy.exports", **more: str) -> None:
    """Until the server knows what was so before."""
    caller.send(json.dumps({"method": "AUTH", "payload": token}))
    caller.send(json.dumps({"method": "SUBSCRIBE", "payload": {"type": type, **more}}))
    caller.send(json.dumps({"method": "ANYTHING"}))  # answered after it has subscribed
    assert told(caller)["payload"]["status"] == "405 Method Not Allowed"


@contextlib.contextmanager
def listening(**options: float) -> Iterator[int]:
    """The same server in a thread of this process, where constants can be changed."""
    ready: queue.SimpleQueue[tuple] = queue.SimpleQueue()

    async def serve() -> None:
        over = asyncio.Event()
        async with server.listening("127.0.0.1", 0, **options) as port:
            ready.put((port, asyncio.get_running_loop(), over))
            await over.wait()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    port, loop, over = ready.get(timeout=PATIENCE)
    try:
        yield port
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join()
