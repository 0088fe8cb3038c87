"""A real Celery worker process on the test's database, and its children to kill."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Self

ROOT = Path(__file__).resolve().parents[2]


class Worker:
    """`celery worker` with one child. Stopped with everything it started when the block ends."""

    def __init__(self, env: dict[str, str], log: Path, *, heartbeat: bool = False) -> None:
        """`heartbeat`: pages are told that it lives, as by workers of people's own."""
        self._env, self._log, self._heartbeat = env, log, heartbeat

    def __enter__(self) -> Self:
        argv = [sys.executable, "-m", "celery", "-A", "exportsite", "worker", "-c", "1", "-l", "INFO"]
        argv += ["--without-mingle", "--without-gossip", *(() if self._heartbeat else ("--without-heartbeat",))]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                argv, cwd=ROOT, env=self._env, stdout=log, stderr=log, start_new_session=True
            )
        return self

    def __exit__(self, *failure: object) -> None:
        self.kill()

    def kill(self) -> None:
        """`kill -9` of the worker and its child, as when the machine goes down. Harmless when repeated."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def children(self) -> list[int]:
        listed = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text()
        return [int(pid) for pid in listed.split()]

    def kill_children(self) -> None:
        """As the kernel does when memory is short. The worker starts new ones."""
        for pid in self.children():
            os.kill(pid, signal.SIGKILL)
