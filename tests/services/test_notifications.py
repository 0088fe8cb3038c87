"""Mails to owners about their runs, by a real SMTP server (issue 3, point 8)."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.utils import timezone

from cells.models import Cell
from exports.errors import RunLost
from exports.models import Event, Export, Notification, Run
from exports.services import delivery_lifecycle, lifecycle, running
from exports.services.delivery_lifecycle import TRIES
from exports.services.exports import export_create, export_start, export_stop, export_update
from exports.services.notifications import notification_send, notifications_requeue
from exports.services.preferences import preference_update
from exports.states import RunState
from tests.clients import V1, content
from tests.factories import make_cell, put_files
from tests.inbox import Inbox, smtp_server
from tests.transports.servers import free_ports

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def inbox(settings) -> Iterator[Inbox]:
    with smtp_server(settings) as inbox:
        yield inbox


@pytest.fixture
def cell(alice: User) -> Cell:
    cell = make_cell(alice)
    put_files(cell, {"a.txt": b"alpha"})
    return cell


def made(owner: User, **options: object) -> Export:
    defaults = {"type": "export", "name": "press", "cells": None, "definition": {}, "schedules": [], "transports": []}
    return export_create(owner=owner, **{**defaults, **options})


def ran(export: Export, **options: object) -> Run:
    return running.run_export(run_id=export_start(export=export, **options).pk)


def failed(export: Export, **options: object) -> Run:
    run = lifecycle.claim(run_id=export_start(export=export, **options).pk)
    lifecycle.run_fail(run, RunLost(run_id=run.pk, attempts=3))
    return run


def send_all() -> list[bool]:
    return [
        notification_send(notification_id=pk) for pk in Notification.objects.order_by("pk").values_list("pk", flat=True)
    ]


def texts(inbox: Inbox) -> list[str]:
    return [message.get_body(("plain",)).get_content() for _, message in inbox.mails]


def test_the_owner_hears_that_an_export_is_ready_with_a_link_that_opens_it(
    inbox: Inbox, cell: Cell, alice: User
) -> None:
    preference_update(user=alice, timezone="Asia/Kolkata")
    run = ran(made(alice))
    assert send_all() == [True]
    [(address, mail)] = inbox.mails
    assert (address, mail["Subject"]) == ("alice@example.org", "Export press is ready")
    plain, html = (mail.get_body((kind,)).get_content() for kind in ("plain", "html"))
    url = re.search(r"http://\S+", plain)[0]
    assert url in html
    assert content(V1().get(url.partition("/api/v1/")[2]))[:2] == b"PK"
    expires = run.expires_at + timedelta(hours=5, minutes=30)
    assert f"until {expires:%Y-%m-%d %H:%M} (Asia/Kolkata)" in plain
    row = Notification.objects.get()
    assert (row.address, row.next_at, row.attempts, row.error) == ("alice@example.org", None, 1, "") and row.sent_at
    event = Event.objects.get(type="EMAIL_SENT")
    assert (event.export_id, event.info["email_sent_to"]) == (run.export_id, ["alice@example.org"])


def test_sent_once_is_sent(inbox: Inbox, cell: Cell, alice: User) -> None:
    ran(made(alice))
    assert send_all() + send_all() == [True, False]
    assert len(inbox.mails) == 1 and Event.objects.filter(type="EMAIL_SENT").count() == 1
    assert notification_send(notification_id=987654) is False


def test_two_workers_at_once_send_one_mail(inbox: Inbox, cell: Cell, alice: User) -> None:
    ran(made(alice))
    pk = Notification.objects.get().pk

    def send(_: int) -> bool:
        try:
            return notification_send(notification_id=pk)
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as workers:
        assert sorted(workers.map(send, range(4))) == [False, False, False, True]
    assert len(inbox.mails) == 1


def test_what_is_missing_is_told(inbox: Inbox, cell: Cell, alice: User) -> None:
    run = ran(made(alice, name="<b>press</b>"))
    send_all()
    delivery_lifecycle.warn(run.pk, "Transport 1 (ftp) failed: <nobody> listens")
    delivery_lifecycle.warn(run.pk, "Transport 2 (ftp) failed: it is full")
    assert send_all() == [False, True], "both warnings go into one mail"
    delivery_lifecycle.warn(run.pk, "Transport 3 (ftp) failed: it is gone")
    delivery_lifecycle.warn(run.pk, "Transport 3 (ftp) failed: it is gone")
    assert send_all() == [False, False, True]
    subjects = [mail["Subject"] for _, mail in inbox.mails]
    assert subjects == ["Export <b>press</b> is ready"] + 2 * ["Export <b>press</b> is ready, with warnings"]
    assert all(f"Transport {number}" in texts(inbox)[2] for number in (1, 2, 3))
    html = inbox.mails[1][1].get_body(("html",)).get_content()
    assert "&lt;b&gt;press" in html and "&lt;nobody&gt;" in html and "<nobody>" not in html


def test_a_failure_is_told_with_its_reason_and_without_a_link(inbox: Inbox, alice: User) -> None:
    run = failed(made(alice))
    assert send_all() == [True]
    [text] = texts(inbox)
    assert inbox.mails[0][1]["Subject"] == "Export press has failed"
    assert str(RunLost(run_id=run.pk, attempts=3)) in text and "/download/" not in text


def test_a_schedule_that_was_switched_off_is_told_instead_of_the_last_failure(inbox: Inbox, alice: User) -> None:
    export = made(alice, schedules=[{}])
    order = {"due": "now", "schedules": [export.schedules.get().pk]}
    for _ in range(5):
        failed(export, scheduled=order)
    assert send_all() == [True] * 5
    assert [mail["Subject"].removeprefix("Export press ") for _, mail in inbox.mails] == [
        *["has failed"] * 4,
        "is not run by its schedule any more",
    ]
    assert "has failed 5 times in a row" in texts(inbox)[4]


def test_nobody_is_told_of_what_he_did_himself_or_of_nothing(inbox: Inbox, alice: User) -> None:
    export = made(alice)
    export_start(export=export)
    export_stop(export=export)
    assert ran(made(alice), scheduled={"due": "now", "schedules": []}).state == RunState.DONE
    assert not Notification.objects.exists(), "a schedule that found nothing (`spec/v1.md §10`) tells nobody"


@pytest.mark.parametrize(
    ("preference", "of_export", "kinds"),
    [
        ("all", None, ["done", "failed"]),
        ("problems", None, ["failed"]),
        ("none", None, []),
        ("none", "all", ["done", "failed"]),
        ("all", "problems", ["failed"]),
        ("all", "none", []),
    ],
)
def test_the_export_s_wish_goes_before_the_user_s(
    cell: Cell, alice: User, preference: str, of_export: str | None, kinds: list[str]
) -> None:
    preference_update(user=alice, notify=preference)
    export = made(alice, definition={"notify": of_export})
    ran(export)
    failed(export)
    assert list(Notification.objects.order_by("pk").values_list("kind", flat=True)) == kinds


def test_a_link_to_what_is_not_on_offer_any_more_is_not_given(inbox: Inbox, cell: Cell, alice: User) -> None:
    export = made(alice)
    ran(export)
    export_update(export=export, user=alice, changes={})
    assert send_all() == [True]
    assert "/download/" not in texts(inbox)[0]


def test_a_mail_server_that_is_away_is_tried_again_and_then_given_up(settings, cell: Cell, alice: User) -> None:
    settings.EMAIL_PORT = free_ports()[0]
    ran(made(alice))
    for attempt in range(1, TRIES + 1):
        assert send_all() == [False]
        row = Notification.objects.get()
        assert (row.attempts, row.sent_at) == (attempt, None) and "Cannot send mail" in row.error
        assert notifications_requeue() == 0, "it is not due yet"
        Notification.objects.exclude(next_at=None).update(next_at=timezone.now())
        assert notifications_requeue() == (attempt < TRIES)
    assert row.next_at is None
    assert not Event.objects.filter(type="EMAIL_SENT").exists()


def test_a_worker_that_died_with_the_mail_in_its_hands_leaves_it_to_another_one(
    inbox: Inbox, cell: Cell, alice: User, monkeypatch
) -> None:
    ran(made(alice))
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("django.core.mail.EmailMultiAlternatives.send", _interrupt)
        send_all()
    assert send_all() == [False], "its lease is not over yet"
    Notification.objects.update(next_at=timezone.now())
    assert (notifications_requeue(), send_all(), len(inbox.mails)) == (1, [True], 1)


def test_a_mail_that_breaks_whoever_sends_it_is_given_up(inbox: Inbox, cell: Cell, alice: User, monkeypatch) -> None:
    ran(made(alice))
    monkeypatch.setattr("django.core.mail.EmailMultiAlternatives.send", _interrupt)
    for _ in range(TRIES):
        with pytest.raises(KeyboardInterrupt):
            send_all()
        Notification.objects.update(next_at=timezone.now())
    assert (send_all(), notifications_requeue()) == ([False], 0)
    row = Notification.objects.get()
    assert (row.next_at, row.sent_at, row.error) == (None, None, "Every try broke off.")


def _interrupt(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_an_owner_without_address_or_who_may_not_log_in_gets_nothing(inbox: Inbox, cell: Cell, alice: User) -> None:
    for change in ({"email": ""}, {"email": "alice@example.org", "is_active": False}):
        User.objects.filter(pk=alice.pk).update(**change)
        run = ran(made(alice))
        assert send_all()[-1] is False
        assert Notification.objects.get(run=run).next_at is None
    assert inbox.mails == []


def test_mails_speak_the_language_of_whoever_reads_them(inbox: Inbox, cell: Cell, alice: User) -> None:
    """What went wrong, too; and the next mail of the same process is in English again."""
    preference_update(user=alice, language="de")
    warned = ran(made(alice))
    Run.objects.filter(pk=warned.pk).update(warnings=["1 of 3 entries could not be exported whole."])
    failed(made(alice))
    assert send_all() == [True] * 2
    assert [mail["Subject"] for _, mail in inbox.mails] == ["Export press ist bereit", "Export press ist misslungen"]
    ready, failure = texts(inbox)
    assert "Der Export „press“ ist bereit." in ready and "Er kann bis " in ready
    assert "1 von 3 Einträgen konnten nicht ganz exportiert werden." in ready
    assert "3-mal" in failure
    assert '<html lang="de">' in inbox.mails[0][1].get_body(("html",)).get_content()
    preference_update(user=alice, language="")
    ran(made(alice))
    send_all()
    assert inbox.mails[-1][1]["Subject"] == "Export press is ready"
