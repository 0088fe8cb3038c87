"""Somebody else, at the same time."""

import threading
from collections.abc import Callable

from django.db import connection


def elsewhere(work: Callable[[], object]) -> None:
    """In another connection, which waits for no lock."""
    failures: list[BaseException] = []

    def done() -> None:
        try:
            with connection.cursor() as cursor:
                cursor.execute("SET lock_timeout = '20s'")
            work()
        except BaseException as error:
            failures.append(error)
        finally:
            connection.close()

    thread = threading.Thread(target=done)
    thread.start()
    thread.join()
    if failures:
        raise failures[0]
