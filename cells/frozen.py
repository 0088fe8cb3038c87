"""A cell as it was at one moment: everything is read inside one transaction that sees no later writes."""

from collections.abc import Iterator
from datetime import datetime
from types import TracebackType
from typing import Any, Self

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

FILES = """
    SELECT f.path, f.is_folder, f.size, (extract(epoch FROM f.mtime) * 1000000)::bigint, f.executable, f.sha256,
           b.crc32, b.encoding, b.stored_size, b.stored_crc32, f.content_type
    FROM cells_file f JOIN cells_cell c ON c.id = f.cell_id AND c.generation = f.generation
    LEFT JOIN cells_blob b ON b.sha256 = f.sha256
    WHERE f.cell_id = %(cell)s AND (%(since)s::timestamptz IS NULL OR f.updated_at >= %(since)s)
          AND NOT (f.is_folder AND EXISTS (
        SELECT FROM cells_file child WHERE child.cell_id = f.cell_id AND child.generation = f.generation
                                           AND left(child.folder, 300) = left(f.path, 300) AND child.folder = f.path))
    ORDER BY left(f.path, 300), f.path
"""
DOCTYPES = """
    SELECT d.doctype, count(*), (extract(epoch FROM max(d.updated_at)) * 1000000)::bigint
    FROM cells_document d JOIN cells_cell c ON c.id = d.cell_id AND c.generation = d.generation
    WHERE d.cell_id = %(cell)s AND (%(since)s::timestamptz IS NULL OR d.updated_at >= %(since)s)
    GROUP BY d.doctype ORDER BY d.doctype
"""
TIME = "to_char({} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"
# Written as text around the body's own: twice as fast as building JSON of it, and the names stay in this order.
LINES = """
    '{"doctype":' || to_json(d.doctype) || ',"id":' || to_json(d.doc_id) || ',"rev":' || to_json(d.rev)
    || ',"body":' || d.body::text || '}'
"""
OBJECTS = f"""
    '{{"_objecttype":' || to_json(d.doctype) || ',"_system_object_id":' || d.id
    || ',"_global_object_id":' || to_json(d.id || '@' || %(instance)s) || ',"_uuid":' || to_json(d.doc_id)
    || ',"_created":"' || {TIME.format("d.created_at")} || '","_last_modified":"' || {TIME.format("d.updated_at")}
    || '",' || to_json(d.doctype) || ':{{"_id":' || d.id || ',"_version":' || split_part(d.rev, '-', 1)
    || CASE WHEN jsonb_typeof(d.body) <> 'object' THEN ',"_value":' || d.body::text || '}}'
            ELSE coalesce(',' || nullif(substr((CASE WHEN d.body ?| ARRAY['_id', '_version']
                THEN d.body - ARRAY['_id', '_version'] ELSE d.body END)::text, 2), '}}'), '}}') END || '}}'
"""
#: In CSV with quote and delimiter that JSON text cannot hold, a row is its text and a newline, and nothing else.
DOCUMENTS = """
    COPY (SELECT {shape} FROM cells_document d JOIN cells_cell c ON c.id = d.cell_id AND c.generation = d.generation
          WHERE d.cell_id = %(cell)s AND d.doctype = %(doctype)s
                AND (%(since)s::timestamptz IS NULL OR d.updated_at >= %(since)s)
          ORDER BY d.doc_id)
    TO STDOUT (FORMAT csv, QUOTE E'\\x01', DELIMITER E'\\x02')
"""
SHAPES = {"lines": LINES, "objects": OBJECTS}
ROWS = 2000


class Snapshot:
    """One REPEATABLE READ transaction on a connection of its own. Blocks no writer, is blocked by none.

    `since` leaves out what was written before then.

    Only one of its iterators may be in use at a time.
    """

    def __enter__(self) -> Self:
        self._database: BaseDatabaseWrapper = connections["default"].copy()
        self._database.ensure_connection()
        self._connection: Any = self._database.connection
        self._connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        # The moment of the snapshot is the first statement, not BEGIN.
        self._connection.execute("SELECT 1")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._database.close()

    def files(self, cell_id: int, since: datetime | None = None) -> Iterator[tuple]:
        """(path, is folder, size, mtime in µs, executable, SHA-256, CRC-32, encoding, stored size, stored CRC-32,
        content type) ordered by path bytewise; of the folders only empty ones, others follow from their files."""
        with self._connection.cursor(name="files", binary=True) as cursor:
            cursor.itersize = ROWS
            yield from cursor.execute(FILES, {"cell": cell_id, "since": since})

    def doctypes(self, cell_id: int, since: datetime | None = None) -> list[tuple[str, int, int]]:
        """[(doctype, number of documents, last change in µs)] in order; as many as the cell has doctypes."""
        return self._connection.execute(DOCTYPES, {"cell": cell_id, "since": since}).fetchall()

    def documents(
        self, cell_id: int, doctype: str, shape: str, instance: str, since: datetime | None = None
    ) -> Iterator[bytes]:
        """One line of JSON for each document, ordered by id: `lines` as our REST takes them, `objects` as v1 has them
        (`spec/v1.md §7.1`)."""
        query = DOCUMENTS.format(shape=SHAPES[shape])
        with (
            self._connection.cursor() as cursor,
            cursor.copy(query, {"cell": cell_id, "doctype": doctype, "instance": instance, "since": since}) as copy,
        ):
            for data in copy:
                yield bytes(data)
