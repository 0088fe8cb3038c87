"""Parts of an export that another server holds: fetched into files, and gone on with after a cut."""

import hashlib
import os
import shutil
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import BinaryIO

import httpx
from django.conf import settings

from exports.engine.volumes import named
from exports.errors import ArchiveTooLarge, MoveNotFound
from exports.services import move_links, store
from exports.services.move_links import Manifest
from exports.transports.base import TransportError
from exports.transports.http import require

#: Tries without a byte of progress, and pauses between them; a try that brings something begins the count anew.
TRIES = 8
_PAUSES = (0.2, 0.5, 1, 2, 5, 10, 20)
#: IMPORT_LINK_RATE is asked for over so long: shorter than that, a server may also be silent.
WINDOW_SECONDS = 600.0
#: Of one answer: a server may have to make the part first.
HEADER_SECONDS = 300.0


def folder_of(cell: str, url: str) -> Path:
    """Where the parts of this export are put: the same for a second try, which fetches only what is missing."""
    return store.folder("imports") / f"move-{hashlib.sha256(f'{cell} {url}'.encode()).hexdigest()[:40]}"


def parts_fetch(manifest: Manifest, *, cell: str, most: int, tick: Callable[[int], object]) -> list[Path]:
    """Every part, whole, for an import into `cell`. Raises MoveNotFound, TransportError, ArchiveTooLarge, NoSpace.

    `most`: bytes that all may have together; `tick` hears of bytes, and may raise to stop.
    """
    patience = Patience(tick)
    folder = folder_of(cell, manifest.url)
    folder.mkdir(exist_ok=True)
    found, left = [], most
    for number in range(len(manifest.cursors) + 1):
        path = folder / f"part{number:03}.zip"
        if not path.exists():
            _fetch(manifest.part_url(number), path, left, patience)
        found.append(path)
        left -= path.stat().st_size
    return found


def parts_forget(cell: str, url: str) -> None:
    shutil.rmtree(folder_of(cell, url), ignore_errors=True)


def parts_sweep(before: float, wanted: Collection[Path] = ()) -> int:
    """Remove what was begun and not touched since `before` (seconds since 1970), but for the folders `wanted`.

    How many folders.
    """
    folders = set(store.folder("imports").glob("move-*")).difference(wanted)
    old = [path for path in folders if path.stat().st_mtime < before]
    for path in old:
        shutil.rmtree(path, ignore_errors=True)
    return len(old)


class Patience:
    """With one server: what it sends has to come fast enough, and all of it within IMPORT_LINK_TIMEOUT.

    Tries and pauses are part of it: a byte before each cut would else go on for ever.
    """

    def __init__(self, tick: Callable[[int], object]) -> None:
        self._tick, self._came = tick, 0
        self._since = time.monotonic()
        self._until = self._since + settings.IMPORT_LINK_TIMEOUT.total_seconds()

    def came(self, count: int) -> None:
        """So many bytes more, none for a look at the clock. Raises TransportError, and what `tick` does."""
        self._tick(count)
        self._came += count
        now = time.monotonic()
        if now > self._until:
            raise TransportError("The export takes longer to come than an import may wait.", permanent=True)
        if now - self._since < WINDOW_SECONDS:
            return
        if self._came < settings.IMPORT_LINK_RATE * (now - self._since):
            raise TransportError("The export comes too slowly.", permanent=True)
        self._since, self._came = now, 0


def _fetch(url: str, path: Path, most: int, patience: Patience) -> None:
    """Into `<path>.part`, whose name also tells the version of what it holds; renamed when it is whole."""
    failures = 0
    while True:
        before = _held(path)
        try:
            if _go_on(url, path, most, patience):
                return
        except TransportError as error:
            if error.permanent:
                raise
            failures = 1 if _held(path) != before else failures + 1
            if failures == TRIES:
                raise
            patience.came(0)
            time.sleep(_PAUSES[failures - 1])


def _held(path: Path) -> int:
    return sum(each.stat().st_size for each in path.parent.glob(f"{path.name}.*.part"))


def _go_on(url: str, path: Path, most: int, patience: Patience) -> bool:
    """One connection. Whether the part is whole now."""
    [*started] = path.parent.glob(f"{path.name}.*.part")
    headers = {}
    if started and (start := started[0].stat().st_size):
        headers = {"Range": f"bytes={start}-", "If-Range": f'"{started[0].suffixes[-2][1:]}"'}
    with move_links.fetched(url, headers, seconds=HEADER_SECONDS) as response:
        if response.status_code == 416 and started:
            started[0].unlink()
            raise TransportError("The part has changed meanwhile.", permanent=False)
        if response.status_code not in (200, 206):
            require(response, "read a part of the export")
            raise MoveNotFound
        etag = response.headers.get("ETag", "").strip('"')
        version = etag if etag.isalnum() and len(etag) <= 100 else "none"
        part = path.with_name(f"{path.name}.{version}.part")
        goes_on = response.status_code == 206 and bool(headers) and part in started
        if response.status_code == 206 and not _begins_at(response, started[0].stat().st_size if goes_on else -1):
            raise TransportError("The other server sent another range than was asked for.", permanent=True)
        for other in started:
            if other != part or not goes_on:
                other.unlink()
        with part.open("ab") as file:
            whole = _copy(response, file, most, patience)
        if whole:
            part.rename(path)
        return whole


def _begins_at(response: httpx.Response, start: int) -> bool:
    return response.headers.get("Content-Range", "").startswith(f"bytes {start}-")


def _copy(response: httpx.Response, file: BinaryIO, most: int, patience: Patience) -> bool:
    """Whether all came that was announced; a server that announces nothing has said all when it ends in order."""
    announced = response.headers.get("Content-Length")
    start, count = file.tell(), 0
    try:
        for chunk in response.iter_raw():  # as it comes: what a given size would gather is lost with the connection
            count += len(chunk)
            if start + count > most:
                raise ArchiveTooLarge(found=start + count, what="bytes", limit=most)
            file.write(chunk)
            patience.came(len(chunk))
        file.flush()
        os.fsync(file.fileno())
    except OSError as error:
        raise named(error, file.name) from error
    return announced is None or count == int(announced)
