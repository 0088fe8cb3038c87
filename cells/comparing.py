"""What would change in a cell if its contents were others: compared by digest, beside readers and writers."""

from collections.abc import Iterable
from typing import NamedTuple

from django.db import connection

from cells.models import Cell
from cells.restoring import BODY, RestoredDocument, documents_stage

#: Names told one by one; beyond, only their number.
TOLD = 1_000

_CREATE = """
    DROP TABLE IF EXISTS pg_temp.other_files, pg_temp.other_documents;
    CREATE TEMP TABLE other_files (path text COLLATE "C", is_folder bool, sha256 text COLLATE "C");
    CREATE TEMP TABLE other_documents (doctype text COLLATE "C", doc_id text COLLATE "C", digest text)
"""
_PREPARE = """
    ANALYZE other_files; ANALYZE other_documents
"""
_DROP = "DROP TABLE pg_temp.other_files, pg_temp.other_documents"
_ADD_DOCUMENTS = f"""
    INSERT INTO other_documents SELECT doctype, doc_id, md5(({BODY})::text) FROM documents_restore
"""  # noqa: S608
_HERE = """cells_file f WHERE f.cell_id = %(cell)s AND f.generation = %(generation)s"""
_SAME = "left(f.path, 300) = left(o.path, 300) AND f.path = o.path"
_DOCUMENTS_HERE = "cells_document d WHERE d.cell_id = %(cell)s AND d.generation = %(generation)s"
_SAME_DOCUMENT = "d.doctype = o.doctype AND d.doc_id = o.doc_id"
# Folders that hold something follow from it, and are told of nowhere.
_FILES = {
    "added": f"SELECT o.path FROM other_files o WHERE NOT EXISTS (SELECT FROM {_HERE} AND {_SAME})",  # noqa: S608
    "changed": f"""SELECT o.path FROM other_files o WHERE EXISTS (SELECT FROM {_HERE} AND {_SAME}
        AND (f.is_folder, f.sha256) IS DISTINCT FROM (o.is_folder, o.sha256))""",  # noqa: S608
    "removed": f"""SELECT f.path FROM {_HERE} AND NOT EXISTS (SELECT FROM other_files o WHERE f.path = o.path)
        AND NOT (f.is_folder AND EXISTS (SELECT FROM cells_file c WHERE c.cell_id = f.cell_id
            AND c.generation = f.generation AND left(c.folder, 300) = left(f.path, 300) AND c.folder = f.path))""",  # noqa: S608
}
_DOCUMENTS = {
    "added": f"""SELECT o.doctype || '/' || o.doc_id FROM other_documents o
        WHERE NOT EXISTS (SELECT FROM {_DOCUMENTS_HERE} AND {_SAME_DOCUMENT})""",  # noqa: S608
    "changed": f"""SELECT o.doctype || '/' || o.doc_id FROM other_documents o WHERE EXISTS (
        SELECT FROM {_DOCUMENTS_HERE} AND {_SAME_DOCUMENT} AND md5(d.body::text) <> o.digest)""",  # noqa: S608
    "removed": f"""SELECT d.doctype || '/' || d.doc_id FROM {_DOCUMENTS_HERE}
        AND NOT EXISTS (SELECT FROM other_documents o WHERE {_SAME_DOCUMENT})""",  # noqa: S608
}


class Difference(NamedTuple):
    """How many, and the names of the first thousand in order."""

    files: int
    documents: int
    #: Of files and folders.
    paths: list[str]
    #: `doctype/id`.
    ids: list[str]


class Comparison:
    """Takes in the other contents, then tells the differences: `added`, `changed` and `removed`."""

    def __init__(self, cell: Cell) -> None:
        self._place = {"cell": cell.pk, "generation": cell.generation}
        with connection.cursor() as cursor:
            cursor.execute(_CREATE)

    def add_files(self, files: Iterable[tuple[str, bool, str | None]]) -> None:
        """(path, is folder, SHA-256)."""
        with connection.cursor() as cursor, cursor.copy("COPY other_files FROM STDIN") as copy:
            for row in files:
                copy.write_row(row)

    def add_documents(self, documents: list[RestoredDocument]) -> None:
        """Bounded by the caller."""
        documents_stage(documents)
        with connection.cursor() as cursor:
            cursor.execute(_ADD_DOCUMENTS)

    def differences(self) -> dict[str, Difference]:
        with connection.cursor() as cursor:
            cursor.execute(_PREPARE)
        told = {}
        for kind in _FILES:
            files, paths = self._ask(_FILES[kind])
            documents, ids = self._ask(_DOCUMENTS[kind])
            told[kind] = Difference(files, documents, paths, ids)
        return told

    def close(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute(_DROP)

    def _ask(self, statement: str) -> tuple[int, list[str]]:
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT count(*) FROM ({statement}) x", self._place)  # noqa: S608
            (count,) = cursor.fetchone()
            cursor.execute(f"{statement} ORDER BY 1 LIMIT {TOLD}", self._place)
            return count, [name for (name,) in cursor.fetchall()]
