"""What the index of words is asked (`cells/search/terms.py`): too much at times, too little never."""

import random
import re

import pytest
from django.db import connection

from cells.search.terms import all_of, any_of, in_cells, of_numbers, of_value, of_words


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
