"""Sending the mails that `notification_rows` ordered. The row says what was sent."""

import logging
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from exports import queue, selectors
from exports.models import Notification, NotificationKind, Run
from exports.services import lifecycle, move_exports, move_mails
from exports.services.delivery_lifecycle import TRIES, WAITS
from exports.services.schedule_rows import FAILURES
from exports.services.sentences import said, stored_text
from exports.services.shipment import RunShipment
from exports.states import DOWNLOADABLE
from exports.transports.base import TransportError
from exports.transports.email import faults, mail_made, readable_size, speaking

log = logging.getLogger(__name__)

#: No mail server needs longer; a worker that died with the mail in its hands leaves it to another one then.
LEASE = timedelta(minutes=10)
MOST_WARNINGS = 20
#: (subject, first sentence)
_SAID = {
    NotificationKind.DONE: (_("Export {name} is ready"), _("The export “{name}” is ready.")),
    NotificationKind.WARNINGS: (
        _("Export {name} is ready, with warnings"),
        _("The export “{name}” is ready, with warnings."),
    ),
    NotificationKind.FAILED: (_("Export {name} has failed"), _("The export “{name}” has failed.")),
    NotificationKind.SCHEDULE_OFF: (
        _("Export {name} is not run by its schedule any more"),
        _(
            "The export “{name}” has failed {failures} times in a row. Its schedule is switched off until the export "
            "is saved again."
        ),
    ),
}


def notification_send(*, notification_id: int) -> bool:
    """One try. Whether a mail went out; harmless when called twice, at once, or for one that is over."""
    if not _claim(notification_id):
        return False
    about = ("run__export", "run__owner", "imported__owner", "imported__cell", "departure__owner", "departure__cell")
    row = Notification.objects.select_related(*about).get(pk=notification_id)
    try:
        if row.attempts > TRIES:  # nobody was left to tell how the others ended
            raise TransportError("Every try broke off.", permanent=True)
        address = _send(row)
    except TransportError as error:
        _fail(row, str(error), permanent=error.permanent)
        return False
    with transaction.atomic():
        Notification.objects.filter(pk=row.pk).update(sent_at=timezone.now(), address=address, error="", next_at=None)
        told = {"email_sent_to": [address], "notification": row.kind}
        export = row.run.export if row.run else None
        lifecycle.event_write(type="EMAIL_SENT", export=export, run=row.run, user=_owner(row), info=told)
    return True


def notifications_requeue(*, now: datetime | None = None) -> int:
    """Nudge for all that are due. How many."""
    due = Notification.objects.filter(next_at__lte=now or timezone.now()).order_by("next_at")
    ids = list(due.values_list("pk", flat=True)[:1000])
    for notification_id in ids:
        queue.enqueue(queue.NOTIFY, notification_id)
    return len(ids)


@transaction.atomic
def _claim(notification_id: int) -> bool:
    """The run is locked meanwhile: what it is told until then is in this mail, what comes later in another."""
    now = timezone.now()
    due = Notification.objects.filter(pk=notification_id, next_at__lte=now)
    list(Run.objects.select_for_update().filter(pk__in=due.values("run")).values_list("pk"))
    return bool(due.update(attempts=F("attempts") + 1, next_at=now + LEASE))


def _owner(row: Notification) -> User:
    return (row.run or row.imported or row.departure).owner


def _send(row: Notification) -> str:
    """To whom. Raises TransportError."""
    owner = _owner(row)
    if not (owner.email and owner.is_active):
        raise TransportError("The owner has no address, or may not log in any more.", permanent=True)
    with speaking(selectors.preference_get(user=owner).language):
        message = mail_made(*_told(row), owner.email)
    with faults("send mail"):
        message.send()
    return owner.email


def _told(row: Notification) -> tuple[str, str, dict[str, object]]:
    """(template, subject, context)."""
    if row.departure is not None:
        return move_mails.departure_mail(row)
    if row.run is None:
        return move_mails.import_mail(row)
    if move_exports.is_ordered(row.run):
        return move_mails.move_mail(row)
    context = _context(row)
    subject, said = (each.format(name=context["name"], failures=FAILURES) for each in _SAID[NotificationKind(row.kind)])
    return "notification", subject, {**context, "said": said}


def _context(row: Notification) -> dict[str, object]:
    run = row.run
    zone = ZoneInfo(selectors.preference_get(user=run.owner).timezone or settings.SCHEDULER_TIME_ZONE)
    return {
        "name": str(run.order.get("name") or run.export),
        "links": _links(run),
        "expires": run.expires_at and f"{run.expires_at.astimezone(zone):%Y-%m-%d %H:%M} ({zone.key})",
        "warnings": [said(warning) for warning in run.warnings[:MOST_WARNINGS]],
        "more": max(0, len(run.warnings) - MOST_WARNINGS),
        "error": stored_text(run.error),
        "site": settings.PUBLIC_URL,
    }


def _links(run: Run) -> list[tuple[str, str, str]]:
    """(name, URL, size) of the whole export as ZIP, as long as it is this run that is on offer."""
    if run.state not in DOWNLOADABLE or run.export.published_run_id != run.pk:
        return []
    return [(name, url, readable_size(size)) for name, url, size in RunShipment(run, "zip").links()]


def _fail(row: Notification, message: str, *, permanent: bool) -> None:
    again = not permanent and row.attempts < TRIES
    next_at = timezone.now() + WAITS[row.attempts - 1] if again else None
    Notification.objects.filter(pk=row.pk).update(error=message[:1000], next_at=next_at)
    log.warning("notification %s: %s%s", row.pk, message, "" if again else " It is given up.")
