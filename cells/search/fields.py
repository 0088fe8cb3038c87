"""Field paths (`spec/v1.md §7.5`): from a dotted path to SQL that gives the values it leads to."""

import json
from dataclasses import dataclass, field
from typing import Any

from cells.search import assets
from cells.search.refusals import SearchRefused

_LONGEST_PATH = 512
#: A list at any point means any of its elements; so does a list in a list, up to here.
_LISTS = 3
COLUMNS = {
    "_objecttype": "d.doctype",
    "_uuid": "d.doc_id",
    "_system_object_id": "d.id",
}
CREATED, MODIFIED = "d.created_at", "d.updated_at"
TIMES = {
    "_created": CREATED,
    "_last_modified": MODIFIED,
    "_changelog.date_created": CREATED,
    "_changelog.date_create": CREATED,
    "_changelog.date_last_updated": MODIFIED,
}
#: What the object form has beside the block, and our documents have not: there is no value.
_ABSENT = {
    *("_mask", "_tags", "_collections", "_owner", "_path", "_level", "_has_children", "_changelog"),
    *COLUMNS, *TIMES, "_global_object_id",
}  # fmt: skip
_TIME = "to_jsonb(to_char({} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'))"
_BODY = "CASE jsonb_typeof(d.body) WHEN 'object' THEN d.body ELSE jsonb_build_object('_value', d.body) END"
_BLOCK = f"(({_BODY}) || jsonb_build_object('_id', d.id, '_version', split_part(d.rev, '-', 1)::bigint))"
#: What a document is called, as `exports.engine.produce.values.standard` has it.
_STANDARD = """(SELECT coalesce(l.value, s.v) AS v FROM (
        SELECT c.v FROM (VALUES {candidates}) c(n, v)
        WHERE (jsonb_typeof(c.v) = 'string' AND c.v <> '""') OR cells_translated(c.v) ORDER BY c.n LIMIT 1
    ) s LEFT JOIN LATERAL jsonb_each(CASE WHEN cells_translated(s.v) THEN s.v END) l ON true
    WHERE l.key IS NULL OR {languages}::text[] IS NULL OR l.key = ANY({languages}::text[]))"""
_CALLED = ("_standard", "title", "name", "displayname", "label")
_KNOWN = """EXISTS (SELECT FROM cells_document o JOIN cells_cell USING (generation)
    WHERE cells_cell.id = o.cell_id AND o.cell_id = ANY(%(search_cells)s::bigint[]) AND o.doctype = ANY({}::text[]))"""


@dataclass
class Params:
    """Values of one statement, named so that they cannot meet those of whoever holds the condition."""

    values: dict[str, Any] = field(default_factory=dict)

    def add(self, value: object) -> str:
        name = f"search_{len(self.values)}"
        self.values[name] = value
        return f"%({name})s"


@dataclass(frozen=True)
class Scope:
    """What paths are resolved over: the document, or with a `row` one row of the nested table at `path`."""

    params: Params
    instance: str
    #: In which times are meant that say no zone, here and in documents.
    zone: str = "UTC"
    row: str = ""
    path: str = ""

    @property
    def json(self) -> str:
        return self.row or f"({_BODY})"

    def values(self, attribute: str, path: str, languages: list[str] | None = None) -> str:
        """SQL of a set of JSON values `v`; lists are opened, languages too."""
        if not path or len(path) > _LONGEST_PATH or "" in path.split("."):
            raise SearchRefused(attribute, "is no path of a field")
        if path.startswith("_linked."):
            if not path.startswith(assets.PREFIX):
                raise SearchRefused(attribute, f"begins with {assets.PREFIX} or is no path of what is linked")
            return assets.values(self.json, path.removeprefix(assets.PREFIX))
        allowed = "NULL" if languages is None else self.params.add(languages)
        if self.row:
            inner = path.removeprefix(self.path + ".")
            return self._found(self.row, self._steps(inner.split(".")), allowed)
        if path in COLUMNS:
            return f"(SELECT to_jsonb({COLUMNS[path]}) AS v)"
        if path == "_global_object_id":
            return f"(SELECT to_jsonb(d.id || '@' || {self.params.add(self.instance)}::text) AS v)"
        if path in TIMES:
            return f"(SELECT {_TIME.format(TIMES[path])} AS v)"
        parts = path.split(".")
        if parts[0] == "_standard":
            return self._standard(parts, allowed)
        if parts[0] in _ABSENT:
            return "(SELECT NULL::jsonb AS v WHERE false)"
        heads = {part for part in parts if part in ("_id", "_version")}
        return self._found(_BLOCK if heads else f"({_BODY})", self._which(parts), allowed)

    def is_indexed(self, path: str) -> bool:
        """Whether all that `values` gives for the path stands in `DocumentTerms`."""
        return not path.startswith("_linked.") and (bool(self.row) or path not in (*TIMES, "_global_object_id"))

    def is_body(self, path: str) -> bool:
        """Whether all that `values` gives for the path stands in the document's body."""
        parts = path.split(".")
        if parts[0] == "_linked":
            return False
        derived = path in TIMES or parts[0] in (*_ABSENT, "_standard") or {"_id", "_version"} & set(parts)
        return bool(self.row) or not derived

    def may_hold(self, path: str, test: str) -> str | None:
        """SQL without subqueries that is true if one of the values passes this test of jsonpath, or is an object.
        None where the path does not lead into the body as it is."""
        parts = path.split(".")
        if self.row or not self.is_body(path) or "_value" in parts:
            return None
        found = self._which(parts, f' ? (({test}) || @.type() == "object")', is_sure=False)
        return f"(d.body @? {found})"

    def _standard(self, parts: list[str], languages: str) -> str:
        """`_standard.1.text`, 2 or 3; `_standard` is the first."""
        number = parts[1] if len(parts) > 1 else "1"
        if number not in ("1", "2", "3") or parts[2:] not in ([], ["text"]):
            return "(SELECT NULL::jsonb AS v WHERE false)"
        found = [f"({_BODY}) #> '{{_standard,{number},text}}'"]
        if number == "1":
            found += [f"({_BODY}) -> '{name}'" for name in _CALLED]
        candidates = ", ".join(f"({place}, {each})" for place, each in enumerate(found))
        return _STANDARD.format(candidates=candidates, languages=languages)

    def _found(self, json: str, path: str, languages: str) -> str:
        # The path by itself: PostgreSQL does not inline a function that is given a subquery, and that costs 20 times.
        paths = f"(SELECT {path} AS path OFFSET 0) p"
        return f"(SELECT v FROM {paths} CROSS JOIN LATERAL cells_values({json}, p.path, {languages}::text[]) v)"  # noqa: S608

    def _which(self, parts: list[str], test: str = "", *, is_sure: bool = True) -> str:
        """A doctype may hold dots, so each beginning of the path may be one. A path that begins with the name of
        another of the cells' doctypes leads nowhere (if that is to be sure)."""
        if len(parts) == 1:
            return self._steps(parts, test)
        heads = [".".join(parts[:length]) for length in range(1, len(parts))]
        cases = [
            f"WHEN d.doctype = {self.params.add(head)} THEN {self._steps(parts[length:], test)}"
            for length, head in enumerate(heads, 1)
        ]
        if is_sure:
            cases.insert(0, f"WHEN {_KNOWN.format(self.params.add(heads))} THEN NULL")
        return f"(CASE {' '.join(reversed(cases))} ELSE {self._steps(parts, test)} END)"

    def _steps(self, parts: list[str], test: str = "") -> str:
        steps = ("[*]" * (_LISTS - 1)).join(f".{json.dumps(part)}" for part in parts)
        return f"{self.params.add(f'lax ${steps}' + '[*]' * _LISTS + test)}::jsonpath"
