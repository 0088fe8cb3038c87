"""Documents as an archive has them, with rev and times, into a generation that nobody sees."""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import NamedTuple

import psycopg
from django.db import DataError, connection, transaction
from django.utils import timezone

from cells.batches import Opener
from cells.blobs import BlobStore
from cells.generations import generation_writing
from cells.models import Cell

_ROWS = 2_000
_BYTES = 8 << 20
_DATA_ERRORS = (psycopg.DataError, DataError)

_STAGE = """
    CREATE TEMP TABLE IF NOT EXISTS documents_restore (doctype text COLLATE "C", doc_id text COLLATE "C", rev text,
        created_at timestamptz, updated_at timestamptz, body text[], without text[], dropped text[], line jsonb);
    ALTER TABLE documents_restore ALTER line SET STORAGE EXTERNAL;
    TRUNCATE documents_restore
"""
_COPY = "COPY documents_restore FROM STDIN"
#: What is stored of a line.
BODY = """
    CASE WHEN dropped IS NOT NULL THEN (line #> body) - dropped
         WHEN without IS NULL THEN line #> body
         ELSE (line #> body) #- (without || '{HashedCredential}') #- (without || '{HashAlgorithm}')
              #- (without || '{HashAttributes}') END
"""
_STORE = f"""
    WITH body AS MATERIALIZED (
        SELECT doctype, doc_id, rev, created_at, updated_at, {BODY} AS body FROM documents_restore
    )
    INSERT INTO cells_document (cell_id, generation, doctype, doc_id, rev, body, created_at, updated_at)
    SELECT %(cell)s, %(generation)s, doctype, doc_id,
           CASE WHEN rev ~ '^[1-9][0-9]{{0,14}}-[0-9A-Za-z]{{1,40}}$' THEN rev ELSE '1-' || md5(body::text) END,
           body, created_at, updated_at FROM body
    ON CONFLICT (cell_id, generation, doctype, doc_id) DO NOTHING RETURNING doctype, doc_id
"""  # noqa: S608


_VERSION = """
    WITH file AS (
        UPDATE cells_file SET version = %(version)s + 1 WHERE cell_id = %(cell)s AND generation = %(generation)s
        AND left(path, 300) = left(%(path)s, 300) AND path = %(path)s AND NOT is_folder RETURNING id, content_type)
    INSERT INTO cells_fileversion (file_id, version, sha256, size, mtime, content_type, created_at)
    SELECT id, %(version)s, %(sha256)s, %(size)s, %(mtime)s, content_type, %(now)s FROM file
"""


class RestoredDocument(NamedTuple):
    """`line` is JSON that was checked (`cells.lines.checked_json`); the body stands in it at the keys `body`.

    A `rev` that could not be ours is made anew. `without`: keys of the object whose hashes of passwords stay away;
    `dropped`: keys of the body that do.
    """

    #: For people: where it was found.
    where: str
    doctype: str
    doc_id: str
    rev: str | None
    created_at: datetime
    updated_at: datetime
    body: tuple[str, ...]
    line: str
    without: tuple[str, ...] | None = None
    dropped: tuple[str, ...] | None = None


def documents_restore(
    *,
    cell: Cell,
    generation: int,
    documents: Iterable[RestoredDocument],
    refuse: Callable[[str, str], None],
    watch: Callable[[int], object] = lambda count: None,
) -> int:
    """Store all; gives how many. Tells `refuse` (where, reason) of one that PostgreSQL cannot store, or that is there
    twice, and leaves it out. `watch` gets the bytes of the lines stored."""
    count = 0
    for batch in documents_batched(documents):
        with generation_writing(cell, generation):
            count += _store(cell, generation, batch, refuse)
        watch(sum(len(each.line) for each in batch))
    return count


def documents_stage(batch: list[RestoredDocument]) -> None:
    """Fill the temporary table `documents_restore` with these alone."""
    with connection.cursor() as cursor:
        cursor.execute(_STAGE)
        with cursor.copy(_COPY) as copy:
            for each in batch:
                keys = (None if value is None else list(value) for value in (each.body, each.without, each.dropped))
                times = each.created_at, each.updated_at
                copy.write_row((each.doctype, each.doc_id, each.rev, *times, *keys, each.line))


def documents_batched(documents: Iterable[RestoredDocument]) -> Iterator[list[RestoredDocument]]:
    """Some thousand, or 8 MB of lines, at a time."""
    batch: list[RestoredDocument] = []
    size = 0
    for each in documents:
        batch.append(each)
        size += len(each.line)
        if len(batch) >= _ROWS or size >= _BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _store(cell: Cell, generation: int, batch: list[RestoredDocument], refuse: Callable[[str, str], None]) -> int:
    """What PostgreSQL cannot store (a number beyond its range) is found by halving."""
    try:
        with transaction.atomic():
            return _insert(cell, generation, batch, refuse)
    except _DATA_ERRORS as error:
        if len(batch) == 1:
            refuse(batch[0].where, str(error).partition("\n")[0])
            return 0
    middle = len(batch) // 2
    return sum(_store(cell, generation, half, refuse) for half in (batch[:middle], batch[middle:]))


def _insert(cell: Cell, generation: int, batch: list[RestoredDocument], refuse: Callable[[str, str], None]) -> int:
    documents_stage(batch)
    with connection.cursor() as cursor:
        cursor.execute(_STORE, {"cell": cell.pk, "generation": generation})
        stored = set(cursor.fetchall())
    seen: set[tuple[str, str]] = set()
    for each in batch:
        key = each.doctype, each.doc_id
        if key not in stored or key in seen:
            refuse(each.where, f"the document {each.doctype}/{each.doc_id} is there twice")
        seen.add(key)
    return len(stored)


class VersionItem(NamedTuple):
    """A content that the file at `path` had before. `open` may be called twice."""

    path: str
    mtime: datetime
    open: Opener


def versions_restore(
    *, cell: Cell, generation: int, items: Iterable[VersionItem], tick: Callable[[], object] = lambda: None
) -> int:
    """Old versions of files that the generation has, those of one file together, the oldest first. How many."""
    count, path, number = 0, "", 0
    for item in items:
        tick()
        number = number + 1 if item.path == path else 1
        path = item.path
        with item.open() as content:
            blob = BlobStore().put(content)
        with generation_writing(cell, generation), connection.cursor() as cursor:
            values = {"cell": cell.pk, "generation": generation, "path": path, "version": number, "now": timezone.now()}
            cursor.execute(_VERSION, {**values, "sha256": blob.pk, "size": blob.size, "mtime": item.mtime})
            count += cursor.rowcount
    return count
