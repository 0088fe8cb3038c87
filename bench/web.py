"""One web process, as `manage.py up` starts it, and a client beside it."""

import contextlib
import json
import secrets
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from bench.bench import run_done
from bench.measure import children, peak_memory
from bench.system import System
from cells.models import Cell
from exports.models import Export
from exports.services import downloads
from exportsite.management.commands.up import web_arguments

CLIENT = Path(__file__).with_name("client.py")
PATIENCE = 30.0


class Web:
    def __init__(self, port: int, pid: int) -> None:
        self.port, self._pid = port, pid

    def get(self, path: str, *more: int) -> object:
        """What `client.py` prints."""
        argv = [sys.executable, str(CLIENT), str(self.port), path, *map(str, more)]
        return json.loads(subprocess.run(argv, check=True, stdout=subprocess.PIPE).stdout)

    def memory(self) -> float:
        """Peak of the process that answers, in MB."""
        return max(map(peak_memory, children(self._pid)))


@contextlib.contextmanager
def web(system: System) -> Iterator[Web]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with system.process("web", "-m", "granian", *web_arguments("127.0.0.1", port)) as child:
        until = time.monotonic() + PATIENCE
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5).close()
                break
            except OSError:
                if child.poll() is not None or time.monotonic() > until:
                    raise
            time.sleep(0.05)
        yield Web(port, child.pid)


def published(cell: Cell) -> tuple[str, int]:
    """(path, length) of the ZIP of a finished export whose archives are computed while they are sent."""
    export = Export.objects.create(
        owner=cell.owner, name="bench", cells=[cell.name], passkey_nonce=secrets.token_bytes(32)
    )
    run = run_done([cell], export=export)
    path = f"/api/v1/export/{export.pk}/download/{downloads.passkey(export=export)}/bench.zip"
    return path, run.volumes.get(packer="zip").length
