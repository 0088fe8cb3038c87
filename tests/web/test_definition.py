"""What a page makes is what a program would have made, and what only a program can say stays."""

from urllib.parse import urlencode

import pytest
from django.contrib.auth.models import User
from django.test import Client

from exports.models import Export
from exports.services.secrets import secrets_open
from tests.clients import V1
from tests.factories import make_cell

pytestmark = pytest.mark.django_db
WEBDAV = {
    "transport": "webdav-0",
    "webdav-0-packer": "zip",
    "webdav-0-server": "https://cloud.example.org/dav",
    "webdav-0-login": "me",
    "webdav-0-password": "hunter2",
}


@pytest.fixture
def client(alice: User) -> Client:
    make_cell(alice, "home")
    client = Client(raise_request_exception=False)
    client.force_login(alice)
    return client


def save(client: Client, where: str = "/web/exports/new", **fields: object):
    given = {"name": "mine", "type": "export", "documents": "formats", "formats": ["json"], "save": "", **fields}
    return client.post(where, urlencode(given, doseq=True), "application/x-www-form-urlencoded")


def test_v1_shows_an_export_of_a_page_with_all_attributes(client: Client, alice: User) -> None:
    save(client, formats=["json", "csv"], cells=["home"])
    v1 = V1(alice)
    made = v1.get(f"export/{Export.objects.get().pk}").json()["export"]
    other = v1.put("export", {"export": {"search": {}, "name": "by program", "json": True}}).json()["export"]
    assert made.keys() == other.keys()
    assert (made["json"], made["csv"], made["xml"], made["cells"], made["search"]) == (True, {}, False, ["home"], {})


def test_what_only_a_program_can_say_stays(client: Client, alice: User) -> None:
    search = {"search": [{"type": "match", "fields": ["a.b"], "string": "x"}]}
    table = {"delimiter": ";"}
    v1 = V1(alice)
    body = {"export": {"search": search, "name": "by program", "csv": table, "json": True, "flat": False}}
    number = v1.put("export", body).json()["export"]["_id"]
    assert "by a search" in client.get(f"/web/exports/{number}/edit").content.decode()
    save(client, f"/web/exports/{number}/edit", formats=["csv"], name="renamed")
    export = Export.objects.get(pk=number)
    assert (export.name, export.definition["search"], export.definition["csv"]) == ("renamed", search, table)
    assert export.definition["json"] is False


def test_an_export_may_mail_otherwise_than_the_account(client: Client, alice: User) -> None:
    save(client, notify="problems")
    export = Export.objects.get()
    v1, edit = V1(alice), f"/web/exports/{export.pk}/edit"
    assert v1.get(f"export/{export.pk}").json()["export"]["notify"] == "problems"
    assert '<option value="problems" selected' in client.get(edit).content.decode()
    assert save(client, edit, notify="sometimes").status_code == 200
    assert Export.objects.get().definition["notify"] == "problems"
    save(client, edit, notify="")
    assert "notify" not in v1.get(f"export/{export.pk}").json()["export"]


def test_a_password_is_never_shown_again_and_goes_to_no_other_server(client: Client) -> None:
    save(client, **WEBDAV)
    export = Export.objects.get()
    row = export.transports.get()
    page = client.get(f"/web/exports/{export.pk}/edit").content.decode()
    assert "hunter2" not in page and "https://cloud.example.org/dav" in page
    kept = f"webdav-0-{row.uuid}"
    again = {f"{kept}-{key.rpartition('-')[2]}": value for key, value in WEBDAV.items() if key.startswith("webdav")}
    again |= {"transport": kept, f"{kept}-password": ""}
    save(client, f"/web/exports/{export.pk}/edit", **again)
    assert secrets_open(export.transports.get().secrets) == {"password": "hunter2"}
    again[f"{kept}-server"] = "https://evil.example/dav"
    again = {key.replace(str(row.uuid), str(export.transports.get().uuid)): value for key, value in again.items()}
    again["transport"] = again["transport"].replace(str(row.uuid), str(export.transports.get().uuid))
    save(client, f"/web/exports/{export.pk}/edit", **again)
    assert export.transports.get().options["server"] == "https://evil.example/dav"
    assert secrets_open(export.transports.get().secrets) == {}


def test_a_password_goes_with_its_transport_when_the_one_before_is_removed(client: Client) -> None:
    second = {key.replace("webdav-0", "webdav-1"): value for key, value in WEBDAV.items()} | {
        "webdav-1-server": "https://other.example.org/dav",
        "webdav-1-password": "second",
        "transport": ["webdav-0", "webdav-1"],
    }
    save(client, **{**WEBDAV, **second})
    export = Export.objects.get()
    row = export.transports.get(position=1)
    kept = f"webdav-1-{row.uuid}"
    fields = {f"{kept}-packer": "zip", f"{kept}-server": "https://other.example.org/dav", f"{kept}-login": "me"}
    save(client, f"/web/exports/{export.pk}/edit", transport=kept, **fields)
    assert secrets_open(export.transports.get().secrets) == {"password": "second"}


def test_an_export_of_a_page_can_be_brought_back_unless_it_is_for_others(client: Client, alice: User) -> None:
    """FORMAT.md: documents as lines are what an import reads."""
    page = client.get("/web/exports/new").content.decode()
    assert '<option value="lines" selected' in page or page.index('value="lines"') < page.index('value="formats"')
    save(client, documents="lines")
    export = Export.objects.get()
    assert (export.definition["documents"], export.definition["json"]) == ("lines", False)
    assert V1(alice).get(f"export/{export.pk}").json()["export"]["documents"] == "lines"
    save(client, f"/web/exports/{export.pk}/edit", documents="none")
    shown = V1(alice).get(f"export/{export.pk}").json()["export"]
    assert "documents" not in shown and (shown["json"], shown["csv"]) == (False, False)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"formats": []}, "Choose one at least"),
        ({"cells": ["bobs"]}, "bobs is not one"),
        ({"schedule": "schedule-0", "schedule-0-hours": "25", "schedule-0-timezone": "UTC"}, "From 0 to 23"),
        ({"schedule": "schedule-0", "schedule-0-hours": "2-", "schedule-0-timezone": "UTC"}, "Numbers and ranges"),
        ({"schedule": "schedule-0", "schedule-0-timezone": "UTC", "name": ""}, "needs an explicit name"),
        ({**WEBDAV, "webdav-0-server": "gopher://x"}, "errorlist"),
        ({**WEBDAV, "webdav-0-server": "https://me:secret@cloud.example.org/"}, "errorlist"),
    ],
)
def test_what_cannot_be_is_said_beside_its_field_and_nothing_is_made(client: Client, fields: dict, told: str) -> None:
    answer = save(client, **fields)
    assert answer.status_code == 200
    assert told in answer.content.decode()
    assert not Export.objects.exists()


@pytest.mark.parametrize(
    "part", ["transport=../x", "schedule=<b>", "transport=sftp-0-not-a-uuid", "add=nothing", "remove=x"]
)
def test_nonsense_in_a_form_is_no_error_of_ours(client: Client, part: str) -> None:
    name, _, value = part.partition("=")
    assert save(client, **{name: value}).status_code in (200, 302)
