"""Many contents put at once: encoded by threads, small ones in shared pack files, rows by the thousand."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, nullcontext
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
#: Files of their own that a batch leaves without a name before it names them all.
_LARGE_FILES = 128
#: What threads encode ahead: at most 16 × 64 × 64 KiB of small contents.
_GROUP = 64
_GROUPS_AHEAD = 16

Opener = Callable[[], BinaryIO]
#: Stored bytes of a small content, or the unnamed file of a large one.
_Encoded = tuple[Stored, bytes | Part]


class BlobBatch:
    """Many contents: `with store.batch() as batch: stored = batch.add(data)`.

    What was added may be referred to after `flush`, or after the block was left without an exception. Each flush
    is a transaction of its own, unless the caller has one open. Memory stays below some 100 MB whatever is added.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        #: Encoded, but not yet asked whether known.
        self._waiting: dict[str, _Encoded] = {}
        self._waiting_bytes = 0
        #: Written, but not yet a row.
        self._pack = Pack(root)
        self._packed: set[str] = set()
        self._large: dict[str, tuple[Stored, Part, Future[None]]] = {}
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
            for _, part, *_ in (*self._large.values(), *self._waiting.values()):
                _discard(part)

    def add(self, data: Buffer) -> Stored:
        """Add a content that is whole in memory; the caller may reuse the buffer."""
        if len(data) >= SMALL:
            return self.add_stream(BytesIO(data))
        stored, body = encode(data)
        self._wait(stored, bytes(body))
        return stored

    def add_stream(self, stream: BinaryIO) -> Stored:
        """Add a content of any length; it is read to its end, and left open."""
        encoded = _encode_one(lambda: nullcontext(stream), self._root)
        if isinstance(encoded, OSError):
            raise encoded
        self._wait(*encoded)
        return encoded[0]

    def add_each(self, openers: Iterable[Opener]) -> Iterator[Stored | OSError]:
        """Add what each of these opens, in order; threads open, read and encode ahead.

        An opener may be called twice. Gives an OSError in its turn for a content that could not be opened or read;
        such a one is not added.
        """
        with closing(_Ahead(self._root).run(openers)) as encoded:
            for each in encoded:
                if isinstance(each, OSError):
                    yield each
                else:
                    self._wait(*each)
                    yield each[0]

    def flush(self) -> None:
        """Make all that was added so far durable and referable."""
        self._settle()
        self._publish_large()
        self._publish_pack()

    def _wait(self, stored: Stored, body: bytes | Part) -> None:
        if stored.sha256 in self._waiting or stored.sha256 in self._packed or stored.sha256 in self._large:
            _discard(body)
            return
        self._waiting[stored.sha256] = stored, body
        self._waiting_bytes += stored.stored_size
        if self._waiting_bytes >= _WAITING_BYTES or len(self._waiting) >= _WAITING_ROWS:
            self._settle()

    def _settle(self) -> None:
        known, broken = blobs_touch(self._waiting, self._root)
        self._broken |= broken
        for digest, (stored, body) in self._waiting.items():
            if digest in known:
                _discard(body)
            elif isinstance(body, Part):
                self._large[digest] = stored, body, self._syncing.submit(body.sync)
            else:
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


class _SourceFailed(Exception):
    """Reading failed, not writing: the batch may go on without this content. The cause is an OSError."""


class _Ahead:
    """Encodes contents of one batch in threads, in the order they come: groups of small ones, large ones singly."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._groups = ThreadPoolExecutor(2, "encode")
        self._large = ThreadPoolExecutor(2, "encode-large")
        self._ahead: deque[Future[list[_Encoded | OSError | Future]]] = deque()
        self._ready: deque[_Encoded | OSError | Future] = deque()

    def run(self, openers: Iterable[Opener]) -> Iterator[_Encoded | OSError]:
        rest = iter(openers)
        try:
            while True:
                while len(self._ahead) < _GROUPS_AHEAD and (group := list(islice(rest, _GROUP))):
                    self._ahead.append(self._groups.submit(self._encode_group, group))
                if not self._ahead:
                    return
                self._ready.extend(self._ahead.popleft().result())
                while self._ready:
                    encoded = self._ready.popleft()
                    yield encoded.result() if isinstance(encoded, Future) else encoded
        finally:
            self._end()

    def _encode_group(self, openers: list[Opener]) -> list[_Encoded | OSError | Future]:
        return [self._encode_small(opener) for opener in openers]

    def _encode_small(self, opener: Opener) -> _Encoded | OSError | Future:
        try:
            with opener() as source:
                head = _head(source)
        except OSError as failure:
            return failure
        except _SourceFailed as failure:
            return failure.__cause__
        return encode(head) if len(head) < SMALL else self._large.submit(_encode_one, opener, self._root)

    def _end(self) -> None:
        """Whatever nobody took any more leaves no file."""
        self._groups.shutdown(cancel_futures=True)
        for group in self._ahead:
            if not group.cancelled() and not group.exception():
                self._ready.extend(group.result())
        self._large.shutdown(cancel_futures=True)
        for encoded in self._ready:
            if isinstance(encoded, Future):
                encoded = None if encoded.cancelled() or encoded.exception() else encoded.result()
            if isinstance(encoded, tuple):
                _discard(encoded[1])


def _encode_one(opener: Opener, root: Path) -> _Encoded | OSError:
    try:
        stream = opener()
    except OSError as failure:
        return failure
    try:
        with stream as source:
            head = _head(source)
            return encode(head) if len(head) < SMALL else _encode_large(head, source, root)
    except _SourceFailed as failure:
        return failure.__cause__


def _head(source: BinaryIO) -> bytes:
    """64 KiB, or less when that is all there is."""
    head = _read(source, SMALL)
    while 0 < len(head) < SMALL and (more := _read(source, SMALL - len(head))):
        head += more
    return head


def _encode_large(head: bytes, source: BinaryIO, root: Path) -> tuple[Stored, Part]:
    part = Part(root)
    encoder = Encoder(part.write)
    try:
        encoder.feed(head)
        encoder.feed(_read(source, BLOCK - len(head)))  # from here on chunks are whole blocks, which are not copied
        while chunk := _read(source, BLOCK):
            encoder.feed(chunk)
        stored = encoder.finish()
        part.close()
    except BaseException:
        encoder.abort()
        part.discard()
        raise
    return stored, part


def _read(source: BinaryIO, length: int) -> bytes:
    try:
        return source.read(length)
    except OSError as failure:
        raise _SourceFailed from failure


def _discard(body: bytes | Part) -> None:
    if isinstance(body, Part):
        body.discard()
