"""Archives of the move API, in one part or several (`spec/move.md §6.8`)."""

import hashlib
import re
from base64 import b64decode
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from itertools import chain
from typing import Any

import orjson

from cells.errors import NameRefused
from cells.loading import LoadItem
from cells.move_lines import FILE_ID, KEPT, ROOT, TRASH, TRASH_PATH, id_of
from cells.restoring import RestoredDocument, VersionItem
from cells.validators import LONGEST_PATH, doctype_name, document_id
from exports.engine.archives.base import Archive, Content, Member
from exports.engine.archives.layout import LONGEST, Restore, checked_line, checked_path, microseconds, moment
from exports.engine.archives.move_parts import instance
from exports.engine.archives.moving import EXTRA, MOVED_WORKERS, SHARINGS, WORKERS, Moving, sharing
from exports.engine.layouts.cell import RESERVED
from exports.engine.layouts.move import CONTENTS, DATA, FILES, INSTANCE, OURS, RENAMED, VERSIONS, archive_doctype
from exports.errors import ArchiveRefused

#: Never stored: secrets, what is encrypted for another server, and what means nothing elsewhere.
SKIPPED = frozenset(
    {
        *("io.cozy.exports", "io.cozy.sessions", "io.cozy.sessions.logins", "io.cozy.jobs"),
        *("io.cozy.oauth.clients", "io.cozy.oauth.access_codes"),
        *("io.cozy.sharings", "io.cozy.shared", "io.cozy.permissions"),
        *(f"com.bitwarden.{each}" for each in ("ciphers", "folders", "profiles", "organizations", "contacts")),
    }
)
SETTINGS = frozenset({"io.cozy.settings.instance", "io.cozy.settings.bitwarden"})
#: Programs are installed, not copied; here there are none, so their names go into the report.
PROGRAMS = {"io.cozy.apps": "slug", "io.cozy.konnectors": "slug", "io.cozy.accounts": "account_type"}
CONTACTS, TRIGGERS = "io.cozy.contacts", "io.cozy.triggers"
#: CouchDB's own keys, and ours, which are columns.
_INTERNAL = ("_id", "_rev", "_attachments", "_conflicts", "_deleted_conflicts", "_revisions", "_revs_info")
#: Programs and notes of CouchDB.
_COUCHDB = ("_design/", "_local/")
#: Certified flags that another server cannot vouch for.
_UNTRUSTED = ("carbonCopy", "electronicSafe")
_NO_CONTENT = "No content for file"
_NOT_HERE = "the export had them, and these parts have not: one is missing, or they could not be read over there"
_MIXED = "these are parts of two exports"
_SIZE = re.compile(r"[0-9]{1,18}")
#: Told one by one; more are counted.
_TOLD = 1000
_TABLES = (
    "CREATE TABLE directory (id TEXT PRIMARY KEY, parent TEXT, name TEXT, mtime INTEGER, doc TEXT, path TEXT)",
    "CREATE TABLE file (id TEXT PRIMARY KEY, parent TEXT, name TEXT, mtime INTEGER, executable INTEGER, kind TEXT,"
    " md5 BLOB, doc TEXT, part INTEGER, member TEXT, path TEXT)",
    "CREATE TABLE version (id TEXT PRIMARY KEY, file TEXT, mtime INTEGER, md5 BLOB, part INTEGER, member TEXT)",
)
#: The trash is always there (§6.7), whether an archive speaks of it or not.
_TRASH = """
    INSERT OR IGNORE INTO directory SELECT ?, ?, ?, 0, '{}', NULL
    WHERE EXISTS (SELECT 1 FROM directory WHERE parent = ?) OR EXISTS (SELECT 1 FROM file WHERE parent = ?)
"""
#: Each directory whose parent's path is known gets its own, until none is left: archives need not be in order. One that
#: is deeper than any path may be gets none: their lengths would grow with the square of their number.
_PATHS = f"""
    WITH RECURSIVE found (id, path) AS (
        SELECT ?, '' UNION ALL
        SELECT d.id, CASE f.path WHEN '' THEN '' ELSE f.path || '/' END || d.name
        FROM found f JOIN directory d ON d.parent = f.id WHERE length(f.path) < {LONGEST_PATH})
    UPDATE directory SET path = found.path FROM found WHERE found.id = directory.id
"""  # noqa: S608


_ALL = """
    SELECT id, path, mtime, doc, NULL, NULL FROM directory UNION ALL
    SELECT id, path, mtime, doc, part, member FROM file
"""
#: Keys that our exports make of what a cell has.
_OURS = frozenset("type name dir_id created_at updated_at class tags mime executable trashed encrypted".split())


class MoveRestore(Restore):
    """`archives` are the parts, the one with `instance.json` first. Directories may stand in another one than what is
    in them."""

    def __init__(self, archives: list[Archive], *, email: str = "", moving: Moving | None = None) -> None:
        super().__init__(archives[0])
        self._parts = archives
        #: Set when the whole cell moves, and not only its content is copied.
        self._moving = moving
        #: Of the owner: the contact that is himself gets it (§6.8).
        self._email = email
        #: What was left out as the rules say: documents by doctype, and names of programs.
        self.skipped: Counter[str] = Counter()
        self.programs: set[str] = set()
        self._contentless = 0

    @property
    def total(self) -> int:
        return sum(part.total for part in self._parts)

    @property
    def packed(self) -> int:
        return sum(part.source.length for part in self._parts)

    def prepare(self, tick: Callable[[], object]) -> None:
        for table in _TABLES:
            self.archive.index.query(table)
        for number, part in enumerate(self._parts):
            part.check_layout(tick)
            self._take(number, part, tick)
        index = self.archive.index
        self._count()
        index.query(_TRASH, TRASH, ROOT, TRASH_PATH, TRASH, TRASH)
        index.query("CREATE INDEX directory_parent ON directory (parent)")
        index.query(_PATHS, ROOT)
        index.query(
            "UPDATE file SET path = (SELECT CASE d.path WHEN '' THEN '' ELSE d.path || '/' END || file.name "
            "FROM (SELECT id, path FROM directory UNION ALL SELECT ?, '') d WHERE d.id = file.parent)",
            ROOT,
        )
        for table in ("directory", "file"):
            for (name,) in index.query(f"SELECT name FROM {table} WHERE path IS NULL LIMIT 1"):  # noqa: S608
                raise ArchiveRefused(entry=name[:200], reason="Parent directory with given DirID does not exist")
            for name, path in index.query(f"SELECT name, path FROM {table}"):  # noqa: S608
                tick()
                index.insert("target", [(checked_path(name, path),)])

    def items(self) -> Iterator[LoadItem]:
        for path, mtime in self.archive.index.query("SELECT path, mtime FROM directory WHERE id <> ?", TRASH):
            yield LoadItem(path, moment(mtime))
        rows = self.archive.index.query(
            "SELECT path, mtime, executable, kind, md5, part, member FROM file ORDER BY part, rowid"
        )
        for path, mtime, executable, kind, md5, part, name in rows:
            member = self._parts[part].find(name)
            assert member is not None
            opened = partial(_opened, self._parts[part], member, md5)
            yield LoadItem(path, moment(mtime), opened, bool(executable), member.size, kind)

    def documents(self) -> Iterator[RestoredDocument]:
        for part in self._parts:
            for doctype, member in _data(part):
                if doctype not in (FILES, VERSIONS) and (found := self._document(part, doctype, member)):
                    yield found
        for doc_id, path, mtime, doc, part, name in self.archive.index.query(_ALL):
            if doc_id == TRASH or (doc_id == id_of(path) and orjson.loads(doc).keys() <= _OURS):
                continue  # our own next export would say the same
            member = self._parts[part].find(name) if name else None
            kept = {"path": path, "size": member.size if member else 0, "mtime": mtime, "doc": orjson.loads(doc)}
            line, when = orjson.dumps(kept).decode(), moment(mtime)
            yield RestoredDocument(f"{DATA}{FILES}/{doc_id}.json", KEPT, doc_id, None, when, when, (), line)

    def versions(self) -> Iterator[VersionItem]:
        rows = self.archive.index.query(
            "SELECT f.path, v.mtime, v.md5, v.part, v.member FROM version v JOIN file f ON f.id = v.file "
            "ORDER BY f.path, v.mtime, v.id"
        )
        for path, mtime, md5, part, name in rows:
            member = self._parts[part].find(name)
            assert member is not None
            yield VersionItem(path, moment(mtime), partial(_opened, self._parts[part], member, md5))

    def told(self) -> dict[str, Any]:
        return {"skipped": dict(self.skipped), "not_installed": sorted(self.programs)}

    def _take(self, number: int, part: Archive, tick: Callable[[], object]) -> None:
        """Note directories and files; the content of a file is the next member (§6.8), if it can be one (§6.8.1)."""
        waiting: tuple[Member, dict[str, Any]] | None = None
        for member in chain(part.members(), (None,)):
            tick()
            if waiting is not None:
                content = member if member is not None and member.name.startswith(CONTENTS) else None
                self._pair(number, *waiting, content)
                waiting = None
            if member is None or not member.name.startswith((f"{DATA}{FILES}/", f"{DATA}{VERSIONS}/")):
                continue
            told = _told(part, member)
            if told.get("type") == "directory" and member.name.startswith(f"{DATA}{FILES}/"):
                self._directory(member, told)
            else:
                waiting = member, told

    def _count(self) -> None:
        """Compare with what the export told of itself: of a part that is not here nothing else would speak."""
        told = instance(self.archive).get(OURS)
        for table, what in (("file", "files"), ("version", "old versions")):
            expected = told.get(table + "s") if isinstance(told, dict) else None
            ((found,),) = self.archive.index.query(f"SELECT count(*) FROM {table}")  # noqa: S608
            if type(expected) is not int:
                continue
            gone = expected - found - (self._contentless if table == "file" else 0)
            if gone < 0:
                raise ArchiveRefused(
                    entry=INSTANCE, reason=f"{expected} {what} as it tells, and {-gone} more: {_MIXED}"
                )
            if gone:
                self._miss(f"{gone} of {expected} {what}", _NOT_HERE)

    def _pair(self, number: int, member: Member, told: dict[str, Any], content: Member | None) -> None:
        if member.name.startswith(f"{DATA}{VERSIONS}/"):
            if content is not None:  # else it is skipped without a word (§6.8)
                self._version(number, member, told, content)
        elif told.get("type") == "file":
            self._file(number, member, told, content)
        else:
            raise ArchiveRefused(entry=member.name[:200], reason="it is neither of a file nor of a directory")

    def _version(self, number: int, member: Member, told: dict[str, Any], content: Member) -> None:
        """The file is the first half of its id (§5.4). One whose file is not in the archive is left out."""
        _check_size(told, content)
        file, mtime = told["_id"].partition("/")[0], _time(told.get("updated_at"))
        row = (told["_id"], file, mtime, _md5(member, told), number, content.name)
        self.archive.index.insert("version", [row])

    def _directory(self, member: Member, told: dict[str, Any]) -> None:
        doc_id = _id(member, told)
        if doc_id == ROOT:
            return
        parent, name = (ROOT, TRASH_PATH) if doc_id == TRASH else _place(member, told)
        row = (doc_id, parent, name, _time(told.get("updated_at")), _kept(told), None)
        self.archive.index.insert("directory", [row])

    def _file(self, number: int, member: Member, told: dict[str, Any], content: Member | None) -> None:
        doc_id, (parent, name) = _id(member, told), _place(member, told)
        if content is None:
            self._miss(name, _NO_CONTENT)
            self._contentless += 1
            return
        _check_size(told, content)
        self.contents += content.size
        kind = told.get("mime") if isinstance(told.get("mime"), str) and len(told["mime"]) < 128 else ""
        executable, mtime = told.get("executable") is True, _time(told.get("updated_at"))
        row = (
            doc_id,
            parent,
            name,
            mtime,
            executable,
            kind,
            _md5(member, told),
            _kept(told),
            number,
            content.name,
            None,
        )
        self.archive.index.insert("file", [row])

    def _miss(self, what: str, reason: str) -> None:
        if len(self.missing) < _TOLD:
            self.missing.append((what, reason))

    def _document(self, part: Archive, doctype: str, member: Member) -> RestoredDocument | None:
        if doctype in SKIPPED and not (self._moving and doctype in EXTRA):
            self.skipped[doctype] += 1
            return None
        told, line = _read(part, member)
        if doctype == SHARINGS and self._moving and (moved := sharing(told, self._moving)):
            line = orjson.dumps(moved)
        if self._is_skipped(doctype, told):
            self.skipped[doctype] += 1
            return None
        if doctype == CONTACTS and told.get("me") is True and self._email:
            line = orjson.dumps(told | {"email": [{"address": self._email, "primary": True}]})
        doc_id = told["_id"]
        stored = doctype.removeprefix(RENAMED)
        called = stored if stored != doctype and archive_doctype(stored) == doctype else doctype
        try:
            doctype_name(doctype if called == doctype else called.removeprefix(RESERVED))
            document_id(doc_id)
        except NameRefused as refusal:
            raise ArchiveRefused(entry=member.name[:200], reason=str(refusal)) from refusal
        if called == KEPT or doc_id.startswith(_COUCHDB):
            raise ArchiveRefused(entry=member.name[:200], reason="its id or doctype is reserved")
        changed = moment(_time(_changed(told)))
        text = line.decode()  # as it is: numbers keep their digits
        return RestoredDocument(member.name, called, doc_id, None, changed, changed, (), text, dropped=_INTERNAL)

    def _is_skipped(self, doctype: str, told: dict[str, Any]) -> bool:
        if doctype in PROGRAMS:
            slug = told.get(PROGRAMS[doctype])
            if isinstance(slug, str) and slug and len(self.programs) < _TOLD:
                self.programs.add(slug[:100])
            return True
        if doctype == TRIGGERS:
            return told.get("worker") not in (MOVED_WORKERS if self._moving else WORKERS)
        if doctype == SHARINGS and self._moving:
            return sharing(told, self._moving) is None
        return doctype == "io.cozy.settings" and told["_id"] in SETTINGS


class _Md5(Content):
    """The bytes of a member, compared at their end with the MD5 that its document tells."""

    def __init__(self, inner: Content, member: Member, expected: bytes) -> None:
        self._inner, self._member, self._expected = inner, member, expected
        self._digest, self._given = hashlib.md5(usedforsecurity=False), 0

    def read(self, size: int) -> bytes:
        data = self._inner.read(size)
        self._digest.update(data)
        self._given += len(data)
        if self._given == self._member.size and self._digest.digest() != self._expected:
            raise ArchiveRefused(entry=self._member.name[:200], reason="Invalid hash")
        return data


def _opened(part: Archive, member: Member, md5: bytes | None) -> Content:
    content = part.open(member)
    return _Md5(content, member, md5) if md5 else content


def _data(part: Archive) -> Iterator[tuple[str, Member]]:
    """(doctype, member) of what is below `My Cozy/Data/<doctype>/`."""
    for member in part.members():
        doctype, slash, _ = member.name.removeprefix(DATA).partition("/")
        if member.name.startswith(DATA) and slash and member.name.endswith(".json"):
            yield doctype, member


def _told(part: Archive, member: Member) -> dict[str, Any]:
    return _read(part, member)[0]


def _read(part: Archive, member: Member) -> tuple[dict[str, Any], bytes]:
    """The object, which has a text as `_id`, and its text."""
    if member.size > LONGEST:
        raise ArchiveRefused(entry=member.name[:200], reason=f"a document longer than {LONGEST} bytes")
    with part.open(member) as content:
        line = content.read(member.size + 1)
    told = checked_line(member.name, 1, line)
    if not isinstance(told.get("_id"), str):
        raise ArchiveRefused(entry=member.name[:200], reason="a document without _id")
    return told, line


def _check_size(told: dict[str, Any], content: Member) -> None:
    size = told.get("size")
    if type(size) is not str or not _SIZE.fullmatch(size) or int(size) != content.size:
        raise ArchiveRefused(entry=content.name[:200], reason="Content length does not match")


def _id(member: Member, told: dict[str, Any]) -> str:
    if not FILE_ID.fullmatch(told["_id"]):
        raise ArchiveRefused(
            entry=member.name[:200],
            reason="the id of a file with other characters than letters, digits, '.', '_' and '-'",
        )
    return told["_id"]


def _place(member: Member, told: dict[str, Any]) -> tuple[str, str]:
    """(id of the directory above, name). `path` is not looked at: it could be anything."""
    ours = told.get(OURS)
    parent, name = told.get("dir_id"), (ours if isinstance(ours, dict) else told).get("name")
    if not isinstance(parent, str) or not isinstance(name, str) or not name or "/" in name:
        raise ArchiveRefused(entry=member.name[:200], reason="name or dir_id is missing, or no name")
    return parent, name


def _md5(member: Member, told: dict[str, Any]) -> bytes | None:
    given = told.get("md5sum")
    if not given:
        return None
    try:
        digest = b64decode(given, validate=True)
    except (TypeError, ValueError):
        digest = b""
    if len(digest) != 16:
        raise ArchiveRefused(entry=member.name[:200], reason="md5sum is no MD5")
    return digest


def _kept(told: dict[str, Any]) -> str:
    """What we do not model, for the next export."""
    rest = {
        key: value for key, value in told.items() if key not in (*_INTERNAL, "path", "size", "internal_vfs_id", OURS)
    }
    if isinstance(metadata := rest.get("metadata"), dict):
        rest["metadata"] = {key: value for key, value in metadata.items() if key not in _UNTRUSTED}
    return orjson.dumps(rest).decode()


def _changed(told: dict[str, Any]) -> object:
    metadata = told.get("cozyMetadata")
    return metadata.get("updatedAt") if isinstance(metadata, dict) else told.get("updated_at")


def _time(value: object) -> int:
    """Microseconds of an RFC 3339 time; 0 for what is none. Go writes nanoseconds, which are cut."""
    if not isinstance(value, str):
        return 0
    try:
        found = datetime.fromisoformat(re.sub(r"(\.[0-9]{6})[0-9]+", r"\1", value[:40]))
    except ValueError:
        return 0
    return microseconds(found if found.tzinfo else found.replace(tzinfo=UTC))
