"""Where the archive of an import is: `blob:<sha256>` in the blob store, `run:<id>` as a run's ZIP, `file:<path>`;
`blobs:` and `files:` with the digests or paths of the parts of one, a line each; `link:` and what
`services.move_imports` makes of a link."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from django.conf import settings

from cells.blobs import BlobStore
from cells.encoding import RAW
from cells.errors import BlobDamaged
from cells.models import Blob
from exports.engine.restore import Budget, Source
from exports.errors import ArchiveTooLarge, ArchiveUnreadable
from exports.models import Run
from exports.services import downloads, move_imports, move_links, store
from exports.states import DOWNLOADABLE

BLOB, BLOBS, RUN, FILE, FILES, LINK = "blob:", "blobs:", "run:", "file:", "files:", "link:"


def budget() -> Budget:
    return Budget(settings.IMPORT_MAX_ENTRIES, settings.IMPORT_MAX_SIZE, settings.IMPORT_MAX_RATIO)


@contextmanager
def archive_open(archive: str, tick: Callable[[int], object] = lambda count: None) -> Iterator[Source]:
    """Its bytes, which are fetched first if they are elsewhere. Raises ArchiveUnreadable when they are gone.

    `tick` hears of bytes that are fetched, and may raise to stop.
    """
    with ExitStack() as opened:
        source, *source.rest = [opened.enter_context(each) for each in _opened(archive, tick)]
        yield source


def _opened(archive: str, tick: Callable[[int], object]) -> Iterator[Source]:
    kind, _, where = archive.partition(":")
    if kind + ":" == RUN:
        yield _run(int(where))
    elif kind + ":" in (BLOB, BLOBS):
        yield from map(_blob, where.split("\n"))
    elif kind + ":" == LINK:
        yield from (Source(str(path)) for path in move_imports.link_fetch(where, tick))
    else:
        paths = where.split("\n") if kind + ":" == FILES else [where]
        if len(paths) > move_links.MOST_PARTS:
            raise ArchiveTooLarge(found=len(paths), what="parts", limit=move_links.MOST_PARTS)
        yield from map(Source, paths)


def _blob(sha256: str) -> Source:
    blob = Blob.objects.filter(pk=sha256).first()
    if blob is None:
        raise ArchiveUnreadable(reason="it is not in the store any more")
    blobs = BlobStore()
    if blob.encoding == RAW:
        return Source(blobs.path(blob.store_file), blob.offset, blob.size)
    return _copied(blobs.open(blob))


def _run(run_id: int) -> Source:
    run = Run.objects.filter(pk=run_id, state__in=DOWNLOADABLE).first()
    volume = run and run.volumes.filter(packer="zip").first()
    if volume is None:
        raise ArchiveUnreadable(reason="the export that made it is gone")
    opened = downloads.open_volume(volume=volume, name="archive.zip")
    return _copied(opened.chunks(0, opened.length))


def _copied(chunks: Iterator[bytes]) -> Source:
    """What is inflated or computed piece by piece is not read in any other order; the file has no name any more."""
    try:
        with tempfile.NamedTemporaryFile(dir=store.folder("imports")) as copy:
            for chunk in chunks:
                copy.write(chunk)
            copy.flush()
            return Source(copy.name)
    except BlobDamaged as error:
        raise ArchiveUnreadable(reason=str(error)) from error
