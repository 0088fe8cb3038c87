"""The importer of the old server, written from `spec/move.md §4–§6` alone: it knows nothing of ours, forgives nothing.

It walks central directories in their order, pairs contents by position, and takes exactly the JSON types that a Go
program with typed fields takes. What does not fit is an AssertionError.
"""

import io
import json
import re
import zipfile
from base64 import b64decode
from collections.abc import Callable, Iterator
from datetime import datetime
from hashlib import md5
from typing import Any, NamedTuple

DATA, CONTENTS = "My Cozy/Data/", "My Cozy/Files/"
FILES, VERSIONS = "io.cozy.files", "io.cozy.files.versions"
ROOT, TRASH = "io.cozy.files.root-dir", "io.cozy.files.trash-dir"
FORBIDDEN = (
    "passphrase_hash passphrase_reset_token passphrase_reset_time register_token session_secret oauth_secret "
    "cli_secret swift_cluster couch_cluster indexes_version"
).split()
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)")
_CLASSES = frozenset("files image document text pdf code audio video spreadsheet slide zip binary".split())


def text(value: Any) -> bool:
    return type(value) is str


def flag(value: Any) -> bool:
    return type(value) is bool


def time(value: Any) -> bool:
    return text(value) and bool(_TIME.fullmatch(value)) and datetime.fromisoformat(value).tzinfo is not None


def number_in_text(value: Any) -> bool:
    """§0.2: "In archived documents `size` is a **JSON string**"."""
    return text(value) and value.isascii() and value.isdigit() and str(int(value)) == value


def digest(value: Any) -> bool:
    """§0.2: "`md5sum` is standard base64 *with* padding"."""
    return text(value) and len(value) == 24 and len(b64decode(value, validate=True)) == 16


def texts(value: Any) -> bool:
    return type(value) is list and all(map(text, value))


def references(value: Any) -> bool:
    return type(value) is list and all(
        each.keys() == {"id", "type"} and all(map(text, each.values())) for each in value
    )


def thing(value: Any) -> bool:
    return type(value) is dict


def name(value: Any) -> bool:
    """§5.2: "not empty, not `.`/`..`, without `/`, NUL, CR, LF"."""
    return text(value) and value not in ("", ".", "..") and not set("/\0\r\n") & set(value)


Shape = dict[str, Callable[[Any], bool]]
#: A key that it does not know it leaves alone; this one we write, where a name is not as §5.2 wants it.
OURS: Shape = {"?exportsite": lambda value: value.keys() == {"name"} and bool(set("\r\n") & set(value["name"]))}
#: Key → what it must be; a "?" in front of what may be left out.
DIRECTORY: Shape = {
    "type": "directory".__eq__, "_id": text, "_rev": text, "?name": name, "?dir_id": text, "?restore_path": text,
    "created_at": time, "updated_at": time, "?tags": texts, "?path": text, "?referenced_by": references,
    "?not_synchronized_on": references, "?metadata": thing, "?cozyMetadata": thing, **OURS,
}  # fmt: skip
FILE: Shape = {
    "type": "file".__eq__, "_id": text, "_rev": text, "name": name, "dir_id": text, "?restore_path": text,
    "created_at": time, "updated_at": time, "size": number_in_text, "?md5sum": digest, "?mime": text,
    "?class": _CLASSES.__contains__, "executable": flag, "trashed": flag, "encrypted": flag, "?tags": texts,
    "?metadata": thing, "?referenced_by": references, "?cozyMetadata": thing, **OURS,
}  # fmt: skip
VERSION: Shape = {
    "_id": text, "_rev": text, "updated_at": time, "size": number_in_text, "md5sum": digest,
    "tags": lambda value: value is None or texts(value), "?metadata": thing, "cozyMetadata": thing,
    "relationships": lambda value: value.keys() == {"file"} and value["file"].keys() == {"data"}
        and value["file"]["data"].keys() == {"_id", "_type"} and value["file"]["data"]["_type"] == FILES,
}  # fmt: skip


def fits(document: dict[str, Any], shape: Shape) -> None:
    known = {key.removeprefix("?"): check for key, check in shape.items()}
    assert document.keys() <= known.keys(), document.keys() - known.keys()
    assert {key for key in shape if not key.startswith("?")} <= document.keys()
    for key, value in document.items():
        assert known[key](value), (key, value)


class Found(NamedTuple):
    document: dict[str, Any]
    content: bytes
    mode: int
    part: int


class OldServer:
    """`take` the parts in their order; then what it would have made of them."""

    def __init__(self) -> None:
        self.instance: dict[str, Any] = {}
        self.documents: dict[tuple[str, str], dict[str, Any]] = {}
        self.directories: dict[str, dict[str, Any]] = {}
        self.paths = {ROOT: ""}
        self._names: dict[str, tuple[bytes, ...]] = {ROOT: ()}
        self.files: dict[str, Found] = {}
        self.versions: dict[str, Found] = {}
        #: Bytes of the documents of §4.8.1.
        self.metadata = 0
        self._parts = 0
        self._last: tuple[int, tuple] = (0, ())

    def path_of(self, file: Found) -> str:
        above = self.paths[file.document["dir_id"]]
        return f"{above}/{file.document['name']}".removeprefix("/")

    def take(self, part: bytes, cursor: str) -> None:
        number, self._parts = self._parts, self._parts + 1
        assert (number == 0) == (cursor == "")
        with zipfile.ZipFile(io.BytesIO(part)) as archive:
            assert archive.comment == b"" and archive.testzip() is None
            entries = iter([(self._entry(info), archive.read(info)) for info in archive.infolist()])
        first = True
        for info, data in entries:
            assert info.filename.startswith(DATA), info.filename
            if number == 0 and first:
                self._instance(info, data)
            else:
                self._document(info, data, entries, number, cursor if first else "")
            first = False
        assert not (number and first), "an empty part"

    def _entry(self, info: zipfile.ZipInfo) -> zipfile.ZipInfo:
        """§4.8.2: "no directory entries at all … no comment, no encryption"; "reads only Store and Deflate"."""
        assert not info.is_dir() and not info.comment and not info.flag_bits & 0x2041
        assert info.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) and info.create_system == 3
        assert info.flag_bits & 0x800 or info.orig_filename.isascii(), "a name that is not ASCII is marked as UTF-8"
        assert info.external_attr >> 16 in (0o100640, 0o100750)
        return info

    def _instance(self, info: zipfile.ZipInfo, data: bytes) -> None:
        assert info.filename == DATA + "instance.json"
        self.instance = json.loads(data)
        assert all(text(self.instance[key]) for key in ("domain", "locale"))
        assert flag(self.instance["password_defined"]) and not self.instance.keys() & set(FORBIDDEN)
        assert text(self.instance.get("disk_quota", ""))
        self._metadata(info, data)

    def _metadata(self, info: zipfile.ZipInfo, data: bytes) -> None:
        assert info.external_attr >> 16 == 0o100640
        self.metadata += len(data)

    def _document(
        self,
        info: zipfile.ZipInfo,
        data: bytes,
        entries: Iterator[tuple[zipfile.ZipInfo, bytes]],
        part: int,
        cursor: str,
    ) -> None:
        doctype, slash, rest = info.filename.removeprefix(DATA).partition("/")
        assert slash and rest.endswith(".json")
        told = json.loads(data)
        assert text(told["_id"]) and text(told["_rev"])
        if cursor:  # §4.7: "this id starts a new part"
            assert cursor == f"{doctype}/{told['_id']}" and not set("&#+%? ") & set(cursor)
        if doctype == FILES and told.get("type") == "directory":
            self._directory(told)
        elif doctype in (FILES, VERSIONS):
            self._paired(doctype, told, next(entries), part)
            return
        else:
            self._in_order(1, (doctype.encode(), told["_id"].encode()))
            assert (doctype, told["_id"]) not in self.documents
            self.documents[doctype, told["_id"]] = told
        assert part == 0, "§0.2: only the first part contains the metadata"
        self._metadata(info, data)

    def _directory(self, told: dict[str, Any]) -> None:
        """§4.8.1: "depth-first from the root, **parents before children**, children by name"."""
        fits(told, DIRECTORY)
        if told["_id"] == ROOT:
            assert told["path"] == "/" and not {"name", "dir_id"} & told.keys()
            self._in_order(2, ())
        else:
            path = f"{self.paths[told['dir_id']]}/{told['name']}"
            assert told["path"] == path and told["_id"] not in self.directories
            assert (told["_id"] == TRASH) == (path == "/.cozy_trash")
            named = told.get("exportsite", told)["name"]  # by what it is called where it comes from
            self._names[told["_id"]] = (*self._names[told["dir_id"]], named.encode())
            self._in_order(2, self._names[told["_id"]])
            self.paths[told["_id"]] = path
        self.directories[told["_id"]] = told

    def _paired(self, doctype: str, told: dict[str, Any], content: tuple[zipfile.ZipInfo, bytes], part: int) -> None:
        """§6.8: "content = **next entry of the central directory**"; "MD5 then size must match"."""
        info, data = content
        fits(told, FILE if doctype == FILES else VERSION)
        assert info.filename.startswith(CONTENTS), info.filename
        assert not told.get("md5sum") or b64decode(told["md5sum"]) == md5(data).digest(), "Invalid hash"
        assert int(told["size"]) == len(data), "Content length does not match"
        mode = info.external_attr >> 16
        assert mode == (0o100750 if told.get("executable") else 0o100640)
        changed = datetime.fromisoformat(told["updated_at"]).timestamp()
        assert abs(datetime(*info.date_time).timestamp() - changed) % 3600 < 3  # ZIP has no zones
        found = self.files if doctype == FILES else self.versions
        assert told["_id"] not in found, "twice"
        self._in_order(3 if doctype == FILES else 4, (told["_id"].encode(),))
        found[told["_id"]] = Found(told, data, mode, part)
        if doctype == FILES:
            assert told["dir_id"] in self.paths, "Parent directory with given DirID does not exist"
            assert told["trashed"] == self.paths[told["dir_id"]].startswith("/.cozy_trash")
        else:
            file, _, version = told["_id"].partition("/")
            assert (
                told["relationships"]["file"]["data"]["_id"] == file and info.filename == f"{CONTENTS}{file}/{version}"
            )

    def _in_order(self, kind: int, key: tuple) -> None:
        """§4.8.1, §4.8.2: documents, directories, files by id, versions by id."""
        assert self._last < (kind, key) or self._last == (0, ()), (self._last, kind, key)
        self._last = kind, key
