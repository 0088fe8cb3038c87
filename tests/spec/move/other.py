"""Another server with an export: real HTTP, which tells what was asked of it and cuts connections when told to."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

OPAQUE = "QUFB"


class Other:
    def __init__(self, parts: dict[str, bytes], **attributes: Any) -> None:
        """`parts` by cursor, the first by ""; `attributes` change the manifest's."""
        self.parts = parts
        told = {"state": "done", "parts_cursors": [cursor for cursor in parts if cursor], "total_size": 1}
        self.manifest: Any = {"data": {"type": "io.cozy.exports", "id": "e1", "attributes": told | attributes}}
        #: Bytes after which each of the next connections ends.
        self.cuts: list[int] = []
        self.ranges = True
        #: So many bytes of each answer, its headers too, are sent; then it is silent until this is set.
        self.drips: int | None = None
        self.silence = threading.Event()
        self.sent = 0
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.redirect = ""
        self.url = ""

    @property
    def link(self) -> str:
        return f"{self.url}/#/exports/{OPAQUE}"


class _Handler(BaseHTTPRequestHandler):
    other: Other

    def log_message(self, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        other, url = self.other, urlsplit(self.path)
        other.asked.append((self.path, dict(self.headers)))
        if other.redirect:
            self.send_response(302)
            self.send_header("Location", other.redirect)
            self.end_headers()
        elif url.path == f"/move/exports/{OPAQUE}":
            self._send(json.dumps(other.manifest).encode(), [])
        elif url.path == f"/move/exports/data/{OPAQUE}":
            cursor = parse_qs(url.query).get("cursor", [""])[0]
            self._send(other.parts[cursor], other.cuts)
        else:
            self.send_error(404)

    def _send(self, data: bytes, cuts: list[int]) -> None:
        start, wanted = 0, self.headers.get("Range", "")
        if self.other.ranges and wanted and self.headers.get("If-Range") in (None, '"v1"'):
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(data) - start))
        if self.other.ranges:
            self.send_header("ETag", '"v1"')
        if self.other.drips is not None:
            self._headers_buffer = [b"".join(self._headers_buffer)[: self.other.drips]]
            self.flush_headers()
            self.other.silence.wait(60)
            return
        self.end_headers()
        rest = data[start:][: cuts.pop(0)] if cuts else data[start:]
        self.other.sent += len(rest) if cuts is self.other.cuts else 0
        self.wfile.write(rest)
        self.close_connection = True


@contextmanager
def other_server(parts: dict[str, bytes], host: str = "127.0.0.1", **attributes: Any) -> Iterator[Other]:
    other = Other(parts, **attributes)
    server = ThreadingHTTPServer((host, 0), type("Handler", (_Handler,), {"other": other}))
    other.url = f"http://{host}:{server.server_address[1]}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield other
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
