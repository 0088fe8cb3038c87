"""Compiled searches against a reading of `spec/v1.md §7` in plain Python, over random documents."""

import json
import unicodedata
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cells.folding import fold, words
from cells.models import Cell, Document
from cells.search import SearchRefused, SearchTooLong, compile
from cells.search.dates import instant
from tests.cells.search_oracle import Found, matches
from tests.factories import make_cell

pytestmark = pytest.mark.django_db
INSTANCE = "here"


def found(cell: Cell, search: dict[str, Any]) -> set[str]:
    condition = compile(search, instance=INSTANCE)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            f"SELECT d.doc_id FROM cells_document d WHERE d.cell_id = %(cell)s AND ({condition.sql})",  # noqa: S608
            {**condition.params, "cell": cell.pk, "search_cells": [cell.pk]},
        )
        return {doc_id for (doc_id,) in cursor.fetchall()}


def store(cell: Cell, documents: list[tuple[str, Any]]) -> None:
    """As rows: a body that is no object has no other way in, and is searched all the same."""
    now, times = timezone.now(), {"cell": cell, "generation": cell.generation, "rev": "3-x"}
    Document.objects.bulk_create(
        Document(doctype=doctype, doc_id=f"d{number}", body=body, created_at=now, updated_at=now, **times)
        for number, (doctype, body) in enumerate(documents)
    )


@pytest.fixture
def cell(alice) -> Cell:
    return make_cell(alice)


WORDS = ("Füße", "fusse", "FUSS", "a-b", "Straße 7", "cafe\u0301", "café au lait", "Ähre's", "x", "", "2000",
         "2000-05", "2000-05-17T10:00:00+02:00", "2000-05-17T08:00", "2000-13", "d'été", "ΣΟΦΟΣ", "σοφος",
         "١٢", "ﬁn", "a%b_c")  # fmt: skip
texts = st.sampled_from(WORDS)
scalars = st.one_of(texts, st.integers(-3, 3), st.sampled_from([0.5, 1.0, 1e20]), st.booleans(), st.none())
dates = st.sampled_from(["2000", "2000-05", "2000-05-17", "1999-12-31", "", "nonsense"])
l10n = st.dictionaries(st.sampled_from(["de-DE", "en-US"]), st.one_of(texts, st.none()), min_size=1)
spans = st.dictionaries(st.sampled_from(["from", "to"]), st.one_of(dates, st.none()), min_size=1)
leaves = st.one_of(scalars, l10n, spans)
links = st.builds(
    lambda name, number, path: {
        "_objecttype": name,
        name: {"_id": number, "name": "x"},
        "_path": [{name: {"_id": i}} for i in path],
    },
    st.sampled_from(["person", "book"]), st.integers(1, 4), st.lists(st.integers(1, 4), max_size=2),
)  # fmt: skip
anything = st.recursive(
    st.one_of(leaves, links),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(["title", "n", "a"]), inner, max_size=3)
    ),
    max_leaves=6,
)
rows = st.lists(
    st.fixed_dictionaries({}, optional={"title": leaves, "n": scalars, "a": st.lists(scalars, max_size=2)}), max_size=3
)
blocks = st.fixed_dictionaries(
    {},
    optional={
        "title": st.one_of(anything, leaves), "n": st.one_of(scalars, st.lists(scalars, max_size=3)), "a": anything,
        "who": st.one_of(links, st.lists(links, max_size=2)), "_nested:book__t": rows,
        "_pool": st.builds(lambda i, j: {"pool": {"_id": i}, "_path": [{"pool": {"_id": j}}]}, st.integers(1, 4),
                           st.integers(1, 4)),
        "book": anything, "_id": st.integers(1, 5),
    },
)  # fmt: skip
documents = st.lists(
    st.tuples(
        st.sampled_from(["book", "film", "io.book"]),
        st.one_of(blocks, blocks, blocks, scalars.filter(lambda s: s is not None), st.lists(scalars, max_size=2)),
    ),
    min_size=1,
    max_size=6,
)
paths = st.sampled_from(
    ["title", "n", "a", "book.title", "book.n", "film.title", "io.book.title", "io.book.a.n", "a.title", "book.a.a",
     "book.who.person._id", "who._path.person._id", "book._pool.pool._id", "book._nested:book__t.title",
     "_nested:book__t.n", "_objecttype", "_uuid", "_system_object_id", "_global_object_id", "_tags._id", "book._id",
     "_version", "book._version", "_value", "book.title.de-DE", "_created", "nothing.at.all", "a", "book.book.n"]
)  # fmt: skip
# `_system_object_id` of a test cannot be foreseen: the test puts real ids in place of these.
ID, GLOBAL_ID = 10**15, "id@local"
entries = st.lists(
    st.one_of(scalars, st.sampled_from(["book", "film", ID, ID + 1, GLOBAL_ID, "d1", "d2", 2])), max_size=4
)
ASKED = st.sampled_from(["fu", "lait au", "cafe au", "caf* l?it", "*", "au lai", "f?ss*"])
languages = st.one_of(st.none(), st.just(["de-DE"]), st.just([]))
roles = st.sampled_from([None, "must", "should", "must_not"])
inner_paths = st.sampled_from(["book._nested:book__t.title", "book._nested:book__t.n", "n", "a", "title", "_uuid"])


def elements(names: st.SearchStrategy[str], depth: int) -> st.SearchStrategy[dict[str, Any]]:
    bounds = st.one_of(
        st.integers(-2, 2), dates.filter(lambda text: text != ""), texts.filter(lambda t: t != "2000-13")
    )
    leaves = [
        st.fixed_dictionaries({"type": st.just("in"), "in": entries, "fields": st.lists(names, max_size=2)},
                              optional={"bool": roles, "languages": languages}),
        st.fixed_dictionaries({"type": st.just("in"), "in": st.lists(st.integers(1, 4), max_size=2),
                               "objecttype": st.sampled_from(["person", "book", "_pool"])},
                              optional={"bool": roles, "include_path": st.booleans()}),
        st.fixed_dictionaries(
            {"type": st.sampled_from(["match", "text"]),
             "string": st.one_of(texts, ASKED)},
            optional={"bool": roles, "mode": st.sampled_from(["fulltext", "token", "wildcard", None]),
                      "phrase": st.booleans(), "fields": st.one_of(st.none(), st.lists(names, max_size=2)),
                      "languages": languages}),
        st.fixed_dictionaries({"type": st.just("range"), "field": names, "from": bounds},
                              optional={"bool": roles, "from_equals": st.booleans()}),
        st.fixed_dictionaries({"type": st.just("range"), "field": names, "to": bounds},
                              optional={"bool": roles, "to_equals": st.booleans()}),
        st.fixed_dictionaries({"type": st.just("range"), "field": names, "from": st.just("2000-02"),
                               "to": st.sampled_from(["2000", "2000-05", "2001-01-01"])}),
    ]  # fmt: skip
    if depth:
        more = st.lists(elements(names, depth - 1), max_size=3)
        leaves.append(st.fixed_dictionaries({"type": st.just("complex"), "search": more}, optional={"bool": roles}))
        table = st.fixed_dictionaries(
            {"type": st.just("nested"), "path": st.sampled_from(["book._nested:book__t", "a", "_nested:book__t"]),
             "search": st.lists(elements(inner_paths, 0), max_size=3)}, optional={"bool": roles})  # fmt: skip
        leaves.append(table)
    return st.one_of(leaves)


searches = st.fixed_dictionaries(
    {"search": st.lists(elements(paths, 2), max_size=4)},
    optional={"objecttypes": st.one_of(st.none(), st.lists(st.sampled_from(["book", "film"]), max_size=2)),
              "languages": languages},
)  # fmt: skip


def real_ids(search: Any, ids: list[int]) -> Any:
    text = json.dumps(search).replace(str(ID), str(ids[0])).replace(str(ID + 1), str(ids[-1]))
    return json.loads(text.replace(GLOBAL_ID, f"{ids[0]}@local"))


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(documents=documents, searches=st.lists(searches, min_size=4, max_size=4))
def test_the_database_finds_what_the_spec_says(cell: Cell, documents: list, searches: list) -> None:
    """§7.3: "match(doc) = all must match AND no must_not matches AND (there is no should OR at least one should
    matches)"; §7.4 and §7.5 for the rest."""
    with transaction.atomic():
        Document.objects.all().delete()
    store(cell, documents)
    stored = list(Document.objects.order_by("pk"))
    known = {document.doctype for document in stored}
    for search in searches:
        search = real_ids(search, [document.pk for document in stored])
        try:
            compile(search, instance=INSTANCE)
        except SearchRefused:
            continue  # a bound that is no date, for a field that is a time
        expected = {d.doc_id for d in stored if matches(search, Found(d, INSTANCE, known))}
        assert found(cell, search) == expected, search


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


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(documents=documents, elements=st.lists(elements(paths, 1), min_size=30, max_size=30))
def test_each_element_alone_finds_what_the_spec_says(cell: Cell, documents: list, elements: list) -> None:
    """§7.4, §7.5: in a longer list one element would hide what another does wrong."""
    with transaction.atomic():
        Document.objects.all().delete()
    store(cell, documents)
    stored = list(Document.objects.order_by("pk"))
    known = {document.doctype for document in stored}
    for element in elements:
        search = real_ids({"search": [element]}, [document.pk for document in stored])
        try:
            compile(search, instance=INSTANCE)
        except SearchRefused:
            continue
        expected = {d.doc_id for d in stored if matches(search, Found(d, INSTANCE, known))}
        assert found(cell, search) == expected, search


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
        ({"type": "in", "in": [], "eas_field": "class"}, "invalid_value", "eas_field"),
        ({"type": "in", "in": [], "fields": ["_linked._asset.class"]}, "invalid_value", "fields[0]"),
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
        ({"type": "changelog_range", "user": 5}, "invalid_value", "user"),
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
        cursor.execute("SELECT cells_instant(%(t)s, false), cells_instant(%(t)s, true)", {"t": text})
        assert cursor.fetchone() == (first, end)
