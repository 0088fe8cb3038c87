"""Asking the owner by mail whether a cell shall move (`spec/move.md §7.4`), and what that mail says."""

from urllib.parse import urlsplit

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from cells.errors import DomainError
from cells.models import Cell
from exports import queue
from exports.models import Departure, Notification, NotificationKind
from exports.services.departure_lifecycle import ASKED_TTL, departure_abort
from exports.services.departures import departure_go, departure_request
from exports.services.secrets import secrets_open, secrets_seal
from exports.states import DepartureState
from exports.transports.base import TransportError


@transaction.atomic
def departure_ask(
    *, cell: Cell, owner: User, target_url: str, target_token: str, base_url: str, ignore_vault: bool = False
) -> Departure:
    """As `departures.departure_request`, with the secret in a mail to the owner."""
    departure, secret = departure_request(
        cell=cell,
        owner=owner,
        target_url=target_url,
        target_token=target_token,
        base_url=base_url,
        ignore_vault=ignore_vault,
    )
    departure.secrets = secrets_seal({**secrets_open(departure.secrets), "confirm": secret})
    departure.save(update_fields=["secrets"])
    queue.enqueue(queue.NOTIFY, Notification.objects.create(departure=departure, kind=NotificationKind.CONFIRM).pk)
    return departure


def departure_start(*, cell: Cell, owner: User, target_url: str, target_token: str, base_url: str) -> Departure:
    """For an owner who has just proved who he is: asked and answered in one. What does not begin leaves nothing behind.

    Raises as `departures.departure_request` and `departure_go` do.
    """
    departure, secret = departure_request(
        cell=cell, owner=owner, target_url=target_url, target_token=target_token, base_url=base_url
    )
    try:
        return departure_go(secret=secret, user=owner)
    except DomainError as error:
        departure_abort(departure, error, mail=False)
        raise


def confirm_context(departure: Departure) -> dict[str, object]:
    """What `move_confirm` tells. Raises TransportError when it is too late for it."""
    gone = departure.cell is None
    if gone or departure.state != DepartureState.ASKED or departure.created_at <= timezone.now() - ASKED_TTL:
        raise TransportError("It is too late to ask.", permanent=True)
    secret = secrets_open(departure.secrets)["confirm"]
    return {
        "ConfirmLink": f"{departure.base_url}/move/go?secret={secret}",
        "Source": f"{urlsplit(departure.base_url).netloc}/{departure.cell.name}",
        "Target": urlsplit(departure.target_url).netloc,
    }
