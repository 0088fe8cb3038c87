"""What every layout of an archive gives to an import, and how its text is read: line by line, bounded."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from cells.errors import NameRefused
from cells.lines import DEEPEST, LONGEST_LINE, Refusal, checked_json
from cells.loading import LoadItem
from cells.restoring import RestoredDocument, VersionItem
from cells.validators import normal_path
from exports.engine.archives.base import Archive, Content
from exports.errors import ArchiveManifestRefused, ArchiveRefused

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CHUNK = 1 << 20
#: A line around the longest body that our REST takes: PostgreSQL writes it with more spaces than it had.
LONGEST = 2 * LONGEST_LINE


class Restore(ABC):
    """An archive of one layout. `prepare` first; then everything once, in any order.

    Whatever is not as it should be raises ArchiveRefused or another of the Archive… errors.
    """

    def __init__(self, archive: Archive) -> None:
        self.archive = archive
        #: Paths and reasons of what the archive says is missing in it.
        self.missing: list[tuple[str, str]] = []
        #: Plain bytes of the files in it, known when it is prepared: the cell will have as many at least.
        self.contents = 0

    @property
    def total(self) -> int:
        """Plain bytes of all contents."""
        return self.archive.total

    @property
    def packed(self) -> int:
        """Bytes of the archive: about what its contents take in the store, which compresses them too."""
        return self.archive.source.length

    @abstractmethod
    def prepare(self, tick: Callable[[], object]) -> None:
        """Compare headers, names and lists. `tick` is called now and then, and may raise to stop."""

    @abstractmethod
    def items(self) -> Iterator[LoadItem]:
        """Files and folders, as they lie in the archive. No path comes twice."""

    @abstractmethod
    def documents(self) -> Iterator[RestoredDocument]: ...

    def versions(self) -> Iterator[VersionItem]:
        """Contents that files had before, of each file the oldest first."""
        return iter(())

    def told(self) -> dict[str, Any]:
        """What the report of the import says beside counts, once everything was read."""
        return {}


def lines(content: Content, name: str, longest: int = LONGEST) -> Iterator[tuple[int, bytes]]:
    """(number, line without its end) of a text. Raises ArchiveRefused for one that is too long."""
    held = b""
    number = 0
    while chunk := content.read(_CHUNK):
        *whole, held = (held + chunk).split(b"\n")
        for line in whole:
            number += 1
            yield number, line
        if len(held) > longest:
            raise ArchiveRefused(entry=name[:200], reason=f"line {number + 1} is longer than {longest} bytes")
    if held:
        yield number + 1, held


def checked_line(name: str, number: int, line: bytes) -> dict[str, Any]:
    """The object that a line of documents is, within the limits of our REST."""
    try:
        entry = checked_json(line, DEEPEST + 2, LONGEST)  # two levels around a body
    except Refusal as refusal:
        raise ArchiveRefused(entry=name[:200], reason=f"line {number}: {refusal}") from refusal
    if type(entry) is not dict:
        raise ArchiveRefused(entry=name[:200], reason=f"line {number}: not an object")
    return entry


def small_json(content: Content, name: str, most: int = 1 << 20) -> Any:
    """A whole member as JSON. Raises ArchiveManifestRefused."""
    text = content.read(most + 1)
    if len(text) > most:
        raise ArchiveManifestRefused(name=name, reason=f"it is longer than {most} bytes")
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        shown = text[:1024].decode(errors="replace")
        raise ArchiveManifestRefused(name=name, reason=f"not JSON: {error}", text=shown) from error


def checked_path(name: str, path: str) -> str:
    try:
        if normal_path(path) == path:
            return path
        reason = "its path begins or ends with a slash"
    except NameRefused as refusal:
        reason = f"its path cannot be: {refusal.params['reason']}"
    raise ArchiveRefused(entry=name[:200], reason=reason)


def moment(microseconds: int) -> datetime:
    """Beyond the years 1 to 9999 it is 1970."""
    try:
        return _EPOCH + timedelta(microseconds=microseconds)
    except OverflowError:
        return _EPOCH


def microseconds(time: datetime) -> int:
    return (time - _EPOCH) // timedelta(microseconds=1)
