"""Where to look for what a test finds: in documents with certain words, or those that pass a cheaper test.

Both may find too many documents, never too few: whoever is found by them is asked the test itself. None is no idea.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from cells.folding import words

#: Longer ones cost the index more than they spare.
_LONGEST = 20_000
#: Digits of a number's word, and how many of them tell the ends of a range where these begin to differ.
_KEY, _FINE = 26, 4
Number = int | float
#: In place of the words of a document that has too many of them.
_ANY = "'!'"
#: Of a document that holds something like a range of dates.
_SPAN = "'@~'"


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


def of_numbers(low: Number | None, high: Number | None) -> str | None:
    """Of a document that holds a number from `low` to `high`, written as `migrations/0007_number_terms.py` has it."""
    some = []
    if high is None or high >= 0:
        some += _beginnings("+", max(low or 0, 0), high)
    if low is None or low < 0:
        some += _beginnings("-", max(-(high or 0), 0) if high is not None else 0, None if low is None else -low)
    return any_of(f"'{start}':*" for start in some)


def of_dates(first: date | None, last: date | None) -> str | None:
    """Of a document that holds a date of these days, or a range of dates; `migrations/0008_date_terms.py` writes both.
    A year stands for its first day, as a month does."""
    least = "00000000" if first is None else first.isoformat().replace("-", "")
    most = "99999999" if last is None else last.isoformat().replace("-", "")
    return any_of([_SPAN, *(f"'@{start}':*" for start in _between(least, most))])


def _beginnings(sign: str, low: Number, high: Number | None) -> list[str]:
    most = "9" * _KEY if high is None else _key(high, "9")
    return [sign + start for start in _between(_key(low), most)]


def _between(least: str, most: str) -> list[str]:
    alike = next((at for at, digit in enumerate(least) if digit != most[at]), len(least))
    return _covered(least[: alike + _FINE], most[: alike + _FINE])


def _key(size: Number, fill: str = "0") -> str:
    digits = str(math.floor(size))
    return f"{len(digits):06}{digits}".ljust(_KEY, fill)[:_KEY]


def _covered(least: str, most: str) -> list[str]:
    """The beginnings of all digits from `least` to `most`, which are of one length."""
    if set(least) <= {"0"} and set(most) <= {"9"}:
        return [""]
    first, last = least[0], most[0]
    if first == last:
        return [first + rest for rest in _covered(least[1:], most[1:])]
    between = [str(digit) for digit in range(int(first) + 1, int(last))]
    below = [first + rest for rest in _covered(least[1:], "9" * len(least[1:]))]
    return [*below, *between, *(last + rest for rest in _covered("0" * len(most[1:]), most[1:]))]


def in_cells(terms: str, cells: list[int]) -> str:
    marked = any_of(f"'={cell}'" for cell in cells)
    return f"({terms} | {_ANY})" + (f" & {marked}" if marked else "")
