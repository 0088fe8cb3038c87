"""Imports: a cell is filled from an archive wholly, or not at all.

Everything goes into a generation that nobody sees; then one transaction shows it. The one before is kept for undo.
"""

import errno
import logging
import shutil
from datetime import datetime
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.db import OperationalError, transaction
from django.db.models import F, QuerySet
from django.utils import timezone

from cells.catching_up import joining
from cells.errors import DomainError, NoSpace, QuotaExceeded
from cells.generations import drop_generation, generations_analyze
from cells.joining import Rule
from cells.loading import files_load
from cells.models import Cell, Usage
from cells.quota import bytes_used
from cells.restoring import documents_restore, versions_restore
from exports.engine.restore import Restore, restoring
from exports.errors import ArchiveRefused, ImportLeaseLost, ImportStopped
from exports.models import Import, ImportMode
from exports.services import arrivals, import_lifecycle, move_imports, receiving, spool
from exports.services.archives import RUN, archive_open, budget
from exports.services.heart import Heart
from exports.services.import_checking import Report, compare
from exports.services.import_lifecycle import import_dismiss, import_undo
from exports.services.progress import Watch
from exports.states import IMPORT_ACTIVE

__all__ = [
    "import_check",
    "import_dismiss",
    "import_start",
    "import_stop",
    "import_undo",
    "imports_sweep",
    "run_import",
]

log = logging.getLogger(__name__)

_RULES = {ImportMode.MERGE: Rule.IMPORTED, ImportMode.SKIP: Rule.PRESENT, ImportMode.KEEP_BOTH: Rule.BOTH}


def import_check(*, cell: Cell, archive: str, snapshots_only: bool = False, heart: Heart | None = None) -> Report:
    """What an import that replaces would do, and what of the archive would be refused; changes nothing.

    Raises what `import_start` would, for an archive that cannot be read at all.
    """
    tick = heart.tick if heart else _unheard
    with archive_open(archive, tick) as source, restoring(source, budget(), snapshots_only=snapshots_only) as restore:
        if heart:
            heart.done, heart.total = 0, restore.total
        return compare(cell, restore, tick)


def _unheard(count: int = 0) -> None:
    pass


def import_start(
    *,
    cell: Cell,
    owner: User,
    archive: str,
    mode: ImportMode | str = ImportMode.REPLACE,
    name: str = "",
    snapshots_only: bool = False,
    nudge: bool = True,
) -> Import:
    """Order an import. `archive` is one of `services.archives`, whose structure is checked here; contents later.

    Raises the Archive… errors, NoArchive, CellBusy; changes nothing then.
    """
    if not archive.startswith(RUN):  # what we made ourselves has been proved when it was made
        with archive_open(archive) as source, restoring(source, budget(), snapshots_only=snapshots_only):
            pass
    return import_lifecycle.import_create(
        cell=cell, owner=owner, source=archive, mode=ImportMode(mode), name=name, nudge=nudge
    )


def run_import(*, import_id: int, watch: Watch | None = None) -> Import | None:
    """Do a pending import to its end. Harmless when called twice, at once, or for one that is over: then None.

    `watch` hears (phase, done, planned) in bytes.
    """
    row = import_lifecycle.claim(import_id=import_id)
    if row is None:
        return None
    try:
        with Heart(row, watch) as heart:
            if arrivals.is_transfer(row):
                receiving.run_arrival(row, heart, _drop)
            else:
                _import(row, heart)
        if move_imports.is_from_link(row):
            move_imports.link_forget(row)
        _drop_unseen(Usage.objects.filter(cell=row.cell_id))
    except ImportLeaseLost:
        log.warning("import %s: its lease was lost, or its cell deleted", row.pk)
    except DomainError as error:
        _fail(row, error)
    except OperationalError:
        # The database went away. The import keeps its state; when the lease is over somebody begins it again.
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            _fail(row, NoSpace(mount=str(settings.EXPORTS_STORE)))
        else:
            log.exception("import %s failed", row.pk)
            _fail(row, None)
    return Import.objects.filter(pk=row.pk).first()


def import_stop(*, import_id: int) -> None:
    """For whoever runs it and is interrupted: it failed, the cell is as it was."""
    row = Import.objects.get(pk=import_id)
    _fail(row, ImportStopped(import_id=import_id))


def imports_sweep(*, now: datetime | None = None) -> int:
    """Drop the generations that nobody sees, fills or can go back to. How many."""
    now = now or timezone.now()
    move_imports.links_sweep()
    spool.spools_sweep(set(Import.objects.filter(state__in=IMPORT_ACTIVE).values_list("pk", flat=True)))
    Import.objects.filter(undo_until__lte=now).update(undo_until=None, previous_generation=None)
    kept = Import.objects.filter(previous_generation__isnull=False)
    for cell_id in list(kept.values_list("cell", flat=True).distinct()):
        import_lifecycle.undo_bound(cell_id)  # the settings may be other ones now
    return _drop_unseen(Usage.objects.all())


def _drop_unseen(usage: QuerySet[Usage]) -> int:
    unseen = usage.exclude(generation=F("cell__generation")).order_by("cell", "generation")
    return sum([_drop(*each) for each in list(unseen.values_list("cell", "generation"))])


def _drop(cell_id: int, generation: int) -> bool:
    """Unless it is wanted: looked at while the cell is held, for imports begin and undo only then."""
    with transaction.atomic():
        cell = Cell.objects.select_for_update(no_key=True).filter(pk=cell_id).first()
        imports = Import.objects.filter(cell=cell_id)
        if (
            cell is None
            or cell.generation == generation
            or imports.filter(state__in=IMPORT_ACTIVE, generation=generation).exists()
            or imports.filter(previous_generation=generation).exists()
        ):
            return False
    drop_generation(cell, generation)
    return True


def _fail(row: Import, error: DomainError | None) -> None:
    if import_lifecycle.import_fail(row, error) and row.generation is not None:
        _drop(row.cell_id, row.generation)


def _import(row: Import, heart: Heart) -> None:
    left = row.generation
    with (
        archive_open(row.source, heart.tick) as source,
        restoring(source, budget(), email=row.owner.email, moving=arrivals.moving(row)) as restore,
    ):
        heart.done, heart.total = 0, restore.total
        restore.prepare(heart.tick)
        _check_room(row, restore)
        import_lifecycle.generation_reserve(row)
        if left is not None:
            _drop(row.cell_id, left)  # of an attempt whose worker was lost
        heart.phase = "import"
        report = _fill(row, restore, heart)
    heart.phase = "switch"
    heart.tick()
    generations_analyze()
    if row.mode == ImportMode.REPLACE:
        import_lifecycle.publish(row, report)
    else:
        _join(row, report, heart)


def _check_room(row: Import, restore: Restore) -> None:
    """Before anything is touched: room for the contents on disk, and in the cell if it is to have all of them."""
    cell, used = row.cell, bytes_used(row.cell)
    if cell.quota is not None and row.mode != ImportMode.SKIP and restore.contents > max(cell.quota, used):
        raise QuotaExceeded(quota=cell.quota, used=used, needed=restore.contents)
    if shutil.disk_usage(settings.EXPORTS_STORE).free < restore.packed:
        raise NoSpace(mount=str(settings.EXPORTS_STORE))


def _fill(row: Import, restore: Restore, heart: Heart) -> dict[str, Any]:
    seen = 0

    def refuse(where: str, reason: str) -> None:
        raise ArchiveRefused(entry=where[:200], reason=reason)

    def loaded(done: int) -> None:
        nonlocal seen
        heart.tick(done - seen)
        seen = done

    files = files_load(cell=row.cell, items=restore.items(), refuse=refuse, watch=loaded, generation=row.generation)
    documents = documents_restore(
        cell=row.cell, generation=row.generation, documents=restore.documents(), refuse=refuse, watch=heart.tick
    )
    if row.mode == ImportMode.REPLACE:  # what is joined with the cell goes on with the cell's own versions
        versions_restore(cell=row.cell, generation=row.generation, items=restore.versions(), tick=heart.tick)
    missing = [{"path": path, "reason": reason} for path, reason in restore.missing[:1000]]
    report = {"files": files.created, "documents": documents, "bytes": files.bytes, "missing": missing}
    return report | restore.told()


def _join(row: Import, report: dict[str, Any], heart: Heart) -> None:
    """Bring what the cell has beside what was imported, while others write it; then switch."""
    with joining(cell=row.cell, imported=row.generation, rule=_RULES[ImportMode(row.mode)]) as join:
        for _ in join.rounds():
            heart.tick()
        import_lifecycle.publish(row, report, last=join.last)
