"""Rows of blobs: which contents are known, and new ones."""

from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

from django.db import connection, transaction
from django.utils import timezone

from cells.storefiles import PACKS, Place

#: A row touched within this time needs no other touch.
_FRESH = timedelta(hours=1)

#: So many rows come as parameters; more come by COPY, which then is twice as fast.
_FEW = 200

_COLUMNS = {
    "sha256": "text",
    "size": "int8",
    "crc32": "int8",
    "encoding": "text",
    "stored_size": "int8",
    "stored_crc32": "int8",
    "points": "bytea",
    "store_file": "text",
    "offset": "int8",
}
_NAMES = ", ".join(f'"{name}"' for name in _COLUMNS)
_PARAMETERS = f"unnest({', '.join(f'%({name})s::{kind}[]' for name, kind in _COLUMNS.items())}) AS blob_new ({_NAMES})"
_TABLE = f"""CREATE TEMP TABLE blob_new ({", ".join(f'"{name}" {kind}' for name, kind in _COLUMNS.items())})
    ON COMMIT DROP"""
_COPY = "COPY blob_new FROM STDIN (FORMAT binary)"
#: What lies in a broken store file moves to its new place; all else keeps the place it has.
_MOVES = ", ".join(
    f'"{name}" = CASE WHEN b.store_file = ANY(%(broken)s) THEN EXCLUDED."{name}" ELSE b."{name}" END'
    for name in ("encoding", "stored_size", "stored_crc32", "points", "store_file", "offset")
)
_INSERT = f"""
    INSERT INTO cells_blob AS b ({_NAMES}, touched_at)
    SELECT blob_new.*, %(now)s FROM {{source}} ORDER BY sha256 COLLATE "C"
    ON CONFLICT (sha256) DO UPDATE SET touched_at = EXCLUDED.touched_at, unreferenced_at = NULL, {_MOVES}
    RETURNING b.sha256, b.store_file
"""  # noqa: S608


def blobs_touch(digests: Iterable[str], root: Path) -> tuple[set[str], set[str]]:
    """Of these digests, those that need not be written; the sweeper will leave them alone for 23 hours at least.

    Also gives the store files found missing or too short for what a row says; what lies there must be written again.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            'SELECT sha256, store_file, "offset", stored_size, touched_at, unreferenced_at '
            "FROM cells_blob WHERE sha256 = ANY(%s)",
            [list(digests)],
        )
        rows = cursor.fetchall()
    fresh = timezone.now() - _FRESH
    sizes: dict[str, int] = {}
    known: set[str] = set()
    broken: set[str] = set()
    stale: list[str] = []
    for digest, store_file, offset, stored_size, touched_at, unreferenced_at in rows:
        if store_file not in sizes:
            sizes[store_file] = _length(root / store_file)
        if sizes[store_file] < offset + stored_size:
            broken.add(store_file)
        elif touched_at < fresh or unreferenced_at:
            stale.append(digest)
        else:
            known.add(digest)
    return known.union(_renew(stale)), broken


def _renew(digests: list[str]) -> list[str]:
    """Touch these; gives those still there, since the sweeper may have taken some after they were looked up."""
    if not digests:
        return []
    with connection.cursor() as cursor:
        # Locked in order, as in blobs_insert: two batches of the same contents must not wait for each other in a ring.
        cursor.execute(
            "WITH held AS (SELECT sha256 FROM cells_blob WHERE sha256 = ANY(%s) ORDER BY sha256 FOR UPDATE) "
            "UPDATE cells_blob b SET touched_at = %s, unreferenced_at = NULL FROM held WHERE b.sha256 = held.sha256 "
            "RETURNING b.sha256",
            [digests, timezone.now()],
        )
        return [digest for (digest,) in cursor.fetchall()]


def blobs_insert(places: list[Place], broken: set[str], root: Path) -> None:
    """Make rows of named store files; where another process was first, its place stays and a file of ours goes."""
    if not places:
        return
    rows = [(*place.stored, place.store_file, place.offset) for place in places]
    when = {"broken": list(broken), "now": timezone.now()}
    with transaction.atomic(), connection.cursor() as cursor:
        if len(rows) <= _FEW:
            columns = zip(*rows, strict=True)
            cursor.execute(
                _INSERT.format(source=_PARAMETERS), dict(zip(_COLUMNS, map(list, columns), strict=True)) | when
            )
        else:
            cursor.execute(_TABLE)
            with cursor.copy(_COPY) as copy:
                copy.set_types(list(_COLUMNS.values()))
                for row in rows:
                    copy.write_row(row)
            cursor.execute(_INSERT.format(source="blob_new"), when)
        kept = dict(cursor.fetchall())
        if len(rows) > _FEW:
            cursor.execute("DROP TABLE blob_new")
    for place in places:
        if kept[place.stored.sha256] != place.store_file and not place.store_file.startswith(PACKS):
            (root / place.store_file).unlink()


def _length(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return -1
