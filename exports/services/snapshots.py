"""Snapshots of a cell: made by a run, kept in its snapshot area, opened as bytes of known length."""

from collections.abc import Callable, Collection, Iterator
from typing import BinaryIO

from django.db import transaction
from django.utils import timezone

from cells import snapshots
from cells.blobs import BlobStore
from cells.errors import CellNotFound, FileNotFound
from cells.models import Cell, SnapshotFile
from exports.errors import CellBusy
from exports.models import Run
from exports.services import lifecycle
from exports.services.archives import BLOB, RUN
from exports.services.cell_jobs import cell_job, import_running
from exports.services.downloads import open_volume
from exports.services.snapshot_layout import SNAPSHOT
from exports.services.snapshot_rows import ARCHIVE, ERROR
from exports.states import ACTIVE


def snapshot_start(*, cell: Cell, name: str | None = None) -> Run:
    """Orders a snapshot, `<name>.zip`; the default name tells the second, in UTC (`spec/cell.md §5`).

    Raises CellBusy while the cell is exported or imported, SnapshotTaken, SnapshotsFull.
    """
    with transaction.atomic():
        locked = Cell.objects.select_for_update(no_key=True, of=("self",)).select_related("owner")
        held = locked.filter(pk=cell.pk).first()
        if held is None:
            raise CellNotFound(name=cell.name)
        if job := cell_job(cell=held):
            raise CellBusy(name=held.name, job=job)
        name = name or f"{held.name}_{timezone.now():%Y%m%d_%H%M%S}"
        order = {"layout": SNAPSHOT, "cells": [held.name], "name": name}
        run = lifecycle.run_create(export=None, cell=held, owner=held.owner, order=order)
        snapshots.snapshot_reserve(cell=held, name=name + ARCHIVE, run_id=run.pk)
        SnapshotFile.objects.filter(cell=held, name=name + ERROR).delete()  # it speaks of an attempt before this one
    return run


def snapshot_running(*, cell: Cell) -> Run | None:
    return Run.objects.filter(cell=cell, state__in=ACTIVE).first()


def snapshot_write(
    *,
    cell: Cell,
    name: str,
    stream: BinaryIO,
    length: int | None,
    content_type: str,
    if_match: Collection[str] | None = None,
) -> snapshots.SnapshotPut:
    """`cells.snapshots.snapshot_put`, but not under an import that reads from the area: CellBusy."""
    _check_import(cell)
    return snapshots.snapshot_put(
        cell=cell, name=name, stream=stream, length=length, content_type=content_type, if_match=if_match
    )


def snapshot_remove(*, cell: Cell, name: str, if_match: Collection[str] | None = None) -> None:
    """The archive of a run goes with the next sweep of `services.retention`: somebody may be reading it."""
    _check_import(cell)
    snapshots.snapshot_delete(cell=cell, name=name, if_match=if_match)


def snapshot_chunks(file: SnapshotFile) -> Callable[[int, int], Iterator[bytes]]:
    """Bytes [start, end) of an upload, or of the archive of a run. Raises FileNotFound when the run is gone."""
    if file.blob is not None:
        blob = file.blob
        return lambda start, end: BlobStore().open(blob, start, end)
    run = Run.objects.filter(pk=file.run_id).first()
    volume = run and run.volumes.filter(packer="zip", number=1).first()
    if volume is None:
        raise FileNotFound(path=file.name)
    return open_volume(volume=volume, name=file.name).chunks


def snapshot_source(file: SnapshotFile) -> str:
    """The archive, in the words of `services.archives`."""
    return f"{BLOB}{file.blob_id}" if file.blob_id else f"{RUN}{file.run_id}"


def _check_import(cell: Cell) -> None:
    if import_running(cell=cell):
        raise CellBusy(name=cell.name, job="cell import")
