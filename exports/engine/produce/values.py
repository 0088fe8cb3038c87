"""What the values of a document are: numbers as they were written, translated texts, date ranges, links, files."""

import json
import re
from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

import orjson

#: A document may be nested 200 deep; from here on a structure is given as JSON text.
DEEPEST = 20
_LANGUAGE = re.compile(r"[a-z]{2,3}-[A-Z]{2}")
_RANGE = frozenset(("from", "to", "text"))
#: Where an object's name is looked for when it does not say its `_standard` itself.
_NAMES = ("title", "name", "displayname", "label")
REVERSE = "_reverse_nested:"


class Number(str):
    """A number that float or 64 bits would change: its digits, as the database has them."""

    __slots__ = ()


def _integer(text: str) -> int | Number:
    return int(text) if len(text) < 19 else Number(text)


_decode = json.JSONDecoder(parse_float=Number, parse_int=_integer).decode


def loads(line: bytes) -> Any:
    return _decode(line.decode())


def _default(value: object) -> object:
    if type(value) is Number:
        return orjson.Fragment(value.encode())
    raise TypeError(type(value))


def dumps(value: object) -> bytes:
    """JSON text on one line, numbers as they were."""
    return orjson.dumps(value, default=_default, option=orjson.OPT_PASSTHROUGH_SUBCLASS)


class Link(NamedTuple):
    """`{"person": {"_id": 17, …}}` as a value: search knows links by the same shape (`cells/search/elements.py`)."""

    objecttype: str
    id: int
    block: dict[str, Any]


def link_of(value: dict[str, Any]) -> Link | None:
    """One object below one name that is not the system's own, with an `_id` that a document can have."""
    found = None
    for key, below in value.items():
        if key[:1] == "_":
            continue
        if found is not None or not isinstance(below, dict):
            return None
        found = (key, below)
    if found is None or type(number := found[1].get("_id")) is not int:
        return None
    return Link(found[0], number, found[1])


def links_in(value: Any, *, reverse: bool = False) -> Iterator[tuple[Link, bool]]:
    """Every link below a block, and whether it stands in a reverse table. Not those inside links."""
    if isinstance(value, list):
        for item in value:
            if isinstance(item, dict | list):
                yield from _links_at(item, reverse)
    else:
        for key, below in value.items():
            if isinstance(below, dict | list):
                yield from _links_at(below, reverse or key.startswith(REVERSE))


def _links_at(value: Any, reverse: bool) -> Iterator[tuple[Link, bool]]:
    link = link_of(value) if isinstance(value, dict) else None
    if link:
        yield link, reverse
    else:
        yield from links_in(value, reverse=reverse)


def is_translated(value: dict[str, Any]) -> bool:
    """As `cells_translated` in SQL: every key is a language, every value a text or null."""
    for key, text in value.items():
        if not (text is None or type(text) is str) or key[-3:-2] != "-" or not _LANGUAGE.fullmatch(key):
            return False
    return bool(value)


def is_range(value: dict[str, Any]) -> bool:
    """A date range: from, to, text."""
    return value.keys() <= _RANGE and ("from" in value or "to" in value) and _all_plain(value.values())


def _all_plain(values: Collection[Any]) -> bool:
    return all(value is None or type(value) is str or isinstance(value, int) for value in values)


def versions_of(file: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """{version: {"path", "url"}} of a file field's object. What nobody resolved is as people wrote it: anything."""
    versions = file.get("versions")
    if not isinstance(versions, dict) or type(file.get("_id")) is not int:
        return {}
    return {name: facts for name, facts in versions.items() if isinstance(facts, dict)}


def standard(block: dict[str, Any], number: str = "1") -> Any:
    """What an object is called: a text, a translated text, or None. `number`: easydb has up to three."""
    own = block.get("_standard")
    if isinstance(own, dict):
        if isinstance(part := own.get(number), dict):
            own = part.get("text")
        elif number != "1":
            own = None
    elif number != "1":
        own = None
    if _is_name(own):
        return own
    if number == "1":
        return next((block[name] for name in _NAMES if _is_name(block.get(name))), None)
    return None


def _is_name(value: Any) -> bool:
    return (type(value) is str and value != "") or (isinstance(value, dict) and is_translated(value))


def one_text(name: Any, languages: Collection[str] | None) -> str:
    """Of a translated text the first language asked for, or the first there is."""
    if not isinstance(name, dict):
        return name or ""
    wanted = [*(languages or ()), *sorted(name)]
    return next((name[language] for language in wanted if name.get(language)), "")
