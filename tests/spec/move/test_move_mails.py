"""`spec/move.md §6.9`: mails about a move, of the server that sends them."""

import pytest
from django.contrib.auth.models import User
from django.core import mail

from cells.models import Cell
from exports.errors import MoveSilent
from exports.models import Arrival, Departure, Notification
from exports.services import arrivals, departure_lifecycle, departures, import_lifecycle, notifications
from exports.services.preferences import preference_update
from exports.states import DepartureState, ImportState
from tests.spec.move.asking import mailed

pytestmark = pytest.mark.django_db(transaction=True)


def arrived(cell: Cell, state: ImportState, **fields: object) -> Arrival:
    row = arrivals.arrival_start(
        cell=cell, owner=cell.owner, source_url="https://old.example:8443/", token="t", transfer="a" * 32
    )
    import_lifecycle.claim(import_id=row.pk)
    import_lifecycle.transition(row.pk, state, **fields)
    return Arrival.objects.get(pk=row.pk)


def test_the_target_tells_that_it_is_here(target: Cell) -> None:
    """§6.9: "`move_success` | move ok (sent by the target)"."""
    arrived(target, ImportState.DONE, report={"not_installed": ["drive"]})
    text = mailed()
    [message] = mail.outbox
    assert (message.subject, message.to) == ("Good news! Your data has been successfully moved", ["bob@example.org"])
    assert "old.example:8443" in text and "drive" in text and "http://localhost:8000" in text
    target.refresh_from_db()
    assert target.held_at is None


def test_the_target_tells_that_it_failed_without_a_reason(target: Cell, bob: User) -> None:
    """§6.9: "`move_error` | move failed (sent by the target)"; "The error texts give no technical reason"."""
    preference_update(user=bob, language="de")
    arrived(target, ImportState.FAILED, error={"code": "internal", "message": "secret reason"})
    assert "Auf beiden Servern ist alles, wie es vorher war" in mailed() and "secret" not in mail.outbox[0].body
    assert mail.outbox[0].subject == "⚠ Der Umzug Ihrer Daten ist misslungen"


def test_the_source_tells_what_nobody_else_can(alice: User, cell: Cell) -> None:
    """A target that was never reached again sends no mail."""
    departure, _ = departures.departure_request(
        cell=cell, owner=alice, target_url="https://new.example", target_token="t", base_url="http://localhost:8000"
    )
    Departure.objects.update(state=DepartureState.OFFERED)
    departure_lifecycle.departure_abort(departure, MoveSilent(minutes=30))
    assert "has not answered for 30 minutes" in mailed()
    assert (mail.outbox[0].subject, mail.outbox[0].to) == ("⚠ The move of your data has failed", ["alice@example.org"])


def test_of_what_nobody_confirmed_nobody_hears(alice: User, cell: Cell) -> None:
    departure, _ = departures.departure_request(
        cell=cell, owner=alice, target_url="https://new.example", target_token="t", base_url="http://localhost:8000"
    )
    departure_lifecycle.departure_abort(departure, MoveSilent(minutes=5))
    assert not Notification.objects.exists() and not notifications.notifications_requeue()
