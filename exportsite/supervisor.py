"""Starts the system's processes in order, keeps them alive, and stops them in the opposite order."""

import fcntl
import os
import signal
import socket
import sys
import time
import urllib.request
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import IO

from exportsite.processes import Child, StartError

_RESTARTS = 5
_WITHIN = 60.0


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


class Supervisor:
    """Leave the `with` block by any road, and all children are gone."""

    def __init__(self) -> None:
        self.children: list[tuple[Child, Callable[[], Child] | None]] = []
        self.deaths: deque[float] = deque(maxlen=_RESTARTS)

    def __enter__(self) -> "Supervisor":
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, _interrupt)
        return self

    def __exit__(self, *_exc: object) -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        for child, _again in reversed(self.children):
            child.stop()

    def add(self, start: Callable[[], Child], *, again: bool = False) -> Child:
        """Starts a child; with `again`, starts it once more each time it dies."""
        child = start()
        self.children.append((child, start if again else None))
        return child

    def finish(self, start: Callable[[], Child], failed: str) -> None:
        """Runs a child to its end."""
        child = self.add(start)
        code = child.wait()
        self.children.pop()
        if code:
            raise StartError(failed)

    def watch(self) -> None:
        """Returns never: a signal ends it (KeyboardInterrupt), or the death of what cannot be replaced."""
        while True:
            for place, (child, start) in enumerate(self.children):
                if child.poll() is None:
                    continue
                if start is None:
                    raise StartError(f"{child.name} ended (code {child.returncode}): see the log folder.")
                self._count_death(child)
                say(f"{child.name} ended (code {child.returncode}), starting it again")
                child.stop()
                self.children[place] = (start(), start)
            time.sleep(0.2)

    def _count_death(self, child: Child) -> None:
        now = time.monotonic()
        if len(self.deaths) == _RESTARTS and now - self.deaths[0] < _WITHIN:
            raise StartError(f"{child.name} ends again and again (code {child.returncode}).")
        self.deaths.append(now)

    def await_answer(self, child: Child, url: str, patience: float = 60.0) -> None:
        """Until the web server answers at all, or `child` is dead."""
        until = time.monotonic() + patience
        while time.monotonic() < until and child.poll() is None:
            try:
                with urllib.request.urlopen(url, timeout=5):  # noqa: S310
                    return
            except OSError:
                time.sleep(0.05)
        raise StartError(f"The web server did not answer at {url}.")


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def lock_folder(data: Path, patience: float = 40.0) -> IO[str]:
    """Holds DATA for this process and its children as long as the file stays open.

    After a supervisor was killed, its children hold the lock until they have ended: they are waited for.
    """
    try:
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = (data / "up.lock").open("a+")
    except OSError as error:
        raise StartError(f"The data folder {data} cannot be used: {error.strerror}.") from error
    until = time.monotonic() + patience
    while not _lock(file):
        holder = _pid_in(file)
        if _alive(holder) or time.monotonic() > until:
            raise StartError(
                f"exportsite runs already on {data} (process {holder or 'unknown'}): "
                "stop it first, or choose another folder with --data or DATA."
            )
        time.sleep(0.1)
    file.truncate(0)
    file.write(f"{os.getpid()}\n")
    file.flush()
    Child.inherited = (file.fileno(),)
    return file


def _lock(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _pid_in(file: IO[str]) -> int:
    file.seek(0)
    text = file.read().strip()
    return int(text) if text.isdigit() else 0


def _alive(pid: int) -> bool:
    return pid > 0 and Path(f"/proc/{pid}").exists()


def check_port(host: str, port: int) -> None:
    try:
        family, _type, _proto, _name, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except (OSError, OverflowError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise StartError(f"Cannot listen on {host} port {port}: {why}. Choose another with --port or PORT.") from error
