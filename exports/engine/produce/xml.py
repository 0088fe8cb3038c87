"""XML as easydb has it: `objects`, a child for each object, its fields below it (`spec/v1.md §8.5`).

Written by hand, piece by piece: a tree of each document would cost three times the time.
"""

import re
from collections.abc import Callable
from typing import Any, NamedTuple

from exports.engine.layouts.assets import references
from exports.engine.notes import Notes
from exports.engine.produce.choosing import Labels
from exports.engine.produce.options import Merge
from exports.engine.produce.values import (
    DEEPEST,
    REVERSE,
    Link,
    Number,
    dumps,
    is_range,
    is_translated,
    link_of,
    standard,
    versions_of,
)
from exports.engine.produce.xmltext import MOST_NAMES, attribute, element_name, escaped

NAMESPACE = "https://schema.easydb.de/EASYDB/1.0/objects/"
HEAD = f'<?xml version="1.0" encoding="UTF-8"?>\n<objects xmlns="{NAMESPACE}">\n'.encode()
TAIL = b"</objects>\n"
#: Objects embedded in one, at all levels; what is linked beyond is named only.
MOST_EMBEDDED = 2000
NESTED = "_nested:"
_ISO = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}.*)?")
#: Of the document, in this order; of its block behind them.
_SYSTEM = ("_objecttype", "_mask", "_system_object_id", "_global_object_id", "_uuid", "_created", "_last_modified")
_INNER = ("_has_children", "_id", "_version", "_id_parent")
_HANDLED = frozenset((*_INNER, "_standard", "_tags", "_pool"))
_FILE_FACTS = (
    "compiled",
    "class",
    "extension",
    "name",
    "class_extension",
    "preferred",
    "original_filename",
    "filesize",
)
Linked = dict[str, dict[str, Any]]


class _Where(NamedTuple):
    """Where in a document a value stands."""

    labels: Labels
    #: Dotted, behind the objecttype; "" where nobody asked for labels.
    path: str
    #: Ids of the objects that it is embedded in, the outermost first.
    above: tuple[int, ...]
    level: int = 0
    #: Inside a `_reverse_nested:` table.
    reverse: bool = False

    def below(self, name: str) -> "_Where":
        path = f"{self.path}.{name}" if self.path else name if self.labels else ""
        return _Where(self.labels, path, self.above, self.level + 1, self.reverse or name.startswith(REVERSE))


class Writer:
    """Documents → elements. `labels`: of an objecttype; `named`: whether objects tell their `_standard`."""

    def __init__(self, merge: Merge, labels: Callable[[str], Labels], notes: Notes, *, named: bool = True) -> None:
        self._merge, self._labels_of, self._notes, self._named = merge, labels, notes, named
        self._labels: dict[str, Labels] = {}
        self._columns: dict[str, tuple[str, str]] = {}
        self._linked: Linked = {}
        self._embedded = 0
        self._out: list[str] = []

    def element(self, document: dict[str, Any], linked: Linked) -> bytes:
        self._linked, self._embedded, self._out = linked, 0, []
        self._object(document, document["_objecttype"], ())
        self._out.append("\n")
        return "".join(self._out).encode()

    def _object(self, document: dict[str, Any], objecttype: str, above: tuple[int, ...]) -> None:
        block = document[objecttype]
        tag = element_name(objecttype)
        self._out.append(f"<{tag}>")
        if self._named or "_standard" in block:
            self._standards(block)
        for name in _SYSTEM:
            if name in document:
                self._out.append(f"<{name}>{self._scalar(document[name])}</{name}>")
        self._path(document)
        self._tags(block.get("_tags"))
        for name in _INNER:
            if block.get(name) is not None:
                self._out.append(f"<{name}>{self._scalar(block[name])}</{name}>")
        self._pool(block.get("_pool"))
        labels = self._labels.get(objecttype)
        if labels is None:
            labels = self._labels[objecttype] = self._labels_of(objecttype)
        where = _Where(labels, "", (*above, document["_system_object_id"]))
        for name, value in block.items():
            if name not in _HANDLED:
                self._field(name, value, where)
        self._out.append(f"</{tag}>")

    # --- What the system knows of an object ---------------------------------------------------------------------

    def _standards(self, block: dict[str, Any]) -> None:
        for number, name in (("1", "_standard"), ("2", "_standard-2"), ("3", "_standard-3")):
            if (called := standard(block, number)) is not None:
                self._called(name, called)

    def _path(self, target: dict[str, Any]) -> None:
        if "_path" in target:
            self._out.append("<_path>")
            for each in target["_path"]:
                self._stub(each["_objecttype"], each, each[each["_objecttype"]])
            self._out.append("</_path>")

    def _called(self, tag: str, called: Any) -> None:
        inner = self._languages(called) if isinstance(called, dict) else self._scalar(called)
        self._out.append(f"<{tag}>{inner}</{tag}>")

    def _tags(self, tags: Any) -> None:
        found = [tag for tag in tags if isinstance(tag, dict)] if isinstance(tags, list) else []
        if not found:
            return
        self._out.append("<_tags>")
        for tag in found:
            self._out.append(f'<tag id="{attribute(tag.get("_id", ""))}">')
            self._some(tag, ("displayname", "reference", "shortname"))
            self._out.append("</tag>")
        self._out.append("</_tags>")

    def _pool(self, pool: Any) -> None:
        inner = pool.get("pool") if isinstance(pool, dict) else None
        if not isinstance(inner, dict):
            return
        self._out.append(f'<_pool id="{attribute(inner.get("_id", ""))}">')
        self._some(inner, ("name", "reference"))
        self._out.append("</_pool>")

    def _some(self, facts: dict[str, Any], names: tuple[str, ...]) -> None:
        for name in names:
            value = facts.get(name)
            if isinstance(value, str | int) or (isinstance(value, dict) and is_translated(value)):
                self._called(name, value)

    # --- Fields -------------------------------------------------------------------------------------------------

    def _field(self, name: str, value: Any, where: _Where) -> None:
        """The innermost loop: a plain value costs one f-string."""
        if value is None:
            return
        tag, told = self._columns.get(name) or self._column(name)
        if where.labels:
            where = where.below(name)
            tag = element_name(where.labels.of(where.path) or name)
        kind = type(value)
        if kind is str:
            shape = "date" if value[:4].isdigit() and _ISO.fullmatch(value) else "string"
            self._out.append(f'<{tag} type="{shape}"{told}>{escaped(value, self._notes)}</{tag}>')
        elif kind is int or kind is Number:
            self._out.append(f'<{tag} type="number"{told}>{value}</{tag}>')
        elif kind is bool:
            self._out.append(f'<{tag} type="boolean"{told}>{"true" if value else "false"}</{tag}>')
        else:
            shape = self._shape(value, where)
            self._out.append(f'<{tag} type="{shape}"{told}>')
            _WRITERS[shape](self, value, where if where.labels else where.below(name), name)
            self._out.append(f"</{tag}>")

    def _column(self, name: str) -> tuple[str, str]:
        """Element and attribute of a field; remembered, as far as people call their fields alike."""
        found = element_name(name), f' column-api-id="{attribute(name)}"'
        if len(self._columns) < MOST_NAMES:
            self._columns[name] = found
        return found

    @staticmethod
    def _shape(value: Any, where: _Where) -> str:
        if references(value):
            return "files"
        if isinstance(value, list):
            return "json" if where.level > DEEPEST else "list"
        if is_translated(value):
            return "l10n"
        if is_range(value):
            return "daterange"
        if link_of(value):
            return "link"
        return "json" if where.level > DEEPEST else "object"

    def _scalar(self, value: Any) -> str:
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, dict | list):
            return escaped(dumps(value).decode(), self._notes)
        return escaped(value, self._notes) if type(value) is str else str(value)

    def _languages(self, texts: dict[str, Any]) -> str:
        return "".join(
            f"<{language}>{escaped(text, self._notes)}</{language}>"
            for language, text in texts.items()
            if text is not None
        )

    def _write_l10n(self, value: Any, where: _Where, name: str) -> None:
        self._out.append(self._languages(value))

    def _write_daterange(self, value: Any, where: _Where, name: str) -> None:
        for part in ("from", "to", "text"):
            if value.get(part) is not None:
                self._out.append(f"<{part}>{self._scalar(value[part])}</{part}>")

    def _write_json(self, value: Any, where: _Where, name: str) -> None:
        self._out.append(self._scalar(value))

    def _write_object(self, value: Any, where: _Where, name: str) -> None:
        for key, below in value.items():
            self._field(key, below, where)

    def _write_list(self, values: Any, where: _Where, name: str) -> None:
        """Rows of a table are called like the table, of a reverse one like its objecttype; else they are items."""
        tag = name.removeprefix(NESTED) if name.startswith(NESTED) else "item"
        if name.startswith(REVERSE):
            tag = name.removeprefix(REVERSE).partition(":")[0]
        tag = element_name(tag)
        for value in values:
            link = link_of(value) if isinstance(value, dict) else None
            if link and tag == element_name(link.objecttype):
                self._link(link, where)
            elif link or not isinstance(value, dict) or is_translated(value) or is_range(value) or references(value):
                self._field(tag, value, where)
            else:
                self._out.append(f"<{tag}>")
                self._write_object(value, where, name)
                self._out.append(f"</{tag}>")

    # --- Links and files ----------------------------------------------------------------------------------------

    def _write_link(self, value: Any, where: _Where, name: str) -> None:
        link = link_of(value)
        if link:
            self._link(link, where)

    def _link(self, link: Link, where: _Where) -> None:
        target = self._linked.get(str(link.id))
        if target is None or link.objecttype not in target:
            self._stub(link.objecttype, {}, link.block)
        elif self._is_embedded(link, where):
            self._embedded += 1
            self._object(target, link.objecttype, where.above)
        else:
            self._stub(link.objecttype, target, target[link.objecttype])

    def _is_embedded(self, link: Link, where: _Where) -> bool:
        """An object is never inside itself."""
        if len(where.above) > self._merge.depth or link.id in where.above:
            return False
        if not self._merge.embeds(link.objecttype, reverse=where.reverse):
            return False
        if self._embedded >= MOST_EMBEDDED:
            self._notes.warn(f"Document {where.above[0]} embeds {MOST_EMBEDDED} linked objects; others are named only.")
            return False
        return True

    def _stub(self, objecttype: str, target: dict[str, Any], block: dict[str, Any]) -> None:
        tag = element_name(objecttype)
        self._out.append(f"<{tag}>")
        self._standards(block)
        for name in ("_objecttype", "_system_object_id", "_global_object_id", "_uuid"):
            if name in target:
                self._out.append(f"<{name}>{self._scalar(target[name])}</{name}>")
        self._path(target)
        for name in ("_id", "_version"):
            if block.get(name) is not None:
                self._out.append(f"<{name}>{self._scalar(block[name])}</{name}>")
        self._out.append(f"</{tag}>")

    def _write_files(self, value: Any, where: _Where, name: str) -> None:
        self._out.append("<files>")
        for file in value if isinstance(value, list) else [value]:
            if type(file.get("_id")) is int:
                self._file(file)
        self._out.append("</files>")

    def _file(self, file: dict[str, Any]) -> None:
        self._out.append(f"<file><eas-id>{self._scalar(file['_id'])}</eas-id>")
        for fact in _FILE_FACTS:
            if file.get(fact) is not None:
                self._out.append(f"<{fact}>{self._scalar(file[fact])}</{fact}>")
        if isinstance(facts := file.get("technical_metadata"), dict) and facts:
            self._out.append("<technical_metadata>")
            for key, fact in facts.items():
                tag = element_name(key)
                self._out.append(f"<{tag}>{self._scalar(fact)}</{tag}>")
            self._out.append("</technical_metadata>")
        self._out.append("<versions>")
        for version, places in versions_of(file).items():
            self._out.append(f'<version name="{attribute(version)}">')
            for place in ("path", "url"):
                if places.get(place):
                    self._out.append(f"<{place}>{self._scalar(places[place])}</{place}>")
            self._out.append("</version>")
        self._out.append("</versions></file>")


_WRITERS: dict[str, Callable[[Writer, Any, _Where, str], None]] = {
    "l10n": Writer._write_l10n,
    "daterange": Writer._write_daterange,
    "json": Writer._write_json,
    "object": Writer._write_object,
    "list": Writer._write_list,
    "link": Writer._write_link,
    "files": Writer._write_files,
}
