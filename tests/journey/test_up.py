"""`manage.py up` for real: its own PostgreSQL, Redis, web, worker and beat, in a folder of its own (design §7)."""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import ram
from tests.spec.move.sockets import call, told

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 120
#: What the test process has set for itself and a fresh installation would not have.
NOT_OURS = ("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "EXPORTS_STORE", "PASSWORD_HASHER", "ALLOWED_HOSTS", "DATA")


class Up:
    def __init__(self, data: Path, *options: str, **env: str) -> None:
        self.data, self.port = data, free_port()
        self.output = tempfile.TemporaryFile()  # noqa: SIM115 (lives as long as the process)
        command = [sys.executable, "manage.py", "up", "--data", str(data), "--port", str(self.port), *options]
        self.process = subprocess.Popen(command, cwd=ROOT, env=bare_env(**env), stdout=self.output, stderr=self.output)

    def said(self) -> str:
        return os.pread(self.output.fileno(), 1_000_000, 0).decode()

    def await_ready(self) -> "Up":
        """The banner comes after web and worker have answered."""
        until = time.monotonic() + PATIENCE
        while "Stop with Ctrl-C" not in self.said():
            assert self.process.poll() is None and time.monotonic() < until, self.said()
            time.sleep(0.1)
        return self

    def get(self, path: str) -> tuple[int, bytes]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=20) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def stop(self, number: int) -> int:
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)


def bare_env(**env: str) -> dict[str, str]:
    return {**{name: value for name, value in os.environ.items() if name not in NOT_OURS}, **env}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def processes_of(data: Path) -> dict[int, str]:
    """Living processes that have DATA in their command line or environment: all that `up` has started."""
    found = {}
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                line = (entry / "cmdline").read_bytes()
                if os.fsencode(data) in line + (entry / "environ").read_bytes():
                    found[int(entry.name)] = line.replace(b"\0", b" ").decode()
    return found


def await_no_process(data: Path) -> None:
    until = time.monotonic() + PATIENCE
    while left := processes_of(data):
        assert time.monotonic() < until, left
        time.sleep(0.1)


@pytest.fixture
def data() -> Iterator[Path]:
    """Not tmp_path: its parents are closed to the user that PostgreSQL runs as when we are root."""
    folder = ram.make_folder(1 << 30)
    yield folder
    for pid in processes_of(folder):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    shutil.rmtree(folder, ignore_errors=True)


def test_one_command_starts_everything_and_ctrl_c_leaves_nothing_behind(data: Path) -> None:
    first = Up(data, "--no-demo").await_ready()
    assert first.get("/readyz") == (200, json.dumps({"database": True, "redis": True, "store": True}).encode())
    assert {name for name in ("postgres", "valkey", "granian", "worker", "beat") if in_any(name, data)} == {
        "postgres", "valkey", "granian", "worker", "beat"
    }  # fmt: skip

    second = Up(data, "--no-demo")
    assert second.process.wait(PATIENCE) == 1
    assert second.said() == (
        f"exportsite runs already on {data} (process {first.process.pid}): "
        "stop it first, or choose another folder with --data or DATA.\n"
    )
    assert first.get("/readyz")[0] == 200

    assert first.stop(signal.SIGINT) == 0
    assert "Traceback" not in first.said()
    await_no_process(data)


def in_any(name: str, data: Path) -> bool:
    return any(name in line for line in processes_of(data).values())


def test_the_second_start_keeps_the_data_tells_no_password_and_loads_no_demo_again(data: Path) -> None:
    first = Up(data).await_ready()
    password = re.search(r"the user admin with the password (\S+) ", first.said())[1]
    kept = data / "admin-password"
    assert (kept.read_text().strip(), kept.stat().st_mode & 0o777) == (password, 0o600)
    found = ask(data, LOOK)
    assert found["admin knows the kept password"]
    assert found["documents"] == 460 and found["files"] == 328 and found["folders"] >= 3
    assert found["largest"] > 50_000_000
    ask(data, "from cells.models import Document; Document.objects.filter(doctype='event').delete(); print('{}')")
    assert first.stop(signal.SIGTERM) == 0
    assert not (data / "demo").exists()

    second = Up(data).await_ready()
    assert password not in second.said() and "demo" not in second.said()
    assert kept.read_text().strip() == password
    assert ask(data, LOOK) == {**found, "documents": 310}
    assert second.stop(signal.SIGTERM) == 0


LOOK = """
import json, os, pathlib
from django.contrib.auth import authenticate
from django.db.models import Max
from cells.models import Document, File
password = pathlib.Path(os.environ["DATA"], "admin-password").read_text().strip()
print(json.dumps({
    "admin knows the kept password": authenticate(username="admin", password=password) is not None,
    "documents": Document.objects.filter(cell__name="demo").count(),
    "files": File.objects.filter(cell__name="demo", is_folder=False).count(),
    "folders": File.objects.filter(cell__name="demo", is_folder=True).count(),
    "largest": File.objects.aggregate(size=Max("size"))["size"],
}))
"""


def ask(data: Path, code: str) -> dict[str, Any]:
    """By a command in a second terminal, which needs no more than DATA to find the servers."""
    command = [sys.executable, "manage.py", "shell", "--no-imports", "-c", code]
    done = subprocess.run(command, cwd=ROOT, env=bare_env(DATA=str(data)), capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_a_killed_supervisor_takes_its_children_along_and_the_next_start_recovers(data: Path) -> None:
    first = Up(data, "--no-demo").await_ready()
    first.stop(signal.SIGKILL)
    second = Up(data, "--no-demo").await_ready()  # at once: it waits for what is still ending
    assert second.get("/readyz")[0] == 200
    assert second.stop(signal.SIGINT) == 0
    await_no_process(data)


def test_a_killed_worker_is_started_again(data: Path) -> None:
    up = Up(data, "--no-demo").await_ready()
    killed = {pid for pid, line in processes_of(data).items() if " worker " in line}
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    until = time.monotonic() + PATIENCE
    while not {pid for pid, line in processes_of(data).items() if " worker " in line} - killed:
        assert time.monotonic() < until, up.said()
        time.sleep(0.1)
    assert "worker ended (code -9), starting it again" in up.said()
    up.stop(signal.SIGINT)


def test_a_killed_redis_is_started_again(data: Path) -> None:
    """It took the whole system along, for a loss of messages that nothing depends on (design decision 5)."""
    up = Up(data, "--no-demo").await_ready()
    [killed] = [pid for pid, line in processes_of(data).items() if "valkey-server" in line]
    os.kill(killed, signal.SIGKILL)
    until = time.monotonic() + PATIENCE
    while up.get("/readyz")[0] != 200 or "redis ended (code -9), starting it again" not in up.said():
        assert time.monotonic() < until, up.said()
        time.sleep(0.1)
    assert up.stop(signal.SIGINT) == 0
    await_no_process(data)


def test_websockets_are_held_where_a_port_is_given_for_them(data: Path) -> None:
    """One port of `make run` cannot hold both: a proxy of one's own leads to the second."""
    port = free_port()
    up = Up(data, "--no-demo", "--realtime-port", str(port)).await_ready()
    with call(port, "/move/importing/realtime") as caller:
        assert told(caller) == {"redirect": f"http://localhost:{up.port}/web/sign-in"}
    assert up.stop(signal.SIGINT) == 0
    await_no_process(data)

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = Up(data, "--no-demo", "--realtime-port", str(port))
        assert refused.process.wait(PATIENCE) == 1
    assert refused.said().startswith(f"Cannot listen on 127.0.0.1 port {port}: Address already in use.")


def test_a_busy_port_is_one_sentence(data: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        up = Up(data, "--port", port)
        assert up.process.wait(PATIENCE) == 1
    assert up.said() == (
        f"Cannot listen on 127.0.0.1 port {port}: Address already in use. Choose another with --port or PORT.\n"
    )
    assert [path.name for path in data.iterdir()] == ["up.lock"]


def test_a_data_folder_that_cannot_be_made_is_one_sentence(data: Path) -> None:
    (data / "a file").write_text("")
    up = Up(data / "a file" / "var")
    assert up.process.wait(PATIENCE) == 1
    assert up.said() == f"The data folder {data}/a file/var cannot be used: Not a directory.\n"


def test_servers_named_in_the_environment_are_used_instead_of_embedded_ones(data: Path) -> None:
    """The servers of this test run stand for somebody's own."""
    up = Up(
        data,
        "--no-demo",
        SECRET_KEY="a key",
        DATABASE_URL=os.environ["DATABASE_URL"],
        REDIS_URL=os.environ["REDIS_URL"],
    ).await_ready()
    assert up.get("/readyz")[0] == 200
    assert not in_any("postgres -D", data) and not in_any("valkey", data)
    assert not (data / "pg").exists() and not (data / "redis").exists()
    up.stop(signal.SIGINT)


def test_without_a_secret_key_foreign_servers_are_refused(data: Path) -> None:
    up = Up(data, DATABASE_URL=os.environ["DATABASE_URL"])
    assert up.process.wait(PATIENCE) == 1
    assert up.said() == "SECRET_KEY: must be set when DATABASE_URL is, unless DEBUG is true (see .env.example)\n"
