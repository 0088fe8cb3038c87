"""What ends by itself: archives that expire, files that nobody refers to."""

import contextlib
import shutil
from datetime import datetime, timedelta
from pathlib import Path

from django.db import transaction
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from cells.models import SnapshotFile
from exports.models import Delivery, Departure, Export, Import, Run, Volume
from exports.services import lifecycle, manifest, store
from exports.services.renditions import renditions_sweep
from exports.states import DELIVERY_ACTIVE, DEPARTURE_ACTIVE, DOWNLOADABLE, FINAL, IMPORT_ACTIVE, RunState

#: A reader notes that it reads every half minute; this much silence means it went away.
READ_GRACE = timedelta(minutes=10)
#: What a worker has made and not yet told the database of is younger than this.
ORPHAN_AGE = timedelta(days=1)


def expire(*, now: datetime | None = None) -> int:
    """Remove the archives of runs past their time, of superseded ones, and of those that were deleted from a snapshot
    area, unless somebody reads, delivers or imports them.

    How many runs.
    """
    now = now or timezone.now()
    idle = Q(last_read_at=None) | Q(last_read_at__lt=now - READ_GRACE)
    past = Run.objects.filter(idle, state__in=DOWNLOADABLE)
    past = past.exclude(pk__in=Delivery.objects.filter(state__in=DELIVERY_ACTIVE).values("run"))
    leaving = Departure.objects.filter(state__in=DEPARTURE_ACTIVE)
    past = past.exclude(pk__in=leaving.filter(run__isnull=False).values("run"))
    past = past.exclude(pk__in=leaving.filter(held_run__isnull=False).values("held_run"))
    published = Export.objects.filter(published_run__isnull=False).values("published_run")
    # A superseded run stays a while: somebody may be resuming it.
    superseded = Q(export__isnull=False, finished_at__lt=now - READ_GRACE) & ~Q(pk__in=published)
    kept = SnapshotFile.objects.filter(run_id=OuterRef("pk"))
    importing = Import.objects.filter(cell=OuterRef("cell"), state__in=IMPORT_ACTIVE)
    deleted = Q(cell__isnull=False) & ~Exists(kept) & ~Exists(importing)
    count = 0
    for run in past.filter(Q(expires_at__lt=now) | superseded | deleted).iterator():
        count += run_expire(run)
    for run in Run.objects.filter(state__in=(RunState.FAILED, RunState.STOPPED)).exclude(pack_file="").iterator():
        run_purge(run)
    return count


def reading_note(*, run: Run) -> None:
    """Somebody begins to read it now, by way of a proxy that will not say when he ends."""
    Run.objects.filter(pk=run.pk).update(last_read_at=timezone.now())


def run_expire(run: Run) -> bool:
    moved = lifecycle.transition(run.pk, RunState.EXPIRED)
    if moved:
        run_purge(run)
    return moved


def run_purge(run: Run) -> None:
    """Drop rows and files of a run that is over; its history stays."""
    with transaction.atomic():
        run.volumes.all().delete()
        manifest.manifest_clear(run_id=run.pk)
        pack = run.pack_file
        Run.objects.filter(pk=run.pk, state__in=FINAL).update(pack_file="")
    store.remove(run_id=run.pk, pack_file=pack)


def sweep(*, now: datetime | None = None) -> int:
    """Remove files of runs that no row refers to: left by workers that were killed. How many."""
    now = now or timezone.now()
    renditions_sweep(now=now)
    old = (now - ORPHAN_AGE).timestamp()
    count = 0
    for path in store.folder("runs").iterdir():
        with contextlib.suppress(FileNotFoundError):  # workers make and remove folders of their own here
            if path.stat().st_mtime < old and not Run.objects.filter(pack_file=path.name).exists():
                shutil.rmtree(path) if path.is_dir() else path.unlink()
                count += 1
    for folder in store.folder("volumes").iterdir():
        for path in folder.iterdir():
            name = f"{folder.name}/{path.name}"
            if path.stat().st_mtime < old and not Volume.objects.filter(store_file=name).exists():
                path.unlink(missing_ok=True)
                count += 1
        _remove_empty(folder)
    for path in store.folder("imports").glob("tmp*"):  # an archive that was put together to be imported
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_mtime < old:
                path.unlink()
                count += 1
    return count


def _remove_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):
        folder.rmdir()
