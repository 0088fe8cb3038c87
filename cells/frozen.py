"""A cell as it was at one moment: everything is read inside one transaction that sees no later writes."""

from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

FILES = """
    SELECT f.path, f.is_folder, f.size, (extract(epoch FROM f.mtime) * 1000000)::bigint, f.executable, f.sha256,
           b.crc32, b.encoding, b.stored_size, b.stored_crc32, f.content_type
    FROM cells_file f JOIN cells_cell c ON c.id = f.cell_id AND c.generation = f.generation
    LEFT JOIN cells_blob b ON b.sha256 = f.sha256
    WHERE f.cell_id = %s AND NOT (f.is_folder AND EXISTS (
        SELECT FROM cells_file child WHERE child.cell_id = f.cell_id AND child.generation = f.generation
                                           AND left(child.folder, 300) = left(f.path, 300) AND child.folder = f.path))
    ORDER BY left(f.path, 300), f.path
"""
DOCTYPES = """
    SELECT d.doctype, count(*), (extract(epoch FROM max(d.updated_at)) * 1000000)::bigint
    FROM cells_document d JOIN cells_cell c ON c.id = d.cell_id AND c.generation = d.generation
    WHERE d.cell_id = %s GROUP BY d.doctype ORDER BY d.doctype
"""
TIME = "to_char({} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"
LINES = "json_build_object('doctype', d.doctype, 'id', d.doc_id, 'rev', d.rev, 'body', d.body)"
OBJECTS = f"""
    jsonb_build_object('_objecttype', d.doctype, '_system_object_id', d.id,
        '_global_object_id', d.id || '@' || %(instance)s, '_uuid', d.doc_id,
        '_created', {TIME.format("d.created_at")}, '_last_modified', {TIME.format("d.updated_at")},
        d.doctype, jsonb_build_object('_id', d.id, '_version', split_part(d.rev, '-', 1)::int)
            || CASE jsonb_typeof(d.body) WHEN 'object' THEN d.body ELSE jsonb_build_object('_value', d.body) END)
"""
#: In CSV with quote and delimiter that JSON text cannot hold, a row is its text and a newline, and nothing else.
DOCUMENTS = """
    COPY (SELECT {shape} FROM cells_document d JOIN cells_cell c ON c.id = d.cell_id AND c.generation = d.generation
          WHERE d.cell_id = %(cell)s AND d.doctype = %(doctype)s ORDER BY d.doc_id)
    TO STDOUT (FORMAT csv, QUOTE E'\\x01', DELIMITER E'\\x02')
"""
SHAPES = {"lines": LINES, "objects": OBJECTS}
ROWS = 2000


class Snapshot:
    """One REPEATABLE READ transaction on a connection of its own. Blocks no writer, is blocked by none.

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

    def files(self, cell_id: int) -> Iterator[tuple]:
        """(path, is folder, size, mtime in µs, executable, SHA-256, CRC-32, encoding, stored size, stored CRC-32,
        content type) ordered by path bytewise; of the folders only empty ones, others follow from their files."""
        with self._connection.cursor(name="files", binary=True) as cursor:
            cursor.itersize = ROWS
            yield from cursor.execute(FILES, [cell_id])

    def doctypes(self, cell_id: int) -> list[tuple[str, int, int]]:
        """[(doctype, number of documents, last change in µs)] in order; as many as the cell has doctypes."""
        return self._connection.execute(DOCTYPES, [cell_id]).fetchall()

    def documents(self, cell_id: int, doctype: str, shape: str, instance: str) -> Iterator[bytes]:
        """One line of JSON for each document, ordered by id: `lines` as our REST takes them, `objects` as v1 has them
        (`spec/v1.md §7.1`)."""
        query = DOCUMENTS.format(shape=SHAPES[shape])
        with (
            self._connection.cursor() as cursor,
            cursor.copy(query, {"cell": cell_id, "doctype": doctype, "instance": instance}) as copy,
        ):
            for data in copy:
                yield bytes(data)
