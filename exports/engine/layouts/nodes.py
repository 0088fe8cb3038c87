"""`.pmeta`, one for each node of the DAV store (`spec/cell.md §11.4`); what another server says in it beside what we
model (ACLs, dead properties, OData collections, dates of creation) an import keeps, and the next export writes back.
"""

import hashlib
import json
import sqlite3
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

from cells.errors import NameRefused
from cells.validators import document_id

#: Of the documents that keep it, by `node_id`; only imports write it.
DOCTYPE = "_cell.pmeta"
CELL, BOX, FOLDER, FILE = "Cell", "col.box", "col.webdav", "dav.file"
#: Ids of nodes that are none of the cell's files and folders: no path has a part called ".".
CELL_ID, MAIN_BOX_ID = ".", "./__"
#: Dead properties: the true path, where the names in the archive do not tell it; and mod_dav's own word for the bit.
PATH_PROPERTY = "path@urn:x-exportsite"
EXECUTABLE_PROPERTY = "executable@http://apache.org/dav/props/"
EXECUTABLE = '<executable xmlns="http://apache.org/dav/props/">T</executable>'
_PROPERTIES = {PATH_PROPERTY, EXECUTABLE_PROPERTY}
#: What follows from the content, or from the cell that is here.
_DERIVED = {"ct", "cl", "et", "cs"}
_MODELLED = {"i", "t", "a", "d", "p", "u", "v", *_DERIVED}


def node_id(path: str) -> str:
    """The path, where it can be the id of a document."""
    try:
        return document_id(path)
    except NameRefused:
        return "./" + hashlib.sha256(path.encode()).hexdigest()


def path_element(path: str) -> str:
    return f'<path xmlns="urn:x-exportsite">{quote(path)}</path>'


def more_of(told: dict[str, Any], kind: str) -> dict[str, Any]:
    """What to keep of a `.pmeta`; empty if our own export would say as much. An `i` alone is nothing to keep: it
    follows from the path."""
    properties = {key: value for key, value in told.get("d", {}).items() if key not in _PROPERTIES}
    if (
        told.keys() <= _MODELLED
        and not (properties or told.get("a"))
        and (told.get("t"), told.get("p"), told.get("v", 1)) == (kind, told.get("u"), 1)
    ):
        return {}
    return {key: value for key, value in told.items() if key not in _fixed(kind)} | {"d": properties}


def pmeta(
    node: str, kind: str, mtime: int, *, d: dict[str, str] | None = None, kept: Any = None, **more: object
) -> bytes:
    """`mtime` in µs. `kept`: what `more_of` once gave; of a file where a folder is now, it is nothing."""
    told = {"i": node, "t": kind, "a": {}, "d": d or {}, "p": mtime // 1000, "u": mtime // 1000, "v": 1, **more}
    if isinstance(kept, dict) and (kept.get("t") == FILE) == (kind == FILE):
        properties = kept.get("d") if isinstance(kept.get("d"), dict) else {}
        told |= {key: value for key, value in kept.items() if key not in _fixed(kind)}
        told["d"] = {key: value for key, value in properties.items() if key not in _PROPERTIES} | (d or {})
    return json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode()


def _fixed(kind: str) -> set[str]:
    """Members that only we can know. `70_userdata.pjson` names collections by their `i`."""
    if kind == FILE:
        return _DERIVED | {"u"}
    return _DERIVED if kind == FOLDER else _DERIVED | {"i"}


class KeptNodes:
    """(id, JSON) of all that a cell keeps, in a temporary file: it may be as many as the cell has files."""

    def __init__(self, rows: Iterable[tuple[str, str]]) -> None:
        self._database = sqlite3.connect("", check_same_thread=False, isolation_level=None)
        self._database.execute("CREATE TABLE kept (id TEXT PRIMARY KEY, told TEXT) WITHOUT ROWID")
        self._any = self._database.executemany("INSERT INTO kept VALUES (?, ?)", rows).rowcount > 0

    def close(self) -> None:
        self._database.close()

    def get(self, found: str) -> Any:
        """By `node_id`; None where nothing is kept."""
        row = self._any and self._database.execute("SELECT told FROM kept WHERE id = ?", [found]).fetchone()
        return json.loads(row[0]) if row else None
