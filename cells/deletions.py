"""What was in cells and is there no longer: remembered for a while, by triggers (`migrations/0006_deletions.py`) and
when another generation is switched to."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, NamedTuple

from django.db import connection

from cells.models import Cell, Deletion

_GONE = """
    SELECT c.name, x.doctype, x.name, max(x.object_id), (extract(epoch FROM max(x.deleted_at)) * 1000000)::bigint
    FROM cells_deletion x JOIN cells_cell c ON c.id = x.cell_id
    WHERE x.cell_id = ANY(%(cells)s::bigint[]) AND x.deleted_at >= %(since)s AND CASE
        WHEN x.doctype = '' THEN %(files)s AND NOT EXISTS (
            SELECT FROM cells_file f WHERE f.cell_id = x.cell_id AND f.generation = c.generation
                AND left(f.path, 300) = left(rtrim(x.name, '/'), 300) AND f.path = rtrim(x.name, '/')
                AND f.is_folder = (right(x.name, 1) = '/'))
        ELSE (%(doctypes)s::text[] IS NULL OR x.doctype = ANY(%(doctypes)s::text[])) AND NOT EXISTS (
            SELECT FROM cells_document d WHERE d.cell_id = x.cell_id AND d.generation = c.generation
                AND d.doctype = x.doctype AND d.doc_id = x.name) END
    GROUP BY c.name, x.doctype, x.name ORDER BY c.name, x.doctype, x.name
"""
_LEFT = """
    INSERT INTO cells_deletion (cell_id, doctype, name, object_id, deleted_at)
    SELECT d.cell_id, d.doctype, d.doc_id, d.id, clock_timestamp()
    FROM cells_document d JOIN cells_cell c ON c.id = d.cell_id AND c.generation = d.generation
    WHERE d.cell_id = %(cell)s AND (%(since)s::timestamptz IS NULL OR d.updated_at >= %(since)s) AND NOT EXISTS (
        SELECT FROM cells_document n WHERE n.cell_id = d.cell_id AND n.generation = %(generation)s
                                           AND n.doctype = d.doctype AND n.doc_id = d.doc_id)
    UNION ALL
    SELECT f.cell_id, '', f.path || CASE WHEN f.is_folder THEN '/' ELSE '' END, NULL, clock_timestamp()
    FROM cells_file f JOIN cells_cell c ON c.id = f.cell_id AND c.generation = f.generation
    WHERE f.cell_id = %(cell)s AND (%(since)s::timestamptz IS NULL OR f.updated_at >= %(since)s) AND NOT EXISTS (
        SELECT FROM cells_file n WHERE n.cell_id = f.cell_id AND n.generation = %(generation)s AND n.path = f.path
                                       AND left(n.path, 300) = left(f.path, 300) AND n.is_folder = f.is_folder)
"""
_ROWS = 2000


class Gone(NamedTuple):
    """A document, or with a doctype of "" a file or, ending in a slash, a folder."""

    cell: str
    doctype: str
    name: str
    #: A document's `_system_object_id`.
    object_id: int | None
    #: In µs.
    deleted_at: int


def deletions_iter(
    reader: Any, cells: list[int], since: datetime, *, files: bool, doctypes: list[str] | None
) -> Iterator[Gone]:
    """What left these cells then or later and has not come back, by cell, doctype and name; each once. `files`: those
    too. `doctypes`: of documents only these, None is all."""
    values = {"cells": cells, "since": since, "files": files, "doctypes": doctypes}
    with reader.cursor(name="deletions", binary=True) as cursor:
        cursor.itersize = _ROWS
        yield from map(Gone._make, cursor.execute(_GONE, values))


def deletions_note(*, cell: Cell, generation: int, since: datetime | None = None) -> None:
    """Remember what the visible generation has and `generation` has not; of what was written then or later.

    Too much does no harm: who reads leaves out what is there.
    """
    with connection.cursor() as cursor:
        # Before the time is taken: by this id an export of changes knows that somebody is writing
        # (`exports.services.incremental`).
        cursor.execute("SELECT pg_current_xact_id()")
        cursor.execute(_LEFT, {"cell": cell.pk, "generation": generation, "since": since})


def deletions_forget(*, before: datetime) -> int:
    old = Deletion.objects.filter(deleted_at__lt=before)
    return old._raw_delete(old.db)
