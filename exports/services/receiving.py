"""One arrival by a transfer, from claim to switch: list, fetch, hold, fetch the rest, fill, compare, ask, switch.

Until it asks, every failure leaves the cell as it was, and the other server is told. Once it has asked, the other
server alone decides: it is asked again, by whichever worker and however often, until it says what it has decided.
"""

import logging
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from time import monotonic, sleep

from django.conf import settings
from django.db import OperationalError, transaction
from django.utils import timezone

from cells import transferring
from cells.blobs import BlobStore
from cells.errors import BlobDamaged, NoSpace
from cells.generations import generations_analyze
from cells.lines import Refusal
from cells.models import Blob
from cells.quota import bytes_used
from cells.restoring import documents_restore
from cells.transfer_lines import DOCUMENTS, FILES, VERSIONS, content_digest
from exports.errors import (
    ImportLeaseLost,
    MoveNoRoom,
    MoveSilent,
    MoveSourceRefused,
    TransferDiffers,
    TransferRefused,
)
from exports.models import Arrival, Import
from exports.services import arrivals, import_lifecycle, offered, spool
from exports.services.heart import Heart
from exports.services.move_fetching import Patience
from exports.services.source_server import Head, SourceAway, SourceServer
from exports.transports.base import TransportError

log = logging.getLogger(__name__)

#: A source that has not been heard for so long, and was not asked to decide, is given up; and one that answers, but
#: has let so many tries pass without anything new, which takes as long.
PATIENCE, TRIES = timedelta(days=1), 300
#: Between two looks whether the other server has frozen what it holds.
_POLL_SECONDS = 0.5
#: While we work on what came the other server shall know that somebody is there.
_ALIVE_SECONDS = 60.0
#: What came and nothing refers to yet is forgotten after RECEIVED_LIFE, and a large cell may take longer to come.
_TOUCH_SECONDS = 4 * 3600.0


def run_arrival(row: Import, heart: Heart, drop: Callable[[int, int], object]) -> None:
    """A claimed import, done or waiting for its next try when this returns.

    `drop(cell id, generation)` removes what nobody sees. Raises DomainError when it has failed, ImportLeaseLost.
    """
    arrival = Arrival.objects.get(pk=row.pk)
    source = SourceServer(arrival)
    try:
        if arrival.asked_at is None:
            _prepare(row, arrival, source, heart, drop)
        _commit(row, arrival, source, heart)
    except SourceAway as away:
        _wait(row, arrival, str(away))
    except (ImportLeaseLost, MoveSourceRefused, OperationalError):
        raise
    except Exception as error:
        if Arrival.objects.filter(pk=row.pk, asked_at__isnull=True).exists():
            raise
        log.exception("import %s: nobody but the other server ends this move any more", row.pk)
        _wait(row, arrival, type(error).__name__)
    else:
        spool.spool_forget(row.pk)
        offered.received_forget(row.cell)


def _wait(row: Import, arrival: Arrival, reason: str) -> None:
    arrival.refresh_from_db()
    silent = timezone.now() - arrival.heard_at
    if arrival.asked_at is None and silent > PATIENCE:
        raise MoveSilent(minutes=int(silent.total_seconds() // 60))
    if arrival.asked_at is None and arrival.tries >= TRIES:
        raise MoveSourceRefused(reason=reason)
    log.info("import %s: the other server is away (%s)", row.pk, reason)
    Arrival.objects.filter(pk=arrival.pk).update(tries=arrival.tries + 1)
    import_lifecycle.import_wait(row, arrivals.wait_of(arrival.tries))


def _prepare(
    row: Import, arrival: Arrival, source: SourceServer, heart: Heart, drop: Callable[[int, int], object]
) -> None:
    """Everything up to a generation that is what the other server holds, which nobody writes any more."""
    heart.phase = "fetch"
    alive = _Alive(source, heart)
    if source.status()["state"] not in ("holding", "held"):
        _collect(row, source, heart)
        source.hold()
    until = monotonic() + settings.MOVE_HOLD.total_seconds()  # else a source that never ends would have this worker
    while (told := source.status())["state"] == "holding" and monotonic() < until:
        sleep(_POLL_SECONDS)
        heart.tick()
    if told["state"] != "held":
        raise MoveSourceRefused(reason=f"its transfer is {told['state'][:20]}")
    head = _collect(row, source, heart)
    left = row.generation
    import_lifecycle.generation_reserve(row)
    if left is not None:
        drop(row.cell_id, left)  # of an attempt whose worker was lost
    heart.phase = "import"
    report = _fill(row, alive)
    generations_analyze()
    heart.phase = "compare"
    found = content_digest(transferring.chunk_digests(row.cell, row.generation, alive.tick))
    if not found == head.digest == told["digest"]:
        raise TransferDiffers
    needed = bytes_used(row.cell, row.generation)
    _check_quota(row, needed)
    import_lifecycle.arrival_ask(row, digest=found, report={**report, "bytes": needed, "missing": []})


class _Alive:
    """Ticks of work that takes long."""

    def __init__(self, source: SourceServer, heart: Heart) -> None:
        self._source, self._heart, self._told = source, heart, monotonic()

    def tick(self, count: int = 0) -> None:
        self._heart.tick()
        if monotonic() - self._told > _ALIVE_SECONDS:
            self._told = monotonic()
            with suppress(SourceAway):
                self._source.status()


def _collect(row: Import, source: SourceServer, heart: Heart) -> Head:
    """Everything that is offered now is in the store."""
    paced = _paced(heart)
    with source.listing(paced) as (head, rows), transaction.atomic():
        _check_quota(row, head.used)
        offered.offered_stage(row.cell, rows)
    _check_quota(row, max(head.used, offered.offered_size()))
    offered.offered_touch(row.cell)
    touch_at = monotonic() + _TOUCH_SECONDS
    total, missing = offered.offered_totals()
    if missing > shutil.disk_usage(settings.EXPORTS_STORE).free:
        raise NoSpace(mount=str(settings.EXPORTS_STORE))
    heart.done, heart.total = total - missing, total
    Arrival.objects.filter(pk=row.pk).update(listed=total, fetched=total - missing)
    while batch := offered.batch_wanted():
        path = spool.batch_fetch(source, head.seal, batch, import_id=row.pk, tick=paced)
        spool.batch_unpack(path, batch, lambda count: heart.tick())
        offered.batch_received(row.cell, batch)
        missing -= sum(content.stored for content in batch)
        heart.done = total - missing
        Arrival.objects.filter(pk=row.pk).update(fetched=total - missing, lost=0, tries=0)
        if monotonic() > touch_at:
            offered.offered_touch(row.cell)
            touch_at = monotonic() + _TOUCH_SECONDS
    return head


def _paced(heart: Heart) -> Callable[[int], object]:
    """What comes has to come as fast as from a link, or the other server could hold a worker for ever."""
    patience = Patience(heart.tick)

    def came(count: int) -> None:
        try:
            patience.came(count)
        except TransportError as error:
            raise TransferRefused(reason=str(error)) from error

    return came


def _check_quota(row: Import, needed: int) -> None:
    quota = row.cell.quota
    if quota is not None and needed > max(quota, bytes_used(row.cell)):
        raise MoveNoRoom(missing=needed - quota, needed=needed, quota=quota)


def _fill(row: Import, alive: _Alive) -> dict[str, int]:
    def refuse(where: str, reason: str) -> None:
        raise TransferRefused(reason=f"{where[:200]}: {reason}")

    place = row.cell, row.generation
    try:
        lines = transferring.documents_of(_chunk_lines(DOCUMENTS))
        documents = documents_restore(
            cell=row.cell, generation=row.generation, documents=lines, refuse=refuse, watch=alive.tick
        )
        files = transferring.files_place(*place, _chunk_lines(FILES), alive.tick)
        generations_analyze()
        transferring.folders_check(*place)
        transferring.versions_place(*place, _chunk_lines(VERSIONS), alive.tick)
    except Refusal as refusal:
        raise TransferRefused(reason=str(refusal)) from refusal
    return {"files": files, "documents": documents}


def _chunk_lines(kind: str) -> Iterator[bytes]:
    count, most = 0, settings.IMPORT_MAX_ENTRIES
    for digest in offered.chunks_offered(kind):
        try:
            for line in transferring.lines_of(BlobStore().open(Blob.objects.get(pk=digest))):
                count += 1
                if count > most and kind != DOCUMENTS:  # which fill the quota: folders and empty files do not
                    raise TransferRefused(reason=f"{count} contents; {most} are allowed")
                yield line
        except (Blob.DoesNotExist, BlobDamaged) as error:
            raise TransferRefused(reason=f"the chunk {digest} cannot be read back") from error


def _commit(row: Import, arrival: Arrival, source: SourceServer, heart: Heart) -> None:
    """Ask for the decision, and show what it says. Nothing here is undone by a failure of ours."""
    heart.phase = "switch"
    arrival.refresh_from_db()
    if arrival.decided_at is None:
        source.finalize(arrival.digest)
        Arrival.objects.filter(pk=arrival.pk).update(decided_at=timezone.now())
    heart.tick()
    import_lifecycle.publish(row, Import.objects.get(pk=row.pk).report, decided=True)
