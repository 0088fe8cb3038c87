"""One element of a search list each (`spec/v1.md §7.4`): checked, and turned into SQL that is true or false."""

import json
from typing import Any

from cells.folding import words
from cells.search import refusals
from cells.search.fields import COLUMNS, Scope
from cells.search.refusals import SearchRefused

_MODES = ("fulltext", "token", "wildcard")


def in_(scope: Scope, where: str, element: dict[str, Any], languages: list[str] | None) -> str:
    entries = refusals.array(f"{where}.in", refusals.needed(where, element, "in"))
    for index, entry in enumerate(entries):
        if isinstance(entry, str):
            refusals.searched(f"{where}.in[{index}]", entry)
        elif entry is not None and not isinstance(entry, bool | int | float):
            raise SearchRefused(f"{where}.in[{index}]", "must be a string, a number, true, false or null",
                                "type_mismatch")  # fmt: skip
    if "subsearch" in element:
        raise SearchRefused(f"{where}.subsearch", "is not available in this version")
    ways = [key for key in ("fields", "objecttype", "eas_field") if element.get(key) is not None]
    if not ways:
        raise SearchRefused(f"{where}.fields", "fields or objecttype is required", "attribute_expected")
    if len(ways) > 1:
        raise SearchRefused(f"{where}.{ways[1]}", f"excludes {ways[0]}")
    if ways == ["eas_field"]:
        raise SearchRefused(f"{where}.eas_field", "searching assets is not available in this version")
    if ways == ["objecttype"]:
        return _linked(scope, where, element, entries)
    fields = refusals.strings(f"{where}.fields", element["fields"])
    tests = [_one_of(scope, f"{where}.fields[{index}]", path, entries, languages) for index, path in enumerate(fields)]
    return any_of(tests)


def any_of(tests: list[str]) -> str:
    return f"({' OR '.join(tests)})" if tests else "false"


def _one_of(scope: Scope, where: str, path: str, entries: list[Any], languages: list[str] | None) -> str:
    if not scope.row and path in (*COLUMNS, "_global_object_id"):
        return _column(scope, path, entries)
    values = scope.values(where, path, languages)
    given = [entry for entry in entries if entry is not None]
    tests = []
    if given:
        tests.append(f"EXISTS (SELECT FROM {values} f WHERE (f.v IN {_entries(scope, given)}) IS TRUE)")
    if None in entries:
        tests.append(f"NOT EXISTS (SELECT FROM {values} f WHERE f.v NOT IN ('null', '\"\"', '[]'))")
    return any_of(tests)


def _entries(scope: Scope, entries: list[Any]) -> str:
    """Asked with IS TRUE it is hashed once, else joined for each document; an array would be cast each time."""
    return f"(SELECT jsonb_array_elements({scope.params.add(json.dumps(entries, ensure_ascii=False))}::jsonb))"


def _column(scope: Scope, path: str, entries: list[Any]) -> str:
    """Equality of columns, which indexes answer. They always have a value, so null finds nothing."""
    if path == "_system_object_id":
        wanted: list[Any] = [int(e) for e in entries if refusals.is_number(e) and e == int(e)]
    elif path == "_global_object_id":
        parts = [e.rpartition("@") for e in entries if isinstance(e, str)]
        wanted = [int(i) for i, _, at in parts if at in (scope.instance, "local") and _is_id(i)]
    else:
        return f"{COLUMNS[path]} = ANY({scope.params.add([e for e in entries if isinstance(e, str)])}::text[])"
    wanted = [number for number in wanted if 0 < number < 2**63]
    return f"d.id = ANY({scope.params.add(wanted)}::bigint[])"


def _is_id(text: str) -> bool:
    return text.isascii() and text.isdigit() and not text.startswith("0")


#: Every object below, but not the ancestors that a linked object lists in its `_path`.
_WITHOUT_PATHS = """EXISTS (WITH RECURSIVE n(v) AS (
    SELECT {json} UNION ALL SELECT e.value FROM n CROSS JOIN LATERAL (
        SELECT value FROM jsonb_each(CASE jsonb_typeof(n.v) WHEN 'object' THEN n.v END) WHERE key <> '_path'
        UNION ALL SELECT value FROM jsonb_array_elements(CASE jsonb_typeof(n.v) WHEN 'array' THEN n.v END)) e
) SELECT FROM n WHERE n.v -> {name}::text -> '_id' IN {given})"""


def _linked(scope: Scope, where: str, element: dict[str, Any], entries: list[Any]) -> str:
    name = refusals.string(f"{where}.objecttype", element["objecttype"])
    paths = refusals.flag(where, element, "include_path", False)
    given = _entries(scope, entries)
    if name == "_pool":
        steps = ["$._pool.pool._id"] + (["$._pool._path.pool._id"] if paths else [])
        found = " UNION ALL ".join(f"SELECT jsonb_path_query({scope.json}, '{step}')" for step in steps)
        return f"EXISTS (SELECT FROM ({found}) f(v) WHERE f.v IN {given})"
    step = f"{scope.params.add(f'lax $.**.{json.dumps(name)}._id')}::jsonpath"
    found = f"EXISTS (SELECT FROM jsonb_path_query({scope.json}, {step}) v WHERE v IN {given})"
    if paths:
        return found
    exact = _WITHOUT_PATHS.format(json=scope.json, name=scope.params.add(name), given=given)
    return f"({found} AND {exact})"


#: Text-like are the strings of the block, at any depth.
_TEXTS = """jsonb_path_query({json}, 'strict $.** ? (@.type() == "string")')"""
_TEXTS_IN = """(
    SELECT t.value FROM jsonb_path_query({json}, 'strict $.** ? (@.type() == "object")') o, jsonb_each(o) t
    WHERE jsonb_typeof(t.value) = 'string' AND (NOT cells_translated(o) OR t.key = ANY({languages}::text[]))
    UNION ALL SELECT t FROM jsonb_path_query({json}, 'strict $.** ? (@.type() == "array")') a, jsonb_array_elements(a) t
    WHERE jsonb_typeof(t) = 'string' UNION ALL SELECT s FROM (SELECT {json}) s(s) WHERE jsonb_typeof(s) = 'string')"""


def match(scope: Scope, where: str, element: dict[str, Any], languages: list[str] | None) -> str:
    text = refusals.searched(f"{where}.string", refusals.needed(where, element, "string"))
    mode = refusals.one_of(f"{where}.mode", element.get("mode") or "fulltext", _MODES)
    operator, patterns = _patterns(text, mode, refusals.flag(where, element, "phrase", False))
    test = f"cells_words(f.v #>> '{{}}') {operator} ALL ({scope.params.add(patterns)}::text[])"
    given = element.get("fields")
    if given is None:
        texts = _TEXTS if languages is None else _TEXTS_IN.replace("{languages}", scope.params.add(languages))
        texts = texts.replace("{json}", scope.json)
        return f"EXISTS (SELECT FROM {texts} f(v) WHERE {test})"
    return any_of(
        [
            f"EXISTS (SELECT FROM {scope.values(f'{where}.fields[{index}]', path, languages)} f"
            f" WHERE jsonb_typeof(f.v) = 'string' AND {test})"
            for index, path in enumerate(refusals.strings(f"{where}.fields", given))
        ]
    )


def _patterns(text: str, mode: str, phrase: bool) -> tuple[str, list[str]]:
    """Patterns over words with a space before and after each. Words hold nothing that a pattern could mistake."""
    if mode == "wildcard":
        asked = words(text, keep="*?")
        if any(sign in text for sign in "*?"):
            return "~", [f" {word.replace('*', '[^ ]*').replace('?', '[^ ]')} " for word in asked]
        mode = "token"
    else:
        asked = words(text)
    if phrase and asked:
        return "~", [f" {'[^ ]* '.join(asked)}"] if mode == "fulltext" else [f" {' '.join(asked)} "]
    end = "% " if mode == "fulltext" else " "
    return "LIKE", [f"% {word}{'%' if mode == 'fulltext' else end + '%'}" for word in asked]
