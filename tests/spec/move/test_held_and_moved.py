"""`spec/move.md §8`, §2.4, §7.8: a cell that is moving refuses to be written in every door, and one that has moved
leads to its new address."""

import json
import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from cells import tokens
from cells.models import Cell, Document, File
from exports.models import Export, MoveExport, Run
from exports.services import downloads, running
from exports.services import exports as services
from exports.states import RunState
from tests.clients import V1, content
from tests.factories import put_file
from tests.spec.move.asking import JSON_API, Move, attributes, exported, mailed, opaque_of, page

pytestmark = pytest.mark.django_db(transaction=True)
NEW = "https://new.example/bobs"


@pytest.fixture
def held(cell: Cell) -> Cell:
    Cell.objects.filter(pk=cell.pk).update(held_at=timezone.now())
    return cell


@pytest.fixture
def moved(cell: Cell) -> Cell:
    Cell.objects.filter(pk=cell.pk).update(held_at=timezone.now(), moved_to=NEW)
    return cell


def everything(cell: Cell) -> Any:
    cell.refresh_from_db()
    rows = {"cell": cell, "generation": cell.generation}
    documents = list(Document.objects.filter(**rows).order_by("pk").values_list("doctype", "doc_id", "rev"))
    return cell.name, documents, list(File.objects.filter(**rows).order_by("pk").values_list("path", "blob", "version"))


#: (method, path below /api/v1/cell/alice/, body, content type)
V1_WRITES = [
    ("PUT", "files/new.txt", b"new", ""),
    ("PUT", "files/a.txt", b"changed", ""),
    ("PUT", "files/Documents/new/", b"", ""),
    ("DELETE", "files/a.txt", None, ""),
    ("POST", "move", b'{"from": "a.txt", "to": "b.txt"}', "application/json"),
    ("POST", "documents", b'{"doctype": "io.new", "id": "1", "body": {}}\n', "application/x-ndjson"),
    ("PUT", "documents/io.new/1", b"{}", "application/json"),
    ("DELETE", "documents/io.cozy.contacts/c1", None, ""),
]


@pytest.mark.parametrize(("method", "path", "body", "kind"), V1_WRITES)
def test_our_rest_refuses_to_write_what_is_held(
    alice: User, held: Cell, method: str, path: str, body: bytes | None, kind: str
) -> None:
    """§8: "Everything else: if the negotiated type is … JSON … → **503**"; in v1's envelope, and with Retry-After."""
    before = everything(held)
    response = V1(alice).call(method, f"cell/alice/{path}", body, kind)
    assert response.status_code == 503, content(response)
    assert response.json() == {"realm": "user", "code": "error.user.cell_held", "parameters": {"id": "alice"}}
    assert response.headers["Retry-After"] == "30"
    assert everything(held) == before


def test_what_is_held_can_be_read(alice: User, held: Cell, as_alice: Move) -> None:
    """§8 is about writing; "reads go on"."""
    v1 = V1(alice)
    assert content(v1.get("cell/alice/files/a.txt")) == b"hello\n" * 1000
    assert v1.get("cell/alice/documents/io.cozy.contacts/c1").status_code == 200
    assert Client().get("/alice", headers={"Accept": "application/json"}).status_code == 200
    assert as_alice.post("move/exports", attributes()).status_code == 201
    page = Client()
    page.force_login(alice)
    assert "nobody can change it just now" in page.get("/web/cells/alice/").content.decode()


def root(cell: Cell) -> dict[str, str]:
    return {"Authorization": f"Bearer {tokens.token_create(user=cell.owner, expires=timedelta(days=1))}"}


@pytest.mark.parametrize(
    ("method", "path", "body", "more"),
    [
        ("PUT", "__ctl/Cell('alice')", {"Name": "renamed"}, {}),
        ("DELETE", "alice", None, {"X-Personium-Recursive": "true"}),
    ],
)
def test_the_cell_api_refuses_to_write_what_is_held(
    held: Cell, method: str, path: str, body: Any, more: dict[str, str]
) -> None:
    """`spec/cell.md §10`: "Because [{0}] is being executed, writing to cell can not be done." """
    before = everything(held)
    response = Client().generic(method, f"/{path}", json.dumps(body or {}), headers={**root(held), **more})
    assert response.status_code == 409, content(response)
    told = response.json()
    said = "Because [cell move] is being executed, writing to cell can not be done."
    assert (told["code"], told["message"]["value"]) == ("PR409-CM-0002", said)
    assert response.headers["Retry-After"] == "30"
    assert everything(held) == before


def test_the_move_api_takes_nothing_into_what_is_held(held: Cell, as_alice: Move) -> None:
    before = everything(held)
    for path, body in (
        ("move/imports", attributes(url="https://old.example/#/exports/QUFB")),
        ("move/importing?source=old.example", None),
    ):
        response = as_alice.post(path, body)
        assert response.status_code == 503, content(response)
        assert b"is moving" in content(response) and response.headers["Retry-After"] == "30"
    told = as_alice.post("move/importing", None, HTTP_ACCEPT="application/json").json()
    assert told.keys() == {"error"}
    assert everything(held) == before


@pytest.mark.parametrize(
    ("path", "data"),
    [
        ("folder", {"folder": "", "new": "x"}),
        ("remove", {"path": "a.txt"}),
        ("remove", {"name": "alice"}),
        ("import/start", None),
    ],
)
def test_pages_refuse_to_write_what_is_held(alice: User, held: Cell, path: str, data: dict | None) -> None:
    client = Client()
    client.force_login(alice)
    before = everything(held)
    if data is None:
        run = exported_run(alice)
        chosen = client.post("/web/cells/alice/import/choose", {"export": run.export_id})
        data = {"archive": client.get(chosen.headers["Location"]).context["archive"], "mode": "replace"}
    answer = client.post(f"/web/cells/alice/{path}", data, follow=True)
    assert "is moving between two servers" in answer.content.decode()
    assert answer.status_code in (200, 503) and (answer.status_code == 200 or answer.headers["Retry-After"] == "30")
    put = client.put("/web/cells/alice/upload?path=x.txt", b"x", content_type="text/plain")
    assert put.status_code == 503 and put.headers["Retry-After"] == "30"
    assert everything(held) == before


def exported_run(alice: User, **options: Any) -> Run:
    defaults = {"type": "export", "name": "x", "cells": ["alice"], "definition": {"documents": "lines"}}
    export = services.export_create(owner=alice, **{**defaults, "transports": [], "schedules": [], **options})
    return running.run_export(run_id=services.export_start(export=export).pk)


# --- a cell that has moved ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "path", "body", "kind"), V1_WRITES)
def test_writes_are_led_to_the_new_address(
    alice: User, moved: Cell, method: str, path: str, body: bytes | None, kind: str
) -> None:
    before = everything(moved)
    response = V1(alice).call(method, f"cell/alice/{path}", body, kind)
    assert response.status_code == 308, content(response)
    assert response.headers["Location"] == f"https://new.example/api/v1/cell/bobs/{path}"
    assert everything(moved) == before


def test_reads_are_led_to_the_new_address(alice: User, bob: User, moved: Cell) -> None:
    """With what was asked, but for what opens something here. A stranger hears of no cell."""
    v1 = V1(alice)
    for path, there in (
        ("cell/alice", "cell/bobs"),
        ("cell/alice/files/Photos/%C3%BC%20100%25.jpg", "cell/bobs/files/Photos/%C3%BC%20100%25.jpg"),
        (f"cell/alice/files/?limit=1&token={v1.token}&after=a%26b", "cell/bobs/files/?limit=1&after=a%26b"),
    ):
        response = v1.get(path)
        assert (response.status_code, response.headers["Location"]) == (308, f"https://new.example/api/v1/{there}")
    assert v1.head("cell/alice/files/a.txt").status_code == 308
    told = v1.get("cell/alice").json()
    assert told == {"realm": "user", "code": "error.user.cell_moved", "parameters": {"id": "alice", "url": NEW}}
    assert V1(bob).get("cell/alice").status_code == 404
    [listed] = v1.get("cell").json()["objects"]
    assert listed["moved_to"] == NEW


@pytest.mark.parametrize(
    ("method", "path", "there"),
    [
        ("GET", "alice", "bobs"),
        ("GET", "alice/__export", "bobs/__export"),
        ("POST", "alice/__export", "bobs/__export"),
        ("POST", "alice/__import?p_cookie_peer=x", "bobs/__import"),
        ("PUT", "alice/__snapshot/new.zip", "bobs/__snapshot/new.zip"),
    ],
)
def test_the_cell_api_leads_to_the_new_address(moved: Cell, method: str, path: str, there: str) -> None:
    before = everything(moved)
    response = Client().generic(method, f"/{path}", b"{}", headers=root(moved))
    assert response.status_code == 308, content(response)
    assert response.headers["Location"] == f"https://new.example/{there}"
    assert response.json()["code"] == "PR308-MC-0001"
    assert everything(moved) == before and not Run.objects.exists()


def test_snapshots_stay_where_they_are(moved: Cell) -> None:
    """They are no part of what a cell holds, and no move takes them along."""
    response = Client().generic("PROPFIND", "/alice/__snapshot", headers={**root(moved), "Depth": "1"})
    assert response.status_code == 207


@pytest.mark.parametrize(("path", "document"), [("move/exports", attributes()), ("move/imports", attributes(url="x"))])
def test_a_token_hears_where_its_cell_is(as_alice: Move, moved: Cell, path: str, document: dict) -> None:
    """§2.4: "instance was moved away, OAuth token | JSON:API | 410 | title `Cozy has been moved`, code `moved`,
    `links.related` = new URL"."""
    response = as_alice.post(path, document)
    assert (response.status_code, response.headers["Content-Type"]) == (410, JSON_API)
    [error] = json.loads(content(response))["errors"]
    assert (error["status"], error["title"], error["code"]) == ("410", "Cozy has been moved", "moved")
    assert error["links"] == {"related": NEW}
    assert not Run.objects.exists() and not MoveExport.objects.exists()


def test_visitors_of_links_are_shown_the_new_address(as_alice: Move, as_nobody: Move, alice: User, cell: Cell) -> None:
    """§7.8: "shows visitors of public links a 410 HTML page with the new link". What was exported can still be had."""
    exported(as_alice)
    opaque = opaque_of(mailed())
    run = exported_run(alice)
    passkey = downloads.passkey(export=run.export)
    Cell.objects.filter(pk=cell.pk).update(held_at=timezone.now(), moved_to=NEW)
    text = page(as_nobody.get(f"move/downloads/{opaque}"), 410, NEW, "What was here has moved")
    assert f"../exports/data/{opaque}" in text
    assert content(as_nobody.get(f"move/exports/data/{opaque}"))[:2] == b"PK"
    links = page(Client().get(f"/web/exports/{run.export_id}/download/{passkey}/"), 410, NEW)
    assert "What it was made of has moved" in links
    archive = Client().get(re.search(r'href="(/api/v1/export/[^"]+)"', links)[1])
    assert archive.status_code == 200 and content(archive)[:2] == b"PK"


def test_where_the_other_server_knows_no_such_calls_nothing_is_led_there(alice: User, moved: Cell) -> None:
    """An address without a path is of a server that knows only the spec: 410, with the address, everywhere."""
    Cell.objects.filter(pk=moved.pk).update(moved_to="https://cozy.example")
    told = V1(alice).get("cell/alice/files/a.txt")
    assert (told.status_code, told.json()["parameters"]["url"]) == (410, "https://cozy.example")
    told = Client().get("/alice/__export", headers=root(moved))
    assert (told.status_code, told.json()["code"]) == (410, "PR410-MC-0001")
    assert "https://cozy.example" in told.json()["message"]["value"]


def test_pages_show_that_it_has_moved_and_leave_its_exports(alice: User, cell: Cell) -> None:
    run = exported_run(alice)
    put_file(cell, "a.txt", b"newer")
    Cell.objects.filter(pk=cell.pk).update(held_at=timezone.now(), moved_to=NEW)
    client = Client()
    client.force_login(alice)
    assert NEW in client.get("/web/cells/").content.decode()
    for path in ("", "documents", "import", "counts"):
        page(client.get(f"/web/cells/alice/{path}"), 410, NEW)
    for path in ("snapshots", "move", "remove"):
        assert client.get(f"/web/cells/alice/{path}").status_code == 200
    assert client.get(f"/web/exports/{run.export_id}/").status_code == 200
    assert V1(alice).get(f"export/{run.export_id}/zip").status_code == 200
    assert client.post("/web/cells/alice/remove", {"name": "alice"}).status_code == 302
    assert not Cell.objects.filter(name="alice").exists()


def test_what_is_left_behind_is_in_no_new_export(alice: User, moved: Cell) -> None:
    """It would be a backup of what nobody writes any more; a schedule that goes on with it has to be heard of."""
    run = exported_run(alice)
    assert (run.state, run.error["code"]) == (RunState.FAILED, "cell_moved")
    assert exported_run(alice, cells=None).state == RunState.FAILED
    other = Cell.objects.create(name="second", owner=alice)
    put_file(other, "b.txt", b"b")
    assert exported_run(alice, cells=None).state == RunState.DONE
    assert Export.objects.count() == 3
