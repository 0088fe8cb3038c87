"""Files of the blob store: written aside, brought to disk, then named. Knows no rows.

A name is random and never used again: `ab/<sha256>.<random>` holds one content, `packs/<random>` many small ones,
`incoming/<random>.part` is being written.
"""

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, NamedTuple

from cells.encoding import Buffer, Stored
from cells.errors import NoSpace

INCOMING = "incoming"
PACKS = "packs"
#: A pack that holds this much, or this many contents, is closed.
PACK_BYTES = 64 << 20
PACK_ROWS = 20_000

#: So that small contents do not cost a system call each.
_BUFFER = 256 << 10


class Place(NamedTuple):
    """A content and where its stored bytes begin."""

    stored: Stored
    store_file: str
    offset: int


def own_name(sha256: str) -> str:
    """A new name for the store file of one content."""
    return f"{sha256[:2]}/{sha256}.{secrets.token_hex(8)}"


def folder_sync(folder: Path) -> None:
    """Make what was renamed into this folder durable."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _room(root: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise NoSpace(mount=root) from error
        raise


class Part:
    """A store file that nobody sees before `publish`. Whatever writes raises NoSpace when the disk is full."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._path = root / INCOMING / f"{secrets.token_hex(16)}.part"
        self._file: BinaryIO | None = None
        self.size = 0

    def write(self, data: Buffer) -> None:
        """Append."""
        with _room(self._root):
            self._open().write(data)
        self.size += len(data)

    def close(self) -> None:
        """End the writing; until then a file handle is held."""
        with _room(self._root):
            self._open().close()

    def sync(self) -> None:
        """End the writing and bring the bytes to disk."""
        self.close()
        with _room(self._root), self._path.open("rb") as file:
            os.fsync(file.fileno())

    def publish(self, store_file: str) -> Path:
        """Give the synced file its name. Durable once `folder_sync` was called for the folder that this returns."""
        target = self._root / store_file
        with _room(self._root):
            try:
                self._path.rename(target)
            except FileNotFoundError:
                target.parent.mkdir(exist_ok=True)
                folder_sync(self._root)
                self._path.rename(target)
        return target.parent

    def discard(self) -> None:
        """Remove it, unless it was published or never begun."""
        if self._file is not None:
            with suppress(OSError):  # a full disk refuses the rest, which is of no use any more
                self._file.close()
            self._path.unlink(missing_ok=True)

    def _open(self) -> BinaryIO:
        if self._file is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("xb", buffering=_BUFFER)
        return self._file


class Pack:
    """A pack file that is being filled by one writer; closed once and for all by `seal`."""

    def __init__(self, root: Path) -> None:
        self.name = f"{PACKS}/{secrets.token_hex(16)}"
        self.places: list[Place] = []
        self._part = Part(root)

    def has_room(self, size: int) -> bool:
        """Whether `size` more bytes fit."""
        return self._part.size + size <= PACK_BYTES and len(self.places) < PACK_ROWS

    def append(self, stored: Stored, body: Buffer) -> None:
        """Put a content's stored bytes behind the others."""
        self.places.append(Place(stored, self.name, self._part.size))
        self._part.write(body)

    def seal(self) -> list[Place]:
        """Make it durable under its name; gives what lies where in it."""
        if self.places:
            self._part.sync()
            folder_sync(self._part.publish(self.name))
        return self.places

    def discard(self) -> None:
        """Remove it, unless sealed."""
        self._part.discard()
