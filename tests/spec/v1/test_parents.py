"""`spec/v1.md §4.2`: `include_parents`; what objects stand below, in data files; over HTTP."""

from typing import Any

import orjson
import pytest
from lxml import etree

from cells.models import Cell, Document
from tests.clients import V1
from tests.factories import make_cell, put_documents
from tests.spec.v1.asking import created, run
from tests.spec.v1.packed import got, path_to

pytestmark = pytest.mark.django_db(transaction=True)

EASYDB = "{https://schema.easydb.de/EASYDB/1.0/objects/}"


@pytest.fixture
def ids(alice: Any) -> dict[str, int]:
    """Europe > Italy > Rome, a book that links Rome, and one that links Europe."""
    cell = make_cell(alice, "shelf")
    found: dict[str, int] = {}
    for name, above in (("Europe", None), ("Italy", "Europe"), ("Rome", "Italy")):
        parent = {"_id_parent": found[above]} if above else {}
        put(cell, "place", name, {"title": {"de-DE": f"{name} (de)", "en-US": name}, **parent}, found)
    put(cell, "book", "b1", {"title": "one", "where": {"place": {"_id": found["Rome"]}}}, found)
    put(cell, "book", "b2", {"title": "two", "rows": [{"where": {"place": {"_id": found["Europe"]}}}]}, found)
    return found


def put(cell: Cell, doctype: str, name: str, body: dict[str, Any], found: dict[str, int]) -> None:
    put_documents(cell, [(doctype, name, body)])
    found[name] = Document.objects.get(doc_id=name).pk


def data(client: V1, **attributes: Any) -> bytes:
    export = run(client, created(client, **{"name": "press", "include_parents": True, "eas_fields": {}, **attributes}))
    assert export["_state"] == "done"
    [file] = export["_files"]
    return got(client.get(path_to(export, f"/file/{file['path']}")))


def objects(client: V1, **attributes: Any) -> dict[str, dict[str, Any]]:
    return {each["_uuid"]: each for each in orjson.loads(data(client, json=True, **attributes))["objects"]}


def names(path: list[dict[str, Any]], language: str = "en-US") -> list[str]:
    return [each["place"]["_standard"]["1"]["text"][language] for each in path]


def test_json_tells_the_path_of_documents_and_of_what_they_link(as_alice: V1, ids: dict[str, int]) -> None:
    """§7.1: "top level system keys (… `_path`, …)"; §7.5: "`<ot>.<link>._path.<linked ot>._id`"."""
    found = objects(as_alice)
    assert {name: names(each["_path"]) for name, each in found.items() if "_path" in each} == {
        "Italy": ["Europe", "Italy"],
        "Rome": ["Europe", "Italy", "Rome"],
    }
    where = found["b1"]["book"]["where"]
    assert where["place"] == {"_id": ids["Rome"]}
    assert [each["place"]["_id"] for each in where["_path"]] == [ids["Europe"], ids["Italy"], ids["Rome"]]
    assert where["_path"][1]["_system_object_id"] == ids["Italy"] and where["_path"][1]["_uuid"] == "Italy"
    assert found["b2"]["book"]["rows"] == [{"where": {"place": {"_id": ids["Europe"]}}}]


def test_a_path_is_told_whatever_fields_are_chosen_in_the_languages_of_the_search(
    as_alice: V1, ids: dict[str, int]
) -> None:
    search = {"objecttypes": ["place"], "language": "de-DE"}
    rome = objects(as_alice, search=search, fields={"_uuid": {}, "place.title": {}})["Rome"]
    assert rome["place"] == {"title": {"de-DE": "Rome (de)"}}
    assert names(rome["_path"], "de-DE") == ["Europe (de)", "Italy (de)", "Rome (de)"]
    assert "en-US" not in str(rome)


@pytest.mark.parametrize("merge", ["none", "all"])
def test_xml_tells_it_inside_each_object(as_alice: V1, ids: dict[str, int], merge: str) -> None:
    """§8.5: "Linked objects are by default written with ids, version and `_standard` only"; the users' list: XML
    "`include_parents` (6.14.0)"."""
    root = etree.fromstring(data(as_alice, xml=True, merge_linked_objects=merge, search={"objecttypes": ["book"]}))
    one, two = root
    path = one.find(f"{EASYDB}where/{EASYDB}place/{EASYDB}_path")
    assert [each.findtext(f"{EASYDB}_standard/{EASYDB}en-US") for each in path] == ["Europe", "Italy", "Rome"]
    assert [int(each.findtext(f"{EASYDB}_id")) for each in path] == [ids["Europe"], ids["Italy"], ids["Rome"]]
    assert (one.find(f".//{EASYDB}title/{EASYDB}de-DE") is not None) == (merge == "all")
    assert two.find(f".//{EASYDB}_path") is None


def test_nobody_is_told_unasked(as_alice: V1, ids: dict[str, int]) -> None:
    assert b"_path" not in data(as_alice, include_parents=False, json=True)
    assert b"_path" not in data(as_alice, include_parents=False, xml=True)


def test_a_circle_of_parents_has_an_end(as_alice: V1, ids: dict[str, int]) -> None:
    [cell] = Cell.objects.all()
    put_documents(cell, [("place", "Europe", {"title": "Europe", "_id_parent": ids["Rome"]})])
    path = objects(as_alice)["Rome"]["_path"]
    assert [each["place"]["_id"] for each in path] == [ids["Europe"], ids["Italy"], ids["Rome"]]
