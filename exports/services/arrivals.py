"""A cell comes from another server: what that server, the owner and the clock do to an arrival
(`spec/move.md §6.6, §7`, docs/moving.md).

An arrival is what an import knows of where it comes from. `receiving.py` is the story of one that comes by a transfer;
one of a server that knows only the spec is an import from a link, and tells that server how it ended.
"""

import logging
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from cells.models import Cell
from cells.quota import writable_check
from exports import queue
from exports.engine.archives.moving import Moving
from exports.errors import CellBusy, ImportStopped, MoveDecided, MoveNotFound, TransferRefused
from exports.models import Arrival, Import, ImportMode, Received
from exports.services import cell_jobs, import_lifecycle, move_calls, move_imports, move_links
from exports.services.addresses import cell_url
from exports.services.secrets import secrets_open, secrets_seal
from exports.states import IMPORT_ACTIVE, ImportState
from exports.transports.base import TransportError

log = logging.getLogger(__name__)

#: `Import.source` of one that comes by a transfer.
MOVE = "move:"
#: For so long the other server is told how it ended, should it be away.
TELL_LIFE = timedelta(days=7)
#: What came is remembered for so long: shorter than the day for which the sweeper leaves contents alone.
RECEIVED_LIFE = timedelta(hours=20)
_WAITS = (2, 5, 10, 30, 60, 120, 300)
_UID = 32


def arrival_start(
    *,
    cell: Cell,
    owner: User,
    source_url: str,
    token: str,
    link: str = "",
    transfer: str = "",
    vault: bool = False,
) -> Import:
    """Queues the import of a cell that moves here, in place of what `cell` holds, which nobody else may write until it
    ends. Dials nobody.

    `source_url`, `token`: `move_from` of `spec/move.md §7.6`. `transfer`: of an exportsite that offers one; else
    `link` is the settings link of its export. Harmless when repeated for the same transfer: gives the same import, also
    one that is over. Raises MoveNotFound for what is no address or link, TransferRefused for what is no transfer's id,
    CellBusy, CellHeld, CellMoved.
    """
    url = move_links.checked(source_url.strip())._replace(query="", fragment="").geturl().rstrip("/")
    if transfer and not (len(transfer) == _UID and transfer.isalnum() and transfer.isascii()):
        raise TransferRefused(reason="it has no id")
    source = f"{MOVE}{transfer}" if transfer else move_imports.link_source(cell=cell, link=link)
    with transaction.atomic():
        Cell.objects.select_for_update(no_key=True).filter(pk=cell.pk).first()
        if transfer and (known := _known(cell, transfer, token)):
            return known
        row = import_lifecycle.import_create(
            cell=cell, owner=owner, source=source, mode=ImportMode.REPLACE, name=urlsplit(url).hostname or ""
        )
        Arrival.objects.create(
            imported=row, source_url=url, secrets=secrets_seal({"token": token}), transfer=transfer, vault=vault
        )
        Cell.objects.filter(pk=cell.pk).update(held_at=timezone.now())
    return row


def arrival_check(*, cell: Cell) -> None:
    """Whether a cell could move in here just now. Raises CellBusy, CellHeld, CellMoved."""
    writable_check(cell)
    if job := cell_jobs.cell_job(cell=cell):
        raise CellBusy(name=cell.name, job=job)


def _known(cell: Cell, transfer: str, token: str) -> Import | None:
    row = Import.objects.filter(cell=cell, arrival__transfer=transfer).select_related("arrival").first()
    if row is not None and token_of(row.arrival) != token:
        raise CellBusy(name=cell.name, job="cell import")
    return row


def is_transfer(row: Import) -> bool:
    return row.source.startswith(MOVE)


def moving(row: Import) -> Moving | None:
    """Of an import that is a move from a server that knows only the spec."""
    arrival = Arrival.objects.filter(pk=row.pk).first()
    return arrival and Moving(source=arrival.source_url, target=cell_url(row.cell).rstrip("/"))


def token_of(arrival: Arrival) -> str:
    return secrets_open(arrival.secrets).get("token", "")


def arrival_of(*, cell: Cell) -> Arrival | None:
    """Of the cell's last import, when it is a move."""
    row = Import.objects.filter(cell=cell).order_by("-pk").select_related("arrival").first()
    return getattr(row, "arrival", None) if row is not None else None


@transaction.atomic
def arrival_abort(*, cell: Cell) -> bool:
    """The owner, or the other server (`spec/move.md §7.9`), ends the move into the cell. Whether one was under way.

    The cell is as it was; the other server is told. Raises MoveDecided once the other server was asked to decide: it
    alone knows then, and is asked again at once.
    """
    Cell.objects.select_for_update(no_key=True).filter(pk=cell.pk).first()
    row = Import.objects.select_for_update().filter(cell=cell, state__in=IMPORT_ACTIVE, arrival__isnull=False).first()
    if row is None:
        return False
    if row.arrival.asked_at is not None:
        Import.objects.filter(pk=row.pk, state=ImportState.PENDING).update(nudged_at=None)
        raise MoveDecided(url="this server")
    return import_lifecycle.import_fail(row, ImportStopped(import_id=row.pk))


def tell_source(*, import_id: int) -> None:
    """Say how it ended. A server that refuses to hear has ended it itself."""
    arrival = Arrival.objects.filter(pk=import_id).select_related("imported").first()
    if arrival is None or not arrival.tell or arrival.tell_at > timezone.now():
        return
    mine = Arrival.objects.filter(pk=arrival.pk, tell=arrival.tell)
    try:
        url = url_of(arrival, arrival.tell)
        answer = move_calls.ask("POST", url, token=token_of(arrival), doing="tell the outcome")
        heard = answer.accepted or answer.final
    except (MoveNotFound, TransportError) as error:
        log.info("import %s: the server it came from was not told (%s)", import_id, type(error).__name__)
        heard = False
    ended = arrival.imported.finished_at
    if heard or (ended is not None and ended < timezone.now() - TELL_LIFE):
        mine.update(tell="", tries=0)
    else:
        again = timezone.now() + wait_of(arrival.tries)
        mine.update(tries=arrival.tries + 1, tell_at=again)


def url_of(arrival: Arrival, step: str) -> str:
    """Of a transfer its own doors, which tell one move from another; else those of the spec."""
    if arrival.transfer:
        return f"{arrival.source_url}/move/transfers/{arrival.transfer}/{step}"
    # §7.8: how links to a moved instance are built there; ours have no other form.
    return f"{arrival.source_url}/move/{step}{'?subdomain=nested' if step == 'finalize' else ''}"


def wait_of(tries: int) -> timedelta:
    return timedelta(seconds=_WAITS[min(tries, len(_WAITS) - 1)])


def arrivals_sweep(*, now: datetime | None = None) -> None:
    """Repeats nudges to tell, and forgets what came long ago."""
    now = now or timezone.now()
    for import_id in Arrival.objects.exclude(tell="").filter(tell_at__lte=now).values_list("pk", flat=True)[:1000]:
        queue.enqueue(queue.TELL_SOURCE, import_id)
    Received.objects.filter(put_at__lt=now - RECEIVED_LIFE).delete()
