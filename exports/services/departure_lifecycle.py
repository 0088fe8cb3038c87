"""The only writer of any departure's state: every move is one conditional UPDATE, with what it means for the cell.

Whoever needs both holds the cell first, then the departure: nobody waits for anybody in a ring.
"""

from contextlib import AbstractContextManager
from datetime import timedelta
from urllib.parse import urlsplit

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from cells.errors import DomainError
from cells.models import AccessToken, Cell
from cells.quota import cell_holding, writable_check
from exports import queue
from exports.errors import CellBusy, MoveAborted, MoveDecided, MoveSecretInvalid, TransferNotReady
from exports.models import Departure, Run
from exports.services import cell_jobs, notification_rows
from exports.services.lifecycle import event_write, run_stop
from exports.states import ACTIVE, DEPARTURE_TRANSITIONS, DepartureState

#: For the owner to confirm (`spec/move.md §7.4`).
ASKED_TTL = timedelta(minutes=5)
EVENTS = {
    DepartureState.ASKED: "MOVE_ASKED",
    DepartureState.EXPORTING: "MOVE_START",
    DepartureState.OFFERED: "MOVE_OFFERED",
    DepartureState.HOLDING: "MOVE_HOLD",
    DepartureState.HELD: "MOVE_HELD",
    DepartureState.MOVED: "MOVE_FINISH",
    DepartureState.ABORTED: "MOVE_ABORTED",
}


def departure_create(*, cell: Cell, owner: User, **fields: object) -> Departure:
    """A departure that waits to be confirmed, instead of another of the cell. Raises CellBusy, CellMoved, CellHeld."""
    with cell_holding(cell) as locked:
        departable_check(locked)
        for other in Departure.objects.filter(cell=locked, state=DepartureState.ASKED):
            transition(other, DepartureState.ABORTED, error=told(MoveAborted(reason="another was asked for")))
        found = Departure.objects.create(cell=locked, owner=owner, **fields)
        event_write(type=EVENTS[DepartureState.ASKED], user=owner, info=_info(found))
    return found


def departable_check(cell: Cell) -> None:
    """Raises CellBusy, CellMoved, CellHeld. The caller holds the cell."""
    writable_check(cell)
    if job := cell_jobs.cell_job(cell=cell):
        raise CellBusy(name=cell.name, job=job)


def transition(departure: Departure, to: DepartureState, *, only: Q | None = None, **fields: object) -> bool:
    """Move it to `to` if its state (and `only`) allows it; whether it moved. `fields` change with it."""
    allowed = [state for state, after in DEPARTURE_TRANSITIONS.items() if to in after]
    rows = Departure.objects.filter(only or Q(), pk=departure.pk, state__in=allowed)
    if to in (DepartureState.MOVED, DepartureState.ABORTED):
        fields.setdefault("finished_at", timezone.now())
    with transaction.atomic():
        if not rows.update(state=to, **fields):
            return False
        departure.refresh_from_db()
        info = _info(departure) | ({"exception": departure.error} if to == DepartureState.ABORTED else {})
        event_write(type=EVENTS[to], user=departure.owner, info=info)
    return True


def departure_confirm(departure: Departure, **fields: object) -> None:
    """ASKED → EXPORTING. Raises CellBusy, CellMoved, CellHeld, MoveSecretInvalid when it came too late."""
    fresh = Q(created_at__gt=timezone.now() - ASKED_TTL)
    with cell_holding(departure.cell) as locked:
        departable_check(locked)
        if not transition(departure, DepartureState.EXPORTING, only=fresh, **fields):
            raise MoveSecretInvalid


def departure_hold(departure: Departure, **fields: object) -> bool:
    """OFFERED → HOLDING: from the commit on nobody writes the cell, and whoever did has committed. Whether it moved."""
    with cell_holding(departure.cell) as locked:
        departure.refresh_from_db()
        if departure.state != DepartureState.OFFERED:
            return False
        writable_check(locked)
        now = timezone.now()
        moved = transition(departure, DepartureState.HOLDING, held_at=now, **fields)
        if moved:
            Cell.objects.filter(pk=locked.pk).update(held_at=now)
    return moved


def _holding(departure: Departure) -> AbstractContextManager[Cell | None]:
    """With the cell, unless it was deleted: the row of a large one is there until all of it has gone."""
    here = Cell.objects.filter(pk=departure.cell_id).first()
    return cell_holding(here) if here else transaction.atomic()


def departure_finalize(departure: Departure, *, digest: str = "") -> None:
    """The one decision: the cell has moved. Harmless when repeated.

    `digest`: of what the other server is ready to show; only a classic move may do without, which was never held.
    Raises MoveAborted, TransferNotReady (also for another digest): nothing is changed then.
    """
    ready = Q(state=DepartureState.OFFERED, classic=True)
    if digest:
        ready = Q(state=DepartureState.HELD, classic=False, digest=digest)
    with _holding(departure) as here:
        if here and transition(departure, DepartureState.MOVED, only=ready, tell="", secrets=b""):
            moved_at = departure.finished_at
            Cell.objects.filter(pk=departure.cell_id).update(held_at=moved_at, moved_to=_moved_to(departure))
            _over(departure)
            return
        departure.refresh_from_db()
        if departure.state == DepartureState.ABORTED:
            raise MoveAborted(reason=(departure.error or {}).get("message", ""))
        if departure.state != DepartureState.MOVED or (digest and digest != departure.digest):
            raise TransferNotReady(state=departure.state)


def _moved_to(departure: Departure) -> str:
    """With a path: the cell's address at another exportsite, where everything is as here. Without: another server."""
    url = urlsplit(departure.target_url)
    return url._replace(path="").geturl() if departure.classic else url.geturl()


def departure_abort(departure: Departure, reason: DomainError, *, tell: bool = True, mail: bool = True) -> bool:
    """The cell may be written again; the other server is told, if it knows. Whether it was under way until now.

    `mail`: the owner hears of it from nobody else.
    Raises MoveDecided when it has moved.
    """
    with _holding(departure):
        departure.refresh_from_db()
        begun = departure.state != DepartureState.ASKED
        known = tell and begun
        error = told(reason)
        after = {"tell": "abort" if known else "", "tell_at": timezone.now(), "tries": 0, "error": error}
        after |= {} if known else {"secrets": b""}
        if transition(departure, DepartureState.ABORTED, **after):
            if departure.held_at is not None:
                Cell.objects.filter(pk=departure.cell_id).update(held_at=None)
            _over(departure)
            if known:
                queue.enqueue(queue.TELL_TARGET, departure.uid)
            if mail and begun:
                notification_rows.departure_notify(departure=departure)
            return True
        if departure.state == DepartureState.MOVED:
            raise MoveDecided(url=departure.target_url)
    return False


def _over(departure: Departure) -> None:
    """What was frozen for it may expire, and its token opens nothing any more but this transfer's own doors.

    A classic move's stays until it expires, so that finalize may be repeated.
    """
    runs = Run.objects.filter(pk__in=[departure.run_id, departure.held_run_id])
    for run in runs.filter(state__in=ACTIVE):
        run_stop(run=run)
    runs.update(expires_at=timezone.now())
    if not departure.classic or departure.state == DepartureState.ABORTED:
        AccessToken.objects.filter(digest=departure.token_digest).delete()


def told(error: DomainError) -> dict[str, str]:
    return {"code": error.code, "message": str(error)}


def _info(departure: Departure) -> dict[str, object]:
    cell = departure.cell.name if departure.cell else ""
    return {"state": str(departure.state), "departure": departure.uid, "cell": cell}
