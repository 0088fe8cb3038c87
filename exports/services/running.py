"""One run, from claim to publication: freeze, plan, write, prove, publish."""

import logging
import secrets
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path

from django.db import OperationalError, transaction
from django.utils import timezone

from cells.errors import CellMoved, CellNotFound, DomainError
from cells.frozen import Snapshot
from cells.models import Cell
from exports.engine import manifest as text
from exports.engine.contents import damage
from exports.engine.entries import Entry
from exports.engine.freeze import Layout, freeze
from exports.engine.images.pictures import Pictures
from exports.engine.layouts.transfer import transfer
from exports.engine.names import Names
from exports.engine.notes import Notes
from exports.engine.pack import Pack
from exports.errors import EntriesDamaged, LeaseLost, RunStopped
from exports.models import Run, RunEntry
from exports.services import departures, lifecycle, manifest, move_exports, planning, store, transfers, writing
from exports.services.content_events import Objects, assets_write, objects_write
from exports.services.delivery_lifecycle import deliveries_order
from exports.services.producing import pictures_make, search_layout
from exports.services.progress import Progress, Watch, pulse
from exports.services.renditions import Renditions
from exports.services.snapshot_layout import closing_of, is_snapshot, pairs_damaged, snapshot_layout

log = logging.getLogger(__name__)

#: Entries that freeze handles between two looks at the clock.
TICK_ENTRIES = 500
#: At a store that cannot make up its mind whether content is damaged.
LOOKS = 3


def run_export(*, run_id: int, watch: Watch | None = None) -> Run | None:
    """Do a pending run to its end. Harmless when called twice, at once, or for a run that is over: then None.

    `watch` hears (phase, done, planned) at every heartbeat.
    """
    run = lifecycle.claim(run_id=run_id)
    if run is None:
        return None
    done = _export(run, watch)
    departures.run_settled(run_id=run_id)
    return done


def _export(run: Run, watch: Watch | None) -> Run | None:
    try:
        progress = Progress(run, watch)
        if not run.manifest_sha256:
            freeze_run(run, progress)
        write_run(run, progress)
        publish_run(run)
    except LeaseLost:
        if not Run.objects.filter(pk=run.pk).exists():
            store.remove(run_id=run.pk, pack_file=run.pack_file)  # deleted, with its export, while it ran
            return None
        log.warning("run %s: its lease was lost, another worker has it", run.pk)
    except RunStopped:
        lifecycle.run_end_stopped(run)
    except DomainError as error:
        lifecycle.run_fail(run, error)
    except OperationalError:
        # The database went away. The run keeps its state; when the lease is over somebody goes on with it.
        raise
    except Exception:
        log.exception("run %s failed", run.pk)
        lifecycle.run_fail(run)
    run.refresh_from_db()
    return run


def freeze_run(run: Run, progress: Progress) -> None:
    """Read the cells in one snapshot and seal the manifest. What an earlier attempt left unsealed goes first."""
    progress.phase("freeze")
    manifest.manifest_clear(run_id=run.pk)
    run.pack_file = f"{run.pk}.{secrets.token_hex(8)}"
    pack = Pack(store.pack_path(run), lambda count: progress.tick(0))
    names, notes, objects = Names(), Notes(), Objects()
    try:
        with Renditions(lambda: progress.tick(0)) as pictures:
            pictures_make(run, cells_of(run), pack, pictures)
            with Snapshot() as snapshot, pulse(run, snapshot.cancel):
                frozen_at = timezone.now()
                progress.reading(snapshot, snapshot.count([pk for pk, _ in cells_of(run)]))
                entries = freeze(snapshot, cells_of(run), layout_of(run, notes, pictures, objects), names, pack)
                count = manifest.manifest_write(run_id=run.pk, entries=_ticking(entries, progress))
        run.warnings = notes.sentences()
        seal_run(run, progress, pack, name=names.beside("", closing_of(run)[0]), ordinal=count, frozen_at=frozen_at)
    except BaseException:
        pack.close()
        Path(pack.path).unlink(missing_ok=True)
        raise
    pack.close()
    objects_write(run, objects)


def seal_run(run: Run, progress: Progress, pack: Pack, *, name: str, ordinal: int, frozen_at: datetime) -> None:
    """Close the manifest with its own text as entry `ordinal`; from here on nothing changes."""
    source = planning.run_source(run, places=False)
    seal = text.Seal()
    missing = list(manifest.missing_iter(run_id=run.pk))  # bounded by what was found damaged
    for path, reason in missing:
        seal.miss(path, reason)
    lines = closing_of(run)[1](_sealing(source(0, ordinal), seal, progress), missing)
    closing = pack.add(name, lines, mtime=0)._replace(ordinal=ordinal, mtime=seal.newest)
    pack.seal()
    with transaction.atomic():
        RunEntry.objects.filter(run=run, ordinal=ordinal).delete()
        RunEntry.objects.create(run=run, **{name: getattr(closing, name) for name in closing._fields[:13]})
        run.manifest_sha256, run.entry_count = seal.hexdigest(), ordinal + 1
        run.entry_bytes, run.frozen_at = seal.bytes, frozen_at
        lifecycle.heartbeat(
            run,
            pack_file=run.pack_file,
            manifest_sha256=run.manifest_sha256,
            entry_count=run.entry_count,
            entry_bytes=run.entry_bytes,
            frozen_at=frozen_at,
            warnings=run.warnings,
        )


def _ticking(entries: Iterable[Entry], progress: Progress) -> Iterator[Entry]:
    for number, entry in enumerate(entries):
        if not number % TICK_ENTRIES:
            progress.tick(0)
        yield entry


def _sealing(entries: Iterable[Entry], seal: text.Seal, progress: Progress) -> Iterator[Entry]:
    for entry in _ticking(entries, progress):
        seal.add(entry)
        yield entry


def cells_of(run: Run) -> list[tuple[int, str]]:
    """[(id, name)] by name. The owner's rights of this moment count, not those of the order.

    What a cell that has moved away left behind is not its content any more: no export takes it for that, but the
    command line, which asks for no export, can still have it. Raises CellNotFound, CellMoved.
    """
    if cell_id := run.cell_id or (transfers.is_transfer(run) and run.order.get("cell_id")):
        cells = list(Cell.objects.filter(pk=cell_id).values_list("pk", "name"))  # it may have been renamed
        if not cells:
            raise CellNotFound(name=run.order["cells"][0])
        return cells
    owned = Cell.objects.filter(owner=run.owner).order_by("name")
    names = run.order.get("cells")
    found = list(owned if names is None else owned.filter(name__in=names))
    if absent := set(names or ()) - {cell.name for cell in found}:
        raise CellNotFound(name=min(absent))
    here = [cell for cell in found if not (cell.moved_to and run.export_id)]
    if len(here) < len(found) and (names is not None or not here):
        moved = next(cell for cell in found if cell.moved_to)
        raise CellMoved(name=moved.name, url=moved.moved_to)
    return [(cell.pk, cell.name) for cell in here]


def layout_of(run: Run, notes: Notes, pictures: Pictures, objects: Objects) -> Layout:
    if is_snapshot(run):
        return snapshot_layout(cells_of(run)[0][0])
    if move_exports.is_move(run):
        return move_exports.move_layout(run, cells_of(run)[0][0])
    if transfers.is_transfer(run):
        return transfer
    return search_layout(run, notes, pictures, objects.note)


def write_run(run: Run, progress: Progress) -> None:
    """Plan the archives, write those that are to be stored, and prove every byte of the rest.

    When content is found damaged, its entries leave the manifest, the seal is renewed, and all begins again: once
    for each new finding. A store that gives bad bytes once and good ones at the second look is tried `LOOKS` times.
    A transfer has no archives; who receives the one that is frozen while writers wait proves every byte himself.
    """
    if run.order.get("proved_elsewhere"):
        return
    looks = 0
    while True:
        try:
            archived = run.volumes.filter(packer__in=(*planning.DEFAULT_PACKERS, move_exports.PACKER)).exists()
            if not archived and not transfers.is_transfer(run):
                _plan(run, progress)
            if run.volumes.filter(stored=True).exists():
                writing.volumes_write(run, progress)
            else:
                _prove(run, progress)
            return
        except EntriesDamaged as error:
            looks += 1
            if error.damaged:
                reseal_run(run, progress, error.damaged)
            elif looks == LOOKS:
                raise


def _plan(run: Run, progress: Progress) -> None:
    progress.phase("plan")
    source = planning.run_source(run, places=False)
    closing = planning.closing_entry(run, source)
    entries = _ticking(source(0, closing.ordinal), progress)
    if move_exports.is_ordered(run):
        move_exports.parts_plan(run, entries)
        return
    stored, computed = run.order.get("packers", ()), run.order.get("delivered", ())
    planning.volumes_plan(run, entries, closing=closing, stored=stored, computed=computed)


def _prove(run: Run, progress: Progress) -> None:
    """Check every stored byte that a computed archive will send."""
    progress.phase("verify", planned=run.entry_bytes)

    def counted(entries: Iterable[Entry]) -> Iterator[Entry]:
        for entry in entries:
            progress.tick(entry.size)
            yield entry

    if found := dict(damage(counted(planning.run_source(run)(0, run.entry_count)))):
        raise EntriesDamaged(found)


def reseal_run(run: Run, progress: Progress, damaged: dict[int, str]) -> None:
    """Take damaged entries out, and seal what is left."""
    if move_exports.is_move(run):
        damaged = move_exports.pairs_damaged(run, damaged)
    elif is_snapshot(run):
        damaged = pairs_damaged(run, damaged)
    manifest.missing_mark(run_id=run.pk, damaged=damaged)
    closing = RunEntry.objects.get(run=run, ordinal=run.entry_count - 1)
    run.volumes.all().delete()
    pack = Pack(store.pack_path(run), lambda count: progress.tick(0))
    try:
        seal_run(run, progress, pack, name=closing.name, ordinal=closing.ordinal, frozen_at=run.frozen_at)
    finally:
        pack.close()


@transaction.atomic
def publish_run(run: Run) -> None:
    """Its archives are on offer, and what is to be sent is ordered, in one step."""
    lifecycle.publish(run, warnings=warnings(run), missing=missing_count(run))
    assets_write(run)
    if move_exports.is_ordered(run):
        move_exports.published(run)
    deliveries_order(run)


def missing_count(run: Run) -> int:
    return RunEntry.objects.filter(run=run).exclude(missing="").count()


def warnings(run: Run) -> list[str]:
    """What its freeze found worth telling, and what is missing."""
    count = missing_count(run)
    lost = [f"{count} of {run.entry_count - 1} entries could not be exported whole."] if count else []
    return [*run.warnings, *lost]
