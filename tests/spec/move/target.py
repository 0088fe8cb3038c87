"""Another server that a cell is to move to: real HTTP, which tells what it was told and answers as it should."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any


class Target:
    def __init__(self, status: int, headers: dict[str, str]) -> None:
        self.status, self.headers = status, headers
        #: (path, headers, attributes) of each POST.
        self.told: list[tuple[str, dict[str, str], Any]] = []
        self.url = ""


class _Handler(BaseHTTPRequestHandler):
    target: Target

    def log_message(self, *args: object) -> None:
        pass

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        attributes = json.loads(body)["data"]["attributes"] if body else None
        self.target.told.append((self.path, dict(self.headers), attributes))
        self.send_response(self.target.status)
        for name, value in self.target.headers.items():
            self.send_header(name, value)
        self.end_headers()


@contextmanager
def target_server(status: int = 204, host: str = "127.0.0.1", **headers: str) -> Iterator[Target]:
    """`headers` with underscores for hyphens."""
    target = Target(status, {name.replace("_", "-"): value for name, value in headers.items()})
    server = ThreadingHTTPServer((host, 0), type("Handler", (_Handler,), {"target": target}))
    target.url = f"http://{host}:{server.server_address[1]}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield target
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
