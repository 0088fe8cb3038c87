"""What an archive is to those who read it: members with names and checked bytes, and nothing to be trusted.

Readers of a container (`zip`, `tar`) read its structure themselves: what the standard library lets pass (CVE-2007-4559
and its family, overlapping entries, headers that contradict each other) is refused here.
"""

import os
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import NamedTuple, Self

from exports.engine.archives.index import Index
from exports.errors import ArchiveRefused, ArchiveTooLarge, ArchiveUnreadable, NoArchive

#: C0, C1 and DEL garble terminals; programs for Windows take a backslash for a slash.
_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\\]")
_DRIVE = re.compile(r"[A-Za-z]:")
_LONGEST_NAME = 16 * 1024
#: Plain bytes that no archive is called a bomb for.
HARMLESS = 256 << 20


#: What a container without checksums has of its members.
NO_CRC = -1


class Budget(NamedTuple):
    """How much an archive may hold."""

    entries: int
    #: Plain.
    bytes: int
    #: Plain bytes for each of its own.
    ratio: int


class Member(NamedTuple):
    """A file or folder in an archive, as its container tells it; none of it is true before it was read."""

    #: Safe: relative, without dots; ends in "/" for a folder.
    name: str
    #: Where its header begins.
    offset: int
    size: int
    #: As it lies in the archive.
    packed: int
    crc32: int
    deflated: bool
    #: Of ZIP; of TAR, the length of the header.
    extra: int = 0

    @property
    def is_folder(self) -> bool:
        return self.name.endswith("/")


class Source:
    """A range of a file that does not change. Good for several threads. Raises ArchiveUnreadable.

    `rest`: the other parts, where it is one of several; whoever opened them closes them.
    """

    def __init__(self, path: str, start: int = 0, length: int | None = None) -> None:
        self.rest: list[Source] = []
        try:
            self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise ArchiveUnreadable(reason=error.strerror) from error
        self._start = start
        self.length = os.fstat(self._fd).st_size - start if length is None else length

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        os.close(self._fd)

    def holds(self, end: int) -> bool:
        """Whether there are so many bytes."""
        return end <= self.length

    def read(self, offset: int, size: int) -> bytes:
        """Exactly [offset, offset + size). Raises NoArchive when the file is shorter."""
        if not (0 <= offset <= offset + size and self.holds(offset + size)):
            raise NoArchive(reason=f"it has {self.length} bytes and speaks of byte {offset + size}")
        try:
            data = os.pread(self._fd, size, self._start + offset)
            while len(data) < size and (more := os.pread(self._fd, size - len(data), self._start + offset + len(data))):
                data += more
        except OSError as error:
            raise ArchiveUnreadable(reason=error.strerror) from error
        if len(data) < size:
            raise ArchiveUnreadable(reason="it became shorter while it was read")
        return data


class Content(ABC):
    """The plain bytes of one member, read once from its beginning. Raises ArchiveRefused where they are not as told."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:  # noqa: B027 -- nothing is held open
        pass

    @abstractmethod
    def read(self, size: int) -> bytes:
        """`size` bytes, fewer only at the end, where everything has been checked."""


class Archive(ABC):
    """Members, found by name and read in the order in which they lie. Memory does not grow with their number."""

    def __init__(self, source: Source, budget: Budget) -> None:
        self.source, self.budget = source, budget
        self.index = Index()

    def close(self) -> None:
        self.index.close()

    @abstractmethod
    def check_layout(self, tick: Callable[[], object]) -> None:
        """Compare every header: whether all bytes of the archive belong to one member each, or to the structure."""

    @abstractmethod
    def open(self, member: Member) -> Content:
        """For any thread."""

    def find(self, name: str) -> Member | None:
        row = self.index.find(name)
        return None if row is None else Member(*row)

    def last(self) -> Member | None:
        row = self.index.last()
        return None if row is None else Member(*row)

    def members(self) -> Iterator[Member]:
        """By offset."""
        return (Member(*row) for row in self.index.members())

    def _add(self, members: Iterator[Member]) -> None:
        """Take the directory in; refuses what goes beyond the budget, or is there twice."""
        self.total = self.count = 0
        for batch in self.index.add(members):
            self.count += len(batch)
            self.total += sum(member.size for member in batch)
            self._check_budget(self.count)

    def _check_budget(self, count: int) -> None:
        if count > self.budget.entries:
            raise ArchiveTooLarge(found=f"more than {self.budget.entries}", what="entries", limit=self.budget.entries)
        limit = min(self.budget.bytes, max(HARMLESS, self.source.length * self.budget.ratio))
        if self.total > limit:
            raise ArchiveTooLarge(found=self.total, what="bytes unpacked", limit=limit)


def safe_name(name: str) -> str:
    """The name, or ArchiveRefused for one that could mean a place outside, or another for another program."""
    if not name or len(name) > _LONGEST_NAME:
        raise ArchiveRefused(entry=name[:200], reason="an empty name" if not name else "its name is too long")
    if name.startswith("/") or _DRIVE.match(name):
        raise ArchiveRefused(entry=name[:200], reason="an absolute name")
    if _UNSAFE.search(name):
        raise ArchiveRefused(entry=name[:200], reason="control characters or a backslash in its name")
    if any(part in ("", ".", "..") for part in name.removesuffix("/").split("/")):
        raise ArchiveRefused(entry=name[:200], reason="'.', '..' or nothing as part of its name")
    return name
