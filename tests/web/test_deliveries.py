"""Where an export goes: tried out with a small file, and sent again after a failure."""

from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.test import Client

from exports.models import Delivery, Export
from exports.services import delivery, running
from exports.services import exports as services
from exports.services.exports import TransportSpec
from exports.states import DeliveryState
from tests.factories import make_cell, put_file

pytestmark = pytest.mark.django_db


@pytest.fixture
def folder(settings, tmp_path: Path) -> Path:
    settings.EXPORT_LOCAL_FOLDERS = [tmp_path]
    (tmp_path / "backup").mkdir()
    return tmp_path / "backup"


@pytest.fixture
def export(alice: User, folder: Path) -> Export:
    put_file(make_cell(alice, "home"), "a.txt", b"a")
    return services.export_create(
        owner=alice,
        type="export",
        name="mine",
        cells=None,
        definition={"search": {}},
        transports=[TransportSpec("rsync", "zip", {"destination": str(folder), "options": {}}, None)],
        schedules=[],
    )


def signed_in(user: User) -> Client:
    client = Client(raise_request_exception=False)
    client.force_login(user)
    return client


def test_a_test_file_says_whether_it_arrived(alice: User, export: Export, folder: Path) -> None:
    client = signed_in(alice)
    path = f"/web/exports/{export.pk}/transports/{export.transports.get().uuid}/test"
    assert "The test succeeded" in client.post(path).content.decode()
    assert list(folder.iterdir()) == []
    folder.chmod(0o700)
    folder.rmdir()
    folder.write_text("in the way")
    part = client.post(path, headers={"HX-Request": "true"}).content.decode()
    assert "The test failed" in part and "<html" not in part


def test_a_failed_delivery_is_shown_and_sent_again(
    transactional_db: None, alice: User, export: Export, folder: Path
) -> None:
    folder.rmdir()
    folder.write_text("in the way")
    run = running.run_export(run_id=services.export_start(export=export).pk)
    failed = Delivery.objects.get(run=run)
    for _ in range(6):
        Delivery.objects.filter(pk=failed.pk).update(next_at=run.created_at)
        delivery.deliver(delivery_id=failed.pk)
    failed.refresh_from_db()
    assert failed.state == DeliveryState.FAILED
    client = signed_in(alice)
    page = client.get(f"/web/exports/{export.pk}/").content.decode()
    assert failed.error["message"].split(":")[0] in page
    shared = Client().get(page.partition('id="link"')[2].partition('value="')[2].partition('"')[0]).content.decode()
    assert "mine.zip" in shared and "Transport" not in shared and str(folder) not in shared, "no business of visitors"
    folder.unlink()
    folder.mkdir()
    path = f"/web/exports/{export.pk}/transports/{export.transports.get().uuid}/retry"
    client.post(path)
    delivery.deliver(delivery_id=failed.pk)
    assert [file.name for file in folder.iterdir()] == ["mine.zip"]
    again = client.post(path, follow=True).content.decode()
    assert "Only a failed delivery can be tried again" in again


def test_a_stranger_tests_and_sends_nothing(bob: User, export: Export, folder: Path) -> None:
    client = signed_in(bob)
    for verb in ("test", "retry"):
        path = f"/web/exports/{export.pk}/transports/{export.transports.get().uuid}/{verb}"
        assert client.post(path).status_code == 404
    assert list(folder.iterdir()) == []
