"""The administration: how the server is, and actions that go through the services."""

import pytest
from django.contrib.auth.models import User
from django.test import Client

from exports.models import Event, Export, Run
from exports.services import exports as services
from exports.services import lifecycle
from exports.services.exports import TransportSpec
from exports.states import RunState
from tests.factories import make_cell

pytestmark = pytest.mark.django_db


@pytest.fixture
def export(alice: User) -> Export:
    make_cell(alice, "home")
    mail = {"recipients": [{"user": {"type": "email", "login": "a@example.org"}}], "message": ""}
    return services.export_create(
        owner=alice,
        type="export",
        name="mine",
        cells=None,
        definition={"search": {}},
        transports=[TransportSpec("email", "zip", {}, mail)],
        schedules=[],
    )


def admin(*, superuser: bool = True) -> Client:
    client = Client(raise_request_exception=False)
    client.force_login(User.objects.create_user("root", is_staff=True, is_superuser=superuser))
    return client


def act(client: Client, model: str, action: str, *ids: int):
    return client.post(f"/admin/exports/{model}/", {"action": action, "_selected_action": ids}, follow=True)


def test_the_first_page_tells_how_the_server_is(export: Export, settings) -> None:
    settings.EMAIL_HOST_PASSWORD = settings.SECRET_KEY = "hunter2-hunter2"
    run = services.export_start(export=export)
    lifecycle.run_fail(lifecycle.claim(run_id=run.pk))
    client = admin()
    settings.SECRET_KEY = "hunter2-hunter2"
    page = client.get("/admin/").content.decode()
    assert "none: nothing will run" in page
    assert 'state__exact=failed">1</a>' in page and "EXPORT_EXPIRE" in page and "free of" in page
    assert "hunter2" not in page


def test_exports_are_started_and_stopped(export: Export) -> None:
    client = admin()
    act(client, "export", "start", export.pk)
    assert Run.objects.get().state == RunState.PENDING
    again = act(client, "export", "start", export.pk)
    assert "pending or processing already" in again.content.decode()
    act(client, "export", "stop", export.pk)
    assert Run.objects.get().state == RunState.STOPPED


def test_archives_expire_at_once(export: Export) -> None:
    run = services.export_start(export=export)
    claimed = lifecycle.claim(run_id=run.pk)
    Run.objects.filter(pk=run.pk).update(entry_count=1)
    claimed.refresh_from_db()
    lifecycle.publish(claimed, warnings=[], missing=0)
    act(admin(), "run", "expire", run.pk)
    assert Run.objects.get().state == RunState.EXPIRED
    assert Event.objects.filter(type="EXPORT_EXPIRED").exists()


def test_who_may_only_look_cannot_act(export: Export) -> None:
    from django.contrib.auth.models import Permission

    client = admin(superuser=False)
    User.objects.get(username="root").user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
    assert client.get("/admin/exports/export/").status_code == 200
    act(client, "export", "start", export.pk)
    assert not Run.objects.exists()


def test_only_who_may_enter_is_shown_the_way(alice: User) -> None:
    other = Client()
    other.force_login(alice)
    assert b'href="/admin/"' not in other.get("/web/exports").content
    assert b'href="/admin/"' in admin().get("/web/exports").content
