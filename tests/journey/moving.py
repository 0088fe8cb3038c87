"""Two complete exportsites, a wire between them that can be cut, and a cell that moves over it."""

import hashlib
import json
import os
import random
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg

from exportsite import embedded
from tests.journey.test_up import ROOT, Up, bare_env, processes_of

PATIENCE = 900
#: Both on this machine, and not patient with workers that were killed.
ENV = {"EGRESS_ALLOW": "127.0.0.0/8", "EXPORT_LEASE": "5s"}


class Site:
    """`manage.py up` in a folder of its own, and its database for looking."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self._looking: psycopg.Connection | None = None
        self.start()

    def start(self) -> None:
        port = [] if not hasattr(self, "up") else ["--port", str(self.up.port)]
        before = getattr(self, "up", None)
        self.up = Up(self.data, "--no-demo", "--workers", "1", *port, **ENV)
        if before:
            self.up.port = before.port
        self.up.await_ready()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.up.port}"

    def shell(self, code: str) -> Any:
        done = self._manage("shell", "--no-imports", "-c", code)
        return json.loads(done.stdout)

    def _manage(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        env = bare_env(DATA=str(self.data), **ENV)
        command = [sys.executable, "manage.py", *arguments]
        done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done

    def row(self, query: str, *values: object) -> tuple:
        """One row. Raises OperationalError when the database was killed; the next call connects again."""
        if self._looking is None or self._looking.closed:
            self._looking = psycopg.connect(embedded.database_url(self.data), autocommit=True)
        return self._looking.execute(query, values).fetchone() or ()

    def read(self, path: str, token: str) -> bytes:
        """Waits for a web server that was killed."""
        until = time.monotonic() + 60
        while True:
            try:
                status, body = self.up.get(f"/api/v1/{path}{'&' if '?' in path else '?'}token={token}")
                break
            except OSError:
                assert time.monotonic() < until
                time.sleep(0.1)
        assert status == 200, (path, status, body[:300])
        return body

    def kill(self, word: str = "") -> None:
        """`kill -9` of its processes with this word in their command line; of all without."""
        for pid, line in processes_of(self.data).items():
            if word in line:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        if not word:
            self._looking = None
            self.up.process.wait(30)
            while processes_of(self.data):
                time.sleep(0.05)

    def load(self, cell: str, folder: Path) -> None:
        self._manage("cell_load", cell, str(folder), "--documents")

    def end(self) -> None:
        self.kill("")
        shutil.rmtree(self.data, ignore_errors=True)


class Wire:
    """A TCP proxy in front of a port. Counts what comes from there, and cuts when so many bytes came."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        # What lies here when the wire is cut was counted and never came: no more than is under way on a real one.
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 64 << 10)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.count, self.cuts, self.cut = 0, [], 0
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                try:
                    far = socket.create_connection(("127.0.0.1", self._to))
                except OSError:
                    near.close()
                    continue
                threading.Thread(target=self._pump, args=(near, far, False), daemon=True).start()
                threading.Thread(target=self._pump, args=(far, near, True), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, counted: bool) -> None:
        with suppress(OSError):
            while data := source.recv(64 << 10):
                sink.sendall(data)
                if counted and self._due(len(data)):
                    # Gone, as when a cable is pulled: what was on the way is lost.
                    sink.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    break
        for each in (source, sink):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _due(self, count: int) -> bool:
        with self._lock:
            self.count += count
            if self.cuts and self.count >= self.cuts[0]:
                self.cuts.pop(0)
                self.cut += 1
                return True
        return False

    def close(self) -> None:
        self._listener.close()


class Content:
    """What a cell is filled with, on this machine's disk: big files, many small ones, documents, empty folders."""

    def __init__(self, folder: Path, *, seed: int, big: int, text: int, small: int, documents: int) -> None:
        """`big` and `text` in MB: what cannot be packed, and what can."""
        self.folder, dice = folder, random.Random(seed)
        self.files: dict[str, str] = {}
        for number in range(max(1, big // 256)):
            self._write(f"big/{number}.bin", (dice.randbytes(1 << 20) for _ in range(min(big, 256))))
        line = b"".join(b"%d: a line of text, like many others\n" % dice.randrange(10**6) for _ in range(25_000))
        for number in range(max(1, text // 64)):
            self._write(f"text/{number}.txt", (line + bytes([number]) for _ in range(min(text, 64))))
        for number in range(small):
            self._write(f"small/{number % 100}/ü {number}", [dice.randbytes(dice.randrange(1, 20_000))])
        (folder / "nothing/in here").mkdir(parents=True)
        self.documents = [
            {"doctype": f"note{n % 3}", "id": f"n{n}", "body": {"n": n, "t": "ä\n" * (n % 40)}}
            for n in range(documents)
        ]
        (folder / "all.jsonl").write_text("".join(json.dumps(each) + "\n" for each in self.documents))

    def _write(self, path: str, pieces) -> None:
        digest = hashlib.sha256()
        (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
        with (self.folder / path).open("wb") as file:
            for piece in pieces:
                digest.update(piece)
                file.write(piece)
        self.files[path] = digest.hexdigest()

    def load(self, site: Site, cell: str) -> None:
        """With an old version of a text."""
        first = self.folder / "text/0.txt"
        kept = first.read_bytes()
        first.write_bytes(b"an older text")
        site.load(cell, self.folder)
        first.write_bytes(kept)
        site.load(cell, self.folder)

    def same(self, site: Site, cell: str, token: str, *, whole: int) -> None:
        """By the API, as anybody reads it: every path and digest, every document, and the bytes of `whole` files."""
        found, after = {}, ""
        while after is not None:
            page = json.loads(site.read(f"cell/{cell}/files/?recursive=true&limit=1000{after}", token))
            found |= {each["path"]: each.get("sha256") for each in page["objects"]}
            after = f"&after={quote(page['after'])}" if page["after"] else None
        assert {path: sha for path, sha in found.items() if sha} == self.files
        assert {path for path, sha in found.items() if not sha} >= {"nothing", "nothing/in here"}
        for path in [
            *sorted(self.files)[:3],
            *random.Random(5).sample(sorted(self.files), min(whole, len(self.files))),
        ]:
            assert hashlib.sha256(site.read(f"cell/{cell}/files/{quote(path)}", token)).hexdigest() == self.files[path]
        lines = site.read(f"cell/{cell}/documents?limit={len(self.documents) + 1}", token).splitlines()
        kept = {(each["doctype"], each["id"]): each["body"] for each in map(json.loads, lines)}
        assert kept == {(each["doctype"], each["id"]): each["body"] for each in self.documents}


def await_true(look: Callable[[], object], what: str, seconds: float = PATIENCE) -> None:
    until = time.monotonic() + seconds
    while True:
        with suppress(psycopg.OperationalError):
            if look():
                return
        assert time.monotonic() < until, what
        time.sleep(0.03)
