"""Who waits for what, and the one look at the rows that answers all of them.

Redis only says *that* something has changed. What has changed is read from the rows, in a few queries for all sockets
together; every CHECK_SECONDS that happens unasked, so a message that was lost costs no more.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Iterator

import redis.asyncio
from django.conf import settings
from django.db import Error
from redis.exceptions import RedisError

from exports import broadcast
from exports.api.move.realtime.database import ask
from exports.api.move.realtime.documents import CREATED, UPDATED, event
from exports.api.move.words import EXPORTING, STATE_WORDS
from exports.services import waiting
from exports.states import RunState

log = logging.getLogger(__name__)

CHECK_SECONDS = 15.0
_RECONNECT_SECONDS = 2.0
#: Between two looks, however much is told.
_PAUSE = 0.1


class Watcher:
    """One socket's interest in exports. `tell` must not wait; `end` is called when its token opens nothing any more."""

    def __init__(self, scope: waiting.Scope, tell: Callable[[str, str], None], end: Callable[[], None]) -> None:
        self.scope, self.tell, self.end = scope, tell, end
        #: Export → the word that it was last told with.
        self.seen: dict[str, str] = {}


class Hub:
    def __init__(self) -> None:
        self._imports: dict[asyncio.Event, int] = {}
        self._watchers: set[Watcher] = set()
        self._due = asyncio.Event()

    @contextlib.contextmanager
    def import_awaited(self, import_id: int) -> Iterator[asyncio.Event]:
        """Set when the import has ended."""
        ended = asyncio.Event()
        self._imports[ended] = import_id
        self._due.set()  # it may have ended between the caller's look and now
        try:
            yield ended
        finally:
            del self._imports[ended]

    async def watch(self, watcher: Watcher) -> None:
        """What is so by now the watcher knows; it is told what changes from here on."""
        begun = await ask(waiting.exports_begun, [watcher.scope])
        watcher.seen = {export.uid: word for export in begun if (word := STATE_WORDS[RunState(export.state)])}
        self._watchers.add(watcher)
        self._due.set()

    def unwatch(self, watcher: Watcher) -> None:
        self._watchers.discard(watcher)

    @contextlib.asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """While the block is open. What must not end ends the block too: nobody shall wait for nothing."""
        async with asyncio.TaskGroup() as group:
            jobs = (self._listen(), self._check_again_and_again(), _noted_again_and_again())
            tasks = [group.create_task(job) for job in jobs]
            try:
                yield
            finally:
                # While it connects, redis takes a cancellation for a lost connection, and connects anew.
                while running := [task for task in tasks if not task.done()]:
                    for task in running:
                        task.cancel()
                    await asyncio.wait(running, timeout=0.2)

    async def _check_again_and_again(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CHECK_SECONDS):  # wait_for of Python 3.11 can swallow a cancellation
                    await self._due.wait()
            self._due.clear()
            try:
                await self._check()
                await asyncio.sleep(_PAUSE)
            except Error as error:
                log.warning("websockets wait: the database does not answer (%s)", type(error).__name__)
                await asyncio.sleep(_RECONNECT_SECONDS)
                self._due.set()

    async def _check(self) -> None:
        if waited := set(self._imports.values()):
            over = await ask(waiting.imports_ended, waited)
            for ended, import_id in self._imports.items():
                if import_id in over:
                    ended.set()
        if watchers := list(self._watchers):
            over_tokens = await ask(waiting.tokens_ended, {watcher.scope.token for watcher in watchers})
            for watcher in watchers:
                if watcher.scope.token in over_tokens:
                    self.unwatch(watcher)
                    watcher.end()
            await self._tell([watcher for watcher in watchers if watcher.scope.token not in over_tokens])

    async def _tell(self, watchers: list[Watcher]) -> None:
        """Each watcher hears of each export what it has not heard yet."""
        for export in await ask(waiting.exports_begun, {watcher.scope for watcher in watchers}):
            word = STATE_WORDS[RunState(export.state)]
            news = [each for each in watchers if each.scope.covers(export) and each.seen.get(export.uid) != word]
            if not word or not news:
                continue
            created = [each for each in news if export.uid not in each.seen]
            for verb, told, listeners in (
                (CREATED, EXPORTING, created),
                (UPDATED, word, news if word != EXPORTING else []),
            ):
                text = await ask(event, verb, export.uid, told) if listeners else None
                for each in listeners if text else ():
                    each.tell(export.uid, text)
            for each in news:
                each.seen[export.uid] = word

    async def _listen(self) -> None:
        """Whatever is told is a reason to look; so is each new connection, for what was told meanwhile."""
        while True:
            try:
                async with redis.asyncio.from_url(settings.REDIS_URL) as client, client.pubsub() as channel:
                    await channel.subscribe(broadcast.CHANNEL)
                    while True:
                        await channel.get_message(timeout=None)
                        self._due.set()
            except (RedisError, OSError) as error:
                log.warning("websockets wait: Redis does not answer (%s)", type(error).__name__)
                await asyncio.sleep(_RECONNECT_SECONDS)


async def _noted_again_and_again() -> None:
    """For pages, which open a websocket only where somebody will answer."""
    while True:
        with contextlib.suppress(RedisError):
            await ask(broadcast.listener_noted, int(3 * CHECK_SECONDS) + 1)
        await asyncio.sleep(CHECK_SECONDS)
