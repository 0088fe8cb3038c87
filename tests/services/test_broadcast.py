"""Every move of a run or an import is told to whoever waits, when it is so and not before."""

from collections.abc import Iterator
from secrets import token_hex

import pytest
import redis
from django.contrib.auth.models import User
from django.db import transaction

from exports import broadcast
from exports.models import ImportMode
from exports.services import import_lifecycle, lifecycle
from exports.states import ImportState
from tests.factories import make_cell

pytestmark = pytest.mark.django_db(transaction=True)


class Heard:
    def __init__(self, channel: redis.client.PubSub) -> None:
        self._channel = channel

    def next(self) -> str:
        message = self._channel.get_message(timeout=30)
        assert message is not None
        return message["data"].decode()

    def nothing_before(self, marker: str) -> None:
        """What is published in order is heard in order."""
        broadcast.tell(marker)
        assert self.next() == marker


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch, settings) -> Iterator[Heard]:
    monkeypatch.setattr(broadcast, "CHANNEL", token_hex())  # other tests run beside this one
    with redis.Redis.from_url(settings.REDIS_URL) as client, client.pubsub() as channel:
        channel.subscribe(broadcast.CHANNEL)
        assert channel.get_message(timeout=30)["type"] == "subscribe"
        yield Heard(channel)


def test_a_run_is_told_after_the_commit(heard: Heard, alice: User) -> None:
    run = lifecycle.run_create(export=None, owner=alice, order={}, nudge=False)
    heard.nothing_before("made")
    with transaction.atomic():
        run = lifecycle.claim(run_id=run.pk)
        assert heard._channel.get_message() is None
    assert heard.next() == broadcast.EXPORTS
    assert lifecycle.run_fail(run)
    assert heard.next() == broadcast.EXPORTS
    assert not lifecycle.run_fail(run)
    heard.nothing_before("again")


def test_an_import_is_told_and_one_that_was_rolled_back_is_not(heard: Heard, alice: User) -> None:
    cell = make_cell(alice)
    options = {"cell": cell, "owner": alice, "source": "file:/nowhere", "mode": ImportMode.REPLACE, "name": "x"}
    row = import_lifecycle.import_create(**options, nudge=False)
    with pytest.raises(RuntimeError), transaction.atomic():
        import_lifecycle.claim(import_id=row.pk)
        raise RuntimeError
    heard.nothing_before("rolled back")
    for to in (ImportState.PROCESSING, ImportState.FAILED):
        assert import_lifecycle.transition(row.pk, to)
        assert heard.next() == broadcast.IMPORTS


def test_a_dead_redis_stops_nobody(monkeypatch: pytest.MonkeyPatch, alice: User) -> None:
    dead = redis.Redis.from_url("redis://127.0.0.1:1/0", socket_connect_timeout=1)
    monkeypatch.setattr(broadcast, "_redis", lambda: dead)
    run = lifecycle.run_create(export=None, owner=alice, order={}, nudge=False)
    assert lifecycle.claim(run_id=run.pk).state == "processing"
