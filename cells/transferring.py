"""Rows of a generation from the lines that another server wrote (`transfer_lines`): all that they say, or a Refusal.

Nothing in a line is trusted. What may be referred to stands in the temporary table `offered`: contents that came, or
that are the owner's already.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

from django.db import IntegrityError, connection

from cells.errors import NameRefused
from cells.frozen import Snapshot
from cells.generations import generation_writing
from cells.lines import DEEPEST, Refusal, checked_json
from cells.models import Cell
from cells.restoring import RestoredDocument
from cells.transfer_lines import ROWS, chunks
from cells.validators import doctype_name, document_id, folder_of, normal_path

#: As for lines in archives: PostgreSQL writes a document with more blanks than it came with.
LONGEST_LINE = 32 << 20
_ROWS = 5_000
#: Documents of this server's own, as imports of other layouts make them.
_RESERVED = "_cell."
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROS = range(-(62_135_596_800 * 10**6), 253_402_300_800 * 10**6)
_INT32, _INT64 = range(2**31), range(2**63)

_COLUMNS = {
    "files": "path text, folder text, is_folder bool, sha256 text, size int8, mtime timestamptz, executable bool, "
    "content_type text, version int4, created_at timestamptz, updated_at timestamptz",
    "versions": "path text, version int4, sha256 text, size int8, mtime timestamptz, content_type text, "
    "created_at timestamptz",
}
_STAGE = "DROP TABLE IF EXISTS pg_temp.transferred; CREATE TEMP TABLE transferred ({}) ON COMMIT DROP"
#: A row joins its content only if that is offered, here, and as long as the row says.
_CONTENT = """LEFT JOIN cells_blob b ON b.sha256 = s.sha256 AND b.size = s.size
    AND EXISTS (SELECT FROM offered o WHERE o.sha256 = s.sha256 AND o.kind = '' AND o.have)"""
_INSERT = {
    "files": f"""
        INSERT INTO cells_file (cell_id, generation, path, folder, is_folder, sha256, size, mtime, executable,
            content_type, version, created_at, updated_at)
        SELECT %(cell)s, %(generation)s, s.path, s.folder, s.is_folder, b.sha256, s.size, s.mtime, s.executable,
            s.content_type, s.version, s.created_at, s.updated_at FROM transferred s {_CONTENT}
        WHERE s.is_folder OR b.sha256 IS NOT NULL
    """,  # noqa: S608
    "versions": f"""
        INSERT INTO cells_fileversion (file_id, version, sha256, size, mtime, content_type, created_at)
        SELECT f.id, s.version, b.sha256, s.size, s.mtime, s.content_type, s.created_at
        FROM transferred s {_CONTENT} JOIN cells_file f ON f.cell_id = %(cell)s AND f.generation = %(generation)s
            AND left(f.path, 300) = left(s.path, 300) AND f.path = s.path AND NOT f.is_folder
        WHERE b.sha256 IS NOT NULL
    """,  # noqa: S608
}
_HOMELESS = """
    SELECT f.path FROM cells_file f WHERE f.cell_id = %(cell)s AND f.generation = %(generation)s AND f.folder <> ''
    AND NOT EXISTS (SELECT FROM cells_file p WHERE p.cell_id = f.cell_id AND p.generation = f.generation
                    AND left(p.path, 300) = left(f.folder, 300) AND p.path = f.folder AND p.is_folder) LIMIT 1
"""


def lines_of(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Lines without their newlines; each is bounded. Raises Refusal."""
    held = b""
    for piece in pieces:
        held += piece
        *whole, held = held.split(b"\n")
        if len(held) > LONGEST_LINE:
            raise Refusal("a line is longer than it may be")
        yield from whole
    if held:
        raise Refusal("the last line has no end")


def documents_of(lines: Iterable[bytes]) -> Iterator[RestoredDocument]:
    """Raises Refusal."""
    for line in lines:
        found = checked_json(line, DEEPEST + 1, LONGEST_LINE)
        keys = {"doctype", "id", "rev", "created_at", "updated_at", "body"}
        if (
            type(found) is not dict
            or found.keys() != keys
            or not all(type(found[key]) is str for key in keys - {"body"})
        ):
            raise Refusal("a document's line has other keys than it should")
        doctype, doc_id = found["doctype"], found["id"]
        try:
            doctype_name(doctype.removeprefix(_RESERVED))
            document_id(doc_id)
            times = [datetime.fromisoformat(found[key]) for key in ("created_at", "updated_at")]
        except (NameRefused, ValueError) as error:
            raise Refusal(str(error)) from error
        if any(time.utcoffset() != timedelta(0) for time in times):  # of another zone it may be of no year
            raise Refusal("a time is not in UTC")
        yield RestoredDocument(f"{doctype}/{doc_id}", doctype, doc_id, found["rev"], *times, ("body",), line.decode())


def files_place(cell: Cell, generation: int, lines: Iterable[bytes], watch: Callable[[], object]) -> int:
    """Files and folders; how many. Raises Refusal."""
    return _place("files", cell, generation, (_file(line) for line in lines), watch)


def versions_place(cell: Cell, generation: int, lines: Iterable[bytes], watch: Callable[[], object]) -> int:
    """Of files that are there already; how many. Raises Refusal."""
    return _place("versions", cell, generation, (_version(line) for line in lines), watch)


def folders_check(cell: Cell, generation: int) -> None:
    """Everything lies in a folder that is there. Raises Refusal."""
    with connection.cursor() as cursor:
        cursor.execute(_HOMELESS, {"cell": cell.pk, "generation": generation})
        if found := cursor.fetchone():
            raise Refusal(f"the folder of {found[0][:200]!r} is missing")


def _place(
    kind: str, cell: Cell, generation: int, rows: Iterable[tuple[object, ...]], watch: Callable[[], object]
) -> int:
    count = 0
    held: list[tuple[object, ...]] = []
    for row in rows:
        held.append(row)
        if len(held) >= _ROWS:
            _insert(kind, cell, generation, held)
            count += len(held)
            held.clear()
            watch()
    _insert(kind, cell, generation, held)
    return count + len(held)


def _insert(kind: str, cell: Cell, generation: int, rows: list[tuple[object, ...]]) -> None:
    if not rows:
        return
    try:
        with generation_writing(cell, generation), connection.cursor() as cursor:
            cursor.execute(_STAGE.format(_COLUMNS[kind]))
            with cursor.copy("COPY transferred FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)
            cursor.execute(_INSERT[kind], {"cell": cell.pk, "generation": generation})
            if cursor.rowcount != len(rows):
                raise Refusal(f"among {kind} is one whose content was not offered, or has another size")
    except IntegrityError as error:
        raise Refusal(f"among {kind} is one twice, or a folder with a content") from error


def _file(line: bytes) -> tuple[object, ...]:
    found = _object(line)
    path, folder = _path(found), _is(found, "folder", bool)
    digest = "" if folder else _sha256(found)
    if folder and found.get("sha256") != "":
        raise Refusal("a folder has a content")
    size = _number(found, "size", _INT64)
    times = (_time(found, name) for name in ("created_at", "updated_at"))
    return (
        path, folder_of(path), folder, digest or None, size, _time(found, "mtime"), _is(found, "executable", bool),
        _content_type(found), _number(found, "version", _INT32), *times,
    )  # fmt: skip


def _version(line: bytes) -> tuple[object, ...]:
    found = _object(line)
    return (
        _path(found), _number(found, "version", _INT32), _sha256(found), _number(found, "size", _INT64),
        _time(found, "mtime"), _content_type(found), _time(found, "created_at"),
    )  # fmt: skip


def _object(line: bytes) -> dict[str, Any]:
    found = checked_json(line, 2, 64 << 10)
    if type(found) is not dict:
        raise Refusal("a line is no object")
    return found


def _is(found: dict[str, Any], name: str, kind: type) -> Any:
    if type(found.get(name)) is not kind:
        raise Refusal(f"{name} is no {kind.__name__}")
    return found[name]


def _number(found: dict[str, Any], name: str, bounds: range) -> int:
    if (value := _is(found, name, int)) not in bounds:
        raise Refusal(f"{name} is out of bounds")
    return value


def _time(found: dict[str, Any], name: str) -> datetime:
    return _EPOCH + timedelta(microseconds=_number(found, name, _MICROS))


def _path(found: dict[str, Any]) -> str:
    path = _is(found, "path", str)
    try:
        if normal_path(path) != path:
            raise Refusal("a path has a slash at an end")
    except NameRefused as error:
        raise Refusal(str(error)) from error
    return path


def _sha256(found: dict[str, Any]) -> str:
    digest = _is(found, "sha256", str)
    if len(digest) != 64 or not set(digest) <= set("0123456789abcdef"):
        raise Refusal("sha256 is no SHA-256")
    return digest


def _content_type(found: dict[str, Any]) -> str:
    kind = _is(found, "content_type", str)
    if len(kind) > 127 or not kind.isprintable():
        raise Refusal("content_type is no media type")
    return kind


def chunk_digests(cell: Cell, generation: int, watch: Callable[[], object]) -> Iterator[tuple[str, str]]:
    """(kind, SHA-256) of the chunks that this server would offer of the generation, from its own rows."""
    place = {"cell": cell.pk, "generation": generation}
    with Snapshot() as snapshot:
        for kind, query in ROWS.items():
            for chunk in chunks(snapshot.rows(query, place)):
                watch()
                yield kind, sha256(chunk).hexdigest()
