"""A cell moves to another server: what its owner, the other server and the clock do to a departure
(`spec/move.md §7`, docs/moving.md).

asked → exporting → offered → holding → held → moved, and from everywhere before moved → aborted. Rows decide: whatever
is to be told to the other server is written down first, and told again and again until it was heard.
"""

import hmac
import logging
import secrets
from datetime import datetime, timedelta
from hashlib import sha256
from http import HTTPStatus
from urllib.parse import urlencode, urlsplit

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Greatest
from django.utils import timezone

from cells import tokens
from cells.errors import CellNotFound, DomainError, NameRefused
from cells.models import Cell
from cells.validators import cell_name
from exports import queue
from exports.errors import (
    MoveAborted,
    MoveIncomplete,
    MoveNotFound,
    MoveSecretInvalid,
    MoveSilent,
    MoveTargetInvalid,
    MoveTargetRefused,
    MoveTargetUnreachable,
    TransferNotFound,
    TransferNotReady,
)
from exports.models import Departure, Run
from exports.services import departure_lifecycle, lifecycle, move_calls, move_exports, move_links, transfers
from exports.services.departure_lifecycle import ASKED_TTL, departure_abort, departure_finalize
from exports.services.secrets import secrets_open, secrets_seal
from exports.states import ACTIVE, DEPARTURE_ACTIVE, DepartureState, RunState
from exports.transports.base import TransportError

__all__ = [
    "departure_abort",
    "departure_finalize",
    "departure_go",
    "departure_hold",
    "departure_of",
    "departure_request",
    "departures_sweep",
    "run_settled",
    "tell_target",
]

log = logging.getLogger(__name__)

#: In the answer to POST /move/importing: the other server knows transfers, and not only what the spec says.
TRANSFER_HEADER = "Exportsite-Move"
TRANSFER = "transfer"
#: There too: the name of the cell that it moves into.
CELL_HEADER = "Exportsite-Cell"
#: An offer that nobody takes any notice of ends after so long; before it is held nobody waits for it.
OFFER_SILENCE = timedelta(days=1)
#: Nobody writes a cell for longer, whatever the other server says.
LONGEST_HELD = timedelta(days=1)
#: What an old server fetches is kept for so long (`spec/move.md §4.2.2`); it says nothing meanwhile.
CLASSIC_SILENCE = timedelta(days=7)
_TOKEN_LIFE = timedelta(days=8)
#: What the other server's token is good for: to finalize or abort this move, and nothing else. With `io.cozy.imports`
#: it could have replaced the cell, by a body that it kept back until it had aborted.
SCOPE = "io.cozy.exports.moves"
_WAITS = (2, 5, 10, 30, 60, 120, 300)


def departure_request(
    *, cell: Cell, owner: User, target_url: str, target_token: str, base_url: str, ignore_vault: bool = False
) -> tuple[Departure, str]:
    """A departure that waits for its owner's word, and the secret that gives it: 16 hex digits, good for ASKED_TTL.

    `target_url`: of the other server, or of the cell there; `target_token` opens that cell for POST on io.cozy.imports.
    `base_url`: where the owner came by. Dials nobody. Raises MoveTargetInvalid, CellBusy, CellHeld, CellMoved.
    """
    url = target_checked(target_url, base_url)
    secret = secrets.token_hex(8)
    departure = departure_lifecycle.departure_create(
        cell=cell,
        owner=owner,
        target_url=url,
        base_url=base_url.rstrip("/"),
        ignore_vault=ignore_vault,
        secret_digest=_digest(secret),
        secrets=secrets_seal({"target_token": target_token}),
    )
    return departure, secret


def target_checked(url: str, base_url: str) -> str:
    """Without what a move has no use for. A cell may move to another cell of the same server, but not to itself.

    Raises MoveTargetInvalid.
    """
    try:
        parts = move_links.checked(url.strip())
    except MoveNotFound as error:
        raise MoveTargetInvalid from error
    path = parts.path.rstrip("/")
    if (parts.netloc, path) == (urlsplit(base_url).netloc, urlsplit(base_url).path.rstrip("/")):
        raise MoveTargetInvalid
    return parts._replace(path=path, query="", fragment="").geturl()


def departure_go(*, secret: str, user: User) -> Departure:
    """The owner's word: the other server is told, and the export begins. Harmless when repeated with the same secret.

    The other server's page to wait on is `<target_url>/move/importing`. Raises MoveSecretInvalid, CellBusy, CellHeld,
    CellMoved, MoveTargetUnreachable, MoveTargetRefused; the departure still waits then.
    """
    asked = Departure.objects.filter(cell__isnull=False, owner=user, created_at__gt=timezone.now() - ASKED_TTL)
    departure = asked.select_related("cell", "owner").filter(secret_digest=_digest(secret)).first()
    if departure is None:
        raise MoveSecretInvalid
    if departure.state in DEPARTURE_ACTIVE:
        return departure
    departure_lifecycle.departable_check(departure.cell)
    query = urlencode({"source": urlsplit(departure.base_url).netloc})
    try:
        answer = _ask_target(departure, f"importing?{query}", doing="announce the move")
    except (MoveNotFound, TransportError) as error:
        raise MoveTargetUnreachable from error
    if not answer.accepted:
        raise MoveTargetRefused(reason=answer.reason())
    classic = answer.headers.get(TRANSFER_HEADER) != TRANSFER
    told = None if classic else answer.headers.get(CELL_HEADER)
    _begin(departure, classic=classic, target_url=_target(departure, told))
    return departure


def _target(departure: Departure, cell: str | None) -> str:
    """Where the cell will be: of another exportsite the cell's own address, so that everything can be led there."""
    try:
        return (
            urlsplit(departure.target_url)._replace(path=f"/{cell_name(cell)}").geturl()
            if cell
            else departure.target_url
        )
    except NameRefused as error:
        raise MoveTargetRefused(reason="it has no name for the cell") from error


@transaction.atomic
def _begin(departure: Departure, *, classic: bool, target_url: str) -> None:
    cell, owner = departure.cell, departure.owner
    token = tokens.token_create(user=owner, cell=cell, scopes=[SCOPE], expires=_TOKEN_LIFE)
    departure_lifecycle.departure_confirm(
        departure,
        classic=classic,
        target_url=target_url,
        token_digest=tokens.digest(token),
        secrets=secrets_seal({**secrets_open(departure.secrets), "token": token}),
        run=_run(departure, classic=classic),
    )


def _run(departure: Departure, *, classic: bool = False, proved: bool = True) -> Run:
    if classic:
        return move_exports.move_export_create(cell=departure.cell, base_url=departure.base_url).run
    order = transfers.order(departure.cell, proved=proved)
    return lifecycle.run_create(export=None, owner=departure.owner, order=order)


def departure_of(*, uid: str = "", cell: Cell | None = None, token: str) -> Departure:
    """The departure that the other server speaks of: by its id, or as the last one of `cell`; with the token that it
    was given, which is good for as long as the row is there. It has been heard. Raises TransferNotFound."""
    rows = Departure.objects.select_related("cell", "owner", "run", "held_run").order_by("-created_at")
    found = (rows.filter(cell=cell) if cell is not None else rows.filter(uid=uid)).exclude(token_digest="")
    departure = found.filter(token_digest=tokens.digest(token)).first()
    if departure is None or not hmac.compare_digest(departure.token_digest, tokens.digest(token)):
        raise TransferNotFound
    Departure.objects.filter(pk=departure.pk).update(heard_at=timezone.now())
    return departure


def departure_hold(departure: Departure) -> None:
    """From now on nobody writes the cell, and what was written meanwhile is frozen. Harmless when repeated.

    Raises TransferNotReady, MoveAborted.
    """
    if departure.state == DepartureState.OFFERED and not departure.classic:
        with transaction.atomic():
            if not departure_lifecycle.departure_hold(departure, held_run=_run(departure, proved=False)):
                transaction.set_rollback(True)
    departure.refresh_from_db()
    if departure.state == DepartureState.ABORTED:
        raise MoveAborted(reason=(departure.error or {}).get("message", ""))
    if departure.state not in (DepartureState.HOLDING, DepartureState.HELD):
        raise TransferNotReady(state=departure.state)


def run_settled(*, run_id: int) -> None:
    """What was frozen for a departure is done, or is not: the departure goes on, or ends. Harmless when repeated."""
    row = Departure.objects.select_related("cell", "owner", "run", "held_run")
    departure = row.filter(Q(run=run_id) | Q(held_run=run_id), state__in=DEPARTURE_ACTIVE).first()
    run = departure and (departure.held_run if departure.state == DepartureState.HOLDING else departure.run)
    if run is None or run.pk != run_id or run.state in ACTIVE:
        return
    if run.state != RunState.DONE:
        departure_abort(departure, _failure(run))
    elif departure.state == DepartureState.EXPORTING:
        told = {"tell": "offer", "tell_at": timezone.now(), "heard_at": timezone.now()}
        if departure_lifecycle.transition(departure, DepartureState.OFFERED, **told, **_facts(departure, run)):
            queue.enqueue(queue.TELL_TARGET, departure.uid)
    elif departure.state == DepartureState.HOLDING:
        departure_lifecycle.transition(departure, DepartureState.HELD, **_facts(departure, run))


def _facts(departure: Departure, run: Run) -> dict[str, object]:
    if departure.classic:
        return {}
    facts = transfers.facts(run)
    held = {"digest": facts.digest} if departure.state == DepartureState.HOLDING else {}
    return {"bytes_total": facts.bytes, **held}


def _failure(run: Run) -> DomainError:
    if run.state == RunState.DONE_WITH_WARNINGS:
        return MoveIncomplete(count=len(run.warnings))
    return MoveAborted(reason=(run.error or {}).get("message", "the export is gone"))


def tell_target(*, uid: str) -> None:
    """Say what is to be said to the other server: the offer, or that the move was aborted."""
    departure = Departure.objects.select_related("cell", "owner", "run").filter(uid=uid).first()
    if departure is None or not departure.tell or departure.tell_at > timezone.now():
        return
    mine = Departure.objects.filter(pk=departure.pk, tell=departure.tell)
    try:
        answer = _offer(departure) if departure.tell == "offer" else _ask_target(departure, "abort", doing="abort")
    except (MoveNotFound, TransportError) as error:
        _tell_later(mine, departure, str(error))
        return
    if answer.accepted or (departure.tell == "abort" and answer.final):
        now = timezone.now()
        accepted = {"accepted_at": now} if departure.tell == "offer" else {"secrets": b""}
        mine.update(tell="", tries=0, heard_at=now, **accepted)
    elif answer.final and answer.status != HTTPStatus.CONFLICT:  # a job on the cell there ends
        departure_abort(departure, MoveTargetRefused(reason=answer.reason()), tell=False)
    else:
        _tell_later(mine, departure, answer.reason())


def _offer(departure: Departure) -> move_calls.Answer:
    found: dict[str, object] = {
        "vault": False,
        "move_from": {"url": f"{departure.base_url}/", "token": secrets_open(departure.secrets)["token"]},
    }
    if departure.classic:
        found["url"] = f"{departure.base_url}/#/exports/{move_exports.opaque(departure.run.move)}"
    else:
        found["transfer"] = departure.uid
    return _ask_target(departure, "imports", document={"data": {"attributes": found}}, doing="offer the cell")


def _tell_later(mine, departure: Departure, reason: str) -> None:
    """An abort is told for a day; then the other server asks, if it still wants to know."""
    seconds = _WAITS[min(departure.tries, len(_WAITS) - 1)]
    over = departure.finished_at is not None and departure.finished_at < timezone.now() - OFFER_SILENCE
    again = timezone.now() + timedelta(seconds=seconds)
    mine.update(tries=departure.tries + 1, tell_at=again, **({"tell": "", "secrets": b""} if over else {}))
    log.info("departure %s: the other server was not told %r (%s)", departure.uid, departure.tell, reason)


def _ask_target(departure: Departure, step: str, *, document: object = None, doing: str) -> move_calls.Answer:
    token = secrets_open(departure.secrets)["target_token"]
    url = f"{departure.target_url}/move/{step}"
    return move_calls.ask("POST", url, token=token, document=document, doing=doing)


def departures_sweep(*, now: datetime | None = None) -> int:
    """What the clock does: ends what nobody confirmed or answered, looks after runs, repeats nudges. How many ended."""
    now = now or timezone.now()
    rows = Departure.objects.select_related("cell", "owner", "run", "held_run")
    count = 0
    for departure in rows.filter(state=DepartureState.ASKED, created_at__lte=now - ASKED_TTL):
        count += _end(departure, MoveAborted(reason="nobody confirmed it in time"))
    for departure in rows.filter(Q(cell=None) | Q(cell__removed_at__isnull=False), state__in=DEPARTURE_ACTIVE):
        count += _end(departure, MoveAborted(reason="the cell was deleted"))
    for departure in rows.filter(state__in=(DepartureState.EXPORTING, DepartureState.HOLDING)):
        run = departure.held_run if departure.state == DepartureState.HOLDING else departure.run
        if run is None:
            count += _end(departure, MoveAborted(reason="the export is gone"))
        else:
            run_settled(run_id=run.pk)
    for departure in rows.filter(_silent(now)):
        heard = max(filter(None, (departure.heard_at, departure.held_at)))
        count += _end(departure, MoveSilent(minutes=int((now - heard).total_seconds() // 60)))
    for uid in rows.exclude(tell="").filter(tell_at__lte=now).values_list("uid", flat=True)[:1000]:
        queue.enqueue(queue.TELL_TARGET, uid)
    return count


def _silent(now: datetime) -> Q:
    offered = Q(state=DepartureState.OFFERED)
    return (
        Q(offered, classic=False, heard_at__lt=now - OFFER_SILENCE)
        | Q(offered, classic=True, heard_at__lt=now - CLASSIC_SILENCE)
        | Q(
            pk__in=Departure.objects.filter(state__in=(DepartureState.HOLDING, DepartureState.HELD))
            .annotate(last=Greatest("heard_at", "held_at"))
            .filter(last__lt=now - settings.MOVE_HOLD)
            .values("pk")
        )
        # Whoever waits is heard all the time, also for a freeze that never ends, or a content that cannot be read.
        | Q(state=DepartureState.HOLDING, held_at__lt=now - settings.MOVE_HOLD)
        | Q(state=DepartureState.HELD, held_at__lt=now - LONGEST_HELD)
    )


def _end(departure: Departure, reason: DomainError) -> bool:
    try:
        return departure_abort(departure, reason)
    except (DomainError, CellNotFound):
        return False


def _digest(secret: str) -> str:
    return sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
