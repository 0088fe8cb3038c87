"""One element of a search list each (`spec/v1.md §7.4`): checked, and turned into SQL that is true or false."""

import json
import re
from typing import Any

from cells.folding import words
from cells.search import assets, refusals, terms
from cells.search.fields import COLUMNS, Scope
from cells.search.refusals import SearchRefused
from cells.search.terms import Clause

#: Of longer lists, a guard in jsonpath costs more than the test that it spares.
_GUARDED = 20
#: Of longer lists the index is not asked: it compares each of its findings with each entry. Nor piece by piece: 3,000
#: entries of 20,000 documents took 3.4 s and more in pieces of any length, 0.3 s to compare them all.
_INDEXED = 1000
_MODES = ("fulltext", "token", "wildcard")


def in_(scope: Scope, where: str, element: dict[str, Any], languages: list[str] | None) -> Clause:
    entries = refusals.array(f"{where}.in", refusals.needed(where, element, "in"))
    for index, entry in enumerate(entries):
        if isinstance(entry, str):
            refusals.searched(f"{where}.in[{index}]", entry)
        elif entry is not None and not isinstance(entry, bool):
            refusals.number(f"{where}.in[{index}]", entry, "a string, a number, true, false or null")
    ways = [key for key in ("fields", "objecttype", "eas_field") if element.get(key) is not None]
    if not ways:
        raise SearchRefused(f"{where}.fields", "fields, objecttype or eas_field is required", "attribute_expected")
    if len(ways) > 1:
        raise SearchRefused(f"{where}.{ways[1]}", f"excludes {ways[0]}")
    if ways == ["objecttype"]:
        return Clause(_linked(scope, where, element, entries), _terms(entries))
    if ways == ["eas_field"]:
        fields = [assets.PREFIX + refusals.string(f"{where}.eas_field", element["eas_field"])]
        return any_of([_one_of(scope, f"{where}.eas_field", fields[0], entries, None)])
    fields = refusals.strings(f"{where}.fields", element["fields"])
    return any_of(
        [_one_of(scope, f"{where}.fields[{index}]", path, entries, languages) for index, path in enumerate(fields)]
    )


def any_of(clauses: list[Clause]) -> Clause:
    sql = " OR ".join(clause.sql for clause in clauses)
    guard = terms.any_of((clause.guard for clause in clauses), " OR ")
    return Clause(f"({sql})" if sql else "false", terms.any_of(clause.terms for clause in clauses), guard)


def all_of(clauses: list[Clause]) -> Clause:
    sql = " AND ".join(clause.sql for clause in clauses)
    guard = terms.all_of((clause.guard for clause in clauses), " AND ")
    return Clause(f"({sql})" if sql else "true", terms.all_of(clause.terms for clause in clauses), guard)


def _one_of(scope: Scope, where: str, path: str, entries: list[Any], languages: list[str] | None) -> Clause:
    if not scope.row and path in (*COLUMNS, "_global_object_id"):
        column = _column(scope, path, entries)
        return Clause(column, guard=column)
    values = scope.values(where, path, languages)
    given = [entry for entry in entries if entry is not None]
    tests = []
    if given:
        tests.append(f"EXISTS (SELECT FROM {values} f WHERE (f.v IN {_entries(scope, given)}) IS TRUE)")
    if None in entries:
        tests.append(f"NOT EXISTS (SELECT FROM {values} f WHERE f.v NOT IN ('null', '\"\"', '[]'))")
    known = _terms(entries) if scope.is_indexed(path) else None
    return Clause(f"({' OR '.join(tests) or 'false'})", known, _guard(scope, path, entries))


def _guard(scope: Scope, path: str, entries: list[Any]) -> str | None:
    if None in entries or not 0 < len(entries) <= _GUARDED:
        return None
    return scope.may_hold(path, " || ".join(f"@ == {json.dumps(entry)}" for entry in entries))


def _terms(entries: list[Any]) -> str | None:
    return terms.any_of(map(terms.of_value, entries)) if len(entries) <= _INDEXED else None


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


def match(scope: Scope, where: str, element: dict[str, Any], languages: list[str] | None) -> Clause:
    text = refusals.searched(f"{where}.string", refusals.needed(where, element, "string"))
    mode = refusals.one_of(f"{where}.mode", element.get("mode") or "fulltext", _MODES)
    known, operator, patterns = _patterns(text, mode, refusals.flag(where, element, "phrase", False))
    test = f"cells_words(f.v #>> '{{}}') {operator} ALL ({scope.params.add(patterns)}::text[])"
    guard = _of_parts(scope, text) if mode == "wildcard" and known is None else None
    given = element.get("fields")
    if given is None:
        texts = _TEXTS if languages is None else _TEXTS_IN.replace("{languages}", scope.params.add(languages))
        return Clause(f"EXISTS (SELECT FROM {texts.replace('{json}', scope.json)} f(v) WHERE {test})", known, guard)
    return any_of(
        [
            Clause(
                f"EXISTS (SELECT FROM {scope.values(f'{where}.fields[{index}]', path, languages)} f"
                f" WHERE jsonb_typeof(f.v) = 'string' AND {test})",
                known if scope.is_indexed(path) else None,
                guard if scope.is_body(path) else None,
            )
            for index, path in enumerate(refusals.strings(f"{where}.fields", given))
        ]
    )


def _patterns(text: str, mode: str, phrase: bool) -> tuple[str | None, str, list[str]]:
    """(what the index knows of it, operator, patterns over words with a space before and after each). Words hold
    nothing that a pattern could mistake."""
    if mode == "wildcard":
        asked = words(text, keep="*?")
        if any(sign in text for sign in "*?"):
            known = terms.all_of(map(_of_wildcard, asked))
            return known, "~", [f" {word.replace('*', '[^ ]*').replace('?', '[^ ]')} " for word in asked]
        mode = "token"
    else:
        asked = words(text)
    known = terms.of_words(asked, prefix=mode == "fulltext")
    if phrase and asked:
        return known, "~", [f" {'[^ ]* '.join(asked)}"] if mode == "fulltext" else [f" {' '.join(asked)} "]
    end = "% " if mode == "fulltext" else " "
    return known, "LIKE", [f"% {word}{'%' if mode == 'fulltext' else end + '%'}" for word in asked]


def _of_parts(scope: Scope, text: str) -> str | None:
    """Of `*house` no index knows more than that its letters stand somewhere in the document, one behind another."""
    parts = {part for word in words(text, keep="*?") for part in re.split(r"[*?]", word) if part}
    if not parts:
        return None
    return f"cells_fold(d.body::text) LIKE ALL ({scope.params.add([f'%{part}%' for part in sorted(parts)])}::text[])"


def _of_wildcard(word: str) -> str | None:
    start = re.split(r"[*?]", word)[0]
    return terms.of_words([start], prefix=start != word)
