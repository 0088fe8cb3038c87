"""Entries and a packer give volumes: where each begins and ends, how long it is, and its name for ever (ETag)."""

import hashlib
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from struct import Struct

from exports.engine.entries import Entry, Mark, Source
from exports.engine.formats import FORMATS, Format

MIB = 1024 * 1024
MARK = Struct("<4Q")
#: Entries between two marks (32 bytes each): reading anywhere walks over half as many before the first byte.
ENTRIES_PER_MARK = 256


@dataclass(frozen=True, slots=True)
class Packer:
    """A format, and how many bytes of input one volume may take (`spec/v1.md §9.2`)."""

    name: str
    format: str
    limit: int | None = None


PACKERS = {
    each.name: each
    for each in (
        Packer("zip", "zip"),
        Packer("zip_10mb", "zip", 10 * MIB),
        Packer("zip_2gb", "zip", 2048 * MIB),
        Packer("tar", "tar"),
        Packer("tar_gz", "tar_gz"),
        Packer("tar_bz2", "tar_bz2"),
    )
}


@dataclass(frozen=True, slots=True)
class VolumePlan:
    """An archive that follows from a sealed manifest; as good as the archive itself."""

    format: str
    #: Entries [first, last) of the manifest, then the entry `closing` (the run's `manifest.json`) if there is one.
    first: int
    last: int
    closing: int | None
    #: Characters that names lose at the front.
    strip: int
    #: None where the format tells it only afterwards.
    length: int | None
    etag: str
    #: Every so many entries, first and end included.
    marks: tuple[Mark, ...]

    @property
    def end(self) -> Mark:
        return self.marks[-1]

    def entries(self, source: Source, ordinal: int = 0) -> Iterator[Entry]:
        """The volume's entries from `ordinal` on, as they are to be named."""
        found = source(max(ordinal, self.first), self.last)
        if self.closing is not None:
            found = chain(found, source(self.closing, self.closing + 1))
        if not self.strip:
            return found
        return (entry._replace(name=entry.name[self.strip :]) for entry in found)

    def mark_before(self, offset: int) -> Mark:
        return self.marks[max(bisect_right(self.marks, offset, key=lambda mark: mark.offset) - 1, 0)]

    def mark_before_aux(self, aux: int) -> Mark:
        return self.marks[max(bisect_right(self.marks, aux, key=lambda mark: mark.aux) - 1, 0)]


def marks_pack(marks: Iterable[Mark]) -> bytes:
    return b"".join(MARK.pack(*mark) for mark in marks)


def marks_unpack(packed: bytes) -> tuple[Mark, ...]:
    return tuple(Mark(*numbers) for numbers in MARK.iter_unpack(packed))


class Planner:
    """Takes a manifest's entries one after another, and cuts volumes as its packer wants them."""

    def __init__(self, packer: Packer, *, seal: str, closing: Entry | None = None, strip: int = 0) -> None:
        """`seal`: the manifest's digest. `closing`: an entry that ends every volume and counts for no limit."""
        self.packer = packer
        self.format: Format = FORMATS[packer.format]
        self.volumes: list[VolumePlan] = []
        self._seal, self._closing, self._strip = seal, closing, strip
        self._begin(0)

    def _begin(self, ordinal: int) -> None:
        self._first, self._input, self._mark = ordinal, 0, Mark(ordinal, 0, 0, 0)
        self._marks: list[Mark] = []

    def add(self, entry: Entry) -> None:
        limit = self.packer.limit
        if self._mark.count and limit is not None and self._input + entry.size > limit:
            self._end(entry.ordinal)
            self._begin(entry.ordinal)
        elif not self._mark.count:
            self._begin(entry.ordinal)
        self._input += entry.size
        self._take(entry)

    def _take(self, entry: Entry) -> None:
        if not self._mark.count % ENTRIES_PER_MARK:
            self._marks.append(self._mark._replace(ordinal=entry.ordinal))
        named = entry._replace(name=entry.name[self._strip :]) if self._strip else entry
        self._mark = self.format.after(named, self._mark)

    def finish(self) -> list[VolumePlan]:
        """All volumes; an empty manifest gives one empty archive."""
        self._end(self._mark.ordinal)
        return self.volumes

    def _end(self, last: int) -> None:
        closing = None
        if self._closing is not None:
            closing = self._closing.ordinal
            self._take(self._closing)
        # The seal does not know how the closing entry was deflated: isal may do it otherwise on another CPU.
        key = (self.format.edition, self._seal, self._first, last, self._strip, self._closing and self._closing[1:11])
        self.volumes.append(
            VolumePlan(
                format=self.format.name,
                first=self._first,
                last=last,
                closing=closing,
                strip=self._strip,
                length=self.format.length(self._mark) if self.format.computed else None,
                etag=hashlib.sha256(repr(key).encode()).hexdigest()[:40],
                marks=(*self._marks, self._mark),
            )
        )


def plan(entries: Iterable[Entry], planners: Iterable[Planner]) -> None:
    """Feed all planners in one pass over `entries` (which must not include the closing entry)."""
    adders = [planner.add for planner in planners]
    for entry in entries:
        for add in adders:
            add(entry)
