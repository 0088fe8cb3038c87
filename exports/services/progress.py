"""What a working run tells the world: bytes done, and that it is still alive."""

from time import monotonic

from exports.models import Run
from exports.services import lifecycle

#: Between two heartbeats; somebody who asks to stop waits no longer.
BEAT_SECONDS = 0.5


class Progress:
    """Counts work and beats the heart of a run while it counts. Every call may raise LeaseLost or RunStopped."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._next = 0.0
        self._done = run.bytes_done
        self._phase = run.phase

    def phase(self, name: str, *, done: int = 0, planned: int = 0) -> None:
        self._phase, self._done = name, done
        lifecycle.heartbeat(self._run, phase=name, bytes_done=done, bytes_planned=planned)
        self._next = monotonic() + BEAT_SECONDS

    def tick(self, count: int) -> None:
        """`count` more bytes are done."""
        self._done += count
        if monotonic() >= self._next:
            self.beat()

    def beat(self) -> None:
        lifecycle.heartbeat(self._run, bytes_done=self._done)
        self._next = monotonic() + BEAT_SECONDS
