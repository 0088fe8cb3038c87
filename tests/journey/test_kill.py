"""kill -9 of the worker, anywhere: the run ends done with the archive it would have had, and leaves nothing behind."""

import hashlib
import random
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.utils import timezone

from cells.blobs import BlobStore
from cells.models import Cell
from exports.models import Export, Run, Volume
from exports.services import downloads, lifecycle, retention
from exports.states import ACTIVE, RunState
from tests.journey.workers import Worker

pytestmark = pytest.mark.django_db(transaction=True)

FILES = 30_000
#: What the sweep takes for left behind is older than a day.
TOMORROW = timedelta(days=2)


@pytest.fixture
def large_cell(alice: User) -> Cell:
    """Many files of few contents: long enough to be killed in."""
    cell = Cell.objects.create(name="large", owner=alice)
    contents = [(b"line %d\n" % number) * 200 * number for number in range(1, 20)]
    digests = [BlobStore().put(content).sha256 for content in contents]
    with connection.cursor() as cursor:
        cursor.execute(
            """INSERT INTO cells_file (cell_id, generation, path, folder, is_folder, sha256, size, mtime, executable,
                                       content_type, version, created_at, updated_at)
               SELECT %s, 1, format('f%%s.txt', lpad(n::text, 6, '0')), '', false, b.sha256, b.size,
                      timestamptz '2024-02-03Z' + n * interval '1 minute', false, 'text/plain', 1, now(), now()
               FROM generate_series(1, %s) n JOIN cells_blob b ON b.sha256 = (%s::text[])[1 + n %% 19]""",
            [cell.pk, FILES, digests],
        )
    return cell


@pytest.fixture
def worker(process_env: dict[str, str], tmp_path: Path) -> Iterator[Worker]:
    with Worker(process_env, tmp_path / "worker.log") as running:
        yield running


def start(owner: User) -> Run:
    export = Export.objects.create(owner=owner, name="large", passkey_nonce=b"n" * 32)
    return lifecycle.run_create(export=export, owner=owner, order={"version": 1, "packers": ["zip"]})


def wait(run: Run, until: Callable[[Run], bool], *, poke: bool = False) -> Run:
    """`poke`: what beat does every 15 seconds, with a lease that is over at once."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        run.refresh_from_db()
        if until(run):
            return run
        if poke:
            silent = timezone.now() - timedelta(seconds=3)
            Run.objects.filter(pk=run.pk, heartbeat_at__lt=silent).update(heartbeat_at=datetime(2020, 1, 1, tzinfo=UTC))
            Volume.objects.filter(run=run, claimed_at__lt=silent).update(claimed_at=None)
            lifecycle.requeue_lost()
        time.sleep(0.01)
    raise AssertionError(f"run {run.pk} is {run.state} in {run.phase!r} after two minutes")


def digest(run: Run) -> str:
    opened = downloads.open_volume(volume=run.volumes.get(packer="zip"), name="x")
    whole = hashlib.sha256()
    for chunk in opened.chunks(0, opened.length):
        whole.update(chunk)
    return whole.hexdigest()


def leftovers(store: Path) -> list[Path]:
    retention.sweep(now=timezone.now() + TOMORROW)
    known = {f"volumes/{name}" for name in Volume.objects.exclude(store_file="").values_list("store_file", flat=True)}
    known |= {f"runs/{name}" for name in Run.objects.exclude(pack_file="").values_list("pack_file", flat=True)}
    found = [path for room in ("runs", "volumes") for path in (store / room).rglob("*") if path.is_file()]
    return [path for path in found if str(path.relative_to(store)) not in known]


@pytest.mark.parametrize(
    "kills",
    [
        pytest.param(4, id="four points"),
        pytest.param(20, id="twenty points", marks=[pytest.mark.slow, pytest.mark.timeout(1200)]),
    ],
)
def test_a_killed_worker_costs_time_and_nothing_else(
    kills: int, large_cell: Cell, alice: User, worker: Worker, store: Path
) -> None:
    undisturbed = digest(wait(start(alice), lambda run: run.state == RunState.DONE))
    dice = random.Random(7)
    survived = 0
    for number in range(kills):
        run = start(alice)
        phase = ("freeze", "write")[number % 2]
        wait(run, lambda run, phase=phase: run.phase == phase or run.state not in ACTIVE)
        time.sleep(dice.random() * 0.6)  # the point itself is chance, seeded
        worker.kill_children()
        wait(run, lambda run: run.state not in ACTIVE, poke=True)
        assert (run.state, run.error) == (RunState.DONE, None)
        assert digest(run) == undisturbed
        survived += run.fence > 1
    assert survived, "no kill hit a run at work: the cell is too small for this machine"
    assert leftovers(store) == []
