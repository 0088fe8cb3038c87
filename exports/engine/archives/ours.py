"""Our own archives, closed by a `manifest.json` that names every entry (FORMAT.md)."""

import re
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partial
from hashlib import sha256
from typing import Any

import orjson

from cells.errors import NameRefused
from cells.loading import LoadItem
from cells.move_lines import KEPT, is_kept
from cells.restoring import RestoredDocument
from cells.validators import doctype_name, document_id
from exports.engine import manifest as text
from exports.engine.archives.base import NO_CRC, Archive, Content, Member
from exports.engine.archives.layout import Restore, checked_line, checked_path, lines, microseconds, moment
from exports.engine.layouts.cell import RESERVED
from exports.errors import (
    ArchiveEntryMissing,
    ArchiveForOthers,
    ArchiveManifestRefused,
    ArchiveRefused,
    ArchiveVersionUnknown,
)  # fmt: skip

_NAME = re.compile(r"manifest( \([0-9]{1,9}\))?\.json")
#: Name and path, each character as six; and the rest.
_LONGEST_LINE = 256 * 1024
#: Of one cell, or of several. All else that is generated says less than what it was made of, or lists changes.
_DOCUMENTS = re.compile(r"([^/]+/)?documents( \([0-9]+\))?/[^/]+\.jsonl")
_DIGEST, _CRC = re.compile(r"[0-9a-f]{64}"), re.compile(r"[0-9a-f]{8}")
_TICK = 500


def manifest_of(archive: Archive) -> Member | None:
    """The last entry, if it is a manifest of ours; in an archive that others have packed again, it may be elsewhere."""
    last = archive.last()
    if last is None or not _NAME.fullmatch(last.name):
        last = archive.find(text.NAME)
    if last is None or last.is_folder:
        return None
    with archive.open(last) as content:
        head = content.read(min(last.size, 64))
    return last if head.startswith(b'{"format": "%b", ' % text.FORMAT.encode()) else None


class _Hashing:
    def __init__(self, content: Content) -> None:
        self._content, self._hash = content, sha256()

    def read(self, size: int) -> bytes:
        data = self._content.read(size)
        self._hash.update(data)
        return data

    def hexdigest(self) -> str:
        return self._hash.hexdigest()


class OurRestore(Restore):
    def __init__(self, archive: Archive, closing: Member) -> None:
        super().__init__(archive)
        self._closing = closing
        with archive.open(closing) as content:
            _, head = next(lines(content, closing.name, _LONGEST_LINE))
        self._head(head)

    def prepare(self, tick: Callable[[], object]) -> None:
        self.archive.check_layout(tick)
        index = self.archive.index
        with self.archive.open(self._closing) as content:
            for count, row in enumerate(self._told(content)):
                index.insert("told", [row])
                if not row[7]:
                    self.contents += row[2] or 0
                    index.insert("target", [(checked_path(row[0], row[1]),)])
                if not count % _TICK:
                    tick()
        self._compare()

    def items(self) -> Iterator[LoadItem]:
        rows = self.archive.index.query(
            "SELECT m.*, t.path, t.mtime, t.executable, t.sha256 FROM member m JOIN told t USING (name) "
            "WHERE NOT t.generated ORDER BY m.offset"
        )
        for *member, path, mtime, executable, digest in rows:
            found = Member(*member)
            if found.is_folder:
                yield LoadItem(path, moment(mtime))
            else:
                opened = partial(self.archive.open, found)
                yield LoadItem(path, moment(mtime), opened, bool(executable), found.size, sha256=digest)

    def documents(self) -> Iterator[RestoredDocument]:
        rows = self.archive.index.query(
            "SELECT m.*, t.mtime, t.sha256 FROM member m JOIN told t USING (name) WHERE t.generated ORDER BY m.offset"
        )
        for *found, mtime, digest in rows:
            member = Member(*found)
            content = _Hashing(self.archive.open(member))
            for number, line in lines(content, member.name):
                yield _document(member.name, number, line, moment(mtime))
            if content.hexdigest() != digest:
                raise ArchiveRefused(entry=member.name[:200], reason="its SHA-256 is not what the manifest says")

    def _head(self, line: bytes) -> None:
        try:
            told = orjson.loads(line + b"]}")
        except orjson.JSONDecodeError as error:
            raise self._refused(f"line 1: {error}") from error
        if told.get("version") != text.VERSION:
            raise ArchiveVersionUnknown(found=told.get("version"), expected=text.VERSION)

    def _told(self, content: Any) -> Iterator[tuple]:
        """(name, path, size, CRC-32, SHA-256, mtime in µs, executable, generated) of each; sizes of files only."""
        rows = lines(content, self._closing.name, _LONGEST_LINE)
        next(rows)
        for number, line in rows:
            if line.startswith(b"]"):
                self._end(line, rows, number - 2)  # behind the head, and a line for each
                return
            try:
                yield _row(orjson.loads(line.removesuffix(b",")))
            except (orjson.JSONDecodeError, AttributeError, KeyError, TypeError, ValueError) as error:
                raise self._refused(f"line {number}: {error}") from error
        raise self._refused("it ends too early")

    def _end(self, line: bytes, rows: Iterator[tuple[int, bytes]], count: int) -> None:
        """What stands behind the entries: what is missing, and how many there are."""
        rest = line.partition(b"], ")[2] if line.startswith(b"], ") else b""
        try:
            for _, each in rows:  # bounded by what was found damaged when it was made, and by the line below
                rest += each
                if len(rest) > 64 * _LONGEST_LINE:
                    raise ValueError("too much is missing")
            told = orjson.loads(b"{" + rest)
            self.missing = [(str(each["path"]), str(each["reason"])) for each in told["missing"]]
            if told["count"] != count:
                raise ValueError(f"it has {count} entries, and says {told['count']}")
        except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
            raise self._refused(f"its end: {error}") from error

    def _compare(self) -> None:
        index = self.archive.index
        for (name,) in index.query("SELECT name FROM told WHERE name NOT IN (SELECT name FROM member) LIMIT 1"):
            raise ArchiveEntryMissing(path=name)
        unknown = """SELECT name FROM member WHERE name NOT IN (SELECT name FROM told) AND name <> ?
                     AND name NOT LIKE '%/' LIMIT 1"""
        for (name,) in index.query(unknown, self._closing.name):
            raise ArchiveRefused(entry=name[:200], reason="the manifest does not name it")
        other = """SELECT name FROM member m JOIN told t USING (name) WHERE name NOT LIKE '%/'
                   AND (t.size IS NOT m.size OR t.crc32 IS NOT m.crc32 AND m.crc32 <> ?) LIMIT 1"""
        for (name,) in index.query(other, NO_CRC):
            raise ArchiveRefused(entry=name[:200], reason="its size or CRC-32 is not what the manifest says")
        for (name,) in index.query("SELECT name FROM told WHERE generated"):
            if not _DOCUMENTS.fullmatch(name):
                raise ArchiveForOthers(name=name)

    def _refused(self, reason: str) -> ArchiveManifestRefused:
        return ArchiveManifestRefused(name=self._closing.name, reason=reason)


def _row(told: dict[str, Any]) -> tuple:
    name, mtime = told["name"], microseconds(datetime.fromisoformat(told["mtime"]))
    path = told.get("path", name.removesuffix("/"))
    if type(path) is not str:
        raise ValueError("path is no text")
    if name.endswith("/"):
        return name, path, None, None, None, mtime, False, False
    size, crc, digest = told["size"], told["crc32"], told["sha256"]
    if type(size) is not int or not 0 <= size < 2**63 or not _CRC.fullmatch(crc) or not _DIGEST.fullmatch(digest):
        raise ValueError("size or digests are none")
    flags = told.get("executable", False) is True, told.get("generated", False) is True
    return name, path, size, int(crc, 16), digest, mtime, *flags


def _document(name: str, number: int, line: bytes, changed: datetime) -> RestoredDocument:
    entry = checked_line(name, number, line)
    doctype, doc_id, rev = entry.get("doctype"), entry.get("id"), entry.get("rev")
    try:
        if not all(type(each) is str for each in (doctype, doc_id, rev)) or "body" not in entry:
            raise ArchiveRefused(entry=name[:200], reason=f"line {number}: doctype, id, rev and body are needed")
        doctype_name(doctype.removeprefix(RESERVED))
        document_id(doc_id)
    except NameRefused as refusal:
        raise ArchiveRefused(entry=name[:200], reason=f"line {number}: {refusal}") from refusal
    if type(entry["body"]) is not dict:
        raise ArchiveRefused(entry=name[:200], reason=f"line {number}: body must be an object")
    if doctype == KEPT and not is_kept(doc_id, entry["body"]):
        raise ArchiveRefused(entry=name[:200], reason=f"line {number}: it cannot be what a move import kept of a file")
    where = f"{name} line {number}"
    return RestoredDocument(where, doctype, doc_id, rev, changed, changed, ("body",), line.decode())
