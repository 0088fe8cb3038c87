"""Opening what a run has on offer: passkeys, and archives and files as bytes of known length."""

import base64
import hmac
import mimetypes
import os
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from exports.engine import volumes
from exports.engine.contents import CHUNK, Contents
from exports.engine.entries import Body, Entry, Form
from exports.engine.formats import FORMATS
from exports.errors import EntryNotFound, PasskeyInvalid, VolumeNotFound
from exports.models import Export, Run, Volume
from exports.services import lifecycle, planning, store

#: An archive that somebody reads does not expire; how often the reader says so.
READING_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Opened:
    """Something to be sent. `chunks(start, end)` gives bytes [start, end) of `length`, in pieces."""

    name: str
    length: int
    #: Without quotes; strong.
    etag: str
    content_type: str
    modified: datetime
    chunks: Callable[[int, int], Iterator[bytes]]
    #: Of a stored volume, relative to the folder of volumes: a proxy may send it itself.
    store_file: str = ""
    #: (id, version) of a single file that v1 calls an asset.
    asset: tuple[int, str] | None = None


def passkey(*, export: Export) -> str:
    """43 url-safe characters that open the archives of this export to whoever knows them; see design §6."""
    if not settings.SECRET_KEY:
        raise PasskeyInvalid()
    text = f"passkey:{export.pk}:".encode() + bytes(export.passkey_nonce)
    digest = hmac.digest(settings.SECRET_KEY.encode(), text, "sha256")
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def passkey_renew(*, export: Export, user: User) -> None:
    """From now on every link given out so far opens nothing; `passkey` gives the new one."""
    with transaction.atomic():
        Export.objects.filter(pk=export.pk).update(passkey_nonce=secrets.token_bytes(32))
        lifecycle.event_write(type="EXPORT_LINKS_RENEWED", export=export, user=user)
    export.refresh_from_db(fields=["passkey_nonce"])


def export_by_passkey(*, export_id: int, given: str) -> Export:
    """Raises PasskeyInvalid for an unknown export as for a wrong passkey, after the same work."""
    export = Export.objects.filter(pk=export_id).first()
    right = passkey(export=export or Export(pk=0, passkey_nonce=b""))
    if not hmac.compare_digest(right.encode(), given.encode()) or export is None:
        raise PasskeyInvalid()
    return export


def volume_find(*, run: Run, extension: str, number: int | None) -> Volume:
    """The volume that a download name means: `zip`, `tar`, `tar.gz` or `tar.bz2`, and perhaps a part number.

    Among several packers of one format the ones that the export ordered go before the default one; a name with a
    number goes to the packer that splits.
    """
    ordered = [*run.order.get("packers", ()), *run.order.get("delivered", ())]
    for packer in dict.fromkeys((*ordered, *planning.DEFAULT_PACKERS)):
        if FORMATS[planning.PACKERS[packer].format].extension != f".{extension}":
            continue
        rows = run.volumes.filter(packer=packer)
        volume = rows.filter(number=number, of__gt=1).first() if number else rows.filter(number=1, of=1).first()
        if volume:
            return volume
    raise VolumeNotFound(name=f"{number}.{extension}" if number else extension)


def open_volume(*, volume: Volume, name: str) -> Opened:
    run = volume.run
    kind = FORMATS[planning.volume_format(volume)]
    if volume.store_file:
        path = store.volume_path(volume)
        chunks = _reading(run, volume, lambda start, end: _read_file(path, start, end))
    elif volume.length is None:
        raise VolumeNotFound(name=name)
    else:
        plan, source = planning.volume_plan(run, volume), planning.run_source(run)
        chunks = _reading(run, volume, lambda start, end: volumes.stream(plan, source, start, end))
    return Opened(
        name=name,
        length=volume.length,
        etag=volume.etag,
        content_type=kind.content_type,
        modified=run.frozen_at,
        chunks=chunks,
        store_file=volume.store_file,
    )


def open_selection(*, run: Run, path: str, format: str, name: str) -> Opened:
    """The whole run (path ""), one folder or one file of it as an archive made on the fly, with exact length.

    Holds just what was asked for, without `manifest.json`. Raises EntryNotFound.
    """
    prefix, strip = "", 0
    if path:
        first, last = planning.selection_range(run, path + "/")
        folder = first < last
        if not folder:
            first, last = planning.selection_range(run, path)
        if first == last:
            raise EntryNotFound(what="file or folder", path=path)
        prefix, strip = path + "/" if folder else path, path.rfind("/") + 1
    volume = planning.selection_plan(run, prefix=prefix, strip=strip, packer=f"{format}:{prefix}", format=format)
    return open_volume(volume=volume, name=name)


def open_entry(*, run: Run, path: str) -> Opened:
    """One file of the run, plain. Raises EntryNotFound."""
    first, last = planning.selection_range(run, path) if path and not path.endswith("/") else (0, 0)
    entry = next(planning.run_source(run)(first, last), None)
    if entry is None:
        raise EntryNotFound(what="file", path=path)
    leaf = entry.name.rsplit("/", 1)[-1]
    return Opened(
        name=leaf,
        length=entry.size,
        etag=entry.sha256,
        content_type=mimetypes.guess_type(leaf)[0] or "application/octet-stream",
        modified=datetime.fromtimestamp(entry.mtime / 1e6, UTC),
        chunks=_reading(run, None, lambda start, end: _read_entry(entry, start, end)),
        asset=None if entry.asset_id is None else (entry.asset_id, entry.asset_version),
    )


def _reading(
    run: Run, volume: Volume | None, chunks: Callable[[int, int], Iterator[bytes]]
) -> Callable[[int, int], Iterator[bytes]]:
    """`chunks`, noting now and then that somebody still reads: retention waits for them."""

    def read(start: int, end: int) -> Iterator[bytes]:
        noted = -READING_SECONDS
        for chunk in chunks(start, end):
            if monotonic() - noted > READING_SECONDS:
                noted = monotonic()
                Run.objects.filter(pk=run.pk).update(last_read_at=timezone.now())
            yield chunk

    return read


def _read_entry(entry: Entry, start: int, end: int) -> Iterator[bytes]:
    with Contents() as contents:
        yield from contents.chunks(Body(entry, Form.PLAIN, entry.size), start, end)


def _read_file(path: str, start: int, end: int) -> Iterator[bytes]:
    with open(path, "rb", buffering=0) as file:
        while start < end and (chunk := os.pread(file.fileno(), min(CHUNK, end - start), start)):
            yield chunk
            start += len(chunk)
