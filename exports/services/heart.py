"""The heart of a working import, or of a check of one: beats whatever takes how long, and publishes progress."""

from collections.abc import Callable
from types import TracebackType
from typing import Self

from exports.models import Import, ImportCheck
from exports.services import import_lifecycle
from exports.services.beats import Beats
from exports.services.progress import BEAT_SECONDS, Watch


class Heart:
    """`with Heart(row, watch) as heart: heart.tick(bytes)`. `tick` raises ImportLeaseLost once the lease is lost."""

    def __init__(
        self,
        row: Import | ImportCheck,
        watch: Watch | None = None,
        beat: Callable[..., None] = import_lifecycle.heartbeat,
    ) -> None:
        self._row, self._watch, self._beat = row, watch, beat
        self.phase, self.done, self.total = "check", 0, row.total
        self._beats = Beats(self._publish, BEAT_SECONDS, str(row))

    def __enter__(self) -> Self:
        self._beats.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._beats.__exit__(kind, error, trace)

    def tick(self, count: int = 0) -> None:
        """`count` more bytes are done."""
        self.done += count
        self._beats.check()
        if self._watch:
            self._watch(self.phase, self.done, self.total)

    def _publish(self) -> None:
        done = min(self.done, self.total) if self.total else self.done  # bytes fetched, before all is known
        self._beat(self._row, done=done, total=self.total)
