"""The snapshot area of a cell: one flat folder beside its content (`spec/cell.md §12`)."""

from collections.abc import Collection
from typing import BinaryIO, NamedTuple

from django.db import IntegrityError, transaction
from django.db.models import F, QuerySet
from django.utils import timezone

from cells.conditions import conditions_check
from cells.errors import CellNotFound, FileNotFound, QuotaExceeded, SnapshotsFull, SnapshotTaken
from cells.models import Cell, SnapshotFile
from cells.validators import snapshot_name
from cells.writing import content_store

#: `dav.childresource.maxnum` of the cell API; a list of the area is held in memory.
MOST_FILES = 1024


class SnapshotPut(NamedTuple):
    file: SnapshotFile
    is_new: bool


def snapshots_of(cell: Cell) -> QuerySet[SnapshotFile]:
    """By name; at most MOST_FILES."""
    return SnapshotFile.objects.filter(cell=cell, ready=True).select_related("blob").order_by("name")


def snapshot_get(*, cell: Cell, name: str) -> SnapshotFile:
    found = snapshots_of(cell).filter(name=name).first() if "\0" not in name else None
    if found is None:
        raise FileNotFound(path=name)
    return found


def snapshot_etag(file: SnapshotFile) -> str:
    """Without quotes; strong."""
    return f"{file.version}-{int(file.updated_at.timestamp() * 1000)}"


def snapshot_put(
    *,
    cell: Cell,
    name: str,
    stream: BinaryIO,
    length: int | None,
    content_type: str,
    if_match: Collection[str] | None = None,
) -> SnapshotPut:
    """Stores what arrives, whatever it is; it is looked at when it is imported.

    `if_match` counts for a file that is there already. Raises NameRefused, SnapshotTaken for a name that an export has
    reserved, SnapshotsFull, QuotaExceeded, PreconditionFailed, BodyIncomplete.
    """
    name = snapshot_name(name)
    _check_place(cell, name, if_match)
    _check_room(cell, name, length or 0)
    blob = content_store(stream, length)
    with transaction.atomic():
        _hold(cell)
        now = timezone.now()
        file = _check_place(cell, name, if_match)
        _check_room(cell, name, blob.size)  # others may have come meanwhile
        content = {"blob": blob, "size": blob.size, "content_type": content_type}
        if file is None:
            file = SnapshotFile.objects.create(cell=cell, name=name, created_at=now, updated_at=now, **content)
            return SnapshotPut(file, True)
        SnapshotFile.objects.filter(pk=file.pk).update(
            **content, run_id=None, error=None, version=F("version") + 1, updated_at=now
        )
    file.refresh_from_db()
    return SnapshotPut(file, False)


def snapshot_delete(*, cell: Cell, name: str, if_match: Collection[str] | None = None) -> None:
    with transaction.atomic():
        _hold(cell)
        file = snapshot_get(cell=cell, name=name)
        conditions_check(snapshot_etag(file), if_match, None)
        file.delete()


def snapshot_reserve(*, cell: Cell, name: str, run_id: int) -> SnapshotFile:
    """Takes a name for what a run will put there. Raises SnapshotTaken, SnapshotsFull. Call inside of a transaction."""
    _check_count(cell)
    try:
        with transaction.atomic():
            return SnapshotFile.objects.create(
                cell=cell, name=name, run_id=run_id, ready=False, content_type="application/zip"
            )
    except IntegrityError as error:
        raise SnapshotTaken(name=name) from error


def snapshot_publish(*, run_id: int, size: int) -> None:
    """The run's archive can be seen under the name that was reserved for it."""
    SnapshotFile.objects.filter(run_id=run_id).update(ready=True, size=size, updated_at=timezone.now())


def snapshot_release(*, run_id: int) -> None:
    SnapshotFile.objects.filter(run_id=run_id, ready=False).delete()


def snapshot_fail(*, cell: Cell, name: str, error: dict[str, str]) -> None:
    """Says under this name why there is no archive, instead of whatever was there."""
    SnapshotFile.objects.filter(cell=cell, name=name).delete()
    SnapshotFile.objects.create(cell=cell, name=name, error=error, content_type="application/json")


def _hold(cell: Cell) -> None:
    if not Cell.objects.select_for_update(no_key=True).filter(pk=cell.pk).exists():
        raise CellNotFound(name=cell.name)


def _check_place(cell: Cell, name: str, if_match: Collection[str] | None) -> SnapshotFile | None:
    """The file at that name, if there is one and it may be replaced."""
    file = SnapshotFile.objects.filter(cell=cell, name=name).first()
    if file is None:
        _check_count(cell)
        return None
    if not file.ready:
        raise SnapshotTaken(name=name)
    conditions_check(snapshot_etag(file), if_match, None)
    return file


def _check_count(cell: Cell) -> None:
    if SnapshotFile.objects.filter(cell=cell).count() >= MOST_FILES:
        raise SnapshotsFull(limit=MOST_FILES)


def _check_room(cell: Cell, name: str, length: int) -> None:
    """Uploads of a cell with a quota may fill as much again, not more: nobody fills the server through this door."""
    if cell.quota is None:
        return
    others = SnapshotFile.objects.filter(cell=cell, blob__isnull=False).exclude(name=name)
    used = sum(others.values_list("size", flat=True))
    if used + length > cell.quota:
        raise QuotaExceeded(quota=cell.quota, used=used, needed=length)
