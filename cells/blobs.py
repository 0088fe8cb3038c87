"""The blob store on local disk: contents by digest, each written once and never overwritten.

A store file gets its name only when it is whole and on disk, and only then does a row speak of it. Names are
never used again, so whoever unlinks a file that no row speaks of can never hit a new one.

Rows must be committed, and something must refer to them, within a day of being put: so long the sweeper
(`cells.sweeping`) leaves them alone.
"""

from collections import deque
from collections.abc import Callable, Iterator
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Self

from django.conf import settings
from isal import isal_zlib

from cells.batches import BlobBatch
from cells.blobrows import blobs_insert, blobs_touch
from cells.encoding import BLOCK, RAW, Buffer, Encoder, Stored, read_plain
from cells.errors import BlobDamaged
from cells.models import Blob
from cells.storefiles import Part, Place, folder_sync, own_name


class BlobStore:
    """Contents under `EXPORTS_STORE`/blobs."""

    def __init__(self) -> None:
        self.root = Path(settings.EXPORTS_STORE) / "blobs"

    def path(self, store_file: str) -> str:
        """Where a blob's `store_file` lies."""
        return f"{self.root}/{store_file}"

    def put(self, content: Buffer | BinaryIO) -> Blob:
        """Store a content; one that is known keeps its place."""
        with self.writer() as writer:
            stream = BytesIO(content) if isinstance(content, Buffer) else content
            while chunk := stream.read(BLOCK):
                writer.write(chunk)
            return writer.finish()

    def writer(self) -> "BlobWriter":
        """For one content that arrives piece by piece."""
        return BlobWriter(self)

    def batch(self) -> BlobBatch:
        """For many contents at once: small ones share pack files, rows go in by the thousand."""
        return BlobBatch(self.root)

    def open(self, blob: Blob, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """The plain bytes [start, end) in pieces of at most 1 MiB.

        Raises BlobDamaged at once when the store file is missing, later when bytes are; a whole content is checked
        against its CRC-32 too, before its last piece is given.
        """
        end = blob.size if end is None else end
        pieces = self._read(
            blob, lambda place: read_plain(self.path(place.store_file), place.offset, place, start, end)
        )
        return _checked(pieces, blob.crc32, blob) if (start, end) == (0, blob.size) else pieces

    def open_stored(self, blob: Blob) -> Iterator[bytes]:
        """All stored bytes, checked against their CRC-32; raises as `open` does."""
        as_they_are = Stored(blob.sha256, blob.stored_size, blob.stored_crc32, RAW, blob.stored_size, 0, b"")
        pieces = self._read(
            blob, lambda b: read_plain(self.path(b.store_file), b.offset, as_they_are, 0, blob.stored_size)
        )
        return _checked(pieces, blob.stored_crc32, blob)

    def _read(self, blob: Blob, opened: Callable[[Blob], Iterator[bytes]]) -> Iterator[bytes]:
        try:
            return opened(blob)
        except BlobDamaged:
            now = Blob.objects.get(pk=blob.pk)  # the sweeper may have rewritten its pack since the row was read
            if now.store_file == blob.store_file:
                raise
            return opened(now)


class BlobWriter:
    """One content, piece by piece: `with store.writer() as w: w.write(chunk); blob = w.finish()`.

    Leaving without `finish` removes what was written.
    """

    def __init__(self, store: BlobStore) -> None:
        self._store = store
        self._part = Part(store.root)
        self._encoder = Encoder(self._part.write)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        self._encoder.abort()
        self._part.discard()

    def write(self, chunk: Buffer) -> None:
        """Take the next plain bytes; the caller may reuse the buffer."""
        self._encoder.feed(chunk)

    def finish(self) -> Blob:
        """Make the content durable and give its row; a known content keeps its place and the new bytes are dropped."""
        stored = self._encoder.finish()
        known, broken = blobs_touch([stored.sha256], self._store.root)
        if not known:
            store_file = own_name(stored.sha256)
            self._part.sync()
            folder_sync(self._part.publish(store_file))
            blobs_insert([Place(stored, store_file, 0)], broken, self._store.root)
        return Blob.objects.get(pk=stored.sha256)


def blob_verify(blob: Blob) -> None:
    """Re-read a content from disk; raises BlobDamaged unless stored and plain bytes are what its row says."""
    store = BlobStore()
    deque(store.open_stored(blob), maxlen=0)
    digest = sha256()
    for piece in store.open(blob):
        digest.update(piece)
    if digest.hexdigest() != blob.sha256:
        raise BlobDamaged(sha256=blob.sha256, reason="their SHA-256 is another")


def _checked(pieces: Iterator[bytes], expected: int, blob: Blob) -> Iterator[bytes]:
    crc, last = 0, b""
    for piece in pieces:
        if last:
            yield last
        crc, last = isal_zlib.crc32(piece, crc), piece
    if crc != expected:
        raise BlobDamaged(sha256=blob.sha256, reason="their CRC-32 is not what it was when they were stored")
    if last:
        yield last
