"""Delivering to a place that knows files and folders: upload beside, compare, rename. For ftp, sftp, webdav, s3."""

import hashlib
import secrets
import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress

from exports.transports.base import (
    CANARY_BYTES,
    PARTIAL,
    Carrier,
    Item,
    Progress,
    Shipment,
    Target,
    TransportError,
    safe_name,
    whole,
)

#: Folders below one that is mirrored; deeper ones are left alone.
DEEPEST = 200


class CannotList(Exception):
    """The server has no listing that a program could read."""


class Remote(ABC):
    """A session with one server, used by one thread and closed at the end. Paths have slashes between folders.

    Every method raises TransportError, permanent or not, for whatever the server or the network does.
    """

    #: Whether an upload becomes visible only when it is complete: then there is no partial file and no rename.
    atomic = False

    def __enter__(self) -> "Remote":
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(Exception):  # a goodbye that fails is of no interest
            self.close()

    @abstractmethod
    def close(self) -> None: ...

    @abstractmethod
    def upload(self, path: str, length: int, chunks: Iterable[bytes]) -> None:
        """Create or overwrite. `chunks` may raise; an atomic remote then keeps what it had."""

    @abstractmethod
    def size(self, path: str) -> int | None:
        """None when the server does not tell."""

    @abstractmethod
    def read(self, path: str) -> Iterator[bytes]: ...

    @abstractmethod
    def rename(self, old: str, new: str) -> None:
        """Replaces `new`."""

    @abstractmethod
    def remove(self, path: str) -> None:
        """Harmless when there is no such file."""

    @abstractmethod
    def make_folder(self, path: str) -> None:
        """With its parents; harmless when it is there."""

    @abstractmethod
    def remove_folder(self, path: str) -> None:
        """An empty one."""

    @abstractmethod
    def listing(self, path: str) -> Iterator[tuple[str, bool]]:
        """(name, whether it is a folder) of what is in a folder; links count as files. May raise CannotList."""


class RemoteCarrier(Carrier):
    """A Carrier by way of a `Remote`; subclasses say how to check options and how to open the session."""

    @abstractmethod
    def open(self, target: Target) -> Remote: ...

    def root(self, target: Target) -> str:
        """The folder of the target, "" or ending in a slash."""
        folder = target.text("directory")
        return folder if not folder or folder.endswith("/") else folder + "/"

    def deliver(self, target: Target, shipment: Shipment, progress: Progress) -> None:
        with self.open(target) as remote:
            compare = bool(target.options.get("verify"))
            deliver_all(remote, self.root(target), shipment, progress, compare=compare, exact=True)

    def canary(self, target: Target, progress: Progress) -> None:
        with self.open(target) as remote:
            canary_file(remote, self.root(target), progress)


def deliver_all(
    remote: Remote, root: str, shipment: Shipment, progress: Progress, *, compare: bool, exact: bool
) -> None:
    """All items below `root`, in their folder if they have one; `exact`: what else is in that folder goes.

    Nothing goes when a name had to be changed: what has arrived under another name would be taken for something else.
    """
    root += safe_path(shipment.folder) if shipment.folder else ""
    folders = Folders(remote)
    folders.need(root)
    count = size = 0
    named = True
    for item in shipment.items():
        path = root + safe_path(item.name)
        named = named and path == root + item.name
        folders.need(path)
        if not item.name.endswith("/"):
            deliver_file(remote, path, item, progress, compare=compare)
            count, size = count + 1, size + item.length
    progress.note(f"{count} files, {size} bytes have arrived.")
    if shipment.folder and shipment.complete and exact and named:
        mirror(remote, root, shipment, progress)
    if not shipment.folder:
        delete_stale(lambda name: remote.remove(root + name), shipment, progress)


def canary_file(remote: Remote, root: str, progress: Progress) -> None:
    data = secrets.token_bytes(CANARY_BYTES)
    name = f"exportsite-test-{secrets.token_hex(8)}"
    item = Item(name, len(data), lambda start, end: iter([data[start:end]]))
    Folders(remote).need(root + name)
    try:
        deliver_file(remote, root + name, item, progress, compare=True)
    finally:
        with suppress(TransportError):
            remote.remove(root + name)
    progress.note(f"{name} was written, read back, compared and deleted.")


class Folders:
    """Makes the folders that paths need, each once while names come in order."""

    def __init__(self, remote: Remote) -> None:
        self._remote = remote
        self._last = ""

    def need(self, path: str) -> None:
        folder = path.rpartition("/")[0]
        if folder and folder != self._last:
            self._remote.make_folder(folder)
            self._last = folder


def deliver_file(remote: Remote, path: str, item: Item, progress: Progress, *, compare: bool) -> None:
    """`item` is at `path`, whole and compared, or it is not there at all (or still as it was before)."""
    partial = path if remote.atomic else path + PARTIAL
    digest = hashlib.sha256()
    try:
        remote.upload(partial, item.length, whole(item, progress, digest))
        size = remote.size(partial)
        if size is not None and size != item.length:
            raise TransportError(f"{item.name}: {size} of {item.length} bytes have arrived", permanent=False)
        if (compare or size is None) and not _same(remote, partial, digest.hexdigest(), progress):
            raise TransportError(f"{item.name}: what has arrived is not what was sent", permanent=False)
        if not remote.atomic:
            remote.rename(partial, path)
    except BaseException:
        if not remote.atomic:
            with suppress(Exception):  # the connection may be what broke
                remote.remove(partial)
        raise


def _same(remote: Remote, path: str, expected: str, progress: Progress) -> bool:
    digest = hashlib.sha256()
    for chunk in remote.read(path):
        digest.update(chunk)
        progress.tick(0)
    return digest.hexdigest() == expected


def delete_stale(delete: Callable[[str], None], shipment: Shipment, progress: Progress) -> None:
    """What could not be deleted is no reason to call a delivery failed: everything has arrived."""
    count = 0
    for name in shipment.stale():
        try:
            delete(name)
        except TransportError as error:
            progress.note(f"{name} is not part of the export any more and could not be deleted: {error}")
            return
        progress.tick(0)
        count += 1
    if count:
        progress.note(f"{count} archives that are not part of the export any more were deleted.")


def mirror(remote: Remote, root: str, shipment: Shipment, progress: Progress) -> None:
    """Delete files below `root` that are not of this shipment (`spec/v1.md §9.6`), then folders left empty."""
    try:
        removed = _mirror(remote, root, "", shipment, progress, 0)
    except CannotList:
        progress.note("The server cannot list its files: those that are not in this export were left alone.")
        return
    if removed:
        progress.note(f"{removed} files that are not in this export were deleted.")


def _mirror(remote: Remote, root: str, inner: str, shipment: Shipment, progress: Progress, depth: int) -> int:
    found = list(remote.listing(root + inner))  # one folder at a time
    files = [inner + name for name, is_folder in found if not is_folder]
    folders = [inner + name + "/" for name, is_folder in found if is_folder]
    kept = _kept(shipment, files + folders)
    removed = 0
    for name in files:
        progress.tick(0)
        if name not in kept:
            remote.remove(root + name)
            removed += 1
    for name in folders if depth < DEEPEST else ():
        removed += _mirror(remote, root, name, shipment, progress, depth + 1)
        if name not in kept and not any(True for _ in remote.listing(root + name)):
            remote.remove_folder(root + name.rstrip("/"))
    return removed


def _kept(shipment: Shipment, names: list[str]) -> set[str]:
    """Which of `names` are of this shipment; a server may have composed or decomposed their accents."""
    forms = {name: {name, *(unicodedata.normalize(form, name) for form in ("NFC", "NFD"))} for name in names}
    ours = shipment.names_among({each for variants in forms.values() for each in variants})
    return {name for name, variants in forms.items() if variants & ours}


def safe_path(name: str) -> str:
    return safe_name(name[:-1]) + "/" if name.endswith("/") else safe_name(name)
