"""`spec/v1.md §7`: what an export's search picks, over HTTP and through a run. The SQL has tests in `tests/cells`."""

from typing import Any

import orjson
import pytest
from django.contrib.auth.models import User

from cells.models import Cell, Document
from exports.models import Export
from tests.clients import V1
from tests.factories import make_cell, put_documents
from tests.spec.v1.asking import answer, created, id_of, refused, run
from tests.spec.v1.packed import got, unzipped, url

pytestmark = pytest.mark.django_db(transaction=True)
BOOKS = [("book", f"b{number}", {"title": f"Bänd {number}", "year": 2000 + number}) for number in range(5)]
FILMS = [("film", f"f{number}", {"title": "Füße", "year": 2000 + number}) for number in range(2)]


@pytest.fixture
def filled(cell: Cell) -> Cell:
    put_documents(cell, BOOKS + FILMS)
    return cell


def exported(client: V1, search: dict[str, Any], **attributes: Any) -> dict[str, list[str]]:
    """{doctype: [id of each document in the archive]}; the files must be there whatever was searched for."""
    export = run(client, created(client, search=search, json=True, **attributes))
    assert export["_state"] == "done", export["_log"]
    packed = unzipped(got(client.get(url(export, ".zip"))))
    assert any(name.endswith("readme.txt") for name in packed)
    found = {}
    for name, text in packed.items():
        if "documents/" in name:
            told = orjson.loads(text)
            assert told["count"] == len(told["objects"])
            found[name.rpartition("/")[2].removesuffix(".json")] = [item["_uuid"] for item in told["objects"]]
    return found


@pytest.mark.parametrize(
    ("search", "expected"),
    [
        ({}, {"book": ["b0", "b1", "b2", "b3", "b4"], "film": ["f0", "f1"]}),
        ({"search": None, "objecttypes": None}, {"book": ["b0", "b1", "b2", "b3", "b4"], "film": ["f0", "f1"]}),
        ({"objecttypes": ["film"]}, {"film": ["f0", "f1"]}),
        ({"search": [{"type": "match", "string": "fusse"}]}, {"film": ["f0", "f1"]}),
        ({"search": [{"type": "range", "field": "year", "to": 2000}]}, {"book": ["b0"], "film": ["f0"]}),
        (
            {
                "search": [
                    {"type": "in", "in": ["b1", "b3", "f0"], "fields": ["_uuid"]},
                    {"type": "range", "field": "year", "from": 2003, "bool": "must_not"},
                ]
            },
            {"book": ["b1"], "film": ["f0"]},
        ),
        ({"search": [{"type": "in", "in": ["nothing"], "fields": ["_uuid"]}]}, {}),
        ({"limit": 0}, {}),
        ({"limit": 3}, {"book": ["b0", "b1", "b2"]}),
        ({"limit": 3, "offset": 4}, {"book": ["b4"], "film": ["f0", "f1"]}),
        ({"offset": 6}, {"film": ["f1"]}),
        ({"offset": 7}, {}),
        ({"limit": 1, "offset": 1, "search": [{"type": "range", "field": "year", "to": 2001}]}, {"book": ["b1"]}),
    ],
)  # fmt: skip
def test_an_export_holds_what_its_search_finds(
    as_alice: V1, filled: Cell, search: dict[str, Any], expected: dict[str, list[str]]
) -> None:
    """§7: "It is executed at run time"; §7.2: "a positive integer caps the result; 0 = none"."""
    assert exported(as_alice, search) == expected


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        ([{"field": "year", "order": "DESC"}], {"book": ["b4", "b3", "b2", "b1", "b0"], "film": ["f1", "f0"]}),
        ([{"field": "book.year"}], {"book": ["b0", "b1", "b2", "b3", "b4"], "film": ["f0", "f1"]}),
        ([{"field": "_score"}, {"field": "_system_object_id", "order": "desc"}],
         {"book": ["b4", "b3", "b2", "b1", "b0"], "film": ["f1", "f0"]}),
    ],
)  # fmt: skip
def test_the_output_files_follow_the_order(as_alice: V1, filled: Cell, sort: list, expected: dict) -> None:
    """§7.6: "The output files follow this order"; limits cut behind it."""
    assert exported(as_alice, {"sort": sort}) == expected
    assert exported(as_alice, {"sort": sort, "limit": 1, "objecttypes": ["book"]}) == {"book": expected["book"][:1]}


def test_without_a_sort_ids_ascend(as_alice: V1, cell: Cell) -> None:
    """§7.6: "Ties and default: `_system_object_id` ascending"."""
    put_documents(cell, [("book", "z", {"n": 1})])
    put_documents(cell, [("book", "a", {"n": 1})])
    assert exported(as_alice, {"search": [{"type": "in", "in": [1], "fields": ["n"]}]}) == {"book": ["z", "a"]}
    assert exported(as_alice, {"sort": [{"field": "n"}]}) == {"book": ["z", "a"]} == exported(as_alice, {})


def test_keys_without_effect_are_accepted(as_alice: V1, filled: Cell) -> None:
    """§7.2: "accepted; only `language(s)` and `timezone` have an effect"; "others | ignored"."""
    idle = {"format": "long", "best_mask_filter": True, "generate_rights": False, "aggregations": {}, "highlight": {},
            "fields": [], "include_fields": ["a"], "exclude_fields": ["b"], "something": 1, "type": ""}  # fmt: skip
    asked = {"objecttypes": ["film"], "timezone": "Europe/Berlin", "languages": ["de-DE"]}
    assert exported(as_alice, {**idle, **asked}) == {"film": ["f0", "f1"]}


def test_the_window_lies_over_all_cells_of_an_export(as_alice: V1, alice: User, filled: Cell) -> None:
    """§7.2, with our `cells`: one limit for the export, by ascending `_system_object_id` (§7.6)."""
    other = make_cell(alice, "another-cell")
    put_documents(other, [("book", "late", {"year": 2000})])
    assert exported(as_alice, {"offset": 6}) == {"film": ["f1"], "book": ["late"]}


def test_a_search_runs_anew_in_each_run(as_alice: V1, filled: Cell) -> None:
    """§7: "every run anew"."""
    export = created(as_alice, search={"search": [{"type": "in", "in": ["new"], "fields": ["title"]}]}, json=True)
    first = unzipped(got(as_alice.get(url(run(as_alice, export), ".zip"))))
    put_documents(filled, [("book", "b9", {"title": "new"})])
    second = unzipped(got(as_alice.get(url(run(as_alice, export), ".zip"))))
    assert second.keys() - first.keys() == {"documents/book.json"}


def test_a_search_never_finds_what_belongs_to_another(as_alice: V1, filled: Cell, bob: User) -> None:
    """§7: "with the rights of the export's owner"."""
    put_documents(make_cell(bob, "bobs-cell"), [("book", "secret", {"title": "Bänd 1"})])
    ids = list(Document.objects.values_list("pk", flat=True))
    search = {"search": [{"type": "in", "in": ids, "fields": ["_system_object_id"]}]}
    assert exported(as_alice, search) == {"book": ["b0", "b1", "b2", "b3", "b4"], "film": ["f0", "f1"]}


@pytest.mark.parametrize(
    ("search", "code"),
    [
        ({"search": [{"type": "match", "string": "x" * 257}]}, "error.user.search_query_too_long"),
        ({"search": [{"type": "in", "in": ["x" * 257], "fields": ["a"]}]}, "error.user.search_query_too_long"),
        ({"search": [{"type": "fuzzy"}]}, "error.api.invalid_value"),
        ({"search": [{"type": "geo_shape"}]}, "error.api.invalid_value"),
        ({"search": [{"type": "in", "in": [], "eas_field": 7}]}, "error.api.type_mismatch"),
        ({"search": [{"type": "in", "field": "a", "subsearch": 7}]}, "error.api.type_mismatch"),
        ({"search": [{"type": "match"}]}, "error.api.attribute_expected"),
        ({"search": [{"type": "range", "field": "a"}]}, "error.api.attribute_expected"),
        ({"search": [{"type": "match", "string": 7}]}, "error.api.type_mismatch"),
        ({"limit": "5"}, "error.api.type_mismatch"),
        ({"limit": -1}, "error.api.invalid_value"),
        ({"offset": 2.5}, "error.api.type_mismatch"),
        ({"sort": [{"field": "year", "order": "UP"}]}, "error.api.invalid_value"),
        ({"sort": [{"order": "ASC"}]}, "error.api.attribute_expected"),
        ({"sort": {"field": "year"}}, "error.api.type_mismatch"),
        ({"sort": [{"field": "year", "mode": "median"}]}, "error.api.invalid_value"),
        ({"sort": [{"field": "year", "with_path": 1}]}, "error.api.type_mismatch"),
        ({"timezone": "Europe/Nowhere"}, "error.api.invalid_value"),
        ({"timezone": 2}, "error.api.type_mismatch"),
        ({"type": "asset"}, "error.api.invalid_value"),
    ],
)
def test_a_search_that_cannot_run_is_refused_and_nothing_changes(
    as_alice: V1, search: dict[str, Any], code: str
) -> None:
    """§7.2: "Malformed definitions are rejected on PUT/POST with 400"; §3.2."""
    before = created(as_alice, name="kept", search={"objecttypes": ["book"]})
    refused(as_alice.put("export", {"export": {"search": search}}), 400, code)
    refused(as_alice.post(f"export/{id_of(before)}", {"export": {"search": search}}), 400, code)
    assert answer(as_alice.get(f"export/{id_of(before)}")) == before
    assert Export.objects.count() == 1
