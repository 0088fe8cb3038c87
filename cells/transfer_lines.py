"""A generation as lines of JSON in chunks, from which another server makes the same generation (FORMAT.md, transfers).

Both sides write these lines from their own rows: equal chunks, equal contents. A chunk ends behind a line whose key
says so, so that a line that came or went changes one chunk.
"""

from collections.abc import Iterable, Iterator
from hashlib import sha256
from zlib import crc32

FORMAT = "exportsite-transfer"
VERSION = 1
DOCUMENTS, FILES, VERSIONS = KINDS = ("documents", "files", "versions")
#: A chunk has about so many lines, and at most so many bytes, or one line.
CHUNK_LINES = 1024
LARGEST_CHUNK = 8 << 20


def _time(column: str) -> str:
    return f"to_char({column} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"


def _micros(column: str) -> str:
    return f"(extract(epoch FROM {column}) * 1000000)::bigint"


_OF = "{t}.cell_id = %(cell)s AND {t}.generation = %(generation)s"
#: kind → (key, line) in order.
ROWS = {
    DOCUMENTS: f"""
        SELECT d.doctype || '/' || d.doc_id,
            '{{"doctype":' || to_json(d.doctype) || ',"id":' || to_json(d.doc_id) || ',"rev":' || to_json(d.rev)
            || ',"created_at":"' || {_time("d.created_at")} || '","updated_at":"' || {_time("d.updated_at")}
            || '","body":' || d.body::text || '}}'
        FROM cells_document d WHERE {_OF.format(t="d")} ORDER BY d.doctype, d.doc_id
    """,  # noqa: S608
    FILES: f"""
        SELECT f.path,
            '{{"path":' || to_json(f.path) || ',"folder":' || f.is_folder || ',"sha256":"' || coalesce(f.sha256, '')
            || '","size":' || f.size || ',"mtime":' || {_micros("f.mtime")} || ',"executable":' || f.executable
            || ',"content_type":' || to_json(f.content_type) || ',"version":' || f.version
            || ',"created_at":' || {_micros("f.created_at")} || ',"updated_at":' || {_micros("f.updated_at")} || '}}'
        FROM cells_file f WHERE {_OF.format(t="f")} ORDER BY left(f.path, 300), f.path
    """,  # noqa: S608
    VERSIONS: f"""
        SELECT f.path || '/' || v.version,
            '{{"path":' || to_json(f.path) || ',"version":' || v.version || ',"sha256":"' || v.sha256
            || '","size":' || v.size || ',"mtime":' || {_micros("v.mtime")}
            || ',"content_type":' || to_json(v.content_type) || ',"created_at":' || {_micros("v.created_at")} || '}}'
        FROM cells_fileversion v JOIN cells_file f ON f.id = v.file_id WHERE {_OF.format(t="f")}
        ORDER BY left(f.path, 300), f.path, v.version
    """,  # noqa: S608
}
#: What files and old versions hold, each content once, as it lies in the store.
CONTENTS = f"""
    SELECT b.sha256, b.size, b.crc32, b.encoding, b.stored_size, b.stored_crc32 FROM cells_blob b WHERE b.sha256 IN (
        SELECT f.sha256 FROM cells_file f WHERE {_OF.format(t="f")}
        UNION SELECT v.sha256 FROM cells_fileversion v JOIN cells_file f ON f.id = v.file_id WHERE {_OF.format(t="f")})
    ORDER BY b.store_file, b."offset"
"""  # noqa: S608


def chunks(rows: Iterable[tuple[str, str]]) -> Iterator[bytes]:
    """The lines of one kind, each with its newline, cut into chunks."""
    held: list[bytes] = []
    size = 0
    for key, line in rows:
        data = line.encode() + b"\n"
        if held and size + len(data) > LARGEST_CHUNK:
            yield b"".join(held)
            held, size = [], 0
        held.append(data)
        size += len(data)
        if not crc32(key.encode()) % CHUNK_LINES:
            yield b"".join(held)
            held, size = [], 0
    if held:
        yield b"".join(held)


def content_digest(found: Iterable[tuple[str, str]]) -> str:
    """Of (kind, SHA-256) of all chunks, in the order of KINDS."""
    digest = sha256(f"{FORMAT} {VERSION}\n".encode())
    for kind, chunk in found:
        digest.update(f"{kind} {chunk}\n".encode())
    return digest.hexdigest()
