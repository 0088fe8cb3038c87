"""`spec/v1.md §17`: what a production ETL client does, call by call; "breaking it breaks real users"."""

import io
import json
import zipfile
from typing import Any
from xml.etree import ElementTree

import pytest
from django.contrib.auth.models import User
from django.test import Client

from cells.models import Document
from exports.models import Run
from exports.services import running
from tests.clients import content
from tests.factories import make_cell, put_documents, put_file

pytestmark = pytest.mark.django_db(transaction=True)

EASYDB = "{https://schema.easydb.de/EASYDB/1.0/objects/}"
POOL = 7
#: As many ids as it sends.
IDS = 30_000


def body(ids: list[int]) -> dict[str, Any]:
    search = [
        {"type": "in", "bool": "must", "fields": ["_objecttype"], "in": ["objekte"]},
        {"type": "in", "bool": "must", "fields": ["_system_object_id"], "in": ids},
        {"type": "in", "bool": "should", "fields": ["objekte._pool.pool._id"], "in": [POOL]},
    ]
    export = {
        "_version": 1,
        "type": "export",
        "name": "etl",
        "search": {"search": search, "format": "long", "objecttypes": ["objekte"], "limit": None},
        "fields": None,
        "classes": {},
        "assets": {},
        "csv": False,
        "xml": True,
        "xml_one_file_per_object": True,
        "merge_linked_objects": "none",
        "merge_max_depth": 1,
        "json": False,
        "json_one_file_per_object": False,
        "all_languages": False,
        "mapping": "easydb",
        "flat": False,
        "batch_size": 5000,
        "filename_template": None,
        "eas_fields": {},
        "produce_options": {"addLinkedData": True, "plugin": "easydb"},
        "limit": None,
        "offset": None,
    }
    return {"export": export}


class Etl:
    """Speaks as the client does: the token in the query, JSON without a Content-Type."""

    def __init__(self) -> None:
        self._client = Client()
        self.token = self.call("GET", "session")["token"]
        self.call("POST", "session/authenticate", login="alice", password="alice's password")

    def raw(self, method: str, path: str, data: Any = None, **query: str) -> Any:
        token = {"token": self.token} if hasattr(self, "token") else {}
        asked = "&".join(f"{name}={value}" for name, value in {**token, **query}.items()).replace(" ", "%20")
        sent = b"" if data is None else json.dumps(data).encode()
        return self._client.generic(method, f"/api/v1/{path}?{asked}", sent, "")

    def call(self, method: str, path: str, data: Any = None, **query: str) -> Any:
        response = self.raw(method, path, data, **query)
        told = json.loads(content(response))
        assert response.status_code == 200 and "code" not in told, told
        return told


@pytest.fixture
def collection(alice: User) -> list[int]:
    """Ids of what the client wants; beside it lies what it does not want."""
    cell = make_cell(alice, "collection")
    put_file(cell, "photo.jpg", b"a photo")
    pools = {0: POOL, 1: POOL, 2: 8}
    bodies = [
        {
            "title": {"de-DE": f"Gemälde <{number}> & \x01"},
            "_pool": {"pool": {"_id": pools[number % 3], "name": {"de-DE": "Archiv"}}},
            "photo": {"_file": "photo.jpg"},
            "artist": {"person": {"_id": 1}},
            "_nested:objekte__names": [{"name": "a]]>b"}, {"name": "\ufffe"}],
        }
        for number in range(60)
    ]
    put_documents(cell, [("objekte", f"o{number:02}", each) for number, each in enumerate(bodies)])
    put_documents(cell, [("person", "p", {"name": "x"})])
    rows = Document.objects.filter(doctype="objekte", body___pool__pool___id=POOL).order_by("pk")
    return list(rows.values_list("pk", flat=True))


def test_the_client_of_section_17_gets_what_it_came_for(collection: list[int], settings: Any) -> None:
    """It polls until `done` or `failed`: XML that had to leave out control characters would keep it waiting (C11)."""
    settings.EXPORT_STRICT_EASYDB_STATES = True
    client = Etl()
    client.call("PUT", "export", body([1]))
    listed = client.call("GET", "export")
    assert listed["count"] == 1
    for each in listed["objects"]:
        client.call("DELETE", f"export/{each['export']['_id']}")

    wanted = [*collection, *range(10**9, 10**9 + IDS - len(collection))]
    assert len(wanted) == IDS
    made = client.call("PUT", "export", body(wanted))["export"]["_id"]
    client.call("POST", f"export/{made}/start")
    running.run_export(run_id=Run.objects.latest("pk").pk)
    assert client.call("GET", f"export/{made}")["_state"] == "done"

    with zipfile.ZipFile(io.BytesIO(content(client.raw("GET", f"export/{made}/zip")))) as archive:
        assert archive.testzip() is None
        found = []
        for name in archive.namelist():
            if name.endswith(".json"):
                assert name == "manifest.json"
                continue
            root = ElementTree.fromstring(archive.read(name))  # noqa: S314
            assert root.find(f".//{EASYDB}_last_modified").text
            found.append(int(root.find(f".//{EASYDB}_system_object_id").text))
            assert name == f"etl/{found[-1]}@local.xml"
    assert found == collection and len(found) == 40
    client.call("DELETE", f"export/{made}")
