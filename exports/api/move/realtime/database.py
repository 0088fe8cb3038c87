"""The database, asked from the event loop: a few threads, however many sockets wait."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from django.db import connections

P = ParamSpec("P")
T = TypeVar("T")

_threads = ThreadPoolExecutor(4, thread_name_prefix="database")


async def ask(read: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    def fresh() -> T:
        try:
            return read(*args, **kwargs)
        finally:
            connections.close_all()

    return await asyncio.get_running_loop().run_in_executor(_threads, fresh)
