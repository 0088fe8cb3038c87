"""Folders of this machine, below those that the administrator allows (EXPORT_LOCAL_FOLDERS)."""

import errno
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from django.conf import settings

from exports.transports.base import TransportError
from exports.transports.remote import Remote

CHUNK = 1024 * 1024


def require_allowed(path: str, refuse: Callable[[str], Exception]) -> None:
    """`path`, links followed, must be one of the allowed folders or below one; compared part by part."""
    real = Path(os.path.realpath(path))
    allowed = [Path(os.path.realpath(folder)) for folder in settings.EXPORT_LOCAL_FOLDERS]
    if not any(real == folder or folder in real.parents for folder in allowed):
        raise refuse("is not below a folder that the administrator allows")


class LocalRemote(Remote):
    """Absolute paths; each is checked again before it is written, as links may have appeared."""

    def close(self) -> None:
        pass

    def upload(self, path: str, length: int, chunks: Iterable[bytes]) -> None:
        self._require(path)
        with faults(f"write {path}"), suppress(FileNotFoundError):
            os.unlink(path)
        with faults(f"write {path}"):
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644)
            with os.fdopen(fd, "wb", buffering=0) as file:
                for chunk in chunks:
                    view = memoryview(chunk)
                    while view:
                        view = view[file.write(view) :]
                os.fsync(fd)

    def size(self, path: str) -> int | None:
        with faults(f"ask for the size of {path}"):
            return os.lstat(path).st_size

    def read(self, path: str) -> Iterator[bytes]:
        with faults(f"read {path}"), open(path, "rb", buffering=0) as file:
            while chunk := file.read(CHUNK):
                yield chunk

    def rename(self, old: str, new: str) -> None:
        self._require(new)
        with faults(f"rename {old}"):
            os.replace(old, new)
            folder = os.open(os.path.dirname(new), os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)

    def remove(self, path: str) -> None:
        self._require(path)
        with faults(f"delete {path}"), suppress(FileNotFoundError):
            os.unlink(path)

    def make_folder(self, path: str) -> None:
        self._require(path + "/x")
        with faults(f"make {path}"):
            os.makedirs(path, exist_ok=True)

    def remove_folder(self, path: str) -> None:
        self._require(path)
        with faults(f"delete {path}"):
            os.rmdir(path)

    def listing(self, path: str) -> Iterator[tuple[str, bool]]:
        with faults(f"list {path}"), os.scandir(path) as found:
            for entry in found:
                yield entry.name, entry.is_dir(follow_symlinks=False)

    def _require(self, path: str) -> None:
        """The last part itself is never followed: it is unlinked, replaced or newly made."""
        parent = os.path.dirname(path.rstrip("/"))
        require_allowed(parent, lambda why: TransportError(f"{parent} {why}.", permanent=True))


@contextmanager
def faults(doing: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        transient = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EAGAIN, errno.ESTALE)
        raise TransportError(f"Cannot {doing}: {error.strerror}", permanent=not transient) from error
