"""What a working run tells the world: bytes done, and that it is still alive."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic

from psycopg.errors import QueryCanceled

from cells.frozen import Snapshot
from exports.models import Run
from exports.services import lifecycle
from exports.services.beats import Beats

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
        self._reader: Snapshot | None = None

    def phase(self, name: str, *, done: int = 0, planned: int = 0) -> None:
        self._phase, self._done, self._planned = name, done, planned
        if self._reader is not None:
            self._run.read_done, self._reader = self._run.read_planned, None
        self.beat()

    def reading(self, reader: Snapshot, planned: int) -> None:
        """Until the next phase, `reader` knows how many of `planned` documents and files are done."""
        self._reader, self._run.read_planned = reader, planned

    def tick(self, count: int) -> None:
        """`count` more bytes are done."""
        self._done += count
        if monotonic() >= self._next:
            self.beat()

    def beat(self) -> None:
        if self._reader is not None:  # some layouts read a document twice
            self._run.read_done = min(self._reader.read, self._run.read_planned)
        lifecycle.heartbeat(
            self._run,
            phase=self._phase,
            bytes_done=self._done,
            bytes_planned=self._planned,
            read_done=self._run.read_done,
            read_planned=self._run.read_planned,
        )
        self._next = monotonic() + BEAT_SECONDS
        if self._watch:
            self._watch(self._phase, self._done, self._planned)


@contextmanager
def pulse(run: Run, cancel: Callable[[], object]) -> Iterator[None]:
    """Beats the heart of a run while statements of the database, which cannot tick, take longer than the lease.

    `cancel` ends such a statement when there is nothing left to beat for; then raises LeaseLost or RunStopped.
    """
    beats = Beats(lambda: lifecycle.heartbeat(run), BEAT_SECONDS, f"run {run.pk}", then=cancel)
    try:
        with beats:
            yield
    except QueryCanceled:
        beats.check()
        raise
