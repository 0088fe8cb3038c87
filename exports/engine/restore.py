"""An archive on its way into a cell: hostile until proved otherwise.

Which container and which layout it has is seen from its content, never from its name. Nothing is ever unpacked: a
`Restore` gives files and documents one by one, checked, to whoever puts them beside the present content of a cell.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from exports.engine.archives.base import Archive, Budget, Source
from exports.engine.archives.layout import Restore
from exports.engine.archives.move import MoveRestore
from exports.engine.archives.move_parts import is_part, parts_ordered
from exports.engine.archives.moving import Moving
from exports.engine.archives.ours import OurRestore, manifest_of
from exports.engine.archives.snapshot import SnapshotRestore
from exports.engine.archives.tar import TarArchive, plain_tar
from exports.engine.archives.zip import ZipArchive
from exports.engine.layouts.cell import MANIFEST
from exports.errors import ArchiveEntryMissing, ArchiveLayoutUnknown, NoArchive

__all__ = ["Budget", "Restore", "Source", "restoring"]


@contextmanager
def restoring(
    source: Source,
    budget: Budget,
    *,
    snapshots_only: bool = False,
    email: str = "",
    moving: Moving | None = None,
) -> Iterator[Restore]:
    """Open the archive and compare what can be seen without reading contents: container, layout, manifest, version.

    `snapshots_only`: anything else lacks what the cell API requires (`spec/cell.md §8.1`). `email`: the owner's,
    `moving`: when the cell moves here (see `MoveRestore`). Raises the Archive… errors.
    """
    with plain_tar(source, budget) as tar:
        if snapshots_only and tar is not None:
            raise NoArchive(reason="it is a TAR, and no ZIP")
        archive: Archive = ZipArchive(source, budget) if tar is None else TarArchive(tar, budget)
        with ExitStack() as opened:
            opened.callback(archive.close)
            parts = [archive, *_rest(archive, opened)]
            if not snapshots_only and any(is_part(part) for part in parts):
                yield MoveRestore(parts_ordered(parts), email=email, moving=moving)
            elif source.rest:
                raise ArchiveLayoutUnknown(reason="Only archives of the move API come in parts")
            else:
                yield _layout(archive, snapshots_only)


def _rest(part: Archive, opened: ExitStack) -> Iterator[Archive]:
    """The other parts; each gets what those before it left of the budget."""
    for source in part.source.rest:
        left = part.budget._replace(entries=part.budget.entries - part.count, bytes=part.budget.bytes - part.total)
        part = ZipArchive(source, left)
        opened.callback(part.close)
        yield part


def _layout(archive: Archive, snapshots_only: bool) -> Restore:
    closing = None if snapshots_only else manifest_of(archive)
    if closing is not None:
        return OurRestore(archive, closing)
    if snapshots_only or (archive.find(MANIFEST) is not None and isinstance(archive, ZipArchive)):
        return SnapshotRestore(archive)
    raise ArchiveEntryMissing(path="manifest.json")
