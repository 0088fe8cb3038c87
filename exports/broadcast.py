"""Telling whoever waits at a websocket that a row has changed. The row is the truth; a lost message costs seconds."""

from functools import cache

import redis
from django.conf import settings
from django.db import transaction

#: Redis has one namespace of channels for all its databases: whoever hears a message of another site looks in vain.
CHANNEL = "exportsite.realtime"
IMPORTS, EXPORTS = "imports", "exports"
_PATIENCE = 2.0


def tell(what: str) -> None:
    """Once the transaction at hand is committed. A dead Redis is logged, not raised."""

    # Not functools.partial: Django 5.2 asks a failing robust callback for its __qualname__.
    def send() -> None:
        _redis().publish(CHANNEL, what)

    transaction.on_commit(send, robust=True)


@cache
def _redis() -> redis.Redis:
    return redis.Redis.from_url(settings.REDIS_URL, socket_timeout=_PATIENCE, socket_connect_timeout=_PATIENCE)
