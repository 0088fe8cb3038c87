"""Taking a published run's archives to one place: claim, carry, compare, tell. The run itself is never at risk."""

import logging
from time import monotonic

from django.conf import settings
from django.db import OperationalError, transaction
from django.utils import timezone

from cells.errors import DomainError
from exports.errors import LeaseLost
from exports.models import Delivery
from exports.registry import TRANSPORTS
from exports.services import delivery_lifecycle, lifecycle
from exports.services.beats import Beats
from exports.services.canary import delivery_test, target
from exports.services.delivery_lifecycle import LOG_LINES, deliveries_cancel, delivery_retry
from exports.services.placed import Placed, placed_before
from exports.services.progress import BEAT_SECONDS
from exports.services.shipment import RunShipment
from exports.transports.base import TransportError

__all__ = ["deliver", "deliveries_cancel", "delivery_retry", "delivery_test"]

log = logging.getLogger(__name__)


def deliver(*, delivery_id: int) -> Delivery | None:
    """One try of a due delivery. Harmless when called twice, at once, or for one that is over: then None."""
    delivery = delivery_lifecycle.claim(delivery_id=delivery_id)
    if delivery is None:
        return None
    progress = DeliveryProgress(delivery)
    try:
        with progress.beats:
            placed = _carry(delivery, progress)
        delivery_lifecycle.finish(delivery, log=progress.log, bytes_done=progress.done, placed=placed)
    except LeaseLost:
        log.warning("delivery %s: it is another worker's, or not wanted any more", delivery.pk)
    except TransportError as error:
        _fail(delivery, progress, str(error), permanent=error.permanent)
    except DomainError as error:
        _fail(delivery, progress, str(error), permanent=True)
    except OperationalError:
        raise  # the database went away: the lease ends, and somebody goes on
    except OSError as error:
        _fail(delivery, progress, error.strerror or type(error).__name__, permanent=False)
    except Exception as error:
        # Not the traceback: a library's message may hold what the other side was told.
        log.error("delivery %s failed: %s", delivery.pk, type(error).__name__)
        _fail(delivery, progress, "Internal error.", permanent=True)
    return Delivery.objects.filter(pk=delivery.pk).first()


def _carry(delivery: Delivery, progress: "DeliveryProgress") -> list[Placed]:
    carrier = TRANSPORTS.load(delivery.type).CARRIER
    shipment = RunShipment(delivery.run, delivery.packer, placed_before(delivery))
    delivery.bytes_planned = shipment.size()
    delivery_lifecycle.heartbeat(delivery, bytes_planned=delivery.bytes_planned)
    progress.note(f"Try {delivery.attempts}.")
    carrier.deliver(target(delivery), shipment, progress)
    return shipment.placed()


def _fail(delivery: Delivery, progress: "DeliveryProgress", message: str, *, permanent: bool) -> None:
    progress.log.append(f"{timezone.now():%Y-%m-%d %H:%M:%S} {message}")
    try:
        delivery_lifecycle.fail(delivery, message=message, permanent=permanent, log=progress.log)
    except LeaseLost:
        log.warning("delivery %s: failed after its lease was lost", delivery.pk)


class DeliveryProgress:
    """Publishes progress, and finds out that the delivery is not ours any more (LeaseLost).

    A thread keeps the lease while the other side keeps us waiting; the carrier's own calls notice when it was lost.
    """

    def __init__(self, delivery: Delivery) -> None:
        self._delivery = delivery
        self.log: list[str] = list(delivery.log)
        self.done = 0
        self._next = 0.0
        self.beats = Beats(
            lambda: delivery_lifecycle.heartbeat(delivery),
            settings.EXPORT_LEASE.total_seconds() / 3,
            f"delivery {delivery.pk}",
        )

    def tick(self, count: int) -> None:
        self.done += count
        self.beats.check()
        if monotonic() >= self._next:
            self._beat()

    def note(self, line: str) -> None:
        self.log = [*self.log, f"{timezone.now():%Y-%m-%d %H:%M:%S} {line[:1000]}"][-LOG_LINES:]
        self._beat()

    def finished(self, key: str) -> bool:
        return key in (self._delivery.email or {}).get("sent", ())

    @transaction.atomic
    def finish(self, key: str) -> None:
        """Only mails are finished one by one: `key` is the address."""
        email = self._delivery.email or {}
        self._delivery.email = {**email, "sent": [*email.get("sent", ()), key]}
        delivery_lifecycle.heartbeat(self._delivery, email=self._delivery.email)
        run, told = self._delivery.run, {"email_sent_to": [key], "transport": {"type": self._delivery.type}}
        lifecycle.event_write(type="EMAIL_SENT", export=run.export, run=run, user=run.owner, info=told)

    def _beat(self) -> None:
        self._next = monotonic() + BEAT_SECONDS
        delivery_lifecycle.heartbeat(self._delivery, bytes_done=self.done, log=self.log)
