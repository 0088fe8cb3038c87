"""Child processes that never outlive their parent and stop in the way each of them likes."""

import contextlib
import ctypes
import os
import signal
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any, ClassVar

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)
_LOG_LIMIT = 10_000_000


class StartError(Exception):
    """Something could not be started; the text is one sentence for the person at the terminal."""


class Child(subprocess.Popen[bytes]):
    """A process group of its own (Ctrl-C reaches the parent alone), which gets `orphan_signal` when the parent dies.

    The kernel watches the *thread* that started the child: start children from the main thread.
    """

    #: Open files that every child inherits: a lock held by them too is free only when all are gone.
    inherited: ClassVar[tuple[int, ...]] = ()

    def __init__(
        self,
        name: str,
        argv: Sequence[str | Path],
        *,
        stop_signal: int = signal.SIGTERM,
        orphan_signal: int | None = None,
        **popen: Any,
    ):
        self.name, self.stop_signal = name, stop_signal
        parent = os.getpid()
        super().__init__(
            [str(part) for part in argv],
            start_new_session=True,
            preexec_fn=_die_with(parent, orphan_signal or stop_signal),
            stdin=subprocess.DEVNULL,
            pass_fds=self.inherited,
            **popen,
        )

    def stop(self, patience: float = 40.0) -> None:
        """The stop signal, then after `patience` seconds SIGKILL to the whole group."""
        if self.poll() is None:
            self.send_signal(self.stop_signal)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.wait(patience)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)  # also what a process that died badly has left behind
        self.wait()


def _die_with(parent: int, stop_signal: int) -> Callable[[], None]:
    def before_exec() -> None:
        _libc.prctl(_PR_SET_PDEATHSIG, stop_signal)
        if os.getppid() != parent:  # it died between fork and prctl
            os._exit(1)

    return before_exec


def open_log(path: Path) -> IO[bytes]:
    """Appends; a file over 10 MB becomes `<name>.1` first."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size > _LOG_LIMIT:
        path.replace(path.with_name(path.name + ".1"))
    return path.open("ab")


def tail(path: Path, lines: int = 3) -> str:
    return " / ".join(path.read_text(errors="replace").splitlines()[-lines:]) if path.exists() else ""
