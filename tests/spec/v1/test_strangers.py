"""Two owners: nobody sees or touches the other's on any route of the API description (`spec/v1.md §13`, C5, C7)."""

from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from django.apps import apps
from drf_spectacular.generators import SchemaGenerator

from exports.models import Delivery, Event, Export
from exports.services import delivery, downloads
from tests.clients import V1, content
from tests.factories import make_cell, put_documents, put_files
from tests.spec.v1.asking import created, id_of, run

pytestmark = pytest.mark.django_db(transaction=True)

#: What nobody but Alice may read, wherever it stands.
HERS = ("alices-export", "alices-bytes", "alices-title", "alices-file", "alices-message", "hunter2")
FTP = {
    "type": "ftp",
    "packer": "zip",
    "options": {"server": "127.0.0.1", "login": "alices-message", "password": "hunter2"},
}

#: What a stranger is told: (status, code).
NO_CELL = (404, "error.user.cell_not_found")
NO_EXPORT = (404, "error.user.export_not_found")
NO_EXPORT_TO_SEND = (400, "error.user.export_not_found")  # C8: on file and zip all but a missing login is 400
NO_RIGHT = (400, "error.user.no_system_right")
#: Answers that hold nothing but the caller's own.
OWN = (200, None)

#: Every call that there is. A new one fails the test until somebody has decided what strangers get.
STRANGER: dict[tuple[str, str], tuple[int, str | None]] = {
    ("get", "/cell"): OWN,
    ("post", "/cell"): (201, None),
    ("get", "/cell/{name}"): NO_CELL,
    ("delete", "/cell/{name}"): NO_CELL,
    ("get", "/cell/{name}/documents"): NO_CELL,
    ("post", "/cell/{name}/documents"): NO_CELL,
    ("get", "/cell/{name}/documents/{doctype}/{doc_id}"): NO_CELL,
    ("put", "/cell/{name}/documents/{doctype}/{doc_id}"): NO_CELL,
    ("delete", "/cell/{name}/documents/{doctype}/{doc_id}"): NO_CELL,
    ("get", "/cell/{name}/files/{path}"): NO_CELL,
    ("put", "/cell/{name}/files/{path}"): NO_CELL,
    ("delete", "/cell/{name}/files/{path}"): NO_CELL,
    ("post", "/cell/{name}/move"): NO_CELL,
    ("get", "/event/{id}"): NO_RIGHT,
    ("get", "/event/list"): NO_RIGHT,
    ("get", "/event/poll"): OWN,
    ("get", "/event/poll/{last}"): OWN,
    ("get", "/export"): OWN,
    ("post", "/export"): OWN,
    ("put", "/export"): OWN,
    ("get", "/export/{id}"): NO_EXPORT,
    ("post", "/export/{id}"): NO_EXPORT,
    ("delete", "/export/{id}"): NO_EXPORT,
    ("get", "/export/{id}/download/{passkey}/{file}"): (302, None),
    ("get", "/export/{id}/file/{path}"): NO_EXPORT_TO_SEND,
    ("post", "/export/{id}/start"): NO_EXPORT,
    ("post", "/export/{id}/stop"): NO_EXPORT,
    ("get", "/export/{id}/tar_gz"): NO_EXPORT_TO_SEND,
    ("get", "/export/{id}/tar_gz/{path}"): NO_EXPORT_TO_SEND,
    ("post", "/export/{id}/transport/{uuid}/retry"): NO_EXPORT,
    ("post", "/export/{id}/transport/{uuid}/test"): NO_EXPORT,
    ("get", "/export/{id}/uuid/{passkey}/file/{path}"): (302, None),
    ("get", "/export/{id}/uuid/{passkey}/tar_gz"): (302, None),
    ("get", "/export/{id}/uuid/{passkey}/tar_gz/{path}"): (302, None),
    ("get", "/export/{id}/uuid/{passkey}/zip"): (302, None),
    ("get", "/export/{id}/uuid/{passkey}/zip/{path}"): (302, None),
    ("get", "/export/{id}/zip"): NO_EXPORT_TO_SEND,
    ("get", "/export/{id}/zip/{path}"): NO_EXPORT_TO_SEND,
}
REFUSALS = {"error.user.not_authenticated", *(code for _, code in STRANGER.values() if code)}
#: They are about the caller's own token alone; `tests/cells/test_sessions.py` has them.
SESSIONS = {("get", "/session"), ("post", "/session/authenticate"), ("post", "/session/deauthenticate")}
#: What Alice herself would send; the others send it too.
BODIES: dict[tuple[str, str], Any] = {
    ("post", "/cell"): {"name": "strangers-cell"},
    ("post", "/cell/{name}/documents"): {"documents": []},
    ("put", "/cell/{name}/documents/{doctype}/{doc_id}"): {"title": "taken"},
    ("put", "/cell/{name}/files/{path}"): {"any": "bytes"},
    ("post", "/cell/{name}/move"): {"from": "alices-file.txt", "to": "taken.txt"},
    ("post", "/export"): {"export": {"search": {}}},
    ("put", "/export"): {"export": {"search": {}}},
    ("post", "/export/{id}"): {"export": {"name": "taken"}},
}


def calls() -> Iterator[tuple[str, str]]:
    for path, operations in SchemaGenerator().get_schema(request=None, public=True)["paths"].items():
        if path.startswith("/api/v1/"):
            yield from ((method, path.removeprefix("/api/v1")) for method in operations)


def test_every_call_is_known_here() -> None:
    assert set(calls()) == STRANGER.keys() | SESSIONS


@pytest.fixture
def hers(as_alice: V1, as_bob: V1, alice) -> dict[str, object]:
    """Something of Alice's for every parameter of a path, and the passkey of somebody else."""
    cell = make_cell(alice, "alices")
    put_files(cell, {"alices-file.txt": b"alices-bytes"})
    put_documents(cell, [("book", "b1", {"title": "alices-title"})])
    export = run(as_alice, created(as_alice, name="alices-export", json=True, _transports=[FTP]))
    delivery.deliver(delivery_id=Delivery.objects.get().pk)
    other = created(as_bob, name="bobs-export")
    return {
        "name": cell.name,
        "doctype": "book",
        "doc_id": "b1",
        "path": "alices-file.txt",
        "id": id_of(export),
        "last": 0,
        "uuid": export["_transports"][0]["uuid"],
        "passkey": downloads.passkey(export=Export.objects.get(pk=id_of(other))),
        "file": "alices-export.zip",
    }


def rows() -> dict[str, set[str]]:
    """Everything that is stored, but for tokens, which note when they were used."""
    models = [model for app in ("cells", "exports") for model in apps.get_app_config(app).get_models()]
    return {
        model.__name__: {repr(row) for row in model.objects.values_list()}
        for model in models
        if model.__name__ != "AccessToken"
    }


def ask(client: V1, method: str, path: str, hers: dict[str, object]):
    address = path.format(**({**hers, "id": Event.objects.latest("pk").pk} if path == "/event/{id}" else hers))
    body = BODIES.get((method, path))
    response = (
        client.call(method.upper(), address[1:])
        if body is None
        else client._json(method.upper(), address[1:], body, {})
    )
    return response, address, content(response)


def verdict(response, body: bytes) -> tuple[int, str | None]:
    """(status, code of the envelope)."""
    told = orjson.loads(body) if body and response.headers["Content-Type"].startswith("application/json") else None
    return response.status_code, told.get("code") if isinstance(told, dict) else None


def test_a_stranger_sees_and_touches_nothing(as_bob: V1, as_nobody: V1, hers) -> None:
    """`spec/v1.md §13`: "a user handles only own exports"; §2.8: without a session 403 `not_authenticated`."""
    for (method, path), of_bob in STRANGER.items():
        of_nobody = of_bob if "{passkey}" in path else (403, "error.user.not_authenticated")
        for client, expected in ((as_nobody, of_nobody), (as_bob, of_bob)):
            before = rows()
            response, address, body = ask(client, method, path, hers)
            told = f"{method} {path}: {body[:300]!r}"
            assert verdict(response, body) == expected, told
            assert [each for each in HERS if each.encode() in body and each not in address] == [], told
            after = rows()
            assert all(before[name] <= after[name] for name in before), told
            assert after == before or (expected is of_bob and expected[1] is None), told


def test_the_owner_is_refused_none_of_it(as_alice: V1, as_root: V1, hers) -> None:
    """Or else strangers would be refused for another reason. Events are for whoever has the right."""
    order = ["get", "put", "post", "delete"]
    for method, path in sorted(STRANGER, key=lambda call: (order.index(call[0]), -len(call[1]))):
        client = as_root if path.startswith("/event") else as_alice
        response, _, body = ask(client, method, path, hers)
        assert verdict(response, body)[1] not in REFUSALS, f"{method} {path}: {body[:300]!r}"
