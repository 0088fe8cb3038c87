"""What the engine speaks of: entries of a sealed manifest, pieces of an archive, and plans of volumes."""

from collections.abc import Callable, Iterator
from enum import Enum
from typing import NamedTuple

FILE_MODE = 0o100644
EXECUTABLE_MODE = 0o100755
FOLDER_MODE = 0o040755


class Entry(NamedTuple):
    """One thing in an archive. Field by field what `exports.models.RunEntry` stores, plus where the bytes are."""

    ordinal: int
    #: In the archive; ends in "/" for a folder.
    name: str
    #: In the cell, where it differs from `name`.
    path: str | None
    mode: int
    #: Microseconds since 1970, UTC.
    mtime: int
    size: int
    crc32: int
    sha256: str
    encoding: str
    stored_size: int
    stored_crc32: int
    #: Offset in the run's pack file, or None when the bytes are the blob `sha256`.
    pack_offset: int | None
    points: bytes
    #: Absolute path of the file with the stored bytes; "" while nobody has looked it up.
    file: str = ""
    offset: int = 0
    #: Of a file that a document refers to (`spec/v1.md §4.5`): its id, and which version of it this is.
    asset_id: int | None = None
    asset_version: str = ""
    #: image, audio, video, office or other.
    asset_class: str = ""
    #: Why it is in no archive.
    missing: str = ""
    #: Of the document that it goes out with.
    document_id: int | None = None

    @property
    def is_folder(self) -> bool:
        return self.name.endswith("/")


class Form(Enum):
    """How the bytes of an entry stand in an archive."""

    #: As the blob store keeps them.
    STORED = "stored"
    #: Inflated.
    PLAIN = "plain"
    #: Raw bytes dressed as stored DEFLATE blocks, for gzip.
    FRAMED = "framed"


class Body(NamedTuple):
    """A piece of an archive that is the content of an entry."""

    entry: Entry
    form: Form
    length: int


#: An archive is a sequence of pieces: literal bytes, or somebody's content.
Piece = bytes | Body

#: (first, last) → the entries with first ≤ ordinal < last, in order, without the missing ones.
Source = Callable[[int, int], Iterator[Entry]]


class Mark(NamedTuple):
    """A place between two entries of an archive: all one must know to go on from there."""

    #: Ordinal of the next entry.
    ordinal: int
    #: Bytes of archive before it.
    offset: int
    #: The format's own: bytes of central directory so far (ZIP), of padding owed (TAR.GZ).
    aux: int
    #: Entries before it.
    count: int
