"""READ_ONLY: each dialect says in its own shape that nothing new comes in; what is there is read and deleted."""

import json

import pytest
from django.contrib.auth.models import User
from django.test import Client

from cells.models import Cell, Document, File, SnapshotFile
from exports.models import Export, Import, Run
from tests.clients import V1
from tests.factories import make_cell, put_documents, put_file
from tests.spec.cell.asking import CellClient, answer, empty, refused
from tests.spec.move.asking import EMPTY, Move

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def cell(alice: User, settings) -> Cell:
    cell = make_cell(alice, "cell1")
    put_file(cell, "a.txt", b"alpha")
    put_documents(cell, [("note", "1", {})])
    settings.READ_ONLY = True
    return cell


def counts() -> list[int]:
    return [model.objects.count() for model in (Cell, File, Document, SnapshotFile, Export, Run, Import)]


def test_the_cell_dialect(cell: Cell, alice: User) -> None:
    """`spec/cell.md §2.5`: "every method except GET, DELETE, OPTIONS, HEAD, PROPFIND, REPORT (and except the paths
    `__token`, …) → 503 `PR503-SV-0005`"; before "6. Unknown cell"."""
    client, before = CellClient(alice), counts()
    calls = [
        ("POST", "/cell1/__export", {}), ("POST", "/cell1/__import", {"Name": "x"}),
        ("PUT", "/cell1/__snapshot/x.zip", b"x"), ("POST", "/__ctl/Cell", {"Name": "new"}),
        ("PUT", "/__ctl/Cell(\'cell1\')", {"Name": "new"}), ("POST", "/unknown/__export", {}),
        ("PROPPATCH", "/cell1", b""),
    ]  # fmt: skip
    for method, path, body in calls:
        refused(client.call(method, path, body), "PR503-SV-0005")
    assert counts() == before
    assert answer(client.get("/cell1/__export")) == {"status": "ready"}
    assert client.call("PROPFIND", "/cell1", depth="0").status_code == 207
    form = b"grant_type=password&username=alice&password=alice's password"
    nobody = CellClient()
    assert nobody.call("POST", "/cell1/__token", form, "application/x-www-form-urlencoded").status_code == 200
    empty(client.delete("/cell1", x_personium_recursive="true"), 204)


def test_v1(cell: Cell, alice: User) -> None:
    client, before = V1(alice), counts()
    for method, path, body in [
        ("PUT", "cell/cell1/files/b.txt", b"x"), ("POST", "cell", {"name": "new"}),
        ("POST", "cell/cell1/documents", b""), ("POST", "cell/cell1/move", {"from": "a.txt", "to": "b"}),
        ("PUT", "export", {"export": {}}),
    ]:  # fmt: skip
        told = client.call(method, path, body if isinstance(body, bytes) else json.dumps(body).encode())
        assert told.status_code == 503, path
        assert told.json()["code"] == "error.user.read_only"
    assert counts() == before
    assert client.get("cell/cell1").json()["files"] == 1
    assert client.post("session/deauthenticate").json().get("code") != "error.user.read_only"
    assert client.delete("cell/cell1/files/a.txt").status_code == 200


def test_the_move_api(cell: Cell, alice: User) -> None:
    client, before = Move(alice, cell=cell, scopes=("io.cozy.exports", "io.cozy.imports")), counts()
    for path in ("move/exports", "move/imports", "move/imports/precheck"):
        told = client.post(path, EMPTY)
        assert told.status_code == 503
        assert told.json()["errors"][0]["detail"].startswith("This server takes no new content")
    assert counts() == before


def test_the_pages(cell: Cell, alice: User) -> None:
    client, before = Client(), counts()
    client.force_login(alice)
    for path, form in (
        ("cells/", {"name": "new"}),
        ("cells/cell1/folder", {"new": "x"}),
        ("cells/cell1/snapshots", {}),
    ):
        told = client.post(f"/web/{path}", form)
        assert told.status_code == 503 and b"takes no new content" in told.content
    assert counts() == before
    assert client.get("/web/cells/cell1/").status_code == 200
    assert client.post("/web/sign-out").status_code == 302
