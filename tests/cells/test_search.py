"""Each clause of `spec/v1.md §7.3–7.6` about what a search finds, and what is refused."""

import unicodedata
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection

from cells.folding import fold, words
from cells.models import Cell, Document
from cells.search import SearchRefused, SearchTooLong, compile
from cells.search.dates import instant
from tests.cells.searching import INSTANCE, found, store
from tests.factories import make_cell

pytestmark = pytest.mark.django_db


@pytest.fixture
def cell(alice) -> Cell:
    return make_cell(alice)


BOOKS = [
    ("book", {"title": "Die Füße", "year": 2000, "date": "2000-06", "tags": ["a", "b"], "open": True, "note": ""}),
    ("book", {"title": "Au lait, café", "year": 1999.5, "date": "2001-01-01", "tags": [], "open": False}),
    ("film", {"title": {"de-DE": "Haus", "en-US": "house"}, "_nested:film__cast": [
        {"name": "Eva", "age": 30}, {"name": "Adam", "age": 40}], "date": {"from": "2000-01", "to": "2000-03"},
        "deep": [[[{"n": 4}, {"n": [[[5]]]}]]], "book": {"year": 9}}),
    ("film", {"who": {"_objecttype": "person", "person": {"_id": 7}, "_path": [{"person": {"_id": 3}}]}, "tags": "a"}),
]  # fmt: skip
ALL = {"d0", "d1", "d2", "d3"}
NESTED = {"type": "nested", "path": "film._nested:film__cast"}
NAME, AGE = "film._nested:film__cast.name", "film._nested:film__cast.age"


@pytest.mark.parametrize(
    ("clause", "element", "expected"),
    [
        ("Numbers compare numerically", {"type": "in", "in": [2000.0, "1999.5"], "fields": ["year"]}, {"d0"}),
        ("booleans only with booleans", {"type": "in", "in": [1, "true"], "fields": ["open"]}, set()),
        ("booleans only with booleans", {"type": "in", "in": [True], "fields": ["open"]}, {"d0"}),
        ("strings exactly (case-sensitive on the stored value)",
         {"type": "in", "in": ["die füße"], "fields": ["title"]}, set()),
        ("null … when a field has no value (missing, null, empty string, empty list)",
         {"type": "in", "in": [None], "fields": ["book.tags"]}, {"d1", "d2", "d3"}),
        ("null … empty string", {"type": "in", "in": [None], "fields": ["book.note"]}, ALL),
        ("true if any value of any field equals any entry",
         {"type": "in", "in": ["b", 1999.5], "fields": ["year", "tags"]}, {"d0", "d1"}),
        ("L10n fields: each language value is tested", {"type": "in", "in": ["house"], "fields": ["title"]}, {"d2"}),
        ("(`languages` restricts)",
         {"type": "in", "in": ["house"], "fields": ["title"], "languages": ["de-DE"]}, set()),
        ("links (at any depth…) an object of that type", {"type": "in", "in": [7], "objecttype": "person"}, {"d3"}),
        ("without include_path ancestors do not count", {"type": "in", "in": [3], "objecttype": "person"}, set()),
        ("include_path: true also tests all ancestors",
         {"type": "in", "in": [3], "objecttype": "person", "include_path": True}, {"d3"}),
        ('("fusse" must find "Füße")', {"type": "match", "string": "fusse"}, {"d0"}),
        ("token: every query word equals a word", {"type": "match", "string": "fuss", "mode": "token"}, set()),
        ("fulltext: every query word is a prefix of a word", {"type": "match", "string": "CAF lai"}, {"d1"}),
        ("wildcard: words may hold * and ?", {"type": "match", "string": "h*s? l*", "mode": "wildcard"}, set()),
        ("wildcard: … matched against whole words", {"type": "text", "string": "ho?s*", "mode": "wildcard"}, {"d2"}),
        ("phrase: words adjacent and in order", {"type": "match", "string": "café lait", "phrase": True}, set()),
        ("phrase: words adjacent and in order", {"type": "match", "string": "lait-cafe", "phrase": True}, {"d1"}),
        ("Inclusive", {"type": "range", "field": "year", "from": 1999.5, "to": 2000}, {"d0", "d1"}),
        ("from_equals … exclusive", {"type": "range", "field": "year", "from": 1999.5, "from_equals": False}, {"d0"}),
        ("prefixes … expand to the last instant for `to`",
         {"type": "range", "field": "book.date", "to": "2000"}, {"d0"}),
        ("without suffix overlap", {"type": "range", "field": "film.date", "from": "2000-03-31", "to": "2001"}, {"d2"}),
        ("subfields .from and .to", {"type": "range", "field": "film.date.from", "from": "2000-02"}, set()),
        ("treat all-null as match-all", {"type": "changelog_range", "from": None, "to": None, "operation": None}, ALL),
        ("insert ↔ _created", {"type": "changelog_range", "operation": "insert", "from": "2000", "to": "2001"}, set()),
        ("one single row", {**NESTED, "search": [{"type": "in", "in": ["Eva"], "fields": [NAME]},
                                                {"type": "in", "in": [40], "fields": [AGE]}]}, set()),
        ("one single row", {**NESTED, "search": [{"type": "in", "in": ["Eva"], "fields": [NAME]},
                                                {"type": "range", "from": 30, "field": AGE}]}, {"d2"}),
        ("Empty complex matches everything", {"type": "complex"}, ALL),
        ("if <ot> differs from the document's type there is no value",
         {"type": "in", "in": ["a"], "fields": ["film.tags"]}, {"d3"}),
        ("A field that does not exist simply has no value", {"type": "in", "in": [1], "fields": ["x.y.z"]}, set()),
        ("a list at any point means any element", {"type": "in", "in": [5], "fields": ["film.deep.n"]}, {"d2"}),
        ("phrase of whole words", {"type": "match", "string": "au lai", "phrase": True, "mode": "token"}, set()),
        ("a name of another doctype leads nowhere", {"type": "in", "in": [9], "fields": ["book.year"]}, set()),
        ("_linked objects by path", {"type": "in", "in": [7], "fields": ["film.who.person._id"]}, {"d3"}),
    ],
)  # fmt: skip
def test_each_clause_of_the_elements(cell: Cell, clause: str, element: dict[str, Any], expected: set[str]) -> None:
    """§7.4, §7.5."""
    store(cell, BOOKS)
    assert found(cell, {"search": [element]}) == expected
    assert found(cell, {"search": [{**element, "bool": "must_not"}]}) == ALL - expected


def test_times_of_a_document_are_compared_as_instants(cell: Cell) -> None:
    """§7.4: "`insert` ↔ `_created`, `update` or empty ↔ `_last_modified`"; UTC, prefixes allowed."""
    store(cell, BOOKS[:2])
    Document.objects.filter(doc_id="d0").update(created_at=datetime(2000, 12, 31, 23, 59, 59, 999999, tzinfo=UTC))
    Document.objects.filter(doc_id="d1").update(updated_at=datetime(2001, 1, 1, tzinfo=UTC))
    for element, expected in [
        ({"type": "changelog_range", "operation": "insert", "to": "2000"}, {"d0"}),
        ({"type": "changelog_range", "operation": "update", "to": "2001-01"}, {"d1"}),
        ({"type": "changelog_range", "to": "2000-12-31"}, set()),
        ({"type": "range", "field": "_created", "from": "2000-12", "to": "2001-01-01T00:59:59.999999+01:00"}, {"d0"}),
        ({"type": "range", "field": "_changelog.date_last_updated", "to": "2001"}, {"d1"}),
    ]:
        assert found(cell, {"search": [element]}) == expected, element


def test_all_of_unicode_is_folded_alike_here_and_there(db: None) -> None:
    """Python folds what is asked, PostgreSQL what is stored; a character they disagree on could not be found."""
    characters = [chr(c) for c in range(1, 0x110000) if unicodedata.category(chr(c)) not in ("Cs", "Cn", "Co")]
    with connection.cursor() as cursor:
        cursor.execute("SELECT cells_fold(c), cells_words(c) FROM unnest(%s::text[]) c", [characters])
        rows = cursor.fetchall()
    different = [
        (c, folded, fold(c)) for c, (folded, words_of) in zip(characters, rows, strict=True)
        if folded != fold(c) or words_of.split() != words(c)
    ]  # fmt: skip
    assert different == []


@pytest.mark.parametrize(
    ("element", "fault", "attribute"),
    [
        ({"type": "in", "in": [1]}, "attribute_expected", "fields"),
        ({"type": "in", "fields": ["a"]}, "attribute_expected", "in"),
        ({"type": "in", "in": {}, "fields": ["a"]}, "type_mismatch", "in"),
        ({"type": "in", "in": [[]], "fields": ["a"]}, "type_mismatch", "in[0]"),
        ({"type": "in", "in": [], "fields": ["a"], "objecttype": "b"}, "invalid_value", "objecttype"),
        ({"type": "in", "in": [], "eas_field": 7}, "type_mismatch", "eas_field"),
        ({"type": "in", "in": [1e999], "fields": ["a"]}, "invalid_value", "in[0]"),
        ({"type": "in", "in": [10**400], "fields": ["a"]}, "invalid_value", "in[0]"),
        ({"type": "in", "in": [], "fields": ["_linked.class"]}, "invalid_value", "fields[0]"),
        ({"type": "in", "field": "a"}, "attribute_expected", "in"),
        ({"type": "in", "field": "a", "subsearch": []}, "type_mismatch", "subsearch"),
        ({"type": "in", "subsearch": {}}, "attribute_expected", "field"),
        ({"type": "in", "field": "a", "subsearch": {}, "in": []}, "invalid_value", "in"),
        ({"type": "match", "field": "a", "subsearch": {}}, "invalid_value", "type"),
        ({"type": "in", "field": "a", "subsearch": {"limit": "1"}}, "type_mismatch", "subsearch.limit"),
        ({"type": "in", "in": [], "fields": ["a..b"]}, "invalid_value", "fields[0]"),
        ({"type": "match"}, "attribute_expected", "string"),
        ({"type": "match", "string": 1}, "type_mismatch", "string"),
        ({"type": "match", "string": "a", "mode": "fuzzy"}, "invalid_value", "mode"),
        ({"type": "match", "string": "a", "phrase": 1}, "type_mismatch", "phrase"),
        ({"type": "match", "string": "a", "boost": -1}, "invalid_value", "boost"),
        ({"type": "match", "string": "a", "boost": "1"}, "type_mismatch", "boost"),
        ({"type": "range", "field": "a"}, "attribute_expected", "from"),
        ({"type": "range", "from": 1}, "attribute_expected", "field"),
        ({"type": "range", "field": "a", "from": 1, "to": "b"}, "type_mismatch", "to"),
        ({"type": "range", "field": "a", "from": True}, "type_mismatch", "from"),
        ({"type": "range", "field": "a", "from": "2000-02-30"}, "invalid_value", "from"),
        ({"type": "range", "field": "_created", "from": 5}, "invalid_value", "from"),
        ({"type": "changelog_range", "from": "yesterday"}, "invalid_value", "from"),
        ({"type": "changelog_range", "user": "eva"}, "type_mismatch", "user"),
        ({"type": "range", "field": "a", "from": -1e999}, "invalid_value", "from"),
        ({"type": "changelog_range", "operation": "read"}, "invalid_value", "operation"),
        ({"type": "nested", "search": []}, "attribute_expected", "path"),
        ({"type": "nested", "path": "a"}, "attribute_expected", "search"),
        ({"type": "geo_bounding_box"}, "invalid_value", "type"),
        ({"type": "in", "in": [], "fields": [], "bool": "may"}, "invalid_value", "bool"),
        ({"bool": "must"}, "attribute_expected", "type"),
    ],
)
def test_a_malformed_element_is_refused_by_name(element: dict[str, Any], fault: str, attribute: str) -> None:
    """§7.2: "unknown element type or bool → invalid_value; missing mandatory key → attribute_expected; wrong JSON type
    → type_mismatch"; §7.4: what an element needs."""
    with pytest.raises(SearchRefused) as caught:
        compile({"search": [{"type": "complex", "search": [element]}]}, instance=INSTANCE)
    assert (caught.value.fault, caught.value.attribute) == (fault, f"search.search[0].search[0].{attribute}")


@pytest.mark.parametrize(
    "element", [{"type": "match", "string": "x" * 257}, {"type": "in", "in": ["x" * 257], "fields": ["a"]}]
)
def test_more_than_256_characters_are_too_long(element: dict[str, Any]) -> None:
    """§7.4: "Strings longer than 256 characters → error.user.search_query_too_long"."""
    with pytest.raises(SearchTooLong):
        compile({"search": [element]}, instance=INSTANCE)


def test_what_is_searched_for_is_never_sql(cell: Cell) -> None:
    store(cell, [("book", {"it's \"a\\": "100%' OR true --", "a%s": "x{}"})])
    for path, text in [("it's \"a\\", "100%' OR true --"), ("a%s", "x{}"), ("book.a%s", "x{}")]:
        assert found(cell, {"search": [{"type": "in", "fields": [path], "in": [text]}]}) == {"d0"}
    for text in ("' OR true --", "%", "{0}", "%(cell)s", "\\"):
        for field in ("a'", 'b"', "%s", "{}", "$.**", "a\\"):
            assert found(cell, {"search": [{"type": "in", "fields": [field], "in": [text]}]}) == set()
            assert found(cell, {"search": [{"type": "match", "string": f"zz{text}", "mode": "wildcard"}]}) == set()


def test_a_search_may_not_be_endless() -> None:
    elements = [{"type": "in", "in": [1], "fields": ["a"]}] * 501
    with pytest.raises(SearchRefused):
        compile({"search": elements}, instance=INSTANCE)


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("2000", datetime(2000, 1, 1, tzinfo=UTC), datetime(2001, 1, 1, tzinfo=UTC)),
        ("2000-02", datetime(2000, 2, 1, tzinfo=UTC), datetime(2000, 3, 1, tzinfo=UTC)),
        ("2000-02-29", datetime(2000, 2, 29, tzinfo=UTC), datetime(2000, 3, 1, tzinfo=UTC)),
        ("2000-01-01T12:30+02:00", datetime(2000, 1, 1, 10, 30, tzinfo=UTC), datetime(2000, 1, 1, 10, 31, tzinfo=UTC)),
        ("2000-01-01T12:30:05Z", datetime(2000, 1, 1, 12, 30, 5, tzinfo=UTC),
         datetime(2000, 1, 1, 12, 30, 6, tzinfo=UTC)),
        ("2000-01-01 12:30:05.25", datetime(2000, 1, 1, 12, 30, 5, 250000, tzinfo=UTC),
         datetime(2000, 1, 1, 12, 30, 5, 250001, tzinfo=UTC)),
    ],
)  # fmt: skip
def test_dates_mean_the_same_here_and_in_the_database(db: None, text: str, first: datetime, last: datetime) -> None:
    """§7.4: "Date prefixes (2000, 2000-01) expand to the first instant for from and to the last for to"."""
    end = last - timedelta(microseconds=1)
    assert (instant(text, last=False), instant(text, last=True)) == (first, end)
    with connection.cursor() as cursor:
        cursor.execute("SELECT cells_instant(%(t)s, false, 'UTC'), cells_instant(%(t)s, true, 'UTC')", {"t": text})
        assert cursor.fetchone() == (first, end)
