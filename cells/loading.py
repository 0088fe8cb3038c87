"""Any number of files and folders into a cell at once: all of them, or nothing.

Contents go into the blob store and rows into a temporary table while the cell stays free for others; the cell is
held only while the table is merged into it. A load must come to that within a day of its first content (`cells.blobs`).
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from django.db import connection
from django.db.backends.utils import CursorWrapper
from django.utils import timezone

from cells.batches import Opener
from cells.blobs import BlobStore
from cells.errors import NameRefused, QuotaExceeded
from cells.generations import generation_writing
from cells.mediatypes import media_type_of
from cells.models import Cell
from cells.quota import bytes_used, cell_writing, quota_check
from cells.validators import folder_of, normal_path

_ROWS = 5_000
_BYTES = 256 << 20
_REFUSALS_AT_ONCE = 1_000

_KINDS = {
    **dict.fromkeys(("n", "chunk", "size"), "int8"),
    **dict.fromkeys(("path", "folder", "sha256", "content_type"), "text"),
    **dict.fromkeys(("is_folder", "executable"), "bool"),
    "mtime": "timestamptz",
}
_COLUMNS = ", ".join(f"{name} {kind}" for name, kind in _KINDS.items()).replace(" text", ' text COLLATE "C"')
_CREATE = f"""
    DROP TABLE IF EXISTS pg_temp.files_stage;
    CREATE TEMP TABLE files_stage ({_COLUMNS}, implied bool NOT NULL DEFAULT false, file_id int8, reason text)
"""
_COPY = f"COPY files_stage ({', '.join(_KINDS)}) FROM STDIN (FORMAT binary)"
_SAME_PLACE = """f.cell_id = %(cell)s AND f.generation = %(generation)s
    AND left(f.path, 300) = left(s.path, 300) AND f.path = s.path"""
_ADDED = f"""
    SELECT coalesce(sum(s.size), 0)::int8 FROM files_stage s WHERE s.chunk = %(chunk)s AND NOT EXISTS (
        SELECT FROM cells_file f WHERE {_SAME_PLACE} AND f.sha256 = s.sha256)
"""  # noqa: S608
_PREPARE = f"""
    ANALYZE files_stage;
    DELETE FROM files_stage s USING files_stage later WHERE s.path = later.path AND s.n < later.n;
    INSERT INTO files_stage (path, folder, is_folder, executable, size, content_type, mtime, implied)
    WITH RECURSIVE above (path) AS (
        SELECT DISTINCT folder FROM files_stage
        UNION SELECT regexp_replace(path, '/?[^/]*$', '') FROM above WHERE path <> ''
    )
    SELECT path, regexp_replace(path, '/?[^/]*$', ''), true, false, 0, '', %(now)s, true FROM above
    WHERE path <> '' AND NOT EXISTS (SELECT FROM files_stage s WHERE s.path = above.path);
    UPDATE files_stage s SET file_id = f.id, reason = CASE WHEN f.is_folder = s.is_folder THEN NULL
        WHEN f.is_folder THEN 'the cell has a folder there' ELSE 'the cell has a file there' END
    FROM cells_file f WHERE {_SAME_PLACE}
"""  # noqa: S608
_REFUSE_BELOW = """
    UPDATE files_stage s SET reason = 'a file is where a folder above it should be' FROM files_stage above
    WHERE s.reason IS NULL AND s.folder = above.path AND (above.reason IS NOT NULL OR NOT above.is_folder)
"""
_KEEP_VERSIONS = """
    INSERT INTO cells_fileversion (file_id, version, sha256, size, mtime, content_type, created_at)
    SELECT f.id, f.version, f.sha256, f.size, f.mtime, f.content_type, %(now)s
    FROM files_stage s JOIN cells_file f ON f.id = s.file_id WHERE s.reason IS NULL AND f.sha256 <> s.sha256
"""
_UPDATE = """
    UPDATE cells_file f SET sha256 = s.sha256, size = s.size, mtime = s.mtime, executable = s.executable,
        content_type = CASE WHEN f.sha256 = s.sha256 THEN f.content_type ELSE s.content_type END,
        version = f.version + (f.sha256 IS DISTINCT FROM s.sha256)::int, updated_at = %(now)s
    FROM files_stage s WHERE f.id = s.file_id AND s.reason IS NULL AND NOT s.implied
    AND (f.sha256, f.mtime, f.executable) IS DISTINCT FROM (s.sha256, s.mtime, s.executable)
"""
_INSERT = """
    INSERT INTO cells_file (cell_id, generation, path, folder, is_folder, sha256, size, mtime, executable,
        content_type, version, created_at, updated_at)
    SELECT %(cell)s, %(generation)s, path, folder, is_folder, sha256, size, mtime, executable, content_type, 1,
        %(now)s, %(now)s FROM files_stage WHERE file_id IS NULL AND reason IS NULL ORDER BY path
"""
_REFUSED = """
    SELECT path, reason FROM files_stage WHERE reason IS NOT NULL AND NOT implied AND path > %s ORDER BY path LIMIT %s
"""


class LoadItem(NamedTuple):
    """A file, or without `open` a folder. `open` may be called twice.

    `size` is what is expected of it, 0 when not known; `sha256`, if known, is what the content must have.
    """

    path: str
    mtime: datetime
    open: Opener | None = None
    executable: bool = False
    size: int = 0
    #: "" is what the name says.
    content_type: str = ""
    sha256: str = ""


@dataclass
class LoadReport:
    """Files and folders by what became of them, and the plain bytes of all files read."""

    created: int = 0
    updated: int = 0
    unchanged: int = 0
    refused: int = 0
    bytes: int = 0


def files_load(
    *,
    cell: Cell,
    items: Iterable[LoadItem],
    refuse: Callable[[str, str], None],
    watch: Callable[[int], None] = lambda done: None,
    generation: int | None = None,
) -> LoadReport:
    """Put all items, or with an exception none. Contents that a path had before are kept as FileVersions.

    Folders above an item are made; of two items with one path the later counts. What cannot be put is left out and
    told to `refuse` (path, reason); `watch` gets the plain bytes read so far. `generation` is the visible one unless
    named; of another one the quota counts when it is switched to, and the cell is not held. Raises QuotaExceeded as
    soon as it is certain.
    """
    stage = _Stage(cell, generation, refuse)
    with BlobStore().batch() as batch:
        numbered: deque[tuple[int, str, LoadItem]] = deque()
        for stored in batch.add_each(_openers(items, numbered, stage)):
            n, path, item = numbered.popleft()
            if isinstance(stored, OSError):
                stage.refuse(path, stored.strerror or str(stored))
            elif item.sha256 and item.sha256 != stored.sha256:
                stage.refuse(path, "its SHA-256 is another than it should be")
            else:
                stage.add(n, path, item, stored.sha256, stored.size)
                watch(stage.report.bytes)
        stage.flush()
    stage.merge()
    return stage.report


def _openers(
    items: Iterable[LoadItem], numbered: deque[tuple[int, str, LoadItem]], stage: "_Stage"
) -> Iterator[Opener]:
    for n, item in enumerate(items):
        try:
            path = normal_path(item.path)
        except NameRefused as refusal:
            stage.refuse(item.path, str(refusal.params["reason"]))
            continue
        if item.open is None:
            stage.add(n, path, item, None, 0)
            continue
        stage.check_size(item.size)
        numbered.append((n, path, item))
        yield item.open


class _Stage:
    """The temporary table, filled chunk by chunk and merged once."""

    def __init__(self, cell: Cell, generation: int | None, refuse: Callable[[str, str], None]) -> None:
        self.report = LoadReport()
        self._cell = cell
        self._generation = generation
        self._quota = cell.quota if generation is None else None
        self._tell = refuse
        self._rows: list[tuple[object, ...]] = []
        self._row_bytes = self._chunk = self._added = 0
        with connection.cursor() as cursor:
            cursor.execute(_CREATE)

    def refuse(self, path: str, reason: str) -> None:
        self.report.refused += 1
        self._tell(path, reason)

    def check_size(self, size: int) -> None:
        """Refuse, before it is read, a file that the cell can neither take nor hold already."""
        quota = self._quota
        if quota is not None and size > quota and size > (used := bytes_used(self._cell)):
            raise QuotaExceeded(quota=quota, used=used, needed=size)

    def add(self, n: int, path: str, item: LoadItem, sha256: str | None, size: int) -> None:
        kind = (item.content_type or media_type_of(path)) if sha256 else ""
        names = path, folder_of(path), sha256, kind
        self._rows.append((n, self._chunk, size, *names, sha256 is None, item.executable, item.mtime))
        self._row_bytes += size
        self.report.bytes += size
        if len(self._rows) >= _ROWS or self._row_bytes >= _BYTES:
            self.flush()

    def flush(self) -> None:
        with connection.cursor() as cursor:
            with cursor.copy(_COPY) as copy:
                copy.set_types(list(_KINDS.values()))
                for row in self._rows:
                    copy.write_row(row)
            if self._quota is not None:
                place = {"cell": self._cell.pk, "generation": self._cell.generation}
                cursor.execute(_ADDED, {**place, "chunk": self._chunk})
                self._added += cursor.fetchone()[0]
                if self._added:
                    quota_check(self._cell, self._added)
        self._rows.clear()
        self._row_bytes = 0
        self._chunk += 1

    def merge(self) -> None:
        with self._writing() as generation, connection.cursor() as cursor:
            place = {"cell": self._cell.pk, "generation": generation, "now": timezone.now()}
            cursor.execute(_PREPARE, place)
            cursor.execute(_REFUSE_BELOW)
            while cursor.rowcount:
                cursor.execute(_REFUSE_BELOW)
            cursor.execute(_KEEP_VERSIONS, place)
            cursor.execute(_UPDATE, place)
            self.report.updated = cursor.rowcount
            cursor.execute(_INSERT, place)
            cursor.execute("SELECT count(*) FROM files_stage WHERE NOT implied AND reason IS NULL AND file_id IS NULL")
            self.report.created = cursor.fetchone()[0]
            cursor.execute("SELECT count(*) FROM files_stage WHERE NOT implied AND reason IS NULL")
            self.report.unchanged = cursor.fetchone()[0] - self.report.created - self.report.updated
        with connection.cursor() as cursor:
            self._tell_refused(cursor)
            cursor.execute("DROP TABLE files_stage")

    @contextmanager
    def _writing(self) -> Iterator[int]:
        if self._generation is None:
            with cell_writing(self._cell) as locked:
                yield locked.generation
        else:
            with generation_writing(self._cell, self._generation):
                yield self._generation

    def _tell_refused(self, cursor: CursorWrapper) -> None:
        last = ""
        while True:
            cursor.execute(_REFUSED, [last, _REFUSALS_AT_ONCE])
            rows = cursor.fetchall()
            for path, reason in rows:
                self.refuse(path, reason)
            if not rows:
                return
            last = rows[-1][0]
