"""`filter=type:download|export+status:failed,type:export_incremental` (`spec/v1.md §5.1`)."""

from exports.api.v1 import checks
from exports.api.v1.definition import TYPES
from exports.api.v1.words import states_of, status_words
from exports.selectors import Condition


def exports_filter(text: str) -> list[list[Condition]]:
    """`,` is or, `+` is and, `|` is one of. An empty text is no filter; anything else wrong is `invalid_value`."""
    return [[_condition(part) for part in clause.split("+")] for clause in text.split(",")] if text else []


def _condition(part: str) -> Condition:
    name, colon, values = part.partition(":")
    if not colon:
        raise checks.invalid_value("filter", f"{part[:80]!r} is not <name>:<value>; a + must arrive as %2B")
    words = values.split("|")
    if name == "type":
        return Condition(types=_known(words, TYPES))
    if name == "status":
        known = _known(words, status_words())
        return Condition(states=frozenset().union(*(states_of(word) for word in known)))
    raise checks.invalid_value("filter", f'Unknown column "{name[:80]}"')


def _known(words: list[str], allowed: tuple[str, ...]) -> list[str]:
    for word in words:
        if word not in allowed:
            raise checks.invalid_value("filter", f"{word[:80]!r} is none of {', '.join(allowed)}")
    return words
