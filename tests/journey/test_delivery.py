"""From `start` over HTTP to the archive at its target and the mail to the owner, by a real worker process."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.contrib.auth.models import User

from exports.models import Delivery, Event, Notification
from exports.services import downloads
from tests.clients import V1
from tests.factories import make_cell, put_files
from tests.inbox import Inbox, smtp_server
from tests.journey.workers import Worker
from tests.spec.v1.asking import answer, created, id_of

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def folder(settings, tmp_path: Path) -> Path:
    folder = tmp_path / "allowed"
    folder.mkdir()
    settings.EXPORT_LOCAL_FOLDERS = [folder]
    return folder


@pytest.fixture
def inbox(settings) -> Iterator[Inbox]:
    with smtp_server(settings) as inbox:
        yield inbox


@pytest.fixture
def worker(process_env: dict[str, str], settings, folder: Path, inbox: Inbox, tmp_path: Path) -> Iterator[Worker]:
    mail = {"EMAIL_HOST": settings.EMAIL_HOST, "EMAIL_PORT": str(settings.EMAIL_PORT)}
    with Worker({**process_env, **mail, "EXPORT_LOCAL_FOLDERS": str(folder)}, tmp_path / "worker.log") as running:
        yield running


def wait(until: Callable[[], object], log: Path) -> None:
    deadline = time.monotonic() + 120
    while not until():
        assert time.monotonic() < deadline, log.read_text()[-3000:]
        time.sleep(0.05)


def test_a_worker_delivers_and_tells_the_owner(
    alice: User, worker: Worker, folder: Path, inbox: Inbox, tmp_path: Path
) -> None:
    put_files(make_cell(alice), {"a.txt": b"alpha\n" * 1000, "b.bin": bytes(range(256)) * 4000})
    client = V1(alice)
    transports = [
        {"type": "rsync", "packer": "zip", "options": {"destination": str(folder)}},
        {
            "type": "email",
            "packer": "zip",
            "email": {"recipients": [{"user": {"type": "email", "login": "j@example.com"}}]},
        },
    ]
    export = created(client, name="press", _transports=transports)
    path = f"export/{id_of(export)}"
    answer(client.post(f"{path}/start"))
    wait(
        lambda: len(inbox.mails) == 2 and Event.objects.filter(type="EMAIL_SENT").count() == 2, tmp_path / "worker.log"
    )
    wait(lambda: Delivery.objects.filter(state="done").count() == 2, tmp_path / "worker.log")
    whole = answer(client.get(path))
    assert (whole["_state"], [each["_state"] for each in whole["_transports"]]) == ("done", ["done", "done"])
    row = Delivery.objects.get(type="rsync")
    opened = downloads.open_volume(volume=row.run.volumes.get(packer="zip"), name="x")
    assert (folder / "press.zip").read_bytes() == b"".join(opened.chunks(0, opened.length))
    assert row.attempts == 1 and [each.name for each in folder.iterdir()] == ["press.zip"]
    assert sorted((to, mail["Subject"]) for to, mail in inbox.mails) == [
        ("alice@example.org", "Export press is ready"),
        ("j@example.com", "Export: press"),
    ]
    assert Notification.objects.get().sent_at
    (folder / "press.zip").unlink()
    again = client.post(f"{path}/transport/{whole['_transports'][0]['uuid']}/retry")
    assert again.status_code == 400 and not list(folder.iterdir()), "what is done is not repeated"
