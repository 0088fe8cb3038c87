"""Writing the volumes of a run to the store: by the run's worker, and by any other that has time."""

import time
from collections.abc import Callable

from django.conf import settings
from django.db import connection
from django.db.models import Sum
from django.utils import timezone

from exports import queue
from exports.engine import volumes
from exports.engine.formats import FORMATS
from exports.errors import LeaseLost, RunStopped
from exports.models import Run, Volume
from exports.services import planning, store
from exports.services.progress import BEAT_SECONDS, Progress
from exports.states import RunState

#: How many other workers are asked to help with a run of many volumes.
HELPERS = 8

CLAIM = """
    UPDATE exports_volume SET claimed_at = %(now)s
    WHERE id = (SELECT id FROM exports_volume
                WHERE run_id = %(run)s AND stored AND written_at IS NULL
                      AND (claimed_at IS NULL OR claimed_at < %(lost)s)
                ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED)
    RETURNING id
"""


def volumes_write(run: Run, progress: Progress) -> None:
    """Have every stored volume of the run written. Raises EntriesDamaged, NoSpace, LeaseLost, RunStopped."""
    rows = run.volumes.filter(stored=True)
    planned = rows.aggregate(sum=Sum("length", default=0))["sum"]
    progress.phase("write", planned=planned or run.entry_bytes)
    for _ in range(min(rows.filter(written_at=None).count() - 1, HELPERS)):
        queue.enqueue(queue.WRITE_VOLUMES, run.pk)
    while rows.filter(written_at=None).exists():
        volume = volume_claim(run)
        if volume is None:
            # The rest is in other hands. Wait for them, or until their claim is older than the lease.
            time.sleep(BEAT_SECONDS)
            progress.beat()
            continue
        try:
            volume_write(run, volume, progress.tick)
        except LeaseLost:
            # A claim does not know whether the run was stopped, the run was lost, or just this volume: the beat does.
            progress.beat()


def volumes_help(*, run_id: int) -> None:
    """Write volumes of somebody else's run until none is left to claim. Failures are the run's own to find."""
    run = Run.objects.filter(pk=run_id, state=RunState.PROCESSING).first()
    while run and (volume := volume_claim(run)):
        try:
            volume_write(run, volume)
        except (LeaseLost, RunStopped):
            return


def volume_claim(run: Run) -> Volume | None:
    now = timezone.now()
    with connection.cursor() as cursor:
        cursor.execute(CLAIM, {"now": now, "run": run.pk, "lost": now - settings.EXPORT_LEASE})
        row = cursor.fetchone()
    return Volume.objects.get(pk=row[0]) if row else None


class Claim:
    """Renews the claim on one volume while it is written; LeaseLost when the run ends or the claim was lost."""

    def __init__(self, run: Run, volume: Volume) -> None:
        self._run, self._volume, self._next = run, volume, 0.0

    def tick(self, count: int) -> None:
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + BEAT_SECONDS
        now = timezone.now()
        mine = Volume.objects.filter(pk=self._volume.pk, claimed_at=self._volume.claimed_at, written_at=None)
        if not mine.filter(run__state=RunState.PROCESSING, run__stop_requested=False).update(claimed_at=now):
            raise LeaseLost(run_id=self._run.pk)
        self._volume.claimed_at = now


def volume_write(run: Run, volume: Volume, tick: Callable[[int], object] = lambda count: None) -> None:
    """Write one claimed volume. `tick` hears of written bytes, and may raise to stop."""
    plan = planning.volume_plan(run, volume)
    (store.folder("volumes") / str(run.pk)).mkdir(exist_ok=True)
    name = f"{run.pk}/{volume.packer}.{volume.number}.{volume.etag[:12]}{FORMATS[plan.format].extension}"
    claim = Claim(run, volume)

    def both(count: int) -> None:
        tick(count)
        claim.tick(count)

    try:
        length = volumes.write(plan, planning.run_source(run), str(store.folder("volumes") / name), both)
    except BaseException:
        Volume.objects.filter(pk=volume.pk, claimed_at=volume.claimed_at).update(claimed_at=None)
        raise
    Volume.objects.filter(pk=volume.pk).update(store_file=name, length=length, written_at=timezone.now())
