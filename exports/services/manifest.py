"""A run's manifest in the database: written by COPY, read page by page, never held whole."""

from collections.abc import Iterable, Iterator

from django.db import connection, connections, transaction
from django.db.models import Max
from psycopg import Copy

from cells.blobs import BlobStore
from exports.engine.entries import Entry, Source
from exports.models import RunEntry

COLUMNS = (
    "run_id, ordinal, name, path, mode, mtime, size, crc32, sha256, encoding, stored_size, stored_crc32, "
    "pack_offset, points"
)
PAGE = """
    SELECT e.ordinal, e.name, e.path, e.mode, e.mtime, e.size, e.crc32, e.sha256, e.encoding, e.stored_size,
           e.stored_crc32, e.pack_offset, coalesce(b.points, e.points), b.store_file,
           coalesce(b."offset", e.pack_offset)
    FROM exports_runentry e
    LEFT JOIN cells_blob b ON b.sha256 = e.sha256 AND e.pack_offset IS NULL
    WHERE e.run_id = %s AND e.ordinal >= %s AND e.ordinal < %s AND e.missing = ''
    ORDER BY e.ordinal
"""
#: A range request wants few entries and wants them soon; a whole archive wants few queries.
FIRST_PAGE, LARGEST_PAGE = 256, 4096
#: Lines given to COPY at a time.
COPY_LINES = 500
ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


def manifest_write(*, run_id: int, entries: Iterable[Entry]) -> int:
    """Store entries by one COPY: all of them, or none. How many they were.

    On a connection of its own, so that `entries` may use the common one while it is asked for the next entry.
    """
    own = connections["default"].copy()
    try:
        with own.cursor() as cursor, cursor.copy(f"COPY exports_runentry ({COLUMNS}) FROM STDIN") as copy:
            return _copy(copy, run_id, entries)
    finally:
        own.close()


def _copy(copy: Copy, run_id: int, entries: Iterable[Entry]) -> int:
    count = 0
    held: list[str] = []
    for entry in entries:
        held.append(_line(run_id, entry))
        count += 1
        if len(held) == COPY_LINES:
            copy.write("".join(held))
            held.clear()
    copy.write("".join(held))
    return count


def _line(run_id: int, entry: Entry) -> str:
    path = "\\N" if entry.path is None else entry.path.translate(ESCAPES)
    pack = "\\N" if entry.pack_offset is None else entry.pack_offset
    return (
        f"{run_id}\t{entry.ordinal}\t{entry.name}\t{path}\t{entry.mode}\t{entry.mtime}\t{entry.size}\t{entry.crc32}\t"
        f"{entry.sha256}\t{entry.encoding}\t{entry.stored_size}\t{entry.stored_crc32}\t{pack}\t"
        f"\\\\x{entry.points.hex()}\n"
    )


def source(*, run_id: int, pack: str) -> Source:
    """Reads entries in pages, so that an archive of many hours holds no transaction open.

    Places of blobs are looked up page by page, as packs may be rewritten meanwhile. `pack`: the run's pack file.
    """
    store = BlobStore()

    def entries(first: int, last: int) -> Iterator[Entry]:
        size = FIRST_PAGE
        while first < last:
            until = min(first + size, last)
            for row in _page(run_id, first, until):
                if row[11] is not None:
                    yield Entry(*row[:13], pack, row[14])
                elif row[13] is None:
                    yield Entry(*row[:13])
                else:
                    yield Entry(*row[:13], store.path(row[13]), row[14])
            first, size = until, min(size * 4, LARGEST_PAGE)

    return entries


def _page(run_id: int, first: int, last: int) -> list[tuple]:
    with connection.cursor() as cursor:
        cursor.execute(PAGE, [run_id, first, last])
        return cursor.fetchall()


def entries_iter(*, run_id: int) -> Iterator[tuple[int, str, int, str]]:
    """(ordinal, name, size, sha256) of what the archives hold beside their `manifest.json`; folders end in "/".

    Each query is bounded on both sides: without statistics, which a new manifest has not got yet, the planner would
    sort all that lies behind an open one, once for each page.
    """
    entries = RunEntry.objects.filter(run_id=run_id)
    closing = entries.aggregate(last=Max("ordinal"))["last"] or 0
    for first in range(0, closing, LARGEST_PAGE):
        until = min(first + LARGEST_PAGE, closing)
        page = entries.filter(ordinal__gte=first, ordinal__lt=until, missing="").order_by("ordinal")
        yield from page.values_list("ordinal", "name", "size", "sha256")


def missing_iter(*, run_id: int) -> Iterator[tuple[str, str]]:
    """(path in the cell, reason) of what could not go into the archives."""
    rows = RunEntry.objects.filter(run_id=run_id).exclude(missing="").order_by("ordinal")
    for path, name, reason in rows.values_list("path", "name", "missing").iterator():
        yield path or name, reason


@transaction.atomic
def manifest_clear(*, run_id: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM exports_runentry WHERE run_id = %s", [run_id])


def missing_mark(*, run_id: int, damaged: dict[int, str]) -> None:
    """Take entries out of the archives to be, with the reason. Bounded by what is damaged, which the engine listed."""
    for ordinal, reason in damaged.items():
        RunEntry.objects.filter(run_id=run_id, ordinal=ordinal).update(missing=reason[:200])
