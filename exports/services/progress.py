"""What a working run tells the world: bytes done, and that it is still alive."""

from collections.abc import Callable
from time import monotonic

from exports.models import Run
from exports.services import lifecycle

#: Between two heartbeats; somebody who asks to stop waits no longer.
BEAT_SECONDS = 0.5


#: (phase, done, planned), in bytes.
Watch = Callable[[str, int, int], object]


class Progress:
    """Counts work and beats the heart of a run while it counts. Every call may raise LeaseLost or RunStopped."""

    def __init__(self, run: Run, watch: Watch | None = None) -> None:
        self._run = run
        self._watch = watch
        self._next = 0.0
        self._phase, self._done, self._planned = run.phase, run.bytes_done, run.bytes_planned

    def phase(self, name: str, *, done: int = 0, planned: int = 0) -> None:
        self._phase, self._done, self._planned = name, done, planned
        self.beat()

    def tick(self, count: int) -> None:
        """`count` more bytes are done."""
        self._done += count
        if monotonic() >= self._next:
            self.beat()

    def beat(self) -> None:
        lifecycle.heartbeat(self._run, phase=self._phase, bytes_done=self._done, bytes_planned=self._planned)
        self._next = monotonic() + BEAT_SECONDS
        if self._watch:
            self._watch(self._phase, self._done, self._planned)
