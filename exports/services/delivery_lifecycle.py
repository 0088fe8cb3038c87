"""The only writer of any delivery's state, in the style of `lifecycle`: every move is one conditional UPDATE."""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from exports import queue
from exports.errors import DeliveryNotFailed, LeaseLost, NothingPublished
from exports.models import Delivery, Export, NotificationKind, Run
from exports.models.export import ExportType
from exports.services import lifecycle, notification_rows
from exports.services.content_events import copies_write
from exports.states import DELIVERY_ACTIVE, DELIVERY_TRANSITIONS, DOWNLOADABLE, DeliveryState, RunState

#: Before the second try, the third, and so on; one more try than waits.
WAITS = tuple(timedelta(minutes=minutes) for minutes in (1, 5, 25, 60, 180))
TRIES = len(WAITS) + 1
#: Lines of a delivery's log that are kept.
LOG_LINES = 200
_WARNING = re.compile(r"Transport [0-9]+ \([a-z0-9]+\) failed: ")


def transition(delivery_id: int, to: DeliveryState, *, holding: int | None = None, **fields: object) -> bool:
    """Move a delivery to `to` if its state allows it and (with a fencing number) it is still the caller's."""
    allowed = [state for state, after in DELIVERY_TRANSITIONS.items() if to in after]
    rows = Delivery.objects.filter(pk=delivery_id, state__in=allowed)
    if holding is not None:
        rows = rows.filter(fence=holding)
    return bool(rows.update(state=to, **fields))


def deliveries_order(run: Run) -> None:
    """One pending delivery for each transport that something has to be sent for. In the caller's transaction.

    Changes since the last run that are none are not sent.
    """
    if run.order.get("type") == ExportType.INCREMENTAL and run.entry_count == 1:
        return
    for transport in run.export.transports.all() if run.export else ():
        if transport.type == "download" and not (transport.email or {}).get("recipients"):
            continue
        delivery, made = Delivery.objects.get_or_create(
            run=run,
            position=transport.position,
            defaults={
                "transport": transport,
                "type": transport.type,
                "packer": transport.packer,
                "options": transport.options,
                "secrets": transport.secrets,
                "email": transport.email,
            },
        )
        if made:
            queue.enqueue(queue.DELIVER, delivery.pk)


@transaction.atomic
def claim(*, delivery_id: int) -> Delivery | None:
    """The delivery, processing and the caller's as long as its heart beats; None when there is nothing to claim.

    The run is locked meanwhile, so that it does not expire in between.
    """
    run_id = Delivery.objects.filter(pk=delivery_id).values_list("run", flat=True).first()
    run = Run.objects.select_for_update().filter(pk=run_id).first()
    due = Delivery.objects.filter(pk=delivery_id, next_at__lte=timezone.now())
    if run is None or not due.exists():
        return None
    if run.state not in DOWNLOADABLE:
        told = {"code": NothingPublished.code, "message": "The archive is not there any more.", "permanent": True}
        transition(delivery_id, DeliveryState.FAILED, error=told, finished_at=timezone.now())
        return None
    now = timezone.now()
    moves = {"fence": F("fence") + 1, "attempts": F("attempts") + 1, "heartbeat_at": now, "bytes_done": 0}
    if not transition(delivery_id, DeliveryState.PROCESSING, **moves):
        return None
    return Delivery.objects.select_related("run__export__owner", "transport").get(pk=delivery_id)


def heartbeat(delivery: Delivery, **progress: object) -> None:
    """Renew the lease and publish progress. Raises LeaseLost when it is somebody else's, changed, or deleted."""
    mine = Delivery.objects.filter(pk=delivery.pk, fence=delivery.fence, state=DeliveryState.PROCESSING)
    if not mine.update(heartbeat_at=timezone.now(), **progress):
        raise LeaseLost(run_id=delivery.run_id)


@transaction.atomic
def finish(delivery: Delivery, *, log: list[str], bytes_done: int, placed: Sequence[Mapping[str, object]] = ()) -> None:
    """`placed`: see `services.placed`. Raises LeaseLost."""
    fields = {"finished_at": timezone.now(), "log": log[-LOG_LINES:], "error": None, "bytes_done": bytes_done}
    fields["placed"] = list(placed)
    if not transition(delivery.pk, DeliveryState.DONE, holding=delivery.fence, **fields):
        raise LeaseLost(run_id=delivery.run_id)
    copies_write(delivery)
    _event(delivery, "EXPORT_TRANSPORT_FINISH", DeliveryState.DONE, log, None)


@transaction.atomic
def fail(delivery: Delivery, *, message: str, permanent: bool, log: list[str]) -> bool:
    """Wait for the next try, or give up. Whether it was given up. Raises LeaseLost."""
    told = {"code": "transport_failed", "message": message, "permanent": permanent}
    again = not permanent and delivery.attempts < TRIES
    now = timezone.now()
    if again:
        log = [*log, f"Next try in {_minutes(WAITS[delivery.attempts - 1])}."]
        fields = {"next_at": now + WAITS[delivery.attempts - 1]}
        moved = transition(
            delivery.pk, DeliveryState.PENDING, holding=delivery.fence, error=told, log=log[-LOG_LINES:], **fields
        )
    else:
        moved = _give_up(delivery, told, log)
    if not moved:
        raise LeaseLost(run_id=delivery.run_id)
    return not again


def _give_up(delivery: Delivery, told: dict[str, object], log: list[str]) -> bool:
    fields = {"error": told, "log": log[-LOG_LINES:], "finished_at": timezone.now()}
    if not transition(delivery.pk, DeliveryState.FAILED, holding=delivery.fence, **fields):
        return False
    _event(delivery, "EXPORT_TRANSPORT_FAILED", DeliveryState.FAILED, log, told)
    warn(delivery.run_id, f"Transport {delivery.position + 1} ({delivery.type}) failed: {told['message']}")
    return True


def about_contents(warnings: Iterable[str]) -> list[str]:
    """Those that tell of the archives themselves: where else they should have gone is the owner's business."""
    return [warning for warning in warnings if not _WARNING.match(warning)]


@transaction.atomic
def warn(run_id: int, warning: str) -> None:
    """The run has arrived with a warning more; its archives are not touched."""
    run = Run.objects.select_for_update().get(pk=run_id)
    if warning in run.warnings:
        return
    warnings = [*run.warnings, warning]
    moved = lifecycle.transition(
        run_id,
        RunState.DONE_WITH_WARNINGS,
        info={"protocol": "\n".join(warnings)},
        warnings=warnings,
        finished_at=run.finished_at,
    )
    if not moved:  # it has warnings already, or has expired
        Run.objects.filter(pk=run_id).update(warnings=warnings)
        notification_rows.outcome_notify(run=run, kind=NotificationKind.WARNINGS)


@transaction.atomic
def delivery_retry(*, delivery: Delivery) -> None:
    """Once more from the first try. Raises DeliveryNotFailed, or NothingPublished when the archive has expired."""
    run = Run.objects.select_for_update().get(pk=delivery.run_id)
    if run.state not in DOWNLOADABLE:
        raise NothingPublished(id=run.export_id, state=run.state)
    fields = {"attempts": 0, "next_at": timezone.now(), "finished_at": None}
    if not transition(delivery.pk, DeliveryState.PENDING, **fields):
        delivery.refresh_from_db()
        raise DeliveryNotFailed(state=delivery.state)
    queue.enqueue(queue.DELIVER, delivery.pk)


@transaction.atomic
def deliveries_cancel(*, export: Export) -> int:
    """What was ordered before an update does not go out any more; a worker hears of it at its next heartbeat."""
    told = {"code": "export_changed", "message": "The export was changed.", "permanent": True}
    rows = Delivery.objects.filter(run__export=export, state__in=DELIVERY_ACTIVE)
    moves = {"error": told, "finished_at": timezone.now()}
    return sum(transition(pk, DeliveryState.FAILED, **moves) for pk in rows.values_list("pk", flat=True))


def deliveries_requeue(*, now: datetime | None = None) -> int:
    """Give deliveries whose worker went silent to another one, and nudge for all that are due. How many were lost."""
    now = now or timezone.now()
    silent = Delivery.objects.filter(state=DeliveryState.PROCESSING, heartbeat_at__lt=now - settings.EXPORT_LEASE)
    lost = 0
    for delivery in silent.iterator():
        with transaction.atomic():
            if delivery.attempts >= TRIES:
                told = {"code": "lost", "message": "Its worker was lost too often.", "permanent": False}
                lost += _give_up(delivery, told, delivery.log)
            else:
                lost += transition(delivery.pk, DeliveryState.PENDING, holding=delivery.fence, next_at=now)
    due = Delivery.objects.filter(state=DeliveryState.PENDING, next_at__lte=now)
    for delivery_id in list(due.order_by("next_at").values_list("pk", flat=True)[:1000]):
        queue.enqueue(queue.DELIVER, delivery_id)
    return lost


def _event(
    delivery: Delivery, type: str, state: DeliveryState, log: list[str], error: dict[str, object] | None
) -> None:
    run = Run.objects.select_related("export", "owner").get(pk=delivery.run_id)
    info: dict[str, object] = {
        "transport": {"type": delivery.type, "uuid": str(delivery.transport.uuid) if delivery.transport else None},
        "transport_state": str(state),
        "transport_log": "\n".join(log[-LOG_LINES:]),
    }
    sent = (delivery.email or {}).get("sent")
    info |= {"email_sent_to": sent} if sent else {}
    info |= {"error": error} if error else {}
    lifecycle.event_write(type=type, export=run.export, run=run, user=run.owner, info=info)


def _minutes(wait: timedelta) -> str:
    minutes = int(wait.total_seconds() // 60)
    return f"{minutes} minute{'s' if minutes > 1 else ''}"
