"""What an import would change, worked out by a worker. Nothing of the cell is changed or held meanwhile."""

import logging
from datetime import datetime, timedelta

from django.conf import settings
from django.contrib.auth.models import User
from django.db import OperationalError, transaction
from django.db.models import F, Q
from django.utils import timezone

from cells.errors import DomainError
from cells.models import Cell
from exports import queue
from exports.errors import ImportLeaseLost, ImportLost
from exports.models import ImportCheck
from exports.services import imports
from exports.services.heart import Heart
from exports.services.lifecycle import ATTEMPTS

log = logging.getLogger(__name__)

#: A result is kept for so long; the cell has changed since, or whoever asked has forgotten.
KEPT = timedelta(days=1)


@transaction.atomic
def check_order(
    *, cell: Cell, owner: User, archive: str, name: str = "", snapshots_only: bool = False, nudge: bool = True
) -> ImportCheck:
    """The one that is running for this archive, or a new one; it takes the place of any other of this person and cell.

    `archive`: of `services.archives`.
    """
    mine = ImportCheck.objects.filter(cell=cell, owner=owner)
    running = mine.filter(source=archive, snapshots_only=snapshots_only, finished_at=None).first()
    if running is not None:
        return running
    mine.delete()
    told = {"source": archive, "name": name, "snapshots_only": snapshots_only, "nudged_at": timezone.now()}
    row, created = ImportCheck.objects.get_or_create(cell=cell, owner=owner, defaults=told)
    if created and nudge:
        queue.enqueue(queue.CHECK_IMPORT, row.pk)
    return row


def check_find(*, cell: Cell, owner: User, archive: str) -> ImportCheck | None:
    return ImportCheck.objects.filter(cell=cell, owner=owner, source=archive).first()


def check_last(*, cell: Cell, owner: User) -> ImportCheck | None:
    """Of those that a program ordered for a snapshot."""
    return ImportCheck.objects.filter(cell=cell, owner=owner, snapshots_only=True).first()


def check_cancel(*, cell: Cell, owner: User) -> None:
    """Whoever works at it finds no row to beat for, and stops."""
    ImportCheck.objects.filter(cell=cell, owner=owner).delete()


def run_check(*, check_id: int) -> None:
    """Do it to its end. Harmless when called twice, at once, or for one that is over or cancelled."""
    now = timezone.now()
    if not _waiting(now).filter(pk=check_id).update(fence=F("fence") + 1, heartbeat_at=now, done=0):
        return
    row = ImportCheck.objects.select_related("cell").filter(pk=check_id).first()
    if row is None:  # cancelled just now
        return
    try:
        with Heart(row, beat=_beat) as heart:
            report = imports.import_check(
                cell=row.cell, archive=row.source, snapshots_only=row.snapshots_only, heart=heart
            )
        _finish(row, report=report)
    except ImportLeaseLost:
        log.info("check %s: cancelled, or taken over", check_id)
    except DomainError as error:
        _finish(row, error={"code": error.code, "message": str(error)})
    except OperationalError:
        raise  # when its lease is over somebody begins it again
    except Exception:
        log.exception("check %s failed", check_id)
        _finish(row, error={"code": "internal", "message": "Internal error."})


def checks_requeue(*, now: datetime | None = None) -> None:
    """Nudge for those that wait, or whose worker went silent; give up what took its workers down."""
    now = now or timezone.now()
    for row in _waiting(now).filter(fence__gte=ATTEMPTS):
        lost = ImportLost(import_id=row.pk, attempts=row.fence)
        _finish(row, error={"code": lost.code, "message": str(lost)})
    unheard = _waiting(now).filter(nudged_at__lt=now - timedelta(seconds=queue.NUDGE_SECONDS))
    for check_id in list(unheard.order_by("pk").values_list("pk", flat=True)[:1000]):
        ImportCheck.objects.filter(pk=check_id).update(nudged_at=now)
        queue.enqueue(queue.CHECK_IMPORT, check_id)


def checks_sweep(*, now: datetime) -> int:
    return ImportCheck.objects.filter(finished_at__lt=now - KEPT).delete()[0]


def _waiting(now: datetime):
    silent = Q(heartbeat_at=None) | Q(heartbeat_at__lt=now - settings.EXPORT_LEASE)
    return ImportCheck.objects.filter(silent, finished_at=None)


def _mine(row: ImportCheck):
    return ImportCheck.objects.filter(pk=row.pk, fence=row.fence, finished_at=None)


def _beat(row: ImportCheck, **progress: object) -> None:
    if not _mine(row).update(heartbeat_at=timezone.now(), **progress):
        raise ImportLeaseLost(import_id=row.pk)


def _finish(row: ImportCheck, **result: object) -> None:
    _mine(row).update(finished_at=timezone.now(), **result)
