"""A stylesheet of the user's over generated XML (`spec/v1.md §4.2`): in a process of its own, which is ended when it
takes too long. A file that cannot be transformed is written as it was, with a warning."""

import os
import select
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from time import monotonic

from exports.engine.notes import Notes

_CHILD = Path(__file__).with_name("xslt_child.py")
#: For one file. A stylesheet that needs longer, or ends its process, so often is not tried again.
SECONDS = 20.0
LOST = 3
#: Between two heartbeats of whoever waits.
_BEAT = 0.5


class _Failed(Exception):
    """Why a file was not transformed."""


class Stylesheet:
    """Transforms files up to `limit` bytes. `tick` is called while one waits, and may raise."""

    def __init__(
        self, text: bytes, limit: int, notes: Notes, tick: Callable[[], object], seconds: float = SECONDS
    ) -> None:
        self._text, self._limit, self._notes, self._tick, self._seconds = text, limit, notes, tick, seconds
        self._child: subprocess.Popen[bytes] | None = None
        self._lost = 0
        self._useless = ""

    def apply(self, name: str, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """The file that `chunks` are, transformed; `name` is for warnings."""
        rest = iter(chunks)
        held = bytearray()
        for chunk in rest:
            held += chunk
            if len(held) > self._limit:
                self._warn(name, f"it has more than {self._limit:,} bytes")
                yield bytes(held)
                yield from rest
                return
        yield self._transformed(name, bytes(held))

    def close(self) -> None:
        if self._child:
            self._child.kill()
            self._child.communicate()
            self._child = None

    def _warn(self, name: str, reason: str) -> None:
        self._notes.warn(f"The stylesheet was not applied to {name}: {reason}.")

    def _transformed(self, name: str, data: bytes) -> bytes:
        if self._useless:
            return data
        try:
            if self._child is None:
                self._start()
            return self._asked(data)
        except _Failed as error:
            self._warn(name, str(error))
            if self._lost == LOST:
                self._useless = f"it took too long or broke off {LOST} times"
                self._notes.warn(f"The stylesheet was not applied to the files behind that: {self._useless}.")
            return data

    def _start(self) -> None:
        command = [sys.executable, "-I", str(_CHILD)]
        self._child = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env={}, bufsize=0
        )
        try:
            self._asked(self._text)
        except _Failed as error:
            self._useless = str(error)
            self.close()
            raise _Failed(f"it is none: {error}") from error

    def _asked(self, data: bytes) -> bytes:
        child = self._child
        assert child is not None and child.stdin is not None and child.stdout is not None
        until = monotonic() + self._seconds
        try:
            child.stdin.write(len(data).to_bytes(8))
            for start in range(0, len(data), 65536):
                child.stdin.write(data[start : start + 65536])
            size = int.from_bytes(self._read(child.stdout.fileno(), 8, until))
            answer = self._read(child.stdout.fileno(), size, until)
        except (BrokenPipeError, EOFError):
            self._lost += 1
            self.close()
            raise _Failed("it took more memory than it may, or broke off") from None
        if answer[:1] != b"+":
            raise _Failed(answer[1:].decode(errors="replace"))
        return answer[1:]

    def _read(self, fd: int, size: int, until: float) -> bytes:
        held = bytearray()
        while len(held) < size:
            if not select.select([fd], [], [], _BEAT)[0]:
                self._tick()
                if monotonic() > until:
                    self._lost += 1
                    self.close()
                    raise _Failed(f"it took longer than {self._seconds:g} s")
                continue
            data = os.read(fd, min(size - len(held), 1 << 20))
            if not data:
                raise EOFError
            held += data
        return bytes(held)
