"""A thread that keeps a lease while whoever holds it is busy with what cannot."""

import logging
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from django.db import OperationalError, connection

from cells.errors import DomainError

log = logging.getLogger(__name__)


class Beats:
    """`with Beats(beat, 0.5, "run 7") as beats: …` calls `beat` every so many seconds.

    A DomainError of it (the lease is lost, somebody asked to stop) ends that: it is kept as `ended`, and `then` is
    called, in the thread. A database that does not answer is asked again.
    """

    def __init__(
        self, beat: Callable[[], object], seconds: float, what: str, *, then: Callable[[], object] = lambda: None
    ) -> None:
        self._beat, self._seconds, self._what, self._then = beat, seconds, what, then
        self.ended: DomainError | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"beats of {what}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def check(self) -> None:
        """Raises what ended the beats."""
        if self.ended is not None:
            raise self.ended

    def _run(self) -> None:
        try:
            while not self._over.wait(self._seconds):
                try:
                    self._beat()
                except OperationalError:
                    log.warning("%s: the database does not answer", self._what)
                    connection.close()
        except DomainError as error:
            self.ended = error
            self._then()
        finally:
            connection.close()
