"""Keeps the words by which searches find their candidates (`cells.models.DocumentTerms`)."""

import time

from django.db import connection, transaction

_LOCK = 0x7465726D73
_DOCUMENTS = 10_000
#: What one call takes at most; the next goes on.
_SECONDS = 60
#: One statement, so one moment: a document that changes after it waits again.
_UPDATE = """
    WITH taken AS MATERIALIZED (
        DELETE FROM cells_waitingterms w USING (SELECT ctid FROM cells_waitingterms LIMIT %(documents)s) t
        WHERE w.ctid = t.ctid RETURNING w.document_id
    ), stored AS (
        INSERT INTO cells_documentterms (document_id, terms)
        SELECT d.id, cells_terms(d.cell_id, d.body,
                                 concat_ws(' ', d.id, split_part(d.rev, '-', 1), d.doctype, d.doc_id))
        FROM cells_document d WHERE d.id IN (SELECT document_id FROM taken)
        ON CONFLICT (document_id) DO UPDATE SET terms = EXCLUDED.terms
    ) SELECT count(*) FROM taken
"""


def terms_update() -> int:
    """Take documents off the queue; how many. Does nothing while another call does it."""
    done, until = 0, time.monotonic() + _SECONDS
    while time.monotonic() < until and (taken := _update_some()):
        done += taken
    return done


def _update_some() -> int:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [_LOCK])
        if not cursor.fetchone()[0]:
            return 0
        cursor.execute(_UPDATE, {"documents": _DOCUMENTS})
        return cursor.fetchone()[0]


def terms_sweep() -> int:
    """Remove the words of documents that were deleted while they were taken off the queue."""
    alive = "SELECT FROM cells_document d WHERE d.id = t.document_id"
    with connection.cursor() as cursor:
        cursor.execute(f"DELETE FROM cells_documentterms t WHERE NOT EXISTS ({alive})")  # noqa: S608
        return cursor.rowcount
