"""The archive of the move API (`spec/move.md §4.8`): `My Cozy/Data` with documents, `My Cozy/Files` with contents.

First what part 0 alone holds (instance, documents, folders), then each file and each old version as two entries that
stand together: its document, and its content. Readers pair them by position.
"""

import hashlib
import json
from base64 import b64encode
from collections.abc import Collection, Iterator
from functools import partial
from typing import Any, NamedTuple

from cells import move_lines
from cells.blobs import BlobStore
from cells.errors import BlobDamaged
from cells.frozen import Snapshot
from cells.models import Blob
from exports.engine.entries import Entry
from exports.engine.freeze import Layout
from exports.engine.manifest import timestamp
from exports.engine.names import LONGEST, Names
from exports.engine.pack import Pack

DATA, CONTENTS = "My Cozy/Data/", "My Cozy/Files/"
FILES, VERSIONS = "io.cozy.files", "io.cozy.files.versions"
INSTANCE = DATA + "instance.json"
#: A key that others do not read. In `instance.json`: how many {"files", "versions"} all parts have together.
OURS = "exportsite"
_NO_LINES = str.maketrans("\r\n", "␍␊")
#: Left out unless named (DEC-6): secrets that no importer can use.
SECRETS = frozenset({"io.cozy.sessions", "io.cozy.oauth.clients", "io.cozy.oauth.access_codes"})
NEVER = frozenset({"io.cozy.exports", move_lines.KEPT})
#: In front of doctypes that would be taken for something else: documents that are not the files', and those that
#: imports of other layouts keep, whose names begin with "_".
RENAMED = "exportsite."
FILE_MODE, EXECUTABLE_MODE = 0o100640, 0o100750
_CLASSES = {"application/pdf": "pdf", "application/zip": "zip", "application/gzip": "zip"}
_MAIN_TYPES = ("image", "audio", "video", "text")


class MoveFacts(NamedTuple):
    """What is asked for, and what `instance.json` says. `doctypes` empty is all."""

    doctypes: Collection[str]
    files: bool
    instance: dict[str, Any]


def move(facts: MoveFacts) -> Layout:
    """The layout of one cell."""
    return partial(_entries, facts=facts)


def is_content(name: str) -> bool:
    """Whether the entry is the second of a pair: the bytes of the document before it."""
    return name.startswith(CONTENTS)


def _entries(
    snapshot: Snapshot, cells: list[tuple[int, str]], names: Names, pack: Pack, *, facts: MoveFacts
) -> Iterator[Entry]:
    ((cell_id, _),) = cells

    def wanted(doctype: str) -> bool:
        return facts.files and (not facts.doctypes or doctype in facts.doctypes)

    files, versions = next(snapshot.rows(move_lines.COUNTS, {"cell": cell_id}))
    counts = {"files": files if wanted(FILES) else 0, "versions": versions if wanted(VERSIONS) else 0}
    yield _add(pack, names.file(INSTANCE), facts.instance | {OURS: counts}, 0)
    yield from _documents(snapshot, cell_id, names, pack, facts)
    # Folders get their names also when only old versions are exported: nothing else may be called like them.
    folders = _Folders(names)
    if wanted(FILES):
        yield from _folders(snapshot, cell_id, folders, pack)
        yield from _files(snapshot, cell_id, folders, pack)
    if wanted(VERSIONS):
        yield from _versions(snapshot, cell_id, names, pack)


def _documents(snapshot: Snapshot, cell_id: int, names: Names, pack: Pack, facts: MoveFacts) -> Iterator[Entry]:
    found = ((archive_doctype(doctype), doctype) for doctype, _, _ in snapshot.doctypes(cell_id))
    for called, doctype in sorted(found):
        if doctype in NEVER or (doctype not in facts.doctypes if facts.doctypes else doctype in SECRETS):
            continue
        values = {"cell": cell_id, "doctype": doctype}
        for doc_id, text, changed in snapshot.rows(move_lines.DOCUMENTS, values):
            name = names.file(DATA + called + "/" + document_path(doc_id))
            yield pack.add(name, [text.encode()], mtime=changed)._replace(mode=FILE_MODE)


def archive_doctype(doctype: str) -> str:
    return RENAMED + doctype if doctype in (FILES, VERSIONS) or doctype.startswith("_") else doctype


def document_path(doc_id: str) -> str:
    """The id as a path that leads nowhere else: readers take the id from `_id`."""
    parts = [part if part.strip(".") else "_" * max(len(part), 1) for part in doc_id.split("/")]
    path = "/".join(parts) + ".json"
    if any(len(part.encode()) > LONGEST for part in path.split("/")):
        return hashlib.sha256(doc_id.encode()).hexdigest() + ".json"
    return path


class _Folders:
    """Names of contents. Folders come in order, files do not: folders that are called otherwise here are kept in
    mind, which is as many as have names that cannot be unpacked everywhere."""

    def __init__(self, names: Names) -> None:
        self.names = names
        self._other: dict[str, str] = {}

    def enter(self, path: str) -> None:
        name = self.names.folder(CONTENTS + path)
        if name != f"{CONTENTS}{path}/":
            self._other[path] = name

    def file(self, path: str) -> str:
        folder, _, leaf = path.rpartition("/")
        return self.names.beside(self._other.get(folder) or CONTENTS + (folder and folder + "/"), leaf)


def _folders(snapshot: Snapshot, cell_id: int, folders: _Folders, pack: Pack) -> Iterator[Entry]:
    """Root and trash are always told (§4.8.1), also when the cell has no such rows."""
    yield _directory(pack, folders.names, move_lines.ROOT, "", None, 0, {})
    trash = False
    for doc_id, path, parent, mtime, kept in snapshot.rows(move_lines.FOLDERS, {"cell": cell_id}):
        if not trash and path.partition("/")[0] > move_lines.TRASH_PATH:
            trash = True
            yield _trash(pack, folders.names)
        trash = trash or path == move_lines.TRASH_PATH
        folders.enter(path)
        yield _directory(pack, folders.names, doc_id, path, parent, mtime, _kept(kept))
    if not trash:
        yield _trash(pack, folders.names)


def _trash(pack: Pack, names: Names) -> Entry:
    return _directory(pack, names, move_lines.TRASH, move_lines.TRASH_PATH, move_lines.ROOT, 0, {})


def _directory(
    pack: Pack, names: Names, doc_id: str, path: str, parent: str | None, mtime: int, kept: dict[str, Any]
) -> Entry:
    when = timestamp(mtime)
    told = {"created_at": when, **kept, "type": "directory", "_id": doc_id, "_rev": _rev(1, doc_id)}
    if parent is not None:
        told |= {**_name(path), "dir_id": parent}
    told |= {"path": "/" + path.translate(_NO_LINES), "updated_at": when}
    return _add(pack, _document_name(names, FILES, doc_id), told, mtime)


def _files(snapshot: Snapshot, cell_id: int, folders: _Folders, pack: Pack) -> Iterator[Entry]:
    for row in snapshot.rows(move_lines.FILES, {"cell": cell_id}):
        doc_id, path, parent, size, mtime, executable, *content, content_type, version, kept = row
        told = _file(path, mtime, content_type, _kept(kept), size)
        told |= {"_id": doc_id, "_rev": _rev(version, content[0]), "dir_id": parent, "size": str(size)}
        told |= {"executable": executable, "trashed": path.startswith(move_lines.TRASH_PATH + "/")}
        yield _add(pack, _document_name(folders.names, FILES, doc_id), told, mtime)
        yield _content(folders.file(path), path, EXECUTABLE_MODE if executable else FILE_MODE, mtime, size, content)


def _file(path: str, mtime: int, content_type: str, kept: dict[str, Any], size: int) -> dict[str, Any]:
    """`md5sum` only where an import brought it for this content: whoever misses it computes it (§6.8)."""
    when = timestamp(mtime)
    before = kept.get("doc", {})
    if (kept.get("size"), kept.get("mtime")) != (size, mtime):
        before = {key: value for key, value in before.items() if key not in ("md5sum", "class", "metadata")}
    told = {"created_at": when, "class": _class(content_type), "tags": [], **before, "type": "file"}
    return told | {**_name(path), "updated_at": when, "mime": content_type, "encrypted": False}


def _name(path: str) -> dict[str, Any]:
    """Names without CR and LF (§5.2); what it is here stands beside it then, for us alone."""
    name = path.rpartition("/")[2]
    told = name.translate(_NO_LINES)
    return {"name": told} if told == name else {"name": told, OURS: {"name": name}}


def _kept(text: str | None) -> dict[str, Any]:
    return json.loads(text) if text else {}


def _class(content_type: str) -> str:
    main = content_type.partition("/")[0]
    return _CLASSES.get(content_type) or (main if main in _MAIN_TYPES else "files")


def _versions(snapshot: Snapshot, cell_id: int, names: Names, pack: Pack) -> Iterator[Entry]:
    for file, version, size, mtime, *content in snapshot.rows(move_lines.VERSIONS, {"cell": cell_id}):
        doc_id, when = f"{file}/{version}", timestamp(mtime)
        told = {
            "_id": doc_id,
            "_rev": version,
            "updated_at": when,
            "size": str(size),
            "md5sum": _md5(content[0]),
            "tags": [],
            "cozyMetadata": {"doctypeVersion": "1", "metadataVersion": 1, "createdAt": when, "updatedAt": when},
            "relationships": {"file": {"data": {"_id": file, "_type": FILES}}},
        }
        yield _add(pack, _document_name(names, VERSIONS, doc_id), told, mtime)
        yield _content(names.beside(CONTENTS, doc_id), None, FILE_MODE, mtime, size, content)


def _md5(sha256: str) -> str:
    """Of a version, where the key is always there (§5.4). "" for what cannot be read: the proof takes it out later."""
    digest = hashlib.md5(usedforsecurity=False)
    try:
        for chunk in BlobStore().open(Blob.objects.get(pk=sha256)):
            digest.update(chunk)
    except (BlobDamaged, OSError):
        return ""
    return b64encode(digest.digest()).decode()


def _rev(number: int, of: str) -> str:
    return f"{number}-{hashlib.sha256(of.encode()).hexdigest()[:32]}"


def _document_name(names: Names, doctype: str, doc_id: str) -> str:
    return names.beside(DATA, f"{doctype}/{doc_id}.json")


def _add(pack: Pack, name: str, value: dict[str, Any], mtime: int) -> Entry:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return pack.add(name, [text.encode()], mtime=mtime)._replace(mode=FILE_MODE)


def _content(name: str, path: str | None, mode: int, mtime: int, size: int, content: list[Any]) -> Entry:
    sha256, crc32, encoding, stored_size, stored_crc32 = content
    return Entry(
        ordinal=-1,
        name=name,
        path=path,
        mode=mode,
        mtime=mtime,
        size=size,
        crc32=crc32,
        sha256=sha256,
        encoding=encoding,
        stored_size=stored_size,
        stored_crc32=stored_crc32,
        pack_offset=None,
        points=b"",
    )
