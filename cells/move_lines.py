"""A cell as the move API tells it (`spec/move.md §5`): queries for `Snapshot.rows`; the layout is
`exports.engine.layouts.move`'s.

Ids follow from paths, unless the cell came by an import that knew others: those are kept in documents of a doctype
that only imports write, {"path", "size", "mtime" in µs, "doc"} by id.
"""

import hashlib
import re
from typing import Any

KEPT = "_cell.movefile"
ROOT, TRASH, TRASH_PATH = "io.cozy.files.root-dir", "io.cozy.files.trash-dir", ".cozy_trash"

#: Ids stand in cursors, which clients put into URLs as they are.
FILE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


def is_kept(doc_id: str, body: dict[str, Any]) -> bool:
    """Whether a document of KEPT is as our imports write it; another could become any name in an archive."""
    kinds = {name: type(value) for name, value in body.items()}
    return bool(FILE_ID.fullmatch(doc_id)) and kinds == {"path": str, "size": int, "mtime": int, "doc": dict}


def id_of(path: str) -> str:
    """32 hex digits, as CouchDB makes them; `_id` says the same in SQL."""
    return hashlib.sha256(f"file:{path}".encode()).hexdigest()[:32]


def _id(path: str, kept: str) -> str:
    hashed = f"left(encode(sha256(convert_to('file:' || {path}, 'UTF8')), 'hex'), 32)"
    return f"CASE {path} WHEN '' THEN '{ROOT}' WHEN '{TRASH_PATH}' THEN '{TRASH}' ELSE coalesce({kept}, {hashed}) END"


def _micros(column: str) -> str:
    return f"(extract(epoch FROM {column}) * 1000000)::bigint"


#: Two imports that were joined may have kept something of one path each: the first counts.
_KEPT = f"""
    LEFT JOIN (SELECT DISTINCT ON (generation, body ->> 'path') generation, body ->> 'path' AS path, doc_id, body
        FROM cells_document WHERE cell_id = %(cell)s AND doctype = '{KEPT}'
        ORDER BY generation, body ->> 'path', doc_id
    ) {{name}} ON {{name}}.generation = f.generation AND {{name}}.path = f.{{column}}
"""  # noqa: S608
_FROM = f"""
    FROM cells_file f JOIN cells_cell c ON c.id = f.cell_id AND c.generation = f.generation
    {_KEPT.format(name="k", column="path")} {_KEPT.format(name="p", column="folder")}
"""
_FILE_ID, _PARENT_ID = _id("f.path", "k.doc_id"), _id("f.folder", "p.doc_id")

#: (id, JSON with `_id` and `_rev`, last change in µs), by id.
DOCUMENTS = f"""
    SELECT d.doc_id,
           '{{"_id":' || to_json(d.doc_id) || ',"_rev":' || to_json(d.rev)
           || CASE WHEN jsonb_typeof(d.body) <> 'object' THEN ',"_value":' || d.body::text || '}}'
                   ELSE coalesce(',' || nullif(substr((d.body - ARRAY['_id', '_rev'])::text, 2), '}}'), '}}') END,
           {_micros("d.updated_at")}
    FROM cells_document d JOIN cells_cell c ON c.id = d.cell_id AND c.generation = d.generation
    WHERE d.cell_id = %(cell)s AND d.doctype = %(doctype)s ORDER BY d.doc_id
"""  # noqa: S608
#: (id, path, id of the folder above, mtime in µs, kept document): depth first, folders of one folder by name.
FOLDERS = f"""
    SELECT {_FILE_ID}, f.path, {_PARENT_ID}, {_micros("f.mtime")}, (k.body -> 'doc')::text
    {_FROM} WHERE f.cell_id = %(cell)s AND f.is_folder ORDER BY string_to_array(f.path, '/') COLLATE "C"
"""
#: (files, old versions)
COUNTS = """
    SELECT count(*) FILTER (WHERE NOT f.is_folder), coalesce(sum((
        SELECT count(*) FROM cells_fileversion v WHERE v.file_id = f.id)), 0)::bigint
    FROM cells_file f JOIN cells_cell c ON c.id = f.cell_id AND c.generation = f.generation
    WHERE f.cell_id = %(cell)s
"""
_CONTENT = "b.sha256, b.crc32, b.encoding, b.stored_size, b.stored_crc32"
#: (id, path, id of its folder, size, mtime in µs, executable, SHA-256, CRC-32, encoding, stored size, stored CRC-32,
#: content type, version, kept {"path", "size", "mtime", "doc"}), by id.
FILES = f"""
    SELECT {_FILE_ID}, f.path, {_PARENT_ID}, f.size, {_micros("f.mtime")}, f.executable, {_CONTENT},
           f.content_type, f.version, k.body::text
    {_FROM} JOIN cells_blob b ON b.sha256 = f.sha256
    WHERE f.cell_id = %(cell)s AND NOT f.is_folder ORDER BY ({_FILE_ID}) COLLATE "C"
"""
#: (id of the file, id of the version, size, mtime in µs, SHA-256 … stored CRC-32 as above), by both ids.
VERSIONS = f"""
    SELECT * FROM (
        SELECT {_FILE_ID} AS file, v.version || '-' || left(v.sha256, 32) AS version, v.size, {_micros("v.mtime")},
               {_CONTENT}
        {_FROM} JOIN cells_fileversion v ON v.file_id = f.id JOIN cells_blob b ON b.sha256 = v.sha256
        WHERE f.cell_id = %(cell)s
    ) AS versions ORDER BY (file || '/' || version) COLLATE "C"
"""  # noqa: S608
