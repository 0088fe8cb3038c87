"""What another server offers, in a temporary table of this connection: which contents are here already, which are not.

A content counts as here only if it lies in a cell of the same owner, or came for this very cell in an earlier try: who
names the digest of a stranger's content has to bring the content.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from django.conf import settings
from django.db import connection
from django.utils import timezone

from cells.blobrows import blobs_touch
from cells.blobs import BlobStore
from cells.models import Cell
from exports.models import Received

#: Asked for at once: so many, and so many stored bytes, unless one has more.
BATCH_ROWS, BATCH_BYTES = 20_000, 256 << 20
_PAGE_ROWS = 5_000
#: Of a chunk's line beside what a quota counts.
_PER_LINE = 1024

_CREATE = """
    DROP TABLE IF EXISTS pg_temp.offered;
    CREATE TEMP TABLE offered (n int8 PRIMARY KEY, kind text, sha256 text COLLATE "C", size int8, stored int8,
        encoding text, have bool NOT NULL DEFAULT false)
"""
_COPY = "COPY offered (n, kind, sha256, size, stored, encoding) FROM STDIN"
_KNOWN = """
    CREATE INDEX ON offered (sha256);
    ANALYZE offered;
    UPDATE offered o SET have = true FROM cells_blob b WHERE b.sha256 = o.sha256 AND b.size = o.size AND (
        EXISTS (SELECT FROM exports_received r WHERE r.cell_id = %(cell)s AND r.sha256 = o.sha256)
        OR o.kind = '' AND (
            EXISTS (SELECT FROM cells_file f JOIN cells_cell c ON c.id = f.cell_id
                    WHERE f.sha256 = o.sha256 AND c.owner_id = %(owner)s)
            OR EXISTS (SELECT FROM cells_fileversion v JOIN cells_file f ON f.id = v.file_id
                       JOIN cells_cell c ON c.id = f.cell_id WHERE v.sha256 = o.sha256 AND c.owner_id = %(owner)s)))
"""
_PAGE = "SELECT n, sha256 FROM offered WHERE have AND n > %s ORDER BY n LIMIT %s"
_WANTED = "SELECT n, sha256, size, stored, encoding FROM offered WHERE NOT have ORDER BY n LIMIT %s"
_CHUNKS = "SELECT n, sha256 FROM offered WHERE kind = %s AND n > %s ORDER BY n LIMIT %s"
_HERE = "UPDATE offered SET have = %s WHERE sha256 = ANY(%s)"
_RECEIVED = """
    INSERT INTO exports_received (cell_id, sha256, put_at) SELECT %s, unnest(%s::text[]), %s
    ON CONFLICT (cell_id, sha256) DO UPDATE SET put_at = EXCLUDED.put_at
"""
_RENEWED = "UPDATE exports_received SET put_at = %s WHERE cell_id = %s AND sha256 = ANY(%s)"


class Content(NamedTuple):
    """`size` of the plain bytes, `stored` of those that travel."""

    n: int
    sha256: str
    size: int
    stored: int
    encoding: str


def offered_stage(cell: Cell, rows: Iterable[tuple[int, str, str, int, int, str]]) -> None:
    """Fill the table with (number, kind, SHA-256, size, stored size, encoding), and find what is here."""
    with connection.cursor() as cursor:
        cursor.execute(_CREATE)
        with cursor.copy(_COPY) as copy:
            for row in rows:
                copy.write_row(row)
        cursor.execute(_KNOWN, {"cell": cell.pk, "owner": cell.owner_id})


def offered_size() -> int:
    """Plain bytes that the cell would have to hold at least, whatever the other server says that they are."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT coalesce(sum(size) FILTER (WHERE kind = ''), 0), coalesce(sum(size), 0) FROM offered")
        contents, everything = map(int, cursor.fetchone())
    return max(contents, everything - _PER_LINE * settings.IMPORT_MAX_ENTRIES)


def offered_touch(cell: Cell) -> None:
    """What is here stays until it is referred to; what the store lost is not here. Call outside of a transaction: each
    page locks blobs in an order of its own."""
    last = -1
    while True:
        with connection.cursor() as cursor:
            cursor.execute(_PAGE, [last, _PAGE_ROWS])
            page = cursor.fetchall()
            if not page:
                return
            last = page[-1][0]
            digests = {sha256 for _, sha256 in page}
            known, _ = blobs_touch(digests, BlobStore().root)
            cursor.execute(_RENEWED, [timezone.now(), cell.pk, list(known)])
            if lost := digests - known:
                cursor.execute(_HERE, [False, list(lost)])


def offered_totals() -> tuple[int, int]:
    """(stored bytes in all, stored bytes that are not here)."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT coalesce(sum(stored), 0), coalesce(sum(stored) FILTER (WHERE NOT have), 0) FROM offered")
        total, missing = cursor.fetchone()
    return int(total), int(missing)


def batch_wanted() -> list[Content]:
    """The next that are not here; [] when all are. The same again until they are."""
    batch: list[Content] = []
    size = 0
    with connection.cursor() as cursor:
        cursor.execute(_WANTED, [BATCH_ROWS])
        for row in cursor:
            content = Content(*row)
            if batch and size + content.stored > BATCH_BYTES:
                break
            batch.append(content)
            size += content.stored
    return batch


def batch_received(cell: Cell, batch: list[Content]) -> None:
    """They came, were what they should be, and are in the store. Remembered for another try."""
    digests = [content.sha256 for content in batch]
    with connection.cursor() as cursor:
        cursor.execute(_RECEIVED, [cell.pk, sorted(set(digests)), timezone.now()])
        cursor.execute(_HERE, [True, digests])


def chunks_offered(kind: str) -> Iterator[str]:
    """SHA-256 of the chunks of this kind, in order; page by page, for who lists them says how many there are."""
    last = -1
    while True:
        with connection.cursor() as cursor:
            cursor.execute(_CHUNKS, [kind, last, _PAGE_ROWS])
            page = cursor.fetchall()
        yield from (sha256 for _, sha256 in page)
        if len(page) < _PAGE_ROWS:
            return
        last = page[-1][0]


def received_forget(cell: Cell) -> None:
    """All of it is referred to."""
    Received.objects.filter(cell=cell).delete()
