"""What the index of words is asked (`cells/search/terms.py`): too much at times, too little never."""

import random
import re
from datetime import date
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection

from cells.search import compile
from cells.search.dates import instant
from cells.search.indexing import terms_update
from cells.search.terms import all_of, any_of, in_cells, of_dates, of_numbers, of_value, of_words
from cells.selecting import selection_query
from tests.cells.searching import found
from tests.factories import make_cell, put_documents


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (of_value("Die Füße!"), "('die' & 'fusse')"),
        (of_value(2000.0), "'2000'"),
        (of_value(-0.5), "('0' & '5':*)"),
        (of_value(True), None),
        (of_value("--"), None),
        (of_words(["a", "b"], prefix=True), "('a':* & 'b':*)"),
        (all_of(["'a'", None]), "'a'"),
        (any_of(["'a'", None]), None),
        (any_of(["'a'", "'b'"]), "('a' | 'b')"),
        (any_of("'word'" for _ in range(5000)), None),
        (of_numbers(5000, 5099), "'+00000450':*"),
        (of_numbers(10, 5), None),
        (of_dates(date(2020, 5, 1), date(2020, 5, 3)), "('@~' | '@20200501':* | '@20200502':* | '@20200503':*)"),
        (of_dates(date(9700, 1, 1), None), "('@~' | '@97':* | '@98':* | '@99':*)"),
    ],
)  # fmt: skip
def test_a_question_to_the_index(asked: str | None, expected: str | None) -> None:
    if expected is None and asked is not None:  # an empty range may be asked for, as long as it is a question
        assert re.fullmatch(r"\(?('[+-][0-9]+':\*( \| )?)+\)?", asked)
    else:
        assert asked == expected


def test_cells_are_part_of_the_question() -> None:
    assert in_cells("'a'", [1, 2]) == "('a' | '!') & ('=1' | '=2')"


def numbers(rng: random.Random) -> int | float:
    return rng.choice((rng.randrange(-20, 20), rng.uniform(-9e4, 9e4), rng.randrange(10 ** rng.randrange(1, 24)),
                       -rng.randrange(10 ** rng.randrange(1, 24)), rng.random()))  # fmt: skip


def test_every_number_of_a_range_is_among_what_is_asked_for(db: None) -> None:
    rng = random.Random(7)
    cases = []
    for _ in range(3000):
        low, inside, high = sorted(numbers(rng) for _ in range(3))
        low, high = rng.choice(((low, high), (None, high), (low, None)))
        cases.append((of_numbers(low, high), inside, (low, high)))
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT array_to_tsvector(ARRAY[cells_number_term(n::numeric)]) @@ q::tsquery"
            " FROM unnest(%s::text[], %s::text[]) WITH ORDINALITY u(q, n, at) ORDER BY at",
            [[asked for asked, _, _ in cases], [str(inside) for _, inside, _ in cases]],
        )
        told = [row[0] for row in cursor.fetchall()]
    assert [case for case, is_found in zip(cases, told, strict=True) if not is_found] == []
    assert all(len(asked) < 2000 for asked, _, _ in cases)


def dates(rng: random.Random) -> str:
    day = f"{rng.choice((1, 1999, 2020, 2020, 2021, 9999)):04}-{rng.randrange(1, 13):02}-{rng.randrange(1, 29):02}"
    zone = rng.choice(("", "Z", "+14:00", "-1400"))
    return rng.choice((day[:4], day[:7], day, f"{day}T23:59{zone}", f"{day} 00:00:00.5{zone}"))


def test_every_date_of_a_range_is_among_what_is_asked_for(db: None) -> None:
    rng = random.Random(7)
    cases = []
    while len(cases) < 2000:
        low, inside, high = (dates(rng) for _ in range(3))
        given = rng.choice(({"from": low, "to": high}, {"from": low}, {"to": high}))
        try:
            moment = instant(inside, last=False)
            is_in = (
                instant(given.get("from", inside), last=False) <= moment <= instant(given.get("to", inside), last=True)
            )
        except OverflowError:
            continue
        if is_in:
            zone = rng.choice(("UTC", "Pacific/Kiritimati", "Etc/GMT+12"))
            element = {"type": "range", "field": "a.b", **given}
            cases.append((compile({"search": [element], "timezone": zone}, instance="here").terms, inside))
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT cells_terms(1, jsonb_build_object('x', ARRAY[n]), '') @@ q::tsquery"
            " FROM unnest(%s::text[], %s::text[]) WITH ORDINALITY u(q, n, at) ORDER BY at",
            [[asked for asked, _ in cases], [inside for _, inside in cases]],
        )
        told = [row[0] for row in cursor.fetchall()]
    assert [case for case, is_found in zip(cases, told, strict=True) if not is_found] == []
    assert all(len(asked) < 3000 for asked, _ in cases)


def test_a_document_of_more_numbers_than_a_tsvector_holds_is_found_all_the_same(alice: User) -> None:
    cell = make_cell(alice)
    numbers = random.Random(1).sample(range(10_000, 100_000), 80_000)
    put_documents(cell, [("list", "long", {"n": numbers, "t": "last"}), ("list", "short", {"n": 1, "t": "first"})])
    terms_update()

    def one(**element: Any) -> set[str]:
        return found(cell, {"search": [element]})

    assert one(type="in", fields=["n"], **{"in": [numbers[0]]}) == {"long"}
    assert one(type="range", field="n", **{"from": numbers[1], "to": numbers[1]}) == {"long"}
    assert one(type="match", string="last") == {"long"}
    assert one(type="match", string="first") == {"short"}


@pytest.mark.parametrize(
    ("field", "index"), [("_created", "document_by_creation"), ("_last_modified", "document_by_change")]
)
def test_times_of_documents_are_looked_up_where_they_lie(alice: User, field: str, index: str) -> None:
    search = {"search": [{"type": "range", "field": field, "from": "2020-01-01", "to": "2020-01-02"}]}
    query, values = selection_query(compile(search, instance="here"), [make_cell(alice).pk])
    with connection.cursor() as cursor:
        # Of an empty table any index is as good; without the name of a cell's documents the time is all there is.
        cursor.execute("ALTER TABLE cells_document DROP CONSTRAINT document_once; SET LOCAL enable_seqscan = off")
        cursor.execute(f"EXPLAIN {query}", values)
        assert f"Bitmap Index Scan on {index}" in "\n".join(line for (line,) in cursor.fetchall())


def test_a_wildcard_with_a_star_in_front_asks_first_where_its_letters_stand(alice: User) -> None:
    """No index knows it; but PostgreSQL can look for letters in parallel, before it takes a document apart."""
    cell = make_cell(alice)
    texts = ["Rathäuser", "\\haus\\n", "ha us", "HAUSBOOT", "Gasthaus", "Straßenhaus"]
    put_documents(cell, [("a", f"d{n}", {"t": text, "x": {"y": [text]}}) for n, text in enumerate(texts)])
    terms_update()
    words = {"*haus": {"d1", "d4", "d5"}, "*haus*": {"d0", "d1", "d3", "d4", "d5"}, "*h?us*r": {"d0"}}
    for string, expected in words.items():
        for fields in ({}, {"fields": ["t"]}, {"fields": ["a.x.y"]}):
            search = {"search": [{"type": "match", "mode": "wildcard", "string": string, **fields}]}
            condition = compile(search, instance="here")
            assert condition.terms is None and "LIKE ALL" in (condition.guard or "")
            assert found(cell, search) == expected, (string, fields)
    assert compile({"search": [{"type": "match", "mode": "wildcard", "string": "*"}]}, instance="here").guard is None
