"""Stopping a run whose volumes are being written: what its worker sees first must not decide how it ends."""

import threading
from datetime import datetime
from time import monotonic

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction

from cells.models import Cell
from exports.models import Event, Run
from exports.services import lifecycle, running, store
from exports.states import RunState
from tests.factories import make_cell, put_files

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def cell(alice: User) -> Cell:
    cell = make_cell(alice)
    put_files(cell, {"a.txt": b"alpha\n" * 1000})
    return cell


def test_a_run_stopped_between_two_heartbeats_of_a_volume_ends_stopped(cell: Cell) -> None:
    """The claim on the volume hears of it before the run's heart beats again; it was taken for a lost lease."""
    order = {"cells": [cell.name], "packers": ["zip"]}
    run = lifecycle.run_create(export=None, owner=cell.owner, order=order, nudge=False)

    def stop_at_writing(phase: str, _done: int, _planned: int) -> None:
        if phase == "write":
            lifecycle.run_stop(run=run)

    ended = running.run_export(run_id=run.pk, watch=stop_at_writing)
    assert ended is not None and ended.state == Run.objects.get().state == RunState.STOPPED
    assert Event.objects.get(type="EXPORT_STOPPED").run_id == run.pk
    assert not list(store.folder("volumes").rglob("*.zip*"))


def test_a_run_that_waits_for_the_database_beats_and_can_be_stopped(cell: Cell) -> None:
    """The heart stood still during each statement: a search that took longer than the lease cost the run its worker."""
    order = {"cells": [cell.name], "definition": {"json": True}}
    run = lifecycle.run_create(export=None, owner=cell.owner, order=order, nudge=False)
    beats: set[datetime | None] = set()
    with connection.cursor() as cursor, transaction.atomic():
        cursor.execute("LOCK TABLE cells_file IN ACCESS EXCLUSIVE MODE")
        worker = threading.Thread(target=_work, args=(run,))
        worker.start()
        deadline = monotonic() + 60
        while len(beats) < 5 and monotonic() < deadline:
            beats.add(Run.objects.get(pk=run.pk).heartbeat_at)
        assert len(beats) == 5 and Run.objects.get(pk=run.pk).phase == "freeze"
        stopper = threading.Thread(target=_stop, args=(run,))
        stopper.start()
        worker.join(60)
        assert not worker.is_alive()
        stopper.join()
    assert Run.objects.get(pk=run.pk).state == RunState.STOPPED


def _work(run: Run) -> None:
    running.run_export(run_id=run.pk)
    connection.close()


def _stop(run: Run) -> None:
    lifecycle.run_stop(run=run)
    connection.close()
