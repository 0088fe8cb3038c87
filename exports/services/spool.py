"""Batches of stored contents as they come from another server: one file each, gone on with after a cut or a kill.

The file is called by what was asked for, so that only the same batch goes on with it. What is whole is unpacked into
the store, and each content proved by its SHA-256.
"""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from functools import partial
from hashlib import sha256
from io import RawIOBase
from pathlib import Path

from isal import isal_zlib

from cells.blobs import BlobStore
from exports.engine.volumes import named
from exports.errors import TransferRefused
from exports.services import store
from exports.services.offered import Content
from exports.services.source_server import SourceAway, SourceServer

#: Tries without a byte of progress, and pauses between them; one that brings something begins the count anew.
_PAUSES = (0.1, 0.5, 1, 2, 5)
_READ = 256 << 10


def folder_of(import_id: int) -> Path:
    return store.folder("imports") / f"transfer-{import_id}"


def spool_forget(import_id: int) -> None:
    shutil.rmtree(folder_of(import_id), ignore_errors=True)


def spools_sweep(wanted: set[int]) -> None:
    """Those of imports that are over."""
    for path in store.folder("imports").glob("transfer-*"):
        if not path.name.removeprefix("transfer-").isdigit() or int(path.name.removeprefix("transfer-")) not in wanted:
            shutil.rmtree(path, ignore_errors=True)


def batch_fetch(
    source: SourceServer, seal: str, batch: list[Content], *, import_id: int, tick: Callable[[int], object]
) -> Path:
    """The file with the whole batch. `tick` hears of bytes that come, and may raise to stop."""
    folder = folder_of(import_id)
    folder.mkdir(exist_ok=True)
    path = folder / sha256("\n".join(content.sha256 for content in batch).encode()).hexdigest()
    for other in folder.iterdir():
        if other != path:
            other.unlink()
    path.touch()
    total = sum(content.stored for content in batch)
    failures = 0
    while (held := path.stat().st_size) < total:
        try:
            _go_on(source, seal, batch, path, total, tick)
            cut = SourceAway("the connection was cut")
        except SourceAway as error:
            cut = error
        if path.stat().st_size > held:
            failures = 0
        elif failures == len(_PAUSES):
            raise cut
        else:
            failures += 1
            time.sleep(_PAUSES[failures - 1])
            tick(0)
    return path


def _go_on(
    source: SourceServer, seal: str, batch: list[Content], path: Path, total: int, tick: Callable[[int], object]
) -> None:
    # Not to append: a worker that slept until another had its place writes the same bytes where they are already.
    with path.open("r+b", buffering=0) as file, source.contents(seal, batch, file.seek(0, os.SEEK_END)) as pieces:
        held = file.tell()
        for piece in pieces:
            held += len(piece)
            if held > total:
                raise TransferRefused(reason="more bytes came than were asked for")
            try:
                file.write(piece)
            except OSError as error:
                raise named(error, file.name) from error
            tick(len(piece))


def batch_unpack(path: Path, batch: list[Content], tick: Callable[[int], object]) -> None:
    """Into the store. Raises TransferRefused for a content that is another than was listed; the file goes then."""
    with BlobStore().batch() as blobs:
        for content, stored in zip(batch, blobs.add_each(_openers(path, batch)), strict=True):
            tick(0)
            if isinstance(stored, OSError) or (stored.sha256, stored.size) != (content.sha256, content.size):
                path.unlink()
                raise TransferRefused(reason=f"the content {content.sha256} is another than it should be")
    path.unlink()


def _openers(path: Path, batch: list[Content]) -> Iterator[Callable[[], "_Plain"]]:
    offset = 0
    for content in batch:
        yield partial(_Plain, path, offset, content)
        offset += content.stored


class _Plain(RawIOBase):
    """The plain bytes of one content of a batch: never more than were listed. `read` raises OSError for damage."""

    def __init__(self, path: Path, offset: int, content: Content) -> None:
        self._file = os.open(path, os.O_RDONLY)
        self._at, self._end = offset, offset + content.stored
        self._left = content.size
        self._inflater = isal_zlib.decompressobj(-15) if content.encoding == "deflate" else None

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        """At least a byte, unless all were read."""
        if not self._left or size == 0:
            return b""
        if self._inflater is None:
            piece = self._stored(self._left if size < 0 else size)
        else:
            piece = self._inflated(self._left if size < 0 else min(size, self._left))
        if not piece:
            raise OSError("the content ends early")
        self._left -= len(piece)
        return piece

    def _stored(self, size: int) -> bytes:
        piece = os.pread(self._file, min(size, self._end - self._at), self._at)
        self._at += len(piece)
        return piece

    def _inflated(self, size: int) -> bytes:
        inflater = self._inflater
        while True:
            given = inflater.unconsumed_tail or self._stored(_READ)
            try:
                piece = inflater.decompress(given, size)
            except isal_zlib.error as error:
                raise OSError(str(error)) from error
            if piece or (not given and not inflater.unconsumed_tail) or inflater.eof:
                return piece

    def close(self) -> None:
        if not self.closed:
            os.close(self._file)
        super().close()
