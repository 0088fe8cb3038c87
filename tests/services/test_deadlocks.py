"""The verbs on one export, all at once: they wait for each other in one order."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.contrib.auth.models import User
from django.db import connections

from exports.errors import AlreadyRunning
from exports.models import Export, Run
from exports.services import exports
from exports.states import ACTIVE
from tests.services.test_exports import make

THREADS, ROUNDS = 6, 15


@pytest.mark.django_db(transaction=True)
def test_updates_among_starts_never_wait_for_each_other_in_a_circle(alice: User, monkeypatch) -> None:
    """An update saw no run, waited for the export while one was made, and then locked that run after the export."""
    monkeypatch.setattr(exports, "STOP_PATIENCE", 0.0)
    export = make(alice)
    barrier = threading.Barrier(THREADS)

    def verbs(number: int) -> int:
        """Starts or updates, and gives how many went through."""
        through = 0
        try:
            barrier.wait()
            for _ in range(ROUNDS):
                try:
                    if number % 2:
                        exports.export_start(export=export)
                    else:
                        exports.export_update(export=export, user=alice, changes={})
                    through += 1
                except AlreadyRunning:
                    pass
        finally:
            connections.close_all()
        return through

    with ThreadPoolExecutor(THREADS) as pool:
        through = list(pool.map(verbs, range(THREADS)))
    assert through[::2] == [ROUNDS] * len(through[::2])  # no update is ever refused
    assert Export.objects.get().version == 1 + sum(through[::2])
    assert Run.objects.count() == sum(through[1::2])
    assert Run.objects.filter(state__in=ACTIVE).count() <= 1
