"""Telling whoever waits at a websocket that a row has changed. The row is the truth; a lost message costs seconds."""

import logging
from functools import cache

import redis
from django.conf import settings
from django.db import transaction

#: Redis has one namespace of channels for all its databases: whoever hears a message of another site looks in vain.
CHANNEL = "exportsite.realtime"
IMPORTS, EXPORTS = "imports", "exports"
_PATIENCE = 2.0
_ALIVE = f"{CHANNEL}.alive"

log = logging.getLogger(__name__)


def tell(what: str) -> None:
    """Once the transaction at hand is committed. A dead Redis is logged, not raised."""

    # Not functools.partial: Django 5.2 asks a failing robust callback for its __qualname__.
    def send() -> None:
        _redis().publish(CHANNEL, what)

    transaction.on_commit(send, robust=True)


def listener_noted(seconds: int) -> None:
    """Called by each process that listens, again before so many seconds are over. Raises RedisError."""
    _redis().set(_ALIVE, 1, ex=seconds)


def listener_alive() -> bool:
    """Whether a websocket is worth opening."""
    try:
        return bool(_redis().exists(_ALIVE))
    except redis.RedisError as error:
        log.warning("Redis does not answer (%s)", type(error).__name__)
        return False


@cache
def _redis() -> redis.Redis:
    return redis.Redis.from_url(settings.REDIS_URL, socket_timeout=_PATIENCE, socket_connect_timeout=_PATIENCE)
