"""Cell snapshots, `export_version` 2 (`spec/cell.md §11`; what ours add: FORMAT.md)."""

import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any
from urllib.parse import unquote

import orjson

from cells.errors import NameRefused
from cells.loading import LoadItem
from cells.restoring import RestoredDocument
from cells.validators import doctype_name, document_id
from exports.engine.archives.base import Member
from exports.engine.archives.layout import Restore, checked_line, checked_path, lines, moment, small_json
from exports.engine.layouts import cell as layout
from exports.engine.layouts import nodes
from exports.errors import ArchiveEntryMissing, ArchiveManifestRefused, ArchiveRefused, ArchiveVersionUnknown

_PATH = re.compile(r'<path xmlns="urn:x-exportsite">([^<>&]*)</path>')
_PMETA, _CONTENT = "/" + layout.PMETA, "/" + layout.CONTENT
_MAIN = layout.MAIN_BOX
_TABLE = "CREATE TABLE kept (id TEXT PRIMARY KEY, name TEXT, changed INTEGER, told TEXT) WITHOUT ROWID"
_TYPE = re.compile(r"[^\x00-\x20\x7f-\U0010ffff]{1,127}")


class SnapshotRestore(Restore):
    def __init__(self, archive: Any) -> None:
        super().__init__(archive)
        self._manifest()
        for name in layout.REQUIRED:
            self._required(name)

    def prepare(self, tick: Callable[[], object]) -> None:
        self.archive.check_layout(tick)
        self.archive.index.query(_TABLE)
        for number, line in self._lines(layout.LISTS[0][0]):
            entry = _line(layout.LISTS[0][0], number, line)
            name = entry["_source"].get("s", {}).get("Name") if isinstance(entry["_source"].get("s"), dict) else None
            if not isinstance(name, str):
                raise _refused(layout.LISTS[0][0], number, "a box without a name")
            self.archive.index.insert("box", [(entry["_id"], checked_path(layout.LISTS[0][0], name))])
            tick()
        for member in self.archive.members():
            tick()
            self._check_place(member)
            if member.name.endswith(_PMETA):
                self._node(member)
        orphan = """SELECT m.name FROM member m LEFT JOIN node n ON n.name = substr(m.name, 1, length(m.name) - 8)
            WHERE m.name LIKE '20_webdav/%/content' AND (n.kind IS NULL OR n.kind = '') LIMIT 1"""
        for (name,) in self.archive.index.query(orphan):
            raise ArchiveRefused(entry=name[:200], reason="there is no .pmeta of a file beside it")
        bare = """SELECT n.name FROM node n LEFT JOIN member m ON m.name = n.name || '/content'
            WHERE n.kind <> '' AND m.name IS NULL LIMIT 1"""
        for (name,) in self.archive.index.query(bare):
            raise ArchiveEntryMissing(path=name + _CONTENT)

    def items(self) -> Iterator[LoadItem]:
        for path, mtime in self.archive.index.query("SELECT path, mtime FROM node WHERE kind = ''"):
            yield LoadItem(path, moment(mtime))
        rows = self.archive.index.query(
            "SELECT m.*, n.path, n.mtime, n.executable, n.kind FROM node n "
            "JOIN member m ON m.name = n.name || '/content' WHERE n.kind <> '' ORDER BY m.offset"
        )
        for *member, path, mtime, executable, kind in rows:
            found = Member(*member)
            yield LoadItem(
                path, moment(mtime), partial(self.archive.open, found), bool(executable), found.size, kind.strip()
            )

    def documents(self) -> Iterator[RestoredDocument]:
        for file, _, word in layout.LISTS:
            for number, line in self._lines(file):
                entry = _line(file, number, line)
                ours = entry.get("_index") == layout.OURS
                if ours and word == layout.USERDATA:
                    yield _document(file, number, line, entry["_source"])
                elif not (ours and word == layout.BOX):  # a box of ours is a folder, which has a node
                    yield _kept(file, number, line, entry, word)
        for doc_id, name, changed, told in self.archive.index.query("SELECT * FROM kept ORDER BY id"):
            when = moment(changed)
            yield RestoredDocument(name[:200], nodes.DOCTYPE, doc_id, None, when, when, (), told)

    def _manifest(self) -> None:
        with self.archive.open(self._required(layout.MANIFEST)) as content:
            told = small_json(content, layout.MANIFEST)
        found = told.get("export_version") if isinstance(told, dict) else None
        if type(found) is not int or found != layout.EXPORT_VERSION:
            shown = "null" if found is None else str(found)[:100]
            raise ArchiveVersionUnknown(found=shown, expected=layout.EXPORT_VERSION)
        missing = told.get("missing") or []
        if not isinstance(missing, list) or not all(isinstance(each, dict) for each in missing):
            raise ArchiveManifestRefused(name=layout.MANIFEST, reason="'missing' is no list of objects")
        self.missing = [(str(each.get("path")), str(each.get("reason"))) for each in missing]

    def _required(self, name: str) -> Member:
        member = self.archive.find(name)
        if member is None:
            raise ArchiveEntryMissing(path=name)
        return member

    def _lines(self, name: str) -> Iterator[tuple[int, bytes]]:
        with self.archive.open(self._required(name)) as content:
            yield from ((number, line) for number, line in lines(content, name) if line and not line.isspace())

    def _check_place(self, member: Member) -> None:
        name = member.name
        inside = name.startswith(layout.DAV) and name.endswith((_PMETA, _CONTENT))
        if not (member.is_folder or inside or name in layout.REQUIRED):
            raise ArchiveRefused(entry=name[:200], reason="a snapshot has no such file")

    def _node(self, member: Member) -> None:
        """Note what a `.pmeta` says of the node that it lies in."""
        with self.archive.open(member) as content:
            told = small_json(content, member.name)
        if not isinstance(told, dict) or not isinstance(told.get("d", {}), dict):
            raise ArchiveManifestRefused(name=member.name, reason="no object, or without properties")
        if member.name == layout.DAV + layout.PMETA:
            self._keep(member.name, told, nodes.CELL_ID, nodes.CELL)
            return
        node = member.name.removesuffix(_PMETA)
        place, is_file = node.removeprefix(layout.DAV), told.get("t") == nodes.FILE
        path = self._path(member.name, place, told.get("d", {}), is_file=is_file)
        if place == _MAIN:
            self._keep(member.name, told, nodes.MAIN_BOX_ID, nodes.BOX)
        if path is None:
            return
        # A file's kind is its media type, and never empty.
        kind = told.get("ct") if isinstance(told.get("ct"), str) and _TYPE.fullmatch(told["ct"]) else " "
        executable = nodes.EXECUTABLE_PROPERTY in told.get("d", {})
        changed = _time(told.get("u"))
        self.archive.index.insert("target", [(checked_path(member.name, path),)])
        self.archive.index.insert("node", [(node, path, changed, executable, kind if is_file else "")])
        size = told.get("cl")
        content_member = self.archive.find(node + _CONTENT) if is_file else None
        self.contents += content_member.size if content_member is not None else 0
        if content_member is not None and type(size) is int and size != content_member.size:
            raise ArchiveRefused(entry=member.name[:200], reason="its content has another length")
        if place != _MAIN:
            folder = nodes.FOLDER if "/" in place else nodes.BOX
            self._keep(member.name, told, nodes.node_id(path), nodes.FILE if is_file else folder)

    def _keep(self, name: str, told: dict[str, Any], doc_id: str, kind: str) -> None:
        """What we do not model of a node, as lines are kept."""
        if not (kept := nodes.more_of(told, kind)):
            return
        try:
            text = orjson.dumps(kept)
        except orjson.JSONEncodeError as error:
            raise ArchiveRefused(entry=name[:200], reason=str(error)) from error
        checked_line(name, 1, text)
        self.archive.index.insert("kept", [(doc_id, name, _time(told.get("u")), text.decode())])

    def _path(self, name: str, place: str, properties: dict[str, Any], *, is_file: bool) -> str | None:
        """Of the cell; None for the main box, which is the cell itself."""
        if told := properties.get(nodes.PATH_PROPERTY):
            found = _PATH.fullmatch(told) if isinstance(told, str) else None
            try:
                return unquote(found[1], errors="strict") if found else checked_path(name, "")
            except UnicodeDecodeError as error:
                raise ArchiveRefused(entry=name[:200], reason="its path is not UTF-8") from error
        box, slash, rest = place.partition("/")
        if box == _MAIN:
            if not rest:
                return None
            return rest if is_file and "/" not in rest else f"{_MAIN}/{rest}"
        found = next(self.archive.index.query("SELECT name FROM box WHERE id = ?", box), None)
        if found is None:
            raise ArchiveRefused(entry=name[:200], reason="it lies in a box that is not in 10_box.pjson")
        return found[0] + slash + rest


def _line(file: str, number: int, line: bytes) -> dict[str, Any]:
    entry = checked_line(file, number, line)
    if not isinstance(entry.get("_id"), str) or not isinstance(entry.get("_source"), dict):
        raise _refused(file, number, "_id and _source are needed")
    return entry


def _document(file: str, number: int, line: bytes, source: dict[str, Any]) -> RestoredDocument:
    hidden, declared = source.get("h"), source.get("s")
    if not (isinstance(hidden, dict) and isinstance(declared, dict) and isinstance(source.get("d"), dict)):
        raise _refused(file, number, "a document without s, d or h")
    doctype, doc_id, rev = hidden.get("doctype"), declared.get("__id"), hidden.get("rev")
    if not all(isinstance(each, str) for each in (doctype, doc_id, rev)):
        raise _refused(file, number, "a document without doctype, id or rev")
    try:
        doctype_name(doctype), document_id(doc_id)
    except NameRefused as refusal:
        raise _refused(file, number, str(refusal)) from refusal
    made, changed = _time(source.get("p")), _time(source.get("u"))
    return RestoredDocument(
        f"{file} line {number}", doctype, doc_id, rev, moment(made), moment(changed), ("_source", "d"), line.decode()
    )


def _kept(file: str, number: int, line: bytes, entry: dict[str, Any], word: str) -> RestoredDocument:
    """What we do not model, under a doctype of its own; without hashes of passwords."""
    source = entry["_source"]
    try:
        document_id(entry["_id"])
    except NameRefused as refusal:
        raise _refused(file, number, str(refusal)) from refusal
    changed = moment(_time(source.get("u")))
    without = ("h",) if isinstance(source.get("h"), dict) else None
    return RestoredDocument(
        f"{file} line {number}", layout.RESERVED + word, entry["_id"], None, changed, changed, ("_source",),
        line.decode(), without,
    )  # fmt: skip


def _time(value: object) -> int:
    """Microseconds of milliseconds; 0 for what is none, or beyond all calendars."""
    return value * 1000 if type(value) is int and abs(value) < 2**50 else 0


def _refused(file: str, number: int, reason: str) -> ArchiveRefused:
    return ArchiveRefused(entry=file, reason=f"line {number}: {reason}")
