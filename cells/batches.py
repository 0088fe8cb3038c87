"""Many contents put at once: encoded by threads, small ones in shared pack files, rows by the thousand."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Self

from cells.blobrows import blobs_insert, blobs_touch
from cells.encoding import BLOCK, SMALL, Buffer, Encoder, Stored, encode
from cells.storefiles import Pack, Part, Place, folder_sync, own_name

#: Small contents that a batch holds in memory until it asks which of them are known.
_WAITING_BYTES = 8 << 20
_WAITING_ROWS = 4_000
#: Files of their own that a batch has open or unnamed before it names them all.
_LARGE_FILES = 128
#: What threads open and read ahead: at most 8 × 64 × 64 KiB.
_GROUP = 64
_GROUPS_AHEAD = 8

#: A small content encoded, the head of a large one with the stream that has the rest, or why there is neither.
_Head = tuple[Stored, bytes] | tuple[bytes, BinaryIO] | OSError


class BlobBatch:
    """Many contents: `with store.batch() as batch: stored = batch.add(data)`.

    What was added may be referred to after `flush`, or after the block was left without an exception. Each flush
    is a transaction of its own, unless the caller has one open. Memory stays below some 40 MB whatever is added.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        #: Encoded, but not yet asked whether known: stored bytes of small contents, unnamed files of large ones.
        self._waiting: dict[str, tuple[Stored, bytes | Part]] = {}
        self._waiting_bytes = 0
        #: Written, but not yet a row.
        self._pack = Pack(root)
        self._large: dict[str, tuple[Stored, Part, Future[None]]] = {}
        self._packed: set[str] = set()
        self._broken: set[str] = set()
        self._syncing = ThreadPoolExecutor(4, "fsync")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *failure: object) -> None:
        try:
            if kind is None:
                self.flush()
        finally:
            self._syncing.shutdown(cancel_futures=True)
            self._pack.discard()
            for part in (*(part for _, part, _ in self._large.values()), *(body for _, body in self._waiting.values())):
                if isinstance(part, Part):
                    part.discard()

    def add(self, data: Buffer) -> Stored:
        """Add a content that is whole in memory. The caller may reuse the buffer if it is below 64 KiB or `bytes`."""
        if len(data) >= SMALL:
            return self.add_stream(BytesIO(data))
        stored, body = encode(data)
        self._wait(stored, bytes(body))
        return stored

    def add_stream(self, stream: BinaryIO) -> Stored:
        """Add a content of any length; it is read to its end."""
        head = _head(stream)
        return self.add(head) if len(head) < SMALL else self._add_large(head, stream)

    def add_each(self, openers: Iterable[Callable[[], BinaryIO]]) -> Iterator[Stored | OSError]:
        """Add what each of these opens, in order; threads open, read and encode small contents ahead.

        Gives an OSError in its turn for a content that could not be opened or read; such a one is not added.
        """
        openers = iter(openers)
        ahead: deque[Future[list[_Head]]] = deque()
        with ThreadPoolExecutor(2, "encode") as pool:
            while True:
                while len(ahead) < _GROUPS_AHEAD and (group := list(islice(openers, _GROUP))):
                    ahead.append(pool.submit(_open_group, group))
                if not ahead:
                    return
                for head in ahead.popleft().result():
                    yield self._add_opened(head)

    def flush(self) -> None:
        """Make all that was added so far durable and referable."""
        self._settle()
        self._publish_large()
        self._publish_pack()

    def _add_opened(self, head: "_Head") -> Stored | OSError:
        if isinstance(head, OSError):
            return head
        stored, rest = head
        if isinstance(stored, Stored):
            self._wait(stored, rest)
            return stored
        with rest as stream:
            return self._add_large(stored, stream)

    def _add_large(self, head: bytes, stream: BinaryIO) -> Stored:
        part = Part(self._root)
        encoder = Encoder(part.write)
        try:
            encoder.feed(head)
            while chunk := stream.read(BLOCK):
                encoder.feed(chunk)
            stored = encoder.finish()
        except BaseException:
            encoder.abort()
            part.discard()
            raise
        self._wait(stored, part)
        return stored

    def _wait(self, stored: Stored, body: bytes | Part) -> None:
        if stored.sha256 in self._waiting or stored.sha256 in self._large or stored.sha256 in self._packed:
            if isinstance(body, Part):
                body.discard()
            return
        self._waiting[stored.sha256] = stored, body
        self._waiting_bytes += stored.stored_size
        if self._waiting_bytes >= _WAITING_BYTES or len(self._waiting) >= _WAITING_ROWS:
            self._settle()

    def _settle(self) -> None:
        known, broken = blobs_touch(self._waiting, self._root)
        self._broken |= broken
        for digest, (stored, body) in self._waiting.items():
            if isinstance(body, Part):
                if digest in known:
                    body.discard()
                else:
                    self._large[digest] = stored, body, self._syncing.submit(body.sync)
            elif digest not in known:
                if not self._pack.has_room(len(body)):
                    self._publish_pack()
                self._pack.append(stored, body)
                self._packed.add(digest)
        self._waiting, self._waiting_bytes = {}, 0
        if len(self._large) >= _LARGE_FILES:
            self._publish_large()

    def _publish_pack(self) -> None:
        blobs_insert(self._pack.seal(), self._broken, self._root)
        self._pack = Pack(self._root)
        self._packed.clear()

    def _publish_large(self) -> None:
        places, folders = [], set()
        for stored, part, synced in self._large.values():
            synced.result()
            place = Place(stored, own_name(stored.sha256), 0)
            folders.add(part.publish(place.store_file))
            places.append(place)
        for folder in folders:
            folder_sync(folder)
        blobs_insert(places, self._broken, self._root)
        self._large.clear()


def _open_group(openers: list[Callable[[], BinaryIO]]) -> list[_Head]:
    return [_open_one(opener) for opener in openers]


def _open_one(opener: Callable[[], BinaryIO]) -> _Head:
    try:
        stream = opener()
        head = _head(stream)
    except OSError as failure:
        return failure
    if len(head) == SMALL:
        return head, stream
    stream.close()
    return encode(head)


def _head(stream: BinaryIO) -> bytes:
    """64 KiB, or less when that is all there is."""
    head = stream.read(SMALL)
    while 0 < len(head) < SMALL and (more := stream.read(SMALL - len(head))):
        head += more
    return head
