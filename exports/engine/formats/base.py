"""What every archive format must answer, by arithmetic alone."""

from abc import ABC, abstractmethod
from collections.abc import Iterator

from exports.engine.entries import Entry, Form, Mark, Piece


class Format(ABC):
    """Lays entries out as an archive: the pieces of each, then a directory record of each, then the closing.

    Does not read content, files or the database. `after` and `pieces` must agree: what an entry adds at `mark` is
    exactly `after(entry, mark).offset - mark.offset` bytes, and the same on every machine.
    """

    name: str
    extension: str
    content_type: str
    #: Part of every ETag: changes when the same plan would give other bytes.
    edition: str
    #: Whether length and any byte range follow from the plan. If not, the archive must be written to be read.
    computed = True
    #: Whether `Mark.aux` counts bytes of a directory that stands behind the entries.
    has_directory = False

    #: As what `pieces` wants content read at the most: PLAIN when it has some of it inflated.
    reads = Form.STORED

    @abstractmethod
    def after(self, entry: Entry, mark: Mark) -> Mark:
        """The mark behind `entry` when it begins at `mark`."""

    @abstractmethod
    def pieces(self, entry: Entry, mark: Mark) -> Iterator[Piece]:
        """What `entry` adds at `mark`. Of `mark.aux` only what `owed` tells may be used."""

    def owed(self, entry: Entry) -> int:
        """The `aux` that `entry` leaves to its successor's `pieces`."""
        return 0

    def directory(self, entry: Entry, offset: int, opening: bytes) -> bytes:
        """What the directory says of `entry`, which began at `offset`; `opening` is the first of its pieces."""
        return b""

    @abstractmethod
    def closing(self, end: Mark) -> bytes:
        """The last bytes, behind entries and directory."""

    def length(self, end: Mark) -> int:
        return end.offset + (end.aux if self.has_directory else 0) + len(self.closing(end))
