"""Where to look for what a test finds: in documents with certain words, or those that pass a cheaper test.

Both may find too many documents, never too few: whoever is found by them is asked the test itself. None is no idea.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from cells.folding import words

#: Longer ones cost the index more than they spare.
_LONGEST = 20_000
#: In place of the words of a document that has too many of them.
_ANY = "'!'"


@dataclass(frozen=True)
class Clause:
    """A test of a document in SQL.

    `terms`: a `tsquery` as text, of what must stand in `DocumentTerms` of all that the test finds.
    `guard`: a test without subqueries, which PostgreSQL can ask in parallel, true of all that the test finds.
    """

    sql: str
    terms: str | None = None
    guard: str | None = None


def all_of(terms: Iterable[str | None], sign: str = " & ") -> str | None:
    known = [term for term in terms if term is not None]
    text = known[0] if len(known) == 1 else f"({sign.join(known)})"
    return text if known and len(text) <= _LONGEST else None


def any_of(terms: Iterable[str | None], sign: str = " | ") -> str | None:
    known = list(terms)
    return None if None in known else all_of(known, sign)


def of_words(asked: Iterable[str], *, prefix: bool = False) -> str | None:
    """Words hold neither quotes nor backslashes."""
    return all_of(f"'{word}'{':*' if prefix else ''}" for word in asked if word)


def of_value(value: Any) -> str | None:
    """Of a document that holds this JSON value. A number may have been written with zeros at its end."""
    if isinstance(value, str):
        return of_words(words(value))
    if value is None or isinstance(value, bool):
        return None
    whole, _, fraction = format(abs(Decimal(repr(value))), "f").partition(".")
    fraction = fraction.rstrip("0")
    return all_of([of_words([whole]), of_words([fraction], prefix=True)])


def in_cells(terms: str, cells: list[int]) -> str:
    marked = any_of(f"'={cell}'" for cell in cells)
    return f"({terms} | {_ANY})" + (f" & {marked}" if marked else "")
