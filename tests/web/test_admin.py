"""The administration: how the server is, and actions that go through the services."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from cells.tokens import token_create
from exports.models import Delivery, Event, Export, Import, Run
from exports.services import exports as services
from exports.services import health, lifecycle, running
from exports.services.exports import TransportSpec
from exports.states import RunState
from tests.factories import make_cell, put_file

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


def act(client: Client, model: str, action: str, *ids: int, **also: object):
    return client.post(f"/admin/exports/{model}/", {"action": action, "_selected_action": ids, **also}, follow=True)


def test_the_first_page_tells_how_the_server_is(export: Export, settings) -> None:
    settings.EMAIL_HOST_PASSWORD = settings.SECRET_KEY = "hunter2-hunter2"
    run = services.export_start(export=export)
    lifecycle.run_fail(lifecycle.claim(run_id=run.pk))
    client = admin()
    settings.SECRET_KEY = "hunter2-hunter2"
    page = client.get("/admin/").content.decode()
    assert "none: nothing will run" in page
    assert 'state__exact=failed">1</a>' in page and "EXPORT_EXPIRE" in page and "free of" in page
    assert "Internal error." in page and "the worker&#x27;s log of that minute" in page, "why, and what helps"
    assert "hunter2" not in page


def test_who_waits_longest_is_told(export: Export) -> None:
    services.export_start(export=export)
    Run.objects.update(created_at=timezone.now() - timedelta(hours=3))
    found = {each.model: each for each in health.waiting()}
    assert found["run"].count == 1 and timezone.now() - found["run"].oldest > timedelta(hours=2)
    assert (found["delivery"].count, found["delivery"].oldest) == (0, None)
    assert "3\xa0hours" in admin().get("/admin/").content.decode()


def test_the_administration_speaks_one_language(export: Export) -> None:
    page = admin().get("/admin/", headers={"Accept-Language": "de"}).content.decode()
    assert "State of the server" in page and "Log out" in page


@pytest.mark.parametrize("page", ["", "cells/cell/", "cells/file/", "cells/accesstoken/", "auth/user/",
    "exports/export/", "exports/run/", "exports/delivery/", "exports/import/", "exports/event/", "exports/volume/",
    "exports/notification/", "exports/schedule/"])  # fmt: skip
def test_a_page_asks_as_often_however_many_rows_there_are(alice: User, page: str) -> None:
    """And counts no table to its end."""
    client, asked = admin(), []
    for number in range(0, 12, 4):
        for each in range(number, number + 4):
            a_row_of_each(alice, each)
        with CaptureQueriesContext(connection) as queries:
            assert client.get(f"/admin/{page}").status_code == 200
        asked.append(len(queries))
        counts = [query["sql"] for query in queries if "COUNT(*)" in query["sql"] and "LIMIT" not in query["sql"]]
        assert not [sql for sql in counts if "WHERE" not in sql and "cells_cell" not in sql], counts
        sorts = [query["sql"] for query in queries if 'ORDER BY "exports_delivery"."position"' in query["sql"]]
        assert not sorts
    assert asked[1] == asked[2]


def a_row_of_each(alice: User, number: int) -> None:
    cell = make_cell(alice, f"cell-{number}")
    put_file(cell, "a.txt", b"a")
    token_create(user=alice, cell=cell)
    export = services.export_create(
        owner=alice, type="export", name=f"e{number}", cells=[cell.name], definition={}, transports=[],
        schedules=[{"hours": [number], "timezone": "UTC"}],
    )  # fmt: skip
    run = services.export_start(export=export)
    running.run_export(run_id=run.pk)
    Delivery.objects.create(
        run=run, position=0, type="webdav", packer="zip", state="failed", finished_at=run.created_at
    )
    Import.objects.create(cell=cell, owner=alice, source="x", state="failed", finished_at=run.created_at)


def test_who_has_cells_is_not_deleted_by_a_click(export: Export, alice: User, bob: User) -> None:
    client = admin()
    assert client.post(f"/admin/auth/user/{alice.pk}/delete/", {"post": "yes"}).status_code == 403
    client.post("/admin/auth/user/", {"action": "delete_selected", "_selected_action": [alice.pk], "post": "yes"})
    assert User.objects.filter(pk=alice.pk).exists() and Export.objects.exists()
    assert client.post(f"/admin/auth/user/{bob.pk}/delete/", {"post": "yes"}).status_code == 302
    assert not User.objects.filter(pk=bob.pk).exists()


def test_exports_are_started_and_stopped(export: Export) -> None:
    client = admin()
    act(client, "export", "start", export.pk)
    assert Run.objects.get().state == RunState.PENDING
    again = act(client, "export", "start", export.pk)
    assert "pending or processing already" in again.content.decode()
    assert "is lost" in act(client, "export", "stop", export.pk).content.decode()
    assert Run.objects.get().state == RunState.PENDING, "it was only asked"
    act(client, "export", "stop", export.pk, sure=1)
    assert Run.objects.get().state == RunState.STOPPED


def test_archives_expire_at_once(export: Export) -> None:
    run = services.export_start(export=export)
    claimed = lifecycle.claim(run_id=run.pk)
    Run.objects.filter(pk=run.pk).update(entry_count=1)
    claimed.refresh_from_db()
    lifecycle.publish(claimed, warnings=[], missing=0)
    client = admin()
    assert "are deleted" in act(client, "run", "expire", run.pk).content.decode()
    assert Run.objects.get().state == RunState.DONE
    act(client, "run", "expire", run.pk, sure=1)
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
