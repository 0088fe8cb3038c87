"""A run's pack file: what the run itself produced, one content behind another."""

import contextlib
import os
from collections.abc import Callable, Iterable

from cells.encoding import Encoder
from exports.engine.entries import FILE_MODE, Entry
from exports.engine.volumes import CHUNK, named


class Pack:
    """Appends generated contents to one file. Nothing refers to it before `seal` made it durable.

    `add` and `seal` raise NoSpace. `tick` hears of plain bytes, and may raise to stop.
    """

    def __init__(self, path: str, tick: Callable[[int], object] = lambda count: None) -> None:
        self.path = path
        #: Of those who make a content and have nothing to add for a while.
        self.tick = tick
        self._file = open(path, "ab", buffering=CHUNK)  # noqa: SIM115
        self._position = self._file.tell()

    def add(self, name: str, chunks: Iterable[bytes], *, mtime: int) -> Entry:
        """Encode and append one content. The entry has no ordinal yet."""
        begin = self._position
        encoder = Encoder(self._write)
        try:
            for chunk in chunks:
                encoder.feed(chunk)
                self.tick(len(chunk))
            stored = encoder.finish()
        except BaseException:
            encoder.abort()
            raise
        return Entry(
            ordinal=-1,
            name=name,
            path=None,
            mode=FILE_MODE,
            mtime=mtime,
            size=stored.size,
            crc32=stored.crc32,
            sha256=stored.sha256,
            encoding=stored.encoding,
            stored_size=stored.stored_size,
            stored_crc32=stored.stored_crc32,
            pack_offset=begin,
            points=stored.points,
        )

    def _write(self, data: bytes) -> None:
        self._position += len(data)
        try:
            self._file.write(data)
        except OSError as error:
            raise named(error, self.path) from error

    def seal(self) -> None:
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise named(error, self.path) from error

    def close(self) -> None:
        """What was not sealed may be lost: it is on its way out, and must not hide why."""
        with contextlib.suppress(OSError):
            self._file.close()
