"""Writing documents: one, or any number of lines of NDJSON in constant memory."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import psycopg
from django.db import DataError, connection, transaction
from django.utils import timezone

from cells.conditions import conditions_check
from cells.errors import DocumentNotFound, DocumentRefused, QuotaExceeded
from cells.lines import Line, Refusal, batches, checked_json
from cells.models import Cell, Document
from cells.quota import cell_writing
from cells.validators import doctype_name, document_id

#: Refusals told one by one; beyond, only their number.
TOLD_REFUSALS = 1000

_STAGE = """
    DROP TABLE IF EXISTS pg_temp.documents_stage;
    CREATE TEMP TABLE documents_stage (line bigint PRIMARY KEY, doctype text COLLATE "C", doc_id text COLLATE "C",
                                       deleted boolean, entry jsonb);
    ALTER TABLE documents_stage ALTER entry SET STORAGE EXTERNAL
"""
_COPY = "COPY documents_stage FROM STDIN"
_REV = "(split_part(d.rev, '-', 1)::bigint + 1) || '-' || split_part(EXCLUDED.rev, '-', 2)"
_STORE = f"""
    INSERT INTO cells_document AS d (cell_id, generation, doctype, doc_id, rev, body, created_at, updated_at)
    SELECT %(cell)s, %(generation)s, doctype, doc_id, '1-' || md5(body::text), body, %(now)s, %(now)s
    FROM chosen WHERE NOT deleted
    ON CONFLICT (cell_id, generation, doctype, doc_id)
    DO UPDATE SET rev = {_REV}, body = EXCLUDED.body, updated_at = EXCLUDED.updated_at
    RETURNING d.rev, xmax = 0 AS created
"""  # noqa: S608
# The deletion asks for one id after the other: a join could be planned as a walk through the whole cell per batch.
_MERGE = f"""
    WITH chosen AS MATERIALIZED (
        SELECT DISTINCT ON (doctype, doc_id) doctype, doc_id, deleted, entry -> 'body' AS body
        FROM documents_stage WHERE line > %(after)s AND line <= %(last)s ORDER BY doctype, doc_id, line DESC
    ), gone AS (
        DELETE FROM cells_document WHERE id = ANY(ARRAY(
            SELECT (SELECT d.id FROM cells_document d WHERE d.cell_id = %(cell)s AND d.generation = %(generation)s
                    AND d.doctype = c.doctype AND d.doc_id = c.doc_id)
            FROM chosen c WHERE c.deleted)) RETURNING 1
    ), stored AS ({_STORE})
    SELECT (SELECT count(*) FROM stored WHERE created), (SELECT count(*) FROM stored WHERE NOT created),
           (SELECT count(*) FROM gone)
"""  # noqa: S608
_PUT = f"""
    WITH chosen AS (
        SELECT %(doctype)s AS doctype, %(doc_id)s AS doc_id, false AS deleted, %(body)s::jsonb AS body
    ) {_STORE}
"""


@dataclass
class DocumentsReport:
    """What became of the lines. `refused` holds the first 1,000 refusals, `refused_count` counts all."""

    created: int = 0
    updated: int = 0
    deleted: int = 0
    refused_count: int = 0
    refused: list[dict[str, Any]] = field(default_factory=list)

    def refuse(self, line: int, error: str) -> None:
        self.refused_count += 1
        if len(self.refused) < TOLD_REFUSALS:
            self.refused.append({"line": line, "error": error})


def documents_put(*, cell: Cell, lines: Iterable[bytes], atomic: bool = True) -> DocumentsReport:
    """Stores and deletes documents, a JSON object a line:

        {"doctype", "id"?, "body"}            a missing id is made up; `rev` may be there and is not looked at
        {"doctype", "id", "deleted": true}    deleting what is not there does nothing

    Of several lines for one id the last wins. With `atomic`, one refused line means that nothing is stored; the cell is
    held only after the last line has come. Without, each batch is stored for itself. Raises QuotaExceeded (atomic).
    """
    report = DocumentsReport()
    stage = _Stage(cell, report)
    with connection.cursor() as cursor:
        cursor.execute(_STAGE)
    for batch in batches(lines, report.refuse):
        if not atomic:
            stage.copy(batch)
            stage.merge_or_refuse()
        elif not report.refused_count:
            stage.copy(batch)
    if atomic and not report.refused_count:
        stage.merge()
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE pg_temp.documents_stage")
    return report


def document_put(
    *,
    cell: Cell,
    doctype: str,
    doc_id: str,
    body: bytes,
    if_match: Collection[str] | None = None,
    if_none_match: Collection[str] | None = None,
) -> tuple[str, bool]:
    """Stores one document; gives its new rev and whether it is new. Conditions are revs, or "*"."""
    doctype, doc_id = doctype_name(doctype), document_id(doc_id)
    try:
        if not isinstance(checked_json(body), dict):
            raise Refusal("the body is no object")
    except Refusal as refusal:
        raise DocumentRefused(line=1, reason=refusal) from refusal
    with cell_writing(cell) as locked:
        _check_rev(locked, doctype, doc_id, if_match, if_none_match)
        params = {"cell": locked.pk, "generation": locked.generation, "doctype": doctype, "doc_id": doc_id}
        with connection.cursor() as cursor:
            try:
                cursor.execute(_PUT, {**params, "body": body.decode(), "now": timezone.now()})
            except _DATA_ERRORS as error:
                raise DocumentRefused(line=1, reason=_first_line(error)) from error
            rev, created = cursor.fetchone()
    return rev, created


def document_delete(*, cell: Cell, doctype: str, doc_id: str, if_match: Collection[str] | None = None) -> None:
    with cell_writing(cell) as locked:
        _check_rev(locked, doctype, doc_id, if_match, None)
        removed, _ = _documents(locked, doctype, doc_id).delete()
    if not removed:
        raise DocumentNotFound(doctype=doctype, doc_id=doc_id)


def _documents(cell: Cell, doctype: str, doc_id: str) -> Any:
    if "\0" in doctype + doc_id:
        return Document.objects.none()
    return Document.objects.filter(cell=cell, generation=cell.generation, doctype=doctype, doc_id=doc_id)


def _check_rev(
    cell: Cell, doctype: str, doc_id: str, if_match: Collection[str] | None, if_none_match: Collection[str] | None
) -> None:
    if if_match is None and if_none_match is None:
        return
    rev = _documents(cell, doctype, doc_id).values_list("rev", flat=True).first()
    conditions_check(rev, if_match, if_none_match)


_DATA_ERRORS = (psycopg.DataError, DataError)


class _Stage:
    """Lines wait in a temporary table, so that the cell is not held while they arrive."""

    def __init__(self, cell: Cell, report: DocumentsReport) -> None:
        self._cell, self._report = cell, report
        #: The last line of each batch that waits.
        self._ends: list[int] = []

    def copy(self, rows: list[Line]) -> None:
        """What PostgreSQL cannot store (a number beyond its range) is found by halving, and refused by itself."""
        if not rows:
            return
        try:
            with transaction.atomic(), connection.cursor() as cursor, cursor.copy(_COPY) as copy:
                for row in rows:
                    copy.write_row(row)
        except _DATA_ERRORS as error:
            if len(rows) == 1:
                self._report.refuse(rows[0].number, _first_line(error))
                return
            middle = len(rows) // 2
            self.copy(rows[:middle])
            self.copy(rows[middle:])
            return
        self._ends.append(rows[-1].number)

    def merge(self) -> None:
        counts = [0, 0, 0]
        with cell_writing(self._cell) as cell, connection.cursor() as cursor:
            params = {"cell": cell.pk, "generation": cell.generation, "now": timezone.now()}
            for after, last in pairwise([0, *self._ends]):
                cursor.execute(_MERGE, {**params, "after": after, "last": last})
                counts = [count + more for count, more in zip(counts, cursor.fetchone(), strict=True)]
        self._report.created += counts[0]
        self._report.updated += counts[1]
        self._report.deleted += counts[2]

    def merge_or_refuse(self) -> None:
        """One batch for itself; what the quota has no room for is refused, the next batch may fit again."""
        try:
            self.merge()
        except QuotaExceeded as error:
            with connection.cursor() as cursor:
                cursor.execute("SELECT line FROM documents_stage ORDER BY line")
                for (line,) in cursor.fetchall():
                    self._report.refuse(line, str(error))
        self._ends.clear()
        with connection.cursor() as cursor:
            cursor.execute("TRUNCATE documents_stage")


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
