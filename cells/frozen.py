"""A cell as it was at one moment: everything is read inside one transaction that sees no later writes."""

from collections.abc import Collection, Iterable, Iterator
from datetime import datetime
from types import TracebackType
from typing import Any, Self, TypeVar

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg import ClientCursor

from cells.cell_lines import KEPT, KEPT_BOXES, TOP_FOLDERS, USERDATA
from cells.deletions import Gone, deletions_iter
from cells.fields import INDEXED
from cells.search import Condition
from cells.search.recent import TOUCHED, recent
from cells.selecting import selection_make

FILES = """
    SELECT f.path, f.is_folder, f.size, (extract(epoch FROM f.mtime) * 1000000)::bigint, f.executable, f.sha256,
           b.crc32, b.encoding, b.stored_size, b.stored_crc32, f.content_type
    FROM cells_file f JOIN cells_cell c ON c.id = f.cell_id AND c.generation = f.generation
    LEFT JOIN cells_blob b ON b.sha256 = f.sha256
    WHERE f.cell_id = %(cell)s {since}
    ORDER BY left(f.path, 300), f.path
"""
#: Of what was written since a moment one cannot see whether a folder holds older files: that must be asked.
SINCE = """
    AND greatest(f.updated_at, c.switched_at) >= %(since)s AND NOT (f.is_folder AND EXISTS (
        SELECT FROM cells_file child WHERE child.cell_id = f.cell_id AND child.generation = f.generation
                                           AND left(child.folder, 300) = left(f.path, 300) AND child.folder = f.path))
"""
DOCTYPES = """
    SELECT d.doctype, count(*), (extract(epoch FROM max(d.updated_at)) * 1000000)::bigint
    FROM cells_document d JOIN cells_cell c ON c.id = d.cell_id AND c.generation = d.generation
    WHERE d.cell_id = %(cell)s AND ({condition})
          AND (%(since)s::timestamptz IS NULL OR greatest(d.updated_at, c.switched_at) >= %(since)s)
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
    COPY (SELECT %(before)s || {shape}
          FROM cells_document d JOIN cells_cell c ON c.id = d.cell_id AND c.generation = d.generation
          WHERE d.cell_id = %(cell)s AND d.doctype = %(doctype)s
                AND (%(since)s::timestamptz IS NULL OR greatest(d.updated_at, c.switched_at) >= %(since)s)
                AND ({condition})
          ORDER BY {order})
    TO STDOUT (FORMAT csv, QUOTE E'\\x01', DELIMITER E'\\x02')
"""
#: As bytes: nobody has to make a text of them to put them into a file.
ROWS_OF_OBJECTS = """
    SELECT d.id, d.cell_id, d.doctype, (extract(epoch FROM d.updated_at) * 1000000)::bigint,
           convert_to({shape}, 'UTF8')
    FROM cells_document d JOIN cells_cell c ON c.id = d.cell_id AND c.generation = d.generation
    WHERE d.cell_id = ANY(%(cells)s::bigint[]) AND {condition}
    ORDER BY {order}
"""
FILES_AT = """
    SELECT f.path, f.id, f.size, (extract(epoch FROM f.mtime) * 1000000)::bigint, f.executable, f.sha256,
           b.crc32, b.encoding, b.stored_size, b.stored_crc32, f.content_type, greatest(f.updated_at, c.switched_at)
    FROM cells_file f JOIN cells_cell c ON c.id = f.cell_id AND c.generation = f.generation
    JOIN cells_blob b ON b.sha256 = f.sha256
    WHERE f.cell_id = %(cell)s AND left(f.path, 300) = ANY(%(starts)s) AND f.path = ANY(%(paths)s)
"""
#: The oldest contents that files have had, and those of these numbers, be it the present one.
VERSIONS = """
    SELECT v.file_id, v.version, v.size, (extract(epoch FROM v.mtime) * 1000000)::bigint, v.sha256, b.crc32, b.encoding,
           b.stored_size, b.stored_crc32, v.content_type
    FROM cells_fileversion v JOIN cells_blob b ON b.sha256 = v.sha256
    WHERE v.file_id = ANY(%(files)s) AND (v.version::text = ANY(%(names)s) OR NOT EXISTS (
        SELECT FROM cells_fileversion older WHERE older.file_id = v.file_id AND older.version < v.version))
    UNION ALL SELECT f.id, f.version, f.size, (extract(epoch FROM f.mtime) * 1000000)::bigint, f.sha256, b.crc32,
           b.encoding, b.stored_size, b.stored_crc32, f.content_type
    FROM cells_file f JOIN cells_blob b ON b.sha256 = f.sha256
    WHERE f.id = ANY(%(files)s) AND f.version::text = ANY(%(names)s)
    ORDER BY 1, 2
"""
T = TypeVar("T")
COUNT = """
    SELECT (SELECT count(*) FROM cells_document d JOIN cells_cell c ON c.id = d.cell_id AND c.generation = d.generation
            WHERE d.cell_id = ANY(%(cells)s::bigint[]))
        + (SELECT count(*) FROM cells_file f JOIN cells_cell c ON c.id = f.cell_id AND c.generation = f.generation
           WHERE f.cell_id = ANY(%(cells)s::bigint[]))
"""
ALL = Condition("true", {})
SHAPES = {"lines": LINES, "objects": OBJECTS, "userdata": USERDATA, "kept": KEPT}
ROWS = 2000
#: Of documents, which may be large.
OBJECT_ROWS = 500
#: Rows of COPY are handed on together: each of a million for itself would cost more than reading it.
PIECE_BYTES = 128 * 1024
#: Sorting 300,000 paths on disk takes three times as long.
SORT_MEMORY = "64MB"
#: How PostgreSQL's list of activities calls a snapshot: it has a transaction id, and yet writes no cell.
READER = "exportsite snapshot"


class Snapshot:
    """One REPEATABLE READ transaction on a connection of its own. Blocks no writer, is blocked by none.

    `read` counts documents and files, from the moment that it is given.

    `since` leaves out what was written before then.

    Only one of its iterators may be in use at a time.
    """

    def __enter__(self) -> Self:
        self._database: BaseDatabaseWrapper = connections["default"].copy()
        self._database.ensure_connection()
        self._connection: Any = self._database.connection
        # Not READ ONLY: a selection is kept in a temporary table. Nothing else is written.
        self._connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        self._selections = self.read = 0
        # The moment of the snapshot is the first statement, not BEGIN.
        self._connection.execute(
            "SELECT set_config('work_mem', %s, true), set_config('application_name', %s, true)", [SORT_MEMORY, READER]
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._database.close()

    def cancel(self) -> None:
        """End the statement at work, if there is one, from another thread: psycopg's QueryCanceled is raised there."""
        self._connection.cancel_safe()

    def files(self, cell_id: int, since: datetime | None = None) -> Iterator[tuple]:
        """(path, is folder, size, mtime in µs, executable, SHA-256, CRC-32, encoding, stored size, stored CRC-32,
        content type) ordered by path bytewise; of the folders only empty ones, others follow from their files."""
        with self._connection.cursor(name="files", binary=True) as cursor:
            cursor.itersize = ROWS
            query = FILES.format(since="" if since is None else SINCE)
            rows = cursor.execute(query, {"cell": cell_id, "since": since})
            yield from _without_filled_folders(self._counted(rows))

    def count(self, cells: list[int]) -> int:
        """Documents, files and folders of these cells."""
        return self._connection.execute(COUNT, {"cells": cells}).fetchone()[0]

    def _counted(self, rows: Iterable[T]) -> Iterator[T]:
        for row in rows:
            self.read += 1
            yield row

    def rows(self, query: str, values: dict[str, object]) -> Iterator[tuple]:
        """What a query of another module of `cells` finds, in its order."""
        with self._connection.cursor(name="rows", binary=True) as cursor:
            cursor.itersize = ROWS
            yield from cursor.execute(query, values)

    def deletions(
        self, cells: list[int], since: datetime, *, files: bool, doctypes: list[str] | None
    ) -> Iterator[Gone]:
        """See `deletions_iter`."""
        return deletions_iter(self._connection, cells, since, files=files, doctypes=doctypes)

    def selection(
        self, search: Condition, cells: list[int], since: datetime | None = None, fields: Collection[str] = ()
    ) -> Condition:
        """A compiled search made ready for these cells: looked up here, once. Documents sorted by its `order` come
        as the search wants them, over all the cells.

        `fields`: paths of fields; documents count as written when files were that they refer to there.
        """
        self._selections += 1
        if since is not None:
            touched = self._touched(cells, since) if fields else ""
            search = recent(search, since, fields if touched else (), touched)
        return selection_make(self._connection, f"selection_{self._selections}", search, cells)

    def _touched(self, cells: list[int], since: datetime) -> str:
        """The name of a table as `cells.search.recent` wants it, "" when it would be empty."""
        table = f"touched_{self._selections}"
        with ClientCursor(self._connection) as cursor:
            cursor.execute(TOUCHED.format(table=table), {"cells": cells, "since": since})
            cursor.execute(f"SELECT EXISTS (SELECT FROM {table})")  # noqa: S608
            return table if cursor.fetchone() == (True,) else ""

    def doctypes(
        self, cell_id: int, since: datetime | None = None, selection: Condition = ALL
    ) -> list[tuple[str, int, int]]:
        """[(doctype, number of documents, last change in µs)] in order; as many as the cell has doctypes."""
        values = {**selection.params, "cell": cell_id, "since": since}
        return self._connection.execute(DOCTYPES.format(condition=selection.sql), values).fetchall()

    def documents(
        self,
        cell_id: int,
        doctype: str,
        shape: str,
        instance: str,
        since: datetime | None = None,
        before: str = "",
        selection: Condition = ALL,
    ) -> Iterator[bytes]:
        """A line of JSON for each document, led by `before`, in pieces of many lines: `lines` as our REST takes them,
        by id; `userdata` and `kept` as cell snapshots do (`cells.cell_lines`), by id; `objects` as v1 has them
        (`spec/v1.md §7.1`), by the selection's order."""
        order = selection.order if shape == "objects" else "d.doc_id"
        query = DOCUMENTS.format(shape=SHAPES[shape], condition=selection.sql, order=order)
        values = {
            **selection.params,
            "cell": cell_id,
            "doctype": doctype,
            "instance": instance,
            "since": since,
            "before": before,
        }
        held = bytearray()
        with self._connection.cursor() as cursor, cursor.copy(query, values) as copy:
            for row in self._counted(copy):
                held += row
                if len(held) >= PIECE_BYTES:
                    yield bytes(held)
                    held.clear()
        if held:
            yield bytes(held)

    def top_folders(self, cell_id: int) -> Iterator[str]:
        """Paths of the folders at the top, filled ones too, in order."""
        with self._connection.cursor(name="folders") as cursor:
            cursor.itersize = ROWS
            yield from (path for (path,) in cursor.execute(TOP_FOLDERS, {"cell": cell_id}))

    def kept_boxes(self, cell_id: int, doctype: str) -> list[tuple[str, str]]:
        """[(name, id)] of the boxes that an import kept as documents of `doctype`."""
        return self._connection.execute(KEPT_BOXES, {"cell": cell_id, "doctype": doctype}).fetchall()

    def objects(
        self, cells: list[int], instance: str, selection: Condition = ALL
    ) -> Iterator[tuple[int, int, str, int, bytes]]:
        """(id, cell id, doctype, last change in µs, its JSON as v1 has it) of the documents of all these cells, in the
        selection's order. Between two of them others may read."""
        query = ROWS_OF_OBJECTS.format(shape=OBJECTS, condition=f"({selection.sql})", order=selection.order)
        values = {**selection.params, "cells": cells, "instance": instance}
        with self._connection.cursor(name="objects", binary=True) as cursor:
            cursor.itersize = OBJECT_ROWS
            yield from self._counted(cursor.execute(query, values))

    def objects_by_id(
        self, ids: list[int], cells: list[int], instance: str
    ) -> Iterator[tuple[int, int, str, int, bytes]]:
        """As `objects`, of those that have one of these ids and lie in one of these cells, by id."""
        query = ROWS_OF_OBJECTS.format(shape=OBJECTS, condition="d.id = ANY(%(ids)s::bigint[])", order="d.id")
        with self._connection.cursor(name="linked", binary=True) as cursor:
            cursor.itersize = OBJECT_ROWS
            yield from cursor.execute(query, {"ids": ids, "cells": cells, "instance": instance})

    def files_at(self, cell_id: int, paths: list[str]) -> list[tuple]:
        """(path, id, size, mtime in µs, executable, SHA-256, CRC-32, encoding, stored size, stored CRC-32, content
        type, time of the last change) of the files among these paths; not of folders."""
        values = {"cell": cell_id, "paths": paths, "starts": [path[:INDEXED] for path in paths]}
        return self._connection.execute(FILES_AT, values).fetchall()

    def versions_of(self, files: list[int], names: list[str]) -> list[tuple]:
        """(file id, number, size, mtime in µs, SHA-256, CRC-32, encoding, stored size, stored CRC-32, content type) of
        the oldest content of each of these files that has older ones, and of those called so: "1" is the first."""
        return self._connection.execute(VERSIONS, {"files": files, "names": names}).fetchall()


def _without_filled_folders(rows: Iterable[tuple]) -> Iterator[tuple]:
    """Rows ordered by path, less the folders that some later row lies in.

    Not asked of PostgreSQL: before its first ANALYZE it looks through the whole cell for each folder. A folder waits
    until its files would have come; those that wait lead to the path at hand, so they are few.
    """
    waiting: list[tuple] = []
    for row in rows:
        path = row[0]
        if waiting:
            yield from (folder for folder in waiting if path > folder[0] + "/" and not _lies_in(path, folder))
            waiting = [folder for folder in waiting if path < folder[0] + "/"]
        if row[1]:
            waiting.append(row)
        else:
            yield row
    yield from waiting


def _lies_in(path: str, folder: tuple) -> bool:
    return path.startswith(folder[0] + "/")
