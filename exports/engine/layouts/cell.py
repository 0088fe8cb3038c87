"""The cell snapshot, `export_version` 2 (`spec/cell.md §11`): lists of OData objects, and a mirror of the DAV store.

What FORMAT.md says of it is what `exports.engine.restore` reads. Ids follow from names, times from contents: the same
cell gives the same archive again, also after it was imported.
"""

import hashlib
import json
import re
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Iterator
from contextlib import closing
from functools import partial
from typing import NamedTuple

from cells.cell_lines import KEPT_NODES
from cells.frozen import Snapshot
from cells.validators import parents_of
from exports.engine.entries import FILE_MODE, FOLDER_MODE, Entry
from exports.engine.freeze import EMPTY_SHA256, Layout
from exports.engine.layouts import nodes
from exports.engine.names import Names
from exports.engine.pack import Pack

EXPORT_VERSION = 2
MANIFEST = "00_manifest.json"
CELL = "10_odata/00_cell.json"
USERDATA = "userdata"
BOX = "box"
#: The pjson files in their order: (file, `_type` of its lines, what the reserved doctype is called behind `_cell.`).
LISTS = (
    ("10_odata/10_box.pjson", "Box", BOX),
    ("10_odata/11_account.pjson", "Account", "account"),
    ("10_odata/12_extcell.pjson", "ExtCell", "extcell"),
    ("10_odata/20_role.pjson", "Role", "role"),
    ("10_odata/21_rule.pjson", "Rule", "rule"),
    ("10_odata/22_relation.pjson", "Relation", "relation"),
    ("10_odata/23_sentmessage.pjson", "SentMessage", "sentmessage"),
    ("10_odata/24_receivedmessage.pjson", "ReceivedMessage", "receivedmessage"),
    ("10_odata/30_extrole.pjson", "ExtRole", "extrole"),
    ("10_odata/40_entitytype.pjson", "EntityType", "entitytype"),
    ("10_odata/41_complextype.pjson", "ComplexType", "complextype"),
    ("10_odata/50_property.pjson", "Property", "property"),
    ("10_odata/51_complextypeproperty.pjson", "ComplexTypeProperty", "complextypeproperty"),
    ("10_odata/60_associationend.pjson", "AssociationEnd", "associationend"),
    ("10_odata/70_userdata.pjson", "UserData", USERDATA),
    ("10_odata/80_link.pjson", "link", "link"),
)
#: What must be in every snapshot.
REQUIRED = (MANIFEST, CELL, *(file for file, *_ in LISTS))
RESERVED = "_cell."
#: `_index` of lines that follow from the cell itself, and of lines that were kept for the server they came from.
OURS, KEPT = "exportsite", "kept"
DAV = "20_webdav/"
MAIN_BOX = "__"
PMETA, CONTENT = ".pmeta", "content"
#: A kept id that is a name of a folder, and not that of the main box.
_BOX_ID = re.compile(r"(?!__\Z)[A-Za-z0-9_-]{1,64}")


class CellFacts(NamedTuple):
    """What the archive says of the cell beside its contents. `published` in ms since 1970."""

    name: str
    owner: str
    unit_url: str
    published: int


def cell(facts: CellFacts) -> Layout:
    """The layout of one cell. The closing entry, `MANIFEST`, is `manifest_lines`' part."""
    return partial(_entries, facts=facts)


def manifest_lines(entries: Iterable[Entry], missing: Iterable[tuple[str, str]], *, unit_url: str) -> Iterator[bytes]:
    """The text of `00_manifest.json`. `create_date` is the newest time inside: equal content, equal archive."""
    newest = 0
    for entry in entries:
        newest = max(newest, entry.mtime)
    told: dict[str, object] = {
        "export_version": EXPORT_VERSION,
        "unit_url": unit_url,
        "create_date": newest // 1000,
    }
    lost = dict(missing)  # bounded by what was found damaged; a content and its .pmeta are one path
    listed = [{"path": path, "reason": reason} for path, reason in lost.items()]
    yield _json(told | ({"missing": listed} if listed else {}))


def id_of(kind: str, name: object) -> str:
    """22 characters of base64url, as `_id` has them. `cells.frozen` does the same in SQL."""
    digest = hashlib.sha256(f"{kind}:{name}".encode()).digest()
    return urlsafe_b64encode(digest)[:22].decode()


def _entries(
    snapshot: Snapshot, cells: list[tuple[int, str]], names: Names, pack: Pack, *, facts: CellFacts
) -> Iterator[Entry]:
    ((cell_id, _),) = cells
    changes = {doctype: changed for doctype, _, changed in snapshot.doctypes(cell_id)}
    # Two short strings for each box that came with an archive of another server.
    boxes = {name: box for name, box in snapshot.kept_boxes(cell_id, RESERVED + BOX) if _BOX_ID.fullmatch(box)}
    yield from _lists(snapshot, cell_id, changes, boxes, pack, facts)
    rows = snapshot.rows(KEPT_NODES, {"cell": cell_id, "doctype": nodes.DOCTYPE}) if nodes.DOCTYPE in changes else ()
    with closing(nodes.KeptNodes(rows)) as kept:
        yield from _store(snapshot, cell_id, boxes, kept, pack, facts)


def _lists(
    snapshot: Snapshot, cell_id: int, changes: dict[str, int], boxes: dict[str, str], pack: Pack, facts: CellFacts
) -> Iterator[Entry]:
    own, since = id_of("cell", cell_id), facts.published * 1000
    yield _folder("10_odata/", since)
    yield pack.add(CELL, [_json(_cell_line(own, facts))], mtime=since)

    def kept(doctype: str, kind: str) -> Iterator[bytes]:
        before = '{"_index":"%s","_type":"%s","_id":' % (KEPT, kind)  # noqa: UP031
        return snapshot.documents(cell_id, doctype, "kept", own, before=before)

    for file, kind, word in LISTS:
        reserved = RESERVED + word
        doctypes = [reserved] if reserved in changes else []
        if word == USERDATA:
            doctypes = [each for each in changes if not each.startswith(RESERVED)] + doctypes
        changed = max((changes[each] for each in doctypes), default=since)
        sources = [
            kept(each, kind) if each == reserved else snapshot.documents(cell_id, each, "userdata", own)
            for each in doctypes
        ]
        if word == BOX:
            sources.append(_box_lines(snapshot.top_folders(cell_id), own, boxes, facts))
        yield pack.add(file, (piece for source in sources for piece in source), mtime=changed // 1000 * 1000)


def _cell_line(own: str, facts: CellFacts) -> dict[str, object]:
    source = {
        "s": {"Name": facts.name},
        "d": {},
        "h": {"Owner": f"{facts.unit_url}#{facts.owner}"},
        "l": {},
        "a": {},
        "p": facts.published,
        "u": facts.published,
    }
    return {"_index": OURS, "_type": "Cell", "_id": own, "_source": source}


def _box_lines(folders: Iterator[str], own: str, boxes: dict[str, str], facts: CellFacts) -> Iterator[bytes]:
    """A line for each folder at the top that is no kept box already."""
    for name in folders:
        if name in boxes or name == MAIN_BOX:
            continue
        source = {"c": own, "s": {"Name": name, "Schema": None}, "d": {}, "h": {}, "l": {}}
        times = {"p": facts.published, "u": facts.published}
        yield _json({"_index": OURS, "_type": "Box", "_id": id_of("box", name), "_source": source | times}) + b"\n"


def _store(
    snapshot: Snapshot, cell_id: int, boxes: dict[str, str], kept: nodes.KeptNodes, pack: Pack, facts: CellFacts
) -> Iterator[Entry]:
    own, since = id_of("cell", cell_id), facts.published * 1000
    yield _folder(DAV, since)
    meta = nodes.pmeta(own, nodes.CELL, since, kept=kept.get(nodes.CELL_ID), cs="normal")
    yield pack.add(DAV + PMETA, [meta], mtime=since)
    main, others = (_Nodes(pack, since, boxes, kept, main=is_main) for is_main in (True, False))
    properties = {}
    for row in snapshot.files(cell_id):
        path, is_folder = row[0], row[1]
        if is_folder and path == MAIN_BOX:
            # Empty, or the main box would not tell of it.
            properties = {nodes.PATH_PROPERTY: nodes.path_element(path)}
            continue
        top, slash, _ = path.partition("/")
        place = main if top == MAIN_BOX or not (slash or is_folder) else others
        yield from place.folder(path) if is_folder else place.file(row)
    meta = nodes.pmeta(own, nodes.BOX, since, d=properties, kept=kept.get(nodes.MAIN_BOX_ID))
    yield pack.add(DAV + MAIN_BOX + "/" + PMETA, [meta], mtime=since)


class _Nodes:
    """Turns paths into nodes of the DAV store. Of the main box and of all others apart: each comes in order."""

    def __init__(self, pack: Pack, since: int, boxes: dict[str, str], kept: nodes.KeptNodes, *, main: bool) -> None:
        self._pack, self._since, self._boxes, self._kept, self._main = pack, since, boxes, kept, main
        self._names = Names()
        if main:
            self._names.file(DAV + MAIN_BOX + "/" + PMETA)  # comes last; a file called like it gets a number
        #: Folders of the cell that lead to the last path.
        self._open: list[str] = []

    def file(self, row: tuple) -> Iterator[Entry]:
        path, _, size, mtime, executable, sha256, crc32, encoding, stored, stored_crc32, content_type = row
        yield from self._enter(parents_of(path))
        node, mtime = self._names.file(self._target(path)) + "/", mtime // 1000 * 1000
        properties = self._properties(node, path, is_file=True)
        if executable:
            properties[nodes.EXECUTABLE_PROPERTY] = nodes.EXECUTABLE
        kept = self._kept.get(nodes.node_id(path))
        more = {"ct": content_type, "cl": size, "et": "NONE"}
        meta = nodes.pmeta(id_of("node", path), nodes.FILE, mtime, d=properties, kept=kept, **more)
        yield self._pack.add(node + PMETA, [meta], mtime=mtime)._replace(path=path)
        yield Entry(
            -1, node + CONTENT, path, FILE_MODE, mtime, size, crc32, sha256, encoding, stored, stored_crc32, None, b""
        )  # fmt: skip

    def folder(self, path: str) -> Iterator[Entry]:
        yield from self._enter([*parents_of(path), path])

    def _enter(self, folders: list[str]) -> Iterator[Entry]:
        """The `.pmeta` of each folder that was not open yet."""
        before, self._open = self._open, folders
        for depth, path in enumerate(folders):
            if before[depth : depth + 1] == [path] or path == MAIN_BOX:
                continue
            node = self._names.folder(self._target(path))
            is_box = not depth
            meta = nodes.pmeta(
                self._box(path) if is_box else id_of("node", path),
                nodes.BOX if is_box else nodes.FOLDER,
                self._since,
                d=self._properties(node, path, is_file=False),
                kept=self._kept.get(nodes.node_id(path)),
            )
            yield self._pack.add(self._names.beside(node, PMETA), [meta], mtime=self._since)

    def _target(self, path: str) -> str:
        """Where it would be if every name could be."""
        if self._main:
            return f"{DAV}{MAIN_BOX}/{path.removeprefix(MAIN_BOX + '/')}"
        top, slash, rest = path.partition("/")
        return DAV + self._box(top) + slash + rest

    def _box(self, name: str) -> str:
        return self._boxes.get(name) or id_of("box", name)

    def _properties(self, node: str, path: str, *, is_file: bool) -> dict[str, str]:
        """The path, where a reader of the names in the archive would take another one for it."""
        box, slash, rest = node.removeprefix(DAV).removesuffix("/").partition("/")
        top, _, _ = path.partition("/")
        if self._main:
            seen = rest if is_file and "/" not in rest else f"{MAIN_BOX}/{rest}"
        else:
            seen = top + slash + rest if box == self._box(top) else ""
        return {} if seen == path else {nodes.PATH_PROPERTY: nodes.path_element(path)}


def _folder(name: str, mtime: int) -> Entry:
    return Entry(-1, name, None, FOLDER_MODE, mtime, 0, 0, EMPTY_SHA256, "raw", 0, 0, None, b"")


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
