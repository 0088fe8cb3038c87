"""The heart of a working import, or of a check of one: a thread that renews the lease, whatever takes how long, and
publishes progress."""

import logging
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from django.db import OperationalError, connection

from exports.errors import ImportLeaseLost
from exports.models import Import, ImportCheck
from exports.services import import_lifecycle
from exports.services.progress import BEAT_SECONDS, Watch

log = logging.getLogger(__name__)


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
        self._over = threading.Event()
        self._lost: ImportLeaseLost | None = None
        self._thread = threading.Thread(target=self._beats, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def tick(self, count: int = 0) -> None:
        """`count` more bytes are done."""
        self.done += count
        if self._lost:
            raise self._lost
        if self._watch:
            self._watch(self.phase, self.done, self.total)

    def _beats(self) -> None:
        try:
            while not self._over.wait(BEAT_SECONDS):
                try:
                    done = min(self.done, self.total) if self.total else self.done  # bytes fetched, before all is known
                    self._beat(self._row, done=done, total=self.total)
                except OperationalError:
                    log.warning("%s: the database does not answer", self._row)
                    connection.close()
        except ImportLeaseLost as lost:
            self._lost = lost
        finally:
            connection.close()
