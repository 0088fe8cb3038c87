"""The order of what is found (`spec/v1.md §7.6`), time zones (§7.2), files (§7.5) and searches in searches (§7.4)."""

from datetime import UTC, datetime
from typing import Any

import pytest

from cells.models import Cell, Document
from cells.search.indexing import terms_sweep, terms_update
from tests.cells.searching import found, in_order, store
from tests.factories import make_cell, put_documents, put_file

pytestmark = pytest.mark.django_db


@pytest.fixture
def cell(alice) -> Cell:
    return make_cell(alice)


CARS = [
    ("car", {"name": "Car 100", "n": [5, 1], "tag": {"de-DE": "b", "en-US": "y"}}),
    ("car", {"name": "Car 9", "n": 2, "tag": {"de-DE": "a", "en-US": "z"}}),
    ("car", {"name": "", "n": [], "tag": None}),
    ("car", {"name": "äther", "n": [3, 3], "tag": "c"}),
    ("car", {"name": "Zeta"}),
    ("car", {"name": 7, "n": "x"}),
]


@pytest.mark.parametrize(
    ("clause", "sort", "expected"),
    [
        ("Ties and default: _system_object_id ascending", [], "012345"),
        ("`order` ASC (default) … Documents without value come last", [{"field": "name"}], "530142"),
        ("DESC, any case", [{"field": "name", "order": "desc"}], "541032"),
        ('numeric (… "Car 9" before "Car 100")', [{"field": "name", "numeric": True}], "531042"),
        ("`mode` min", [{"field": "n", "mode": "min"}], "013524"),
        ("`mode` max", [{"field": "n", "mode": "max"}], "130524"),
        ("`mode` sum", [{"field": "n", "mode": "sum"}], "103245"),
        ("`mode` avg", [{"field": "car.n", "mode": "avg", "order": "DESC"}], "031245"),
        ("`language`", [{"field": "tag", "language": "en-US"}], "301245"),
        ("`language`", [{"field": "tag", "language": "de-DE"}], "103245"),
        ("_score allowed", [{"field": "_score"}], "012345"),
        ("several keys", [{"field": "_objecttype"}, {"field": "_system_object_id", "order": "DESC"}], "543210"),
    ],
)
def test_what_is_found_comes_in_the_order_asked_for(cell: Cell, clause: str, sort: list, expected: str) -> None:
    """§7.6."""
    store(cell, CARS)
    assert "".join(in_order(cell, {"sort": sort})).replace("d", "") == expected
    assert "".join(in_order(cell, {"sort": sort, "offset": 1, "limit": 3})).replace("d", "") == expected[1:4]


def test_rows_of_tables_and_files_are_sorted_by_too(cell: Cell) -> None:
    """§7.6: "`mode` `min|max|sum|avg` for multi-values"; §7.5: "nested table", "`_linked._asset.<p>` … filesize"."""
    for name, size in (("a.jpg", 30), ("b.jpg", 10), ("c.png", 20)):
        put_file(cell, name, b"x" * size)
    rows = [[{"n": 3}, {"n": 9}], [{"n": 1}, {"n": 20}], [], [{"n": 5}]]
    files = ["a.jpg", "b.jpg", "none.jpg", "c.png"]
    bodies = [{"_nested:car__owner": row, "f": {"_file": file}} for row, file in zip(rows, files, strict=True)]
    store(cell, [("car", body) for body in bodies])

    def order(field: str, **more: str) -> str:
        return "".join(in_order(cell, {"sort": [{"field": field, **more}]})).replace("d", "")

    owner = "car._nested:car__owner.n"
    assert (order(owner), order(owner, order="DESC"), order(owner, mode="sum")) == ("1032", "1032", "3012")
    assert (order("_linked._asset.filesize"), order("_linked._asset.name", order="DESC")) == ("1302", "3102")


def test_with_path_what_is_below_another_stands_behind_it(cell: Cell) -> None:
    """§7.6: "`with_path`"; without a value of its own a document comes last, wherever it stands."""
    ids: dict[str, int] = {}
    tree = [("x", "b", None), ("c", "a", "x"), ("d", "", "x"), ("y", "a", None), ("e", "z", "y"), ("f", "c", "c")]
    for doc_id, name, above in tree:
        parent = {"_id_parent": ids[above]} if above else {}
        put_documents(cell, [("place", doc_id, {"name": name, **parent})])
        ids[doc_id] = Document.objects.get(doc_id=doc_id).pk
    put_documents(cell, [("place", "g", {"name": "0", "_id_parent": "1; --"}), ("place", "h", {"name": "1"})])

    def order(**item: Any) -> str:
        return "".join(in_order(cell, {"sort": [item]}))

    assert order(field="name", with_path=True) == "ghyexcfd"  # g h, a a/z, b b/a b/a/c
    assert order(field="place.name", with_path=True, order="DESC") == "fcxeyhgd"
    assert order(field="name") == "ghcyxfed"
    assert order(field="_created", with_path=True)[0] == "x"
    put_documents(cell, [("place", "x", {"name": "b", "_id_parent": ids["f"]})])
    assert set(order(field="name", with_path=True)) == set("ghyexcfd")  # a circle has an end


def test_what_a_document_is_called_is_searched_and_sorted_by(cell: Cell) -> None:
    """§7.5: "`_standard.1.text` (2, 3)": "rendered title (l10n)"; the names are those that data files give."""
    standard = {"1": {"text": {"de-DE": "Apfel", "en-US": "zebra"}}, "2": {"text": "second"}}
    store(cell, [
        ("a", {"_standard": standard, "title": "no"}), ("a", {"title": "", "name": "Birne"}),
        ("a", {"label": {"de-DE": "Citrone"}}), ("a", {"other": "Apfel"}),
    ])  # fmt: skip

    def by(text: str, **more: Any) -> set[str]:
        return found(cell, {"search": [{"type": "match", "mode": "token", "string": text, **more}]})

    first, second = {"fields": ["_standard.1.text"]}, {"fields": ["_standard.2.text"]}
    assert (by("apfel", **first), by("birne", **first), by("citrone", **first)) == ({"d0"}, {"d1"}, {"d2"})
    assert (by("zebra", **first, languages=["de-DE"]), by("zebra", fields=["_standard"])) == (set(), {"d0"})
    assert (by("second", **second), by("birne", **second), by("no", **first)) == ({"d0"}, set(), set())
    assert found(cell, {"search": [{"type": "in", "fields": ["_standard.1.text"], "in": [None]}]}) == {"d3"}
    assert in_order(cell, {"sort": [{"field": "_standard.1.text", "language": "de-DE"}]}) == ["d0", "d1", "d2", "d3"]


def test_times_are_sorted_as_instants(cell: Cell) -> None:
    """§7.6."""
    store(cell, CARS[:3])
    Document.objects.filter(doc_id="d2").update(updated_at=datetime(2000, 1, 1, tzinfo=UTC))
    Document.objects.filter(doc_id="d0").update(updated_at=datetime(2001, 1, 1, tzinfo=UTC))
    assert in_order(cell, {"sort": [{"field": "_last_modified"}]}) == ["d2", "d0", "d1"]
    assert in_order(cell, {"sort": [{"field": "_changelog.date_last_updated", "order": "DESC"}]}) == ["d1", "d0", "d2"]


@pytest.mark.parametrize(
    ("zone", "expected"),
    [
        (None, {"d0", "d1"}),
        ("UTC", {"d0", "d1"}),
        ("Europe/Berlin", {"d0", "d2"}),
        ("America/New_York", {"d0", "d1", "d3"}),
    ],
)
def test_days_are_those_of_the_time_zone(cell: Cell, zone: str | None, expected: set[str]) -> None:
    """§7.2: "only `language(s)` and `timezone` have an effect". A time that says no zone is meant in it too."""
    store(
        cell,
        [
            ("note", {"at": "2024-07-01"}),
            ("note", {"at": "2024-07-01T23:30:00Z"}),
            ("note", {"at": "2024-06-30T22:30:00Z"}),
            ("note", {"at": "2024-07-02T03:30:00Z"}),
        ],
    )
    search = {"timezone": zone, "search": [{"type": "range", "field": "at", "from": "2024-07-01", "to": "2024-07-01"}]}
    assert found(cell, search) == expected
    written = [("d0", 1, 12), ("d1", 1, 23), ("d2", 30, 22), ("d3", 2, 3)]
    for doc_id, day, hour in written:
        at = datetime(2024, 6 if day == 30 else 7, day, hour, 30, tzinfo=UTC)
        Document.objects.filter(doc_id=doc_id).update(updated_at=at)
    search["search"] = [{"type": "changelog_range", "from": "2024-07-01", "to": "2024-07-01"}]
    assert found(cell, search) == expected


@pytest.mark.parametrize(
    ("element", "expected"),
    [
        ({"type": "in", "eas_field": "class", "in": ["image"]}, {"d0"}),
        ({"type": "in", "eas_field": "extension", "in": ["pdf", "jpg"]}, {"d0", "d1"}),
        ({"type": "in", "fields": ["_linked._asset.class_extension"], "in": ["office.pdf"]}, {"d1"}),
        ({"type": "in", "fields": ["_linked._asset.name"], "in": ["Plan"]}, {"d1"}),
        ({"type": "match", "fields": ["_linked._asset.name"], "string": "fusse"}, {"d0"}),
        ({"type": "range", "field": "_linked._asset.filesize", "from": 5, "to": 9}, {"d1"}),
        ({"type": "range", "field": "_linked._asset.date_uploaded", "from": "2020"}, {"d0", "d1"}),
        ({"type": "in", "fields": ["_linked._asset.technical_metadata.width"], "in": [None]}, {"d0", "d1", "d2"}),
        ({"type": "in", "fields": ["_linked._asset._id"], "in": [None]}, {"d2"}),
    ],
)
def test_documents_are_found_by_their_files(cell: Cell, element: dict[str, Any], expected: set[str]) -> None:
    """§7.4: "some attached asset has that property in the list"; §7.5: "any attached asset"."""
    put_file(cell, "photos/Füße.JPG", b"1234")
    put_file(cell, "Plan.pdf", b"123456")
    store(
        cell,
        [
            ("note", {"photo": [{"_file": "photos/Füße.JPG"}, {"_file": "not/there.jpg"}]}),
            ("note", {"rows": [{"plan": {"_file": "/Plan.pdf"}}]}),
            ("note", {"photo": "photos/Füße.JPG", "other": {"_file": 7}}),
        ],
    )
    assert found(cell, {"search": [element]}) == expected


def test_a_search_may_ask_another_one(cell: Cell, alice, bob) -> None:
    """§7.4: "(fylr also `field` + `subsearch`)": the value is the id of something that the other search finds."""
    store(cell, [("person", {"name": "Eva"}), ("person", {"name": "Adam"})])
    eva, adam = Document.objects.filter(doctype="person").order_by("pk").values_list("pk", flat=True)
    foreign = make_cell(bob, "bobs-cell")
    put_documents(foreign, [("person", "x", {"name": "Eva"})])
    stranger = Document.objects.get(cell=foreign).pk
    books = [("book", {"by": {"person": {"_id": author}}}) for author in (eva, adam, stranger)]
    store(cell, books, 2)
    element = {"type": "in", "field": "book.by.person._id",
               "subsearch": {"search": [{"type": "match", "string": "eva"}], "objecttypes": ["person"]}}  # fmt: skip
    assert found(cell, {"search": [element]}) == {"d2"}
    element["subsearch"] = {"sort": [{"field": "name"}], "objecttypes": ["person"], "limit": 1}
    assert found(cell, {"search": [element]}) == {"d3"}
    element["subsearch"] = {"objecttypes": ["person"], "offset": 1}
    assert found(cell, {"search": [{**element, "bool": "must_not"}], "objecttypes": ["book"]}) == {"d2", "d4"}


def test_nobody_notes_who_wrote_or_why(cell: Cell) -> None:
    """§7.4: `changelog_range` takes `user` and `comment`; §7.5: what is not there has no value."""
    store(cell, CARS)
    assert found(cell, {"search": [{"type": "changelog_range", "user": None, "comment": ""}]}) == set(
        in_order(cell, {})
    )
    for given in ({"user": 5}, {"comment": "x"}, {"user": 5, "from": "2000"}):
        assert found(cell, {"search": [{"type": "changelog_range", **given}]}) == set()


def test_words_follow_what_documents_say(cell: Cell) -> None:
    """The index is behind for a moment; what is found never is."""

    def ask(word: str) -> set[str]:
        return found(cell, {"search": [{"type": "match", "string": word}]})

    put_documents(
        cell, [("book", "b1", {"title": "first\\line\nsecond \u0001third"}), ("book", "b2", {"t": "x" * 700})]
    )
    assert ask("second") == ask("third") == {"b1"}
    assert terms_update() == 2 and terms_update() == 0
    assert ask("second") == ask("third") == {"b1"} and ask("x" * 256) == {"b2"}
    put_documents(cell, [("book", "b1", {"title": "other"})])
    assert ask("second") == set() and ask("other") == {"b1"}
    terms_update()
    assert ask("second") == set() and ask("other") == {"b1"}
    huge = " ".join(f"w{number}" for number in range(80_000))
    put_documents(cell, [("book", "b3", {"t": huge, "long": "y" * 5000})])
    terms_update()
    assert ask("w79999") == {"b3"} == ask("w1 w2") and ask("w80000") == set()
    Document.objects.all().delete()
    assert ask("other") == set() and terms_sweep() == 0
