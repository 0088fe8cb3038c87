"""Documents as rows of a table: the columns that CSV and XLSX share (`spec/v1.md §8.4`).

A field is a column; what is below it is `<field>#<sub>`, a row of a list `<field>[<n>]`. A value that has no place in
a table is its JSON text.
"""

import re
from typing import Any

from exports.engine.layouts.assets import references
from exports.engine.notes import Notes
from exports.engine.produce.choosing import Labels
from exports.engine.produce.options import Table
from exports.engine.produce.parents import above
from exports.engine.produce.values import (
    REVERSE,
    Number,
    dumps,
    is_range,
    is_translated,
    link_of,
    one_text,
    standard,
    versions_of,
)

#: As many as a sheet of a spreadsheet has. What comes behind them is in no table, and a warning says so.
MOST_COLUMNS = 16_384
#: Longer lists are one column of JSON text.
MOST_ROWS = 100
#: Levels below a field.
DEEPEST = 6
NO_COLUMNS = "<no columns>"
SYSTEM = (
    "_objecttype",
    "_system_object_id",
    "_global_object_id",
    "_uuid",
    "_tags",
    "_last_modified",
    "_pool",
    "_standard",
)
SYSTEM_COLUMNS = {name: place for place, name in enumerate((*SYSTEM, "_changelog"))}
#: Of the block, and no user fields.
_INNER = frozenset(("_id", "_version", "_id_parent", "_pool", "_standard", "_tags"))
_NUMBERS = re.compile(r"([0-9]+)")

#: A text, a number, true or false.
Value = str | Number | int | float | bool
Row = dict[str, Value]
Linked = dict[str, dict[str, Any]]
#: Paths that `fields` lists; None is every field, and the system's columns.
Listed = frozenset[str] | None


class Flattener:
    """Documents of one objecttype → rows."""

    def __init__(self, table: Table, objecttype: str, languages: tuple[str, ...] | None, listed: Listed) -> None:
        self._system = SYSTEM if listed is None else tuple(name for name in SYSTEM if name in listed)
        self._sub, self._hierarchy, self._changelog = table.separator, table.hierarchy, table.changelog
        self._objecttype, self._languages = objecttype, languages

    def row(self, document: dict[str, Any], linked: Linked) -> Row:
        row: Row = {}
        block = document[self._objecttype]
        for name in self._system:
            if name in document:
                row[name] = document[name]
            elif name == "_standard":
                self._called(row, name, block, linked)
            elif name in block:
                self._put(row, name, block[name], linked)
        if self._changelog and "_created" in document:
            row[f"_changelog{self._sub}date_created"] = document["_created"]
            row[f"_changelog{self._sub}date_last_updated"] = document["_last_modified"]
        for name, value in block.items():
            if name not in _INNER:
                self._put(row, self._column(name), value, linked)
        return row

    def _column(self, name: str) -> str:
        if name in SYSTEM_COLUMNS:
            return f"{self._objecttype}.{name}"
        first, _, rest = name.partition(".")
        return dumps(name).decode() if first == self._objecttype and rest in SYSTEM_COLUMNS else self._part(name)

    def _part(self, name: str) -> str:
        """Of a column's name, one that could be taken for several parts is a string as in JSON: no two columns are
        called alike."""
        return dumps(name).decode() if self._sub in name or "[" in name or name[:1] == '"' else name

    def _put(self, row: Row, name: str, value: Any, linked: Linked) -> None:
        kind = type(value)
        if kind is dict:
            self._object(row, name, value, linked)
        elif kind is list:
            self._list(row, name, value, linked)
        else:
            row[name] = "" if value is None else value

    def _object(self, row: Row, name: str, value: dict[str, Any], linked: Linked) -> None:
        if not value:
            row[name] = ""
        elif is_translated(value) or is_range(value):
            for below, text in value.items():
                row[f"{name}{self._sub}{below}"] = "" if text is None else text
        elif references(value):
            self._file(row, name, value)
        elif link := link_of(value):
            row[f"{name}{self._sub}_id"] = link.id
            target = linked.get(str(link.id), {}).get(link.objecttype)
            self._called(row, f"{name}{self._sub}_standard", target or link.block, linked)
        else:
            row[name] = dumps(value).decode()

    def _list(self, row: Row, name: str, values: list[Any], linked: Linked) -> None:
        if not values:
            row[name] = ""
        elif len(values) > MOST_ROWS or name.count(self._sub) >= DEEPEST:
            row[name] = dumps(values).decode()
        elif files := references(values):
            for number, file in enumerate(files):
                self._file(row, f"{name}[{number}]" if number else name, file)
        else:
            for number, value in enumerate(values):
                self._item(row, f"{name}[{number}]", value, linked)

    def _item(self, row: Row, name: str, value: Any, linked: Linked) -> None:
        """A row of a nested table has a column for each of its fields; what else is a value stays one."""
        if type(value) is not dict or is_translated(value) or is_range(value) or link_of(value) or references(value):
            self._put(row, name, value, linked)
        else:
            for below, inner in value.items():
                self._put(row, f"{name}{self._sub}{self._part(below)}", inner, linked)

    def _file(self, row: Row, name: str, file: dict[str, Any]) -> None:
        if type(file.get("_id")) is not int:
            return
        versions = versions_of(file)
        row[f"{name}{self._sub}_id"] = file["_id"]
        path = next((version["path"] for version in versions.values() if version.get("path")), "")
        row[f"{name}{self._sub}_relative_filename"] = path
        row[f"{name}{self._sub}original_filename"] = file.get("original_filename", "")
        for number, (version, facts) in enumerate(versions.items()):
            if number and facts.get("path"):
                row[f"{name}{self._sub}{version}._relative_filename"] = facts["path"]
            if facts.get("url"):
                row[f"{name}{self._sub}{version}.url"] = facts["url"]

    def _called(self, row: Row, name: str, block: dict[str, Any], linked: Linked) -> None:
        """The object's standard, or those from its root down to it."""
        if self._hierarchy is None:
            called = standard(block)
            if called is not None:
                self._put(row, name, called, linked)
            return
        names = [one_text(standard(each), self._languages) for each in reversed([block, *above(block, linked)])]
        if self._hierarchy == "column":
            for level, text in enumerate(names):
                row[f"{name}{self._sub}{level}"] = text
        else:
            row[name] = f" {self._hierarchy} ".join(names)


class Columns:
    """The columns of one table, gathered row by row."""

    def __init__(self, table: Table, objecttype: str, listed: Listed, notes: Notes) -> None:
        self._empty, self._sub, self._objecttype, self._notes = table.empty_columns, table.separator, objecttype, notes
        #: In the order in which they came.
        self._seen: dict[str, None] = {}
        if self._empty:
            self._seen = {name: None for name in SYSTEM if listed is None or name in listed}

    def add(self, row: Row) -> None:
        new = [name for name in row if name not in self._seen and (self._empty or row[name] != "")]
        if new:
            room = MOST_COLUMNS - len(self._seen)
            self._seen.update(dict.fromkeys(new[:room]))
            if len(new) > room:
                self._notes.warn(
                    f"A table of {self._objecttype} has {MOST_COLUMNS:,} columns; values for more of them are left out."
                )

    def names(self) -> list[str]:
        """System columns, user fields, nested tables, reverse ones; those of a field stand together."""
        fields: dict[str, list[str]] = {}
        for name in self._seen:
            fields.setdefault(self._field(name), []).append(name)
        ordered = sorted(fields, key=_rank)
        return [name for field in ordered for name in sorted(fields[field], key=_natural)]

    def headers(self, labels: Labels) -> list[str]:
        names = self.names()
        return [self._labelled(name, labels) for name in names] if labels else names

    def _field(self, name: str) -> str:
        return name.partition(self._sub)[0].partition("[")[0]

    def _labelled(self, name: str, labels: Labels) -> str:
        path: list[str] = []
        shown = []
        for part in name.split(self._sub):
            bare, bracket, number = part.partition("[")
            path.append(bare)
            label = labels.of(".".join(path))
            shown.append(part if label is None else label + bracket + number)
        return self._sub.join(shown)


def _rank(field: str) -> int:
    if field in SYSTEM_COLUMNS:
        return SYSTEM_COLUMNS[field]
    return 1000 + (2 if field.startswith(REVERSE) else 1 if field.startswith("_nested:") else 0)


def _natural(name: str) -> list[tuple[int, int | str]]:
    """Row 10 behind row 9."""
    return [(0, int(part)) if part.isdigit() and part.isascii() else (1, part) for part in _NUMBERS.split(name) if part]
