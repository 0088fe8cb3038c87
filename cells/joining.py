"""Two generations of a cell made one: what it shows, and what was imported beside it."""

# ruff: noqa: S608 -- statements are put together of parts that stand here, values are parameters

from enum import StrEnum

from django.db import connection
from django.utils import timezone

from cells.errors import PathTaken
from cells.models import Cell


class Rule(StrEnum):
    """Who wins where both have a file of one path or a document of one name, and they differ."""

    #: A file's old content becomes its version, a document's rev counts on.
    IMPORTED = "imported"
    PRESENT = "present"
    #: The imported one gets a number behind its name.
    BOTH = "both"


#: `a` is imported, `v` is visible.
_FILES = """cells_file a JOIN cells_file v ON v.cell_id = a.cell_id AND v.generation = %(visible)s
    AND left(v.path, 300) = left(a.path, 300) AND v.path = a.path
    WHERE a.cell_id = %(cell)s AND a.generation = %(imported)s"""
_DOCUMENTS = """cells_document a JOIN cells_document v ON v.cell_id = a.cell_id AND v.generation = %(visible)s
    AND v.doctype = a.doctype AND v.doc_id = a.doc_id
    WHERE a.cell_id = %(cell)s AND a.generation = %(imported)s"""

TWO_KINDS = "it is a file in one of cell and archive, and a folder in the other"
_OF_TWO_KINDS = f"SELECT a.path FROM {_FILES} AND a.is_folder <> v.is_folder ORDER BY a.path LIMIT 1"
#: What lies below something that is a file in the cell.
_DROP_BELOW_FILES = f"""
    WITH RECURSIVE gone (path) AS (
        SELECT a.path FROM {_FILES} AND a.is_folder AND NOT v.is_folder
        UNION ALL SELECT a.path FROM gone JOIN cells_file a ON a.cell_id = %(cell)s AND a.generation = %(imported)s
            AND left(a.folder, 300) = left(gone.path, 300) AND a.folder = gone.path
    ) DELETE FROM cells_file a USING gone WHERE a.cell_id = %(cell)s AND a.generation = %(imported)s
      AND left(a.path, 300) = left(gone.path, 300) AND a.path = gone.path
"""
#: The archive's folders stay, for they hold what it brings; they are as the cell has them.
_CONTINUE_FOLDERS = f"""
    UPDATE cells_file f SET mtime = v.mtime, created_at = v.created_at, updated_at = v.updated_at
    FROM (SELECT a.id, v.mtime, v.created_at, v.updated_at FROM {_FILES} AND a.is_folder AND v.is_folder) v
    WHERE f.id = v.id
"""
_DROP_SAME_FILES = (
    f"DELETE FROM cells_file WHERE id IN (SELECT a.id FROM {_FILES} AND NOT (a.is_folder AND v.is_folder))"
)
_DROP_SAME_DOCUMENTS = f"DELETE FROM cells_document WHERE id IN (SELECT a.id FROM {_DOCUMENTS})"
_TAKE_FILES = """
    INSERT INTO cells_file (cell_id, generation, path, folder, is_folder, sha256, size, mtime, executable,
                            content_type, version, created_at, updated_at)
    SELECT v.cell_id, %(imported)s, v.path, v.folder, v.is_folder, v.sha256, v.size, v.mtime, v.executable,
           v.content_type, v.version, v.created_at, v.updated_at
    FROM cells_file v WHERE v.cell_id = %(cell)s AND v.generation = %(visible)s AND NOT EXISTS (
        SELECT FROM cells_file a WHERE a.cell_id = v.cell_id AND a.generation = %(imported)s
                                   AND left(a.path, 300) = left(v.path, 300) AND a.path = v.path)
    ORDER BY v.id
"""
_TAKE_VERSIONS = f"""
    INSERT INTO cells_fileversion (file_id, version, sha256, size, mtime, content_type, created_at)
    SELECT a.id, old.version, old.sha256, old.size, old.mtime, old.content_type, old.created_at
    FROM cells_fileversion old JOIN (SELECT a.id, v.id AS was FROM {_FILES}) a ON old.file_id = a.was
    ON CONFLICT DO NOTHING -- of a file that was written between two statements of the join
"""
_KEEP_VERSIONS = f"""
    INSERT INTO cells_fileversion (file_id, version, sha256, size, mtime, content_type, created_at)
    SELECT a.id, v.version, v.sha256, v.size, v.mtime, v.content_type, %(now)s
    FROM {_FILES} AND NOT a.is_folder AND a.sha256 <> v.sha256
"""
_CONTINUE_FILES = f"""
    UPDATE cells_file f SET created_at = v.created_at, version = v.version + (f.sha256 <> v.sha256)::int,
        content_type = CASE WHEN f.sha256 = v.sha256 THEN v.content_type ELSE f.content_type END,
        updated_at = CASE WHEN (f.sha256, f.mtime, f.executable) = (v.sha256, v.mtime, v.executable)
                     THEN v.updated_at ELSE %(now)s END
    FROM (SELECT a.id, v.sha256, v.mtime, v.executable, v.content_type, v.version, v.created_at, v.updated_at
          FROM {_FILES} AND NOT a.is_folder AND NOT v.is_folder) v WHERE f.id = v.id
"""
_TAKE_DOCUMENTS = """
    INSERT INTO cells_document (cell_id, generation, doctype, doc_id, rev, body, created_at, updated_at)
    SELECT v.cell_id, %(imported)s, v.doctype, v.doc_id, v.rev, v.body, v.created_at, v.updated_at
    FROM cells_document v WHERE v.cell_id = %(cell)s AND v.generation = %(visible)s AND NOT EXISTS (
        SELECT FROM cells_document a WHERE a.cell_id = v.cell_id AND a.generation = %(imported)s
                                       AND a.doctype = v.doctype AND a.doc_id = v.doc_id)
    ORDER BY v.id
"""
_CONTINUE_DOCUMENTS = f"""
    UPDATE cells_document d SET created_at = v.created_at,
        rev = CASE WHEN d.body = v.body THEN v.rev
              ELSE (split_part(v.rev, '-', 1)::bigint + 1) || '-' || md5(d.body::text) END,
        updated_at = CASE WHEN d.body = v.body THEN v.updated_at ELSE %(now)s END
    FROM (SELECT a.id, v.body, v.rev, v.created_at, v.updated_at FROM {_DOCUMENTS}) v WHERE d.id = v.id
"""
_FIND_FILES = f"""
    DROP TABLE IF EXISTS pg_temp.renamed;
    CREATE TEMP TABLE renamed ON COMMIT DROP AS
    SELECT a.id, a.folder, regexp_replace(right(a.path, length(a.path) - length(a.folder)), '^/', '') AS leaf
    FROM {_FILES} AND NOT a.is_folder AND a.sha256 IS DISTINCT FROM v.sha256
"""
_LEAF = r"""regexp_replace(leaf, '^(.+?)(\.[^.]{1,16})?$', '\1')"""
_ENDING = r"""' (' || %(n)s || ')' || regexp_replace(leaf, '^.+?(\.[^.]{1,16})?$', '\1')"""
#: Cut at the end of its stem: a character has a byte at least, so that what is left is never too long.
_NUMBERED = f"""left({_LEAF}, greatest(1, length({_LEAF}) - greatest(0, octet_length({_LEAF} || {_ENDING}) - 255)))
    || {_ENDING}"""
_RENAME_FILES = f"""
    WITH free AS (
        SELECT DISTINCT ON (path) r.id, path FROM (
            SELECT id, CASE folder WHEN '' THEN '' ELSE folder || '/' END || {_NUMBERED} AS path FROM renamed) r
        WHERE NOT EXISTS (SELECT FROM cells_file o WHERE o.cell_id = %(cell)s
            AND o.generation IN (%(visible)s, %(imported)s) AND left(o.path, 300) = left(r.path, 300)
            AND o.path = r.path)
        ORDER BY path, r.id
    ), done AS (UPDATE cells_file f SET path = free.path FROM free WHERE f.id = free.id RETURNING f.id)
    DELETE FROM renamed USING done WHERE renamed.id = done.id
"""
_FIND_DOCUMENTS = f"""
    DROP TABLE IF EXISTS pg_temp.renamed;
    CREATE TEMP TABLE renamed ON COMMIT DROP AS
    SELECT a.id, a.doctype, a.doc_id FROM {_DOCUMENTS} AND a.body <> v.body
"""
_RENAME_DOCUMENTS = """
    WITH free AS (
        SELECT DISTINCT ON (r.doctype, r.new_id) r.id, r.new_id FROM (
            SELECT id, doctype, left(doc_id, 240) || ' (' || %(n)s || ')' AS new_id FROM renamed) r
        WHERE NOT EXISTS (SELECT FROM cells_document o WHERE o.cell_id = %(cell)s
            AND o.generation IN (%(visible)s, %(imported)s) AND o.doctype = r.doctype AND o.doc_id = r.new_id)
        ORDER BY r.doctype, r.new_id, r.id
    ), done AS (UPDATE cells_document d SET doc_id = free.new_id FROM free WHERE d.id = free.id RETURNING d.id)
    DELETE FROM renamed USING done WHERE renamed.id = done.id
"""


def generations_join(*, cell: Cell, imported: int, rule: Rule) -> None:
    """Bring what the cell shows into `imported`, in the caller's transaction. Raises PathTaken.

    Where one has a file and the other a folder, they can only be joined if the present one wins. The cell may be
    written meanwhile: what is, has to be brought over afterwards (`cells.catching_up`).
    """
    place = {"cell": cell.pk, "visible": cell.generation, "imported": imported, "now": timezone.now()}
    with connection.cursor() as cursor:
        cursor.execute(_OF_TWO_KINDS, place)
        if rule is not Rule.PRESENT and (row := cursor.fetchone()):
            raise PathTaken(path=row[0], reason=TWO_KINDS)
        if rule is Rule.BOTH:
            for find, rename in ((_FIND_FILES, _RENAME_FILES), (_FIND_DOCUMENTS, _RENAME_DOCUMENTS)):
                _number(find, rename, place)
        if rule is Rule.IMPORTED:
            steps = [_KEEP_VERSIONS, _CONTINUE_FILES, _CONTINUE_DOCUMENTS]
        else:
            steps = [_DROP_BELOW_FILES, _DROP_SAME_FILES, _DROP_SAME_DOCUMENTS]
        for statement in (*steps, _CONTINUE_FOLDERS, _TAKE_FILES, _TAKE_VERSIONS, _TAKE_DOCUMENTS):
            cursor.execute(statement, place)


def _number(find: str, rename: str, place: dict[str, object]) -> None:
    """` (2)`, ` (3)` … for each that differs, the first that is free."""
    with connection.cursor() as cursor:
        cursor.execute(find, place)
        cursor.execute("SELECT count(*) FROM renamed")
        (left,), n = cursor.fetchone(), 2
        while left:
            cursor.execute(rename, {**place, "n": str(n)})
            left, n = left - cursor.rowcount, n + 1
