"""Conditions made of what documents say, so that each finds something, against the plain reading of §7."""

import random
from typing import Any

import pytest

from cells.models import Document
from cells.search import SearchRefused, compile
from tests.cells.search_oracle import Found, matches
from tests.cells.searching import INSTANCE, found, store_anew
from tests.factories import make_cell

pytestmark = pytest.mark.django_db
TYPES = ("book", "film", "io.book")
TEXTS = ("Füße", "fusse gehen", "Straße 7", "cafe\u0301 au lait", "au café", "a-b", "b a", "", "x" * 300, "7")
DATES = ("2000", "2000-05", "2000-05-17", "2000-05-17T10:00:00+02:00", "2001-01-01", "1999-12-31")


def a_value(rng: random.Random, depth: int = 0) -> Any:
    kind = rng.randrange(12 if depth < 3 else 7)
    if kind < 3:
        return rng.choice((rng.choice(TEXTS), rng.choice(DATES)))
    if kind < 5:
        return rng.choice((rng.randrange(-12, 13), rng.choice((0.5, -0.25, 1999.5, 10**12))))
    if kind == 5:
        return rng.choice((True, False, None))
    if kind == 6:
        return {"de-DE": rng.choice(TEXTS), "en-US": rng.choice((*TEXTS, None))}
    if kind == 7:
        return {key: rng.choice((*DATES, "", None)) for key in rng.sample(("from", "to"), rng.randrange(1, 3))}
    if kind == 8:
        name = rng.choice(("person", "book"))
        return {name: {"_id": rng.randrange(4)}, "_path": [{name: {"_id": rng.randrange(4)}}]}
    if kind == 9:
        return [[a_value(rng, 3) for _ in range(2)], a_value(rng, depth + 1)]
    if kind == 10:
        return [{"a": a_value(rng, 3), "n": a_value(rng, 3)} for _ in range(rng.randrange(3))]
    return {rng.choice("an"): a_value(rng, depth + 1)}


def leads(value: Any, path: tuple[str, ...] = ()) -> Any:
    """(path, value) of all that a document says."""
    if isinstance(value, list):
        for item in value:
            yield from leads(item, path)
        yield path, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from leads(item, (*path, key))
        yield path, value
    else:
        yield path, value


def conditions(rng: random.Random, path: str, value: Any) -> Any:
    if isinstance(value, bool | int | float | str) and len(str(value)) <= 256:
        number = type(value) in (int, float) and rng.random() < 0.5
        yield {"type": "in", "fields": [path, "no.such"], "in": [float(value) if number else value, rng.randrange(5)]}
    if value in (None, "", []):
        yield {"type": "in", "fields": [path], "in": [None]}
    if isinstance(value, str) and value and len(value) <= 256:
        way = {"fields": [path]} if rng.random() < 0.7 else {"languages": ["de-DE"]} if rng.random() < 0.5 else {}
        mode, words = rng.choice(("fulltext", "token", "wildcard")), value.split()
        if mode == "wildcard":
            word = rng.choice(words)
            words[0] = rng.choice((word[:-1] + "?", word[:1] + "*", "*" + word[-1]))
        asked = {
            "fulltext": value[: rng.randrange(1, 9)],
            "token": rng.choice((value, value[:-1])),
            "wildcard": words[0],
        }[mode]
        yield {"type": "match", "string": asked.swapcase(), "mode": mode, "phrase": rng.random() < 0.4, **way}
    if isinstance(value, int | float | str) and not isinstance(value, bool) and len(str(value)) <= 256:
        yield {"type": "range", "field": path, "from": value, "from_equals": rng.random() < 0.6}
        yield {"type": "range", "field": path, "to": value, "to_equals": rng.random() < 0.6}
        if isinstance(value, int | float):
            yield {"type": "range", "field": path, "from": value - rng.randrange(9), "to": value + rng.random()}
    if isinstance(value, dict) and {"from", "to"} & value.keys():
        yield {"type": "range", "field": path, "from": rng.choice(DATES[:3]), "to": rng.choice(DATES[3:])}
    for name in ("person", "book"):
        if isinstance(value, dict) and isinstance(value.get(name), dict):
            ids = [value[name].get("_id"), *(item[name]["_id"] for item in value.get("_path", ()))]
            yield {"type": "in", "objecttype": name, "in": rng.sample(ids, 1), "include_path": rng.random() < 0.5}


def asked(rng: random.Random, documents: list[Document]) -> Any:
    """Single conditions, lists of them by the formula of §7.3, and rows that fulfil two."""
    for document in documents:
        block = document.body if isinstance(document.body, dict) else {"_value": document.body}
        made = []
        for steps, value in leads(block):
            path = ".".join(steps if rng.random() < 0.5 else (document.doctype, *steps))
            some = list(conditions(rng, path, value)) if steps else []
            made += rng.sample(some, min(2, len(some)))
            if isinstance(value, dict) and len(steps) == 1 and len(value) > 1 and isinstance(block[steps[0]], list):
                inner = [{"type": "in", "fields": [f"{path}.{key}"], "in": [value[key]]} for key in value
                         if not isinstance(value[key], list | dict) and len(str(value[key])) <= 256]  # fmt: skip
                yield [{"type": "nested", "path": path, "search": inner}]
        for element in made:
            yield [element]
            yield [{**element, "bool": "must_not"}]
        for _ in range(2):
            few = rng.sample(made, min(len(made), 3))
            yield [{**element, "bool": rng.choice(("must", "should", "should", "must_not"))} for element in few]
            yield [
                {"type": "complex", "bool": "should", "search": few[:2]},
                *({**e, "bool": "should"} for e in few[2:]),
            ]


@pytest.mark.parametrize("seed", range(3))
def test_what_documents_say_is_found_as_the_spec_says(alice, seed: int) -> None:
    """§7.3, §7.4, §7.5: "Dotted path, resolved over the document; a list at any point means "any element"."""
    rng, cell = random.Random(seed), make_cell(alice)
    keys = ("title", "n", "a", "_nested:book__t", "who")
    bodies = [{key: a_value(rng) for key in rng.sample(keys, 3)} for _ in range(28)] + [["au lait", 7], "Füße"]
    store_anew(cell, [(rng.choice(TYPES), body) for body in bodies])
    stored = list(Document.objects.order_by("pk"))
    readings = [Found(document, INSTANCE, {document.doctype for document in stored}) for document in stored]
    searches = list(asked(rng, stored))
    hits = 0
    for elements in rng.sample(searches, min(len(searches), 400)):
        search = {"search": elements}
        try:
            compile(search, instance=INSTANCE)
        except SearchRefused:
            continue  # a text that looks like a date and is none
        expected = {d.doc_id for d, reading in zip(stored, readings, strict=True) if matches(search, reading)}
        hits += 0 < len(expected) < len(stored)
        assert found(cell, search) == expected, search
    assert hits > 120
