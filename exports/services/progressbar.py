"""Progress for people at a terminal; plain lines when nobody looks."""

import time
from types import TracebackType
from typing import IO, Self

WIDTH = 30
#: Between two pictures on a terminal, and between two lines in a log.
TERMINAL_SECONDS, LOG_SECONDS = 0.1, 5.0


class Bar:
    """Shows (phase, done, planned), in bytes. `stream` is a terminal or anything else that can be written to."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._terminal = bool(getattr(stream, "isatty", lambda: False)())
        self._next = 0.0 if self._terminal else time.monotonic() + LOG_SECONDS
        self._phase = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._terminal and self._phase:
            self._write("\r\x1b[K")

    def show(self, phase: str, done: int, planned: int) -> None:
        now = time.monotonic()
        if now < self._next and (phase == self._phase or not self._terminal):
            return
        self._phase = phase
        self._next = now + (TERMINAL_SECONDS if self._terminal else LOG_SECONDS)
        share = min(done / planned, 1.0) if planned else 0.0
        if self._terminal:
            bar = "#" * int(share * WIDTH)
            self._write(f"\r{phase:8} [{bar:{WIDTH}}] {share:4.0%} {done / 1e6:,.0f} MB\x1b[K")
        else:
            self._write(f"{phase} {share:.0%} {done} of {planned} bytes\n")

    def _write(self, text: str) -> None:
        # Django's OutputWrapper ends what it writes with a newline unless told not to.
        out = getattr(self._stream, "_out", self._stream)
        out.write(text)
        out.flush()
