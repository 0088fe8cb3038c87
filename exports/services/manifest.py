"""A run's manifest in the database: written by COPY, read page by page, never held whole."""

from collections.abc import Iterable, Iterator
from itertools import starmap

from django.db import connection, connections, transaction
from django.db.models import Max
from psycopg import Copy

from cells.blobs import BlobStore
from exports.engine.entries import Entry, Source
from exports.models import RunEntry

COLUMNS = (
    "run_id, ordinal, name, path, mode, mtime, size, crc32, sha256, encoding, stored_size, stored_crc32, "
    "pack_offset, points, asset_id, asset_version, asset_class, missing, document_id"
)
PAGE = """
    SELECT e.ordinal, e.name, e.path, e.mode, e.mtime, e.size, e.crc32, e.sha256, e.encoding, e.stored_size,
           e.stored_crc32, e.pack_offset, {places}
    WHERE e.run_id = %(run)s AND e.ordinal >= %(first)s AND e.ordinal < %(last)s AND e.missing = ''
    ORDER BY e.ordinal
"""
PLACES = """
    coalesce(b.points, e.points), coalesce(%(blobs)s || b.store_file, CASE WHEN e.pack_offset IS NULL THEN ''
    ELSE %(pack)s END), coalesce(b."offset", e.pack_offset, 0), e.asset_id, e.asset_version
    FROM exports_runentry e LEFT JOIN cells_blob b ON b.sha256 = e.sha256 AND e.pack_offset IS NULL
"""
NO_PLACES = "e.points, '', 0, e.asset_id, e.asset_version FROM exports_runentry e"
#: A range request wants few entries and wants them soon; a whole archive wants few queries.
FIRST_PAGE, LARGEST_PAGE = 256, 4096
#: Lines given to COPY at a time.
COPY_LINES = 500
#: Characters of a reason that are kept.
MISSING = 200
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
    asset = "\\N\t\t" if entry.asset_id is None else _asset(entry)
    document = "\\N" if entry.document_id is None else entry.document_id
    missing = entry.missing and entry.missing[:MISSING].translate(ESCAPES)
    return (
        f"{run_id}\t{entry.ordinal}\t{entry.name}\t{path}\t{entry.mode}\t{entry.mtime}\t{entry.size}\t{entry.crc32}\t"
        f"{entry.sha256}\t{entry.encoding}\t{entry.stored_size}\t{entry.stored_crc32}\t{pack}\t"
        f"\\\\x{entry.points.hex()}\t{asset}\t{missing}\t{document}\n"
    )


def _asset(entry: Entry) -> str:
    return f"{entry.asset_id}\t{entry.asset_version.translate(ESCAPES)}\t{entry.asset_class}"


def source(*, run_id: int, pack: str, places: bool = True) -> Source:
    """Reads entries in pages, so that an archive of many hours holds no transaction open.

    Places of blobs are looked up page by page, as packs may be rewritten meanwhile, or for those who read no content
    not at all. `pack`: the run's pack file.
    """
    query = PAGE.format(places=PLACES if places else NO_PLACES)
    where = {"run": run_id, "pack": pack, "blobs": BlobStore().path("")}

    def entries(first: int, last: int) -> Iterator[Entry]:
        size = FIRST_PAGE
        while first < last:
            until = min(first + size, last)
            with connection.cursor() as cursor:
                cursor.execute(query, {**where, "first": first, "last": until})
                rows = cursor.fetchall()
            yield from starmap(Entry, rows)
            first, size = until, min(size * 4, LARGEST_PAGE)

    return entries


def entries_iter(*, run_id: int) -> Iterator[tuple[int, str, int, str, int | None, str, str]]:
    """(ordinal, name, size, sha256, asset id, version, class) of what the archives hold beside their `manifest.json`;
    folders end in "/".

    Each query is bounded on both sides: without statistics, which a new manifest has not got yet, the planner would
    sort all that lies behind an open one, once for each page.
    """
    entries = RunEntry.objects.filter(run_id=run_id)
    closing = entries.aggregate(last=Max("ordinal"))["last"] or 0
    for first in range(0, closing, LARGEST_PAGE):
        until = min(first + LARGEST_PAGE, closing)
        page = entries.filter(ordinal__gte=first, ordinal__lt=until, missing="").order_by("ordinal")
        yield from page.values_list("ordinal", "name", "size", "sha256", "asset_id", "asset_version", "asset_class")


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
        RunEntry.objects.filter(run_id=run_id, ordinal=ordinal).update(missing=reason[:MISSING])
