"""Takes away what nobody refers to and keeps packs dense. May run at any time, beside any reader and writer.

A blob goes when nobody has put it for a day and it was found unreferenced by a sweep at least an hour before, and
before every transaction that is still open: downloads that began while it was still referred to have that hour,
freezes (one transaction each) as long as they need. Files of the store go when no row speaks of them and they are
older than a day.
"""

import logging
import os
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper
from django.utils import timezone

from cells.alone import alone
from cells.blobs import BlobStore
from cells.encoding import Stored
from cells.errors import BlobDamaged
from cells.models import Blob
from cells.storefiles import PACKS, Pack

#: Queries without parameters that give the digests in use; other apps append theirs in `AppConfig.ready`.
REFERENCES = [
    "SELECT sha256 FROM cells_file",
    "SELECT sha256 FROM cells_fileversion",
    "SELECT sha256 FROM cells_snapshotfile",
]

_YOUNG = timedelta(days=1)
_GRACE = timedelta(hours=1)
_OLDEST = """
    SELECT least(%s, min(xact_start)) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
_LOCK = 0x626C6F6273
_NAMES_AT_ONCE = 1000

log = logging.getLogger(__name__)


def blobs_sweep(*, now: datetime | None = None) -> tuple[int, int]:
    """Sweep once; gives (blobs removed, bytes of store files removed). Does nothing while another sweep runs.

    A store whose table of blobs is empty is left alone: that is what a wrong DATABASE_URL looks like.
    """
    now = now or timezone.now()
    with alone(_LOCK) as is_alone:
        if not is_alone or not Blob.objects.exists():
            return 0, 0
        removed = _remove_rows(now)
        store = BlobStore()
        sparse: list[str] = []
        freed = sum(_scan(folder, now, sparse) for folder in _folders(store.root))
        _rewrite(store, sparse)
        return removed, freed


def _remove_rows(now: datetime) -> int:
    used = [f"EXISTS (SELECT 1 FROM ({sql}) used WHERE used.sha256 = b.sha256)" for sql in REFERENCES]  # noqa: S608
    unused = f"NOT ({' OR '.join(used)})".replace("%", "%%")
    old = "b.touched_at <= %(young)s"
    times = {"now": now, "young": now - _YOUNG}
    set_to = "UPDATE cells_blob SET unreferenced_at = {} FROM chosen WHERE cells_blob.sha256 = chosen.sha256"
    with connection.cursor() as cursor:
        cursor.execute(_OLDEST, [now - _GRACE])
        (times["grace"],) = cursor.fetchone()
        _each_chosen(cursor, f"b.unreferenced_at IS NOT NULL AND NOT ({unused})", set_to.format("NULL"), times)
        removed = _each_chosen(
            cursor,
            f"b.unreferenced_at <= %(grace)s AND {old} AND {unused}",
            "DELETE FROM cells_blob USING chosen WHERE cells_blob.sha256 = chosen.sha256",
            times,
        )
        _each_chosen(cursor, f"b.unreferenced_at IS NULL AND {old} AND {unused}", set_to.format("%(now)s"), times)
    return removed


def _each_chosen(cursor: CursorWrapper, condition: str, action: str, times: dict[str, datetime]) -> int:
    # SKIP LOCKED: whoever holds such a row is putting it or referring to it right now.
    chosen = f"SELECT b.sha256 FROM cells_blob b WHERE {condition} FOR UPDATE OF b SKIP LOCKED"  # noqa: S608
    cursor.execute(f"WITH chosen AS MATERIALIZED ({chosen}) {action}", times)
    return cursor.rowcount


def _folders(root: Path) -> list[Path]:
    return sorted(folder for folder in root.iterdir() if folder.is_dir()) if root.exists() else []


def _scan(folder: Path, now: datetime, sparse: list[str]) -> int:
    """Unlink what no row speaks of; gives the bytes freed and adds packs less than half live to `sparse`."""
    freed, oldest = 0, (now - _YOUNG).timestamp()
    with os.scandir(folder) as entries:
        while some := list(islice(entries, _NAMES_AT_ONCE)):
            sizes = {f"{folder.name}/{entry.name}": entry.stat() for entry in some if _is_file(entry)}
            live = _live_bytes(list(sizes))
            for name, stat in sizes.items():
                if name not in live:
                    if stat.st_mtime <= oldest:
                        (folder.parent / name).unlink(missing_ok=True)
                        freed += stat.st_size
                elif folder.name == PACKS and live[name] * 2 < stat.st_size:
                    sparse.append(name)
    return freed


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file(follow_symlinks=False) and entry.stat().st_size >= 0
    except FileNotFoundError:  # a part that was published meanwhile
        return False


def _live_bytes(names: list[str]) -> dict[str, int]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT store_file, sum(stored_size)::int8 FROM cells_blob WHERE store_file = ANY(%s) GROUP BY store_file",
            [names],
        )
        return dict(cursor.fetchall())


def _rewrite(store: BlobStore, sparse: list[str]) -> None:
    """Copy what is live in these packs into new ones; the old ones go with a sweep a day from now."""
    pack, came_from = Pack(store.root), []
    try:
        for name in sparse:
            os.utime(store.path(name))  # from now on: somebody may have looked a place in it up already
            for blob in Blob.objects.filter(store_file=name).order_by("offset"):
                try:
                    body = b"".join(store.open_stored(blob))
                except BlobDamaged as damage:
                    log.error("%s It stays in %s.", damage, name)
                    continue
                if not pack.has_room(len(body)):
                    _move(pack, came_from)
                    pack, came_from = Pack(store.root), []
                pack.append(Stored(*(getattr(blob, field) for field in Stored._fields)), body)
                came_from.append(name)
        _move(pack, came_from)
    finally:
        pack.discard()


def _move(pack: Pack, came_from: list[str]) -> None:
    places = pack.seal()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "WITH new AS MATERIALIZED (SELECT b.sha256, n.at FROM cells_blob b JOIN unnest(%s::text[], %s::text[], "
            "%s::int8[]) AS n (sha256, old, at) ON b.sha256 = n.sha256 AND b.store_file = n.old "
            "ORDER BY b.sha256 FOR UPDATE OF b) "
            'UPDATE cells_blob b SET store_file = %s, "offset" = new.at FROM new WHERE b.sha256 = new.sha256',
            [[place.stored.sha256 for place in places], came_from, [place.offset for place in places], pack.name],
        )
