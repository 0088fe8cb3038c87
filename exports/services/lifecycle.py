"""The only writer of any run's state: every move is one conditional UPDATE and one event."""

import logging
from datetime import datetime, timedelta

from django.conf import settings
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import F, Q
from django.utils import timezone

from cells.errors import DomainError
from cells.models import Cell
from exports import broadcast, queue
from exports.errors import AlreadyRunning, LeaseLost, RunLost, RunStopped
from exports.models import Event, Export, NotificationKind, Run
from exports.services import notification_rows, schedule_rows, snapshot_rows
from exports.services.acting import acting
from exports.states import ACTIVE, TRANSITIONS, RunState

#: One line for each thing that happens, also in the terminal of `make run`.
log = logging.getLogger("exports.events")

#: A run that lost its worker so often takes every worker down; it fails instead.
ATTEMPTS = 3

EVENTS = {
    RunState.PROCESSING: "EXPORT_START",
    RunState.DONE: "EXPORT_FINISH",
    RunState.DONE_WITH_WARNINGS: "EXPORT_FINISH",
    RunState.FAILED: "EXPORT_FAILED",
    RunState.STOPPED: "EXPORT_STOPPED",
    RunState.EXPIRED: "EXPORT_EXPIRED",
    RunState.PENDING: "EXPORT_REQUEUED",
}


def event_write(
    *,
    type: str,
    export: Export | None = None,
    run: Run | None = None,
    user: User | None = None,
    info: dict | None = None,
) -> Event:
    event = Event.objects.create(
        type=type,
        user=user,
        export_id=export.pk if export else run and run.export_id,
        export_version=export.version if export else run and run.order.get("version"),
        run_id=run and run.pk,
        info=info or {},
        **acting()._asdict(),
    )
    level = logging.WARNING if type.endswith("_FAILED") else logging.INFO
    log.log(level, "%s export=%s run=%s user=%s", type, event.export_id, event.run_id, user and user.pk)
    return event


@transaction.atomic
def run_create(*, export: Export | None, owner: User, order: dict, cell: Cell | None = None, nudge: bool = True) -> Run:
    """A pending run, announced to the workers after commit unless the caller runs it. Raises AlreadyRunning."""
    try:
        with transaction.atomic():
            run = Run.objects.create(export=export, cell=cell, owner=owner, order=order, nudged_at=timezone.now())
    except IntegrityError as error:
        raise AlreadyRunning(id=export and export.pk) from error
    if export:
        export.current_run = run
        export.save(update_fields=["current_run"])
    if nudge:
        queue.enqueue(queue.RUN_EXPORT, run.pk)
    return run


@transaction.atomic
def transition(
    run_id: int, to: RunState, *, holding: int | None = None, info: dict | None = None, **fields: object
) -> bool:
    """Move a run to `to` if it is in a state that allows it and (with a fencing number) still the caller's.

    Whether it moved.

    `fields` change with it, in the same UPDATE.
    """
    allowed = [state for state, after in TRANSITIONS.items() if to in after]
    rows = Run.objects.filter(pk=run_id, state__in=allowed)
    if holding is not None:
        rows = rows.filter(fence=holding)
    if to not in ACTIVE and to is not RunState.EXPIRED:
        fields.setdefault("finished_at", timezone.now())
    if not rows.update(state=to, **fields):
        return False
    run = Run.objects.select_related("export", "cell").get(pk=run_id)
    snapshot_rows.outcome_place(run=run, state=to)
    idle, kind = _is_idle(run, to), notification_rows.KINDS.get(to)
    if not idle:
        told = {"state": str(to), **(info or {})}
        event_write(type=EVENTS[to], export=run.export, run=run, user=run.owner, info=told)
    if schedule_rows.outcome_note(run=run, state=to):
        off = {"state": str(to), "failures": schedule_rows.FAILURES, "exception": run.error}
        event_write(type="EXPORT_SCHEDULE_OFF", export=run.export, run=run, user=run.owner, info=off)
        kind = NotificationKind.SCHEDULE_OFF
    if not idle:
        notification_rows.outcome_notify(run=run, kind=kind)
    broadcast.tell(broadcast.EXPORTS)
    return True


def _is_idle(run: Run, to: RunState) -> bool:
    """A schedule that found nothing writes no finish event (`spec/v1.md §10`)."""
    return to is RunState.DONE and "scheduled" in run.order and run.entry_count == 1


def claim(*, run_id: int) -> Run | None:
    """The run, processing and the caller's as long as its heart beats; None when there is nothing to claim."""
    if not transition(run_id, RunState.PROCESSING, fence=F("fence") + 1, heartbeat_at=timezone.now()):
        return None
    Run.objects.filter(pk=run_id, started_at=None).update(started_at=timezone.now())
    return Run.objects.select_related("export", "owner").get(pk=run_id)


def heartbeat(run: Run, **progress: object) -> None:
    """Renew the lease and publish progress. Raises LeaseLost, or RunStopped when somebody asked to stop."""
    mine = Run.objects.filter(pk=run.pk, fence=run.fence, state=RunState.PROCESSING)
    if not mine.update(heartbeat_at=timezone.now(), **progress):
        raise LeaseLost(run_id=run.pk)
    if mine.filter(stop_requested=True).exists():
        raise RunStopped(run_id=run.pk)


@transaction.atomic
def publish(run: Run, *, warnings: list[str], missing: int) -> None:
    """The run is done, and its archives are the ones on offer, in one step. Raises LeaseLost."""
    now = timezone.now()
    state = RunState.DONE_WITH_WARNINGS if warnings or missing else RunState.DONE
    moved = transition(
        run.pk,
        state,
        holding=run.fence,
        info={"protocol": "\n".join(warnings), "entries": run.entry_count, "missing": missing},
        warnings=warnings,
        # What lies in a snapshot area stays until somebody deletes it there.
        expires_at=None if run.cell_id else now + settings.EXPORT_EXPIRE,
        bytes_done=F("bytes_planned"),
        phase="",
    )
    if not moved:
        raise LeaseLost(run_id=run.pk)
    Export.objects.filter(pk=run.export_id, current_run=run).update(published_run=run)


def run_fail(run: Run, error: DomainError | None = None) -> bool:
    """The run failed, for a reason people can read; None is a fault of ours that only the log explains."""
    told = {"code": error.code, "message": str(error)} if error else {"code": "internal", "message": "Internal error."}
    return transition(run.pk, RunState.FAILED, holding=run.fence, info={"exception": told}, error=told)


def run_end_stopped(run: Run) -> bool:
    told = {"code": RunStopped.code, "message": str(RunStopped(run_id=run.pk))}
    return transition(run.pk, RunState.STOPPED, holding=run.fence, error=told)


def run_stop(*, run: Run) -> None:
    """A pending run stops at once; a processing one hears of it at its next heartbeat (within a second)."""
    Run.objects.filter(pk=run.pk, state__in=ACTIVE).update(stop_requested=True)
    with transaction.atomic():
        if Run.objects.select_for_update().filter(pk=run.pk, state=RunState.PENDING).exists():
            run_end_stopped(Run.objects.get(pk=run.pk))


def requeue_lost(*, now: datetime | None = None) -> int:
    """Give runs whose worker went silent to another one, and repeat nudges that were lost. How many were lost."""
    now = now or timezone.now()
    silent = Run.objects.filter(state=RunState.PROCESSING, heartbeat_at__lt=now - settings.EXPORT_LEASE)
    lost = 0
    for run in silent.iterator():
        if run.fence >= ATTEMPTS:
            lost += run_fail(run, RunLost(run_id=run.pk, attempts=run.fence))
        elif transition(run.pk, RunState.PENDING, holding=run.fence, nudged_at=None):
            lost += 1
    unheard = now - timedelta(seconds=queue.NUDGE_SECONDS)
    waiting = Run.objects.filter(Q(nudged_at=None) | Q(nudged_at__lt=unheard), state=RunState.PENDING)
    for run_id in list(waiting.order_by("pk").values_list("pk", flat=True)[:1000]):
        Run.objects.filter(pk=run_id).update(nudged_at=now)
        queue.enqueue(queue.RUN_EXPORT, run_id)
    return lost
