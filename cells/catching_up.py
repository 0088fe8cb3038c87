"""Two generations joined while the cell is written: whoever writes waits for what changed since, not for the join.

What is written from the moment at which the join begins counts as written after it. It is brought over in rounds, each
of what came during the one before; the last is done while the cell is held.
"""

# ruff: noqa: S608 -- statements are put together of parts that stand here, values are parameters

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from cells.errors import PathTaken
from cells.generations import generations_analyze
from cells.joining import TWO_KINDS, Rule, generations_join
from cells.models import Cell
from cells.quota import cell_holding

#: Between the clocks of servers.
_SKEW = timedelta(minutes=1)
#: Rows that are brought over while the cell is held, unless it is written faster than that.
_FEW = 1_000
_ROUNDS = 20

_SEEN = ("seen_files", "seen_documents", "seen_deletions")
_FOUND = ("changed_files", "changed_documents", "gone")
_FILES_HERE = "cells_file v WHERE v.cell_id = %(cell)s AND v.generation = %(visible)s AND v.updated_at >= %(since)s"
_DOCUMENTS_HERE = _FILES_HERE.replace("cells_file", "cells_document")
_DELETIONS_HERE = "cells_deletion x WHERE x.cell_id = %(cell)s AND x.deleted_at >= %(since)s"
_SEE = (
    f"CREATE TEMP TABLE seen_files AS SELECT v.id, v.path, v.version, v.updated_at FROM {_FILES_HERE}",
    f"CREATE TEMP TABLE seen_documents AS SELECT v.id, v.rev, v.updated_at FROM {_DOCUMENTS_HERE}",
    f"CREATE TEMP TABLE seen_deletions AS SELECT x.id FROM {_DELETIONS_HERE}",
)
_FIND = (
    f"""CREATE TEMP TABLE changed_files AS SELECT v.id, v.path, v.is_folder FROM {_FILES_HERE} AND NOT EXISTS (
        SELECT FROM seen_files s WHERE s.id = v.id
            AND (s.path, s.version, s.updated_at) = (v.path, v.version, v.updated_at))""",
    f"""CREATE TEMP TABLE changed_documents AS SELECT v.id, v.doctype, v.doc_id FROM {_DOCUMENTS_HERE}
        AND NOT EXISTS (SELECT FROM seen_documents s WHERE s.id = v.id
            AND (s.rev, s.updated_at) = (v.rev, v.updated_at))""",
    f"""CREATE TEMP TABLE gone AS SELECT DISTINCT x.doctype, x.name FROM {_DELETIONS_HERE}
        AND NOT EXISTS (SELECT FROM seen_deletions s WHERE s.id = x.id)""",
)
_COUNT = "SELECT " + " + ".join(f"(SELECT count(*) FROM {table})" for table in _FOUND)

#: `j` is joined, `v` is visible.
_J = "j.cell_id = %(cell)s AND j.generation = %(imported)s"
_V = "v.cell_id = %(cell)s AND v.generation = %(visible)s"
_AT = "left(j.path, 300) = left({0}, 300) AND j.path = {0}"
#: Also where something is again: that is another file, and among the changed.
_GONE_FILES = f"""cells_file j, gone g WHERE {_J} AND g.doctype = '' AND right(g.name, 1) <> '/'
    AND {_AT.format("g.name")} AND NOT j.is_folder"""
_DROP_GONE_FOLDERS = f"""
    DELETE FROM cells_file WHERE id IN (
        SELECT j.id FROM cells_file j, gone g WHERE {_J} AND g.doctype = '' AND right(g.name, 1) = '/'
        AND {_AT.format("rtrim(g.name, '/')")} AND j.is_folder AND NOT EXISTS (
            SELECT FROM cells_file v
            WHERE {_V} AND left(v.path, 300) = left(j.path, 300) AND v.path = j.path AND v.is_folder)
        AND NOT EXISTS (SELECT FROM cells_file c WHERE c.cell_id = j.cell_id AND c.generation = j.generation
            AND left(c.folder, 300) = left(j.path, 300) AND c.folder = j.path))
"""
_OF_TWO_KINDS = f"""SELECT j.path FROM changed_files c JOIN cells_file j ON {_J} AND {_AT.format("c.path")}
    WHERE j.is_folder <> c.is_folder ORDER BY j.path LIMIT 1"""
_CHANGED = f"""changed_files c JOIN cells_file v ON v.id = c.id AND v.path = c.path AND {_V}
    JOIN cells_file j ON {_J} AND {_AT.format("c.path")}"""
#: What the joined file has, or has had, and the visible one never: the content of the archive. Numbers cannot tell:
#: each round counts the cell's own versions anew, behind it.
_NEVER = """{0}.sha256 <> v.sha256 AND NOT EXISTS (
    SELECT FROM cells_fileversion p WHERE p.file_id = v.id AND p.sha256 = {0}.sha256)"""
_EXTRA = f"""
    CREATE TEMP TABLE extra ON COMMIT DROP AS
    SELECT of, sha256, size, mtime, content_type, created_at, row_number() OVER (PARTITION BY of ORDER BY n) - 1 AS n
    FROM (
        SELECT v.id AS of, o.version AS n, o.sha256, o.size, o.mtime, o.content_type, o.created_at
        FROM {_CHANGED} JOIN cells_fileversion o ON o.file_id = j.id WHERE {_NEVER.format("o")}
        UNION ALL SELECT v.id, j.version, j.sha256, j.size, j.mtime, j.content_type, j.updated_at
        FROM {_CHANGED} WHERE {_NEVER.format("j")}
    ) had
"""
_REPLACED = f"cells_file j, changed_files c WHERE {_J} AND {_AT.format('c.path')} AND NOT j.is_folder"
_CONTINUE_FOLDERS = f"""
    UPDATE cells_file f SET mtime = n.mtime, created_at = n.created_at, updated_at = n.updated_at
    FROM (SELECT j.id, v.mtime, v.created_at, v.updated_at FROM {_CHANGED} WHERE j.is_folder) n WHERE f.id = n.id
"""
_TAKE_FILES = f"""
    INSERT INTO cells_file (cell_id, generation, path, folder, is_folder, sha256, size, mtime, executable,
                            content_type, version, created_at, updated_at)
    SELECT v.cell_id, %(imported)s, v.path, v.folder, v.is_folder, v.sha256, v.size, v.mtime, v.executable,
           v.content_type, v.version + (SELECT count(*) FROM extra e WHERE e.of = v.id), v.created_at, v.updated_at
    FROM cells_file v JOIN changed_files c ON v.id = c.id AND v.path = c.path WHERE {_V} AND NOT EXISTS (
        SELECT FROM cells_file j WHERE {_J} AND {_AT.format("v.path")})
"""
_TAKE_VERSIONS = f"""
    INSERT INTO cells_fileversion (file_id, version, sha256, size, mtime, content_type, created_at)
    SELECT j.id, o.version, o.sha256, o.size, o.mtime, o.content_type, o.created_at
    FROM {_CHANGED} JOIN cells_fileversion o ON o.file_id = v.id
    UNION ALL SELECT j.id, v.version + e.n, e.sha256, e.size, e.mtime, e.content_type, e.created_at
    FROM {_CHANGED} JOIN extra e ON e.of = v.id
"""
_GONE_DOCUMENTS = f"cells_document j, gone g WHERE {_J} AND j.doctype = g.doctype AND j.doc_id = g.name"
_REPLACED_DOCUMENTS = f"""cells_document j, changed_documents c WHERE {_J}
    AND j.doctype = c.doctype AND j.doc_id = c.doc_id"""
_TAKE_DOCUMENTS = f"""
    INSERT INTO cells_document (cell_id, generation, doctype, doc_id, rev, body, created_at, updated_at)
    SELECT v.cell_id, %(imported)s, v.doctype, v.doc_id, v.rev, v.body, v.created_at, v.updated_at
    FROM cells_document v JOIN changed_documents c ON v.id = c.id WHERE {_V}
"""
#: Versions before files: the usage of a version is that of its file.
_DROP_GONE_FILES = (
    f"DELETE FROM cells_fileversion WHERE file_id IN (SELECT j.id FROM {_GONE_FILES})",
    f"DELETE FROM cells_file WHERE id IN (SELECT j.id FROM {_GONE_FILES})",
)
_APPLY = (
    _EXTRA,
    f"DELETE FROM cells_fileversion WHERE file_id IN (SELECT j.id FROM {_REPLACED})",
    f"DELETE FROM cells_file WHERE id IN (SELECT j.id FROM {_REPLACED})",
    _CONTINUE_FOLDERS,
    _TAKE_FILES,
    _TAKE_VERSIONS,
    *(
        f"DELETE FROM cells_document WHERE id IN (SELECT j.id FROM {rows})"
        for rows in (_GONE_DOCUMENTS, _REPLACED_DOCUMENTS)
    ),
    _TAKE_DOCUMENTS,
)


class Joining:
    """`with joining(…) as join: join.rounds(tick)`; then `join.last()` while the cell is held, and show the generation.

    Raises PathTaken where one has a file and the other a folder.
    """

    def __init__(self, cell: Cell, imported: int) -> None:
        self._cell = cell
        self._place: dict[str, Any] = {"cell": cell.pk, "visible": cell.generation, "imported": imported}

    def begin(self, rule: Rule) -> None:
        with cell_holding(self._cell) as locked:  # nobody is writing: who commits later begins later
            self._place["visible"] = self._cell.generation = locked.generation
            self._see(timezone.now())
        with transaction.atomic():
            generations_join(cell=self._cell, imported=self._place["imported"], rule=rule)
        generations_analyze()

    def rounds(self) -> Iterator[int]:
        """Bring over what is written, until little is left. How many documents and files, round by round."""
        for _ in range(_ROUNDS):
            with cell_holding(self._cell):
                count = self._look()
            with transaction.atomic():
                self._apply()
            yield count
            if count <= _FEW:
                return

    def last(self) -> None:
        """In the transaction of whoever holds the cell."""
        self._find()
        self._apply()

    def _see(self, now: datetime) -> None:
        self._place["since"] = now - _SKEW
        _drop(*_SEEN)
        _execute(self._place, *_SEE)

    def _look(self) -> int:
        now = timezone.now()
        self._find()
        self._see(now)
        with connection.cursor() as cursor:
            cursor.execute(_COUNT)
            return cursor.fetchone()[0]

    def _find(self) -> None:
        _drop(*_FOUND)
        _execute(self._place, *_FIND, *(f"ANALYZE {table}" for table in _FOUND))

    def _apply(self) -> None:
        _execute(self._place, *_DROP_GONE_FILES)
        with connection.cursor() as cursor:
            cursor.execute(_DROP_GONE_FOLDERS, self._place)
            while cursor.rowcount:  # the deepest first
                cursor.execute(_DROP_GONE_FOLDERS, self._place)
            cursor.execute(_OF_TWO_KINDS, self._place)
            if row := cursor.fetchone():
                raise PathTaken(path=row[0], reason=TWO_KINDS)
        _execute(self._place, *_APPLY)


@contextmanager
def joining(*, cell: Cell, imported: int, rule: Rule) -> Iterator[Joining]:
    """What `cell` shows is brought into the generation `imported`, in transactions of its own."""
    join = Joining(cell, imported)
    try:
        join.begin(rule)
        yield join
    finally:
        if not connection.needs_rollback and connection.is_usable():
            _drop(*_SEEN, *_FOUND)


def _drop(*tables: str) -> None:
    _execute({}, "DROP TABLE IF EXISTS " + ", ".join(f"pg_temp.{table}" for table in tables))


def _execute(values: dict[str, Any], *statements: str) -> None:
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement, values or None)
