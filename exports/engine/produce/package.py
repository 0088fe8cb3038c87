"""The documents of one package, read from the database once and as often as there are files to write of them."""

import tempfile
from collections.abc import Iterator
from typing import Any, Self

from exports.engine.produce.values import dumps, loads
from exports.engine.volumes import named

#: More bytes of documents than this lie on the disk of the store meanwhile.
IN_MEMORY = 4 * 1024 * 1024
#: Between the parts of a line; JSON text holds none.
TAB = b"\t"


class Package:
    """A line for each document, in order: id of its cell, itself, and the objects it links if there are any.

    Raises NoSpace. One reader at a time.
    """

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._file: Any = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY, dir=folder)  # noqa: SIM115
        self.count = 0
        self.first = self.last = 0
        #: Microseconds since 1970.
        self.changed = 0
        #: {objecttype: number of documents}, as they came.
        self.objecttypes: dict[str, int] = {}
        #: Bytes, of what was appended.
        self.size = 0
        #: Whether something in it is still to be prepared for the producers.
        self.is_raw = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._file.close()

    def renewed(self) -> "Package":
        """For the same documents, prepared; itself, if there is nothing to prepare."""
        if not self.is_raw:
            return self
        package = Package(self._folder)
        package.count, package.first, package.last = self.count, self.first, self.last
        package.changed, package.objecttypes = self.changed, self.objecttypes
        return package

    def count_in(self, sid: int, objecttype: str, changed: int) -> None:
        self.first = self.first or sid
        self.last = sid
        self.count += 1
        self.changed = max(self.changed, changed)
        self.objecttypes[objecttype] = self.objecttypes.get(objecttype, 0) + 1

    def append(self, cell_id: int, text: bytes, linked: dict[str, Any] | None = None) -> None:
        more = TAB + dumps(linked) if linked else b""
        try:
            self.size += self._file.write(b"%d\t%b%b\n" % (cell_id, text, more))
        except OSError as error:
            raise named(error, self._folder) from error

    def lines(self) -> Iterator[bytes]:
        try:
            self._file.seek(0)
        except OSError as error:
            raise named(error, self._folder) from error
        for line in self._file:
            yield line[:-1]

    def texts(self) -> Iterator[bytes]:
        """Documents alone, as JSON."""
        for line in self.lines():
            yield line.split(TAB, 2)[1]

    def documents(self, objecttype: str | None = None) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
        """(document, {id: linked object}) each; with an `objecttype` the others are not even parsed."""
        some = objecttype is not None and len(self.objecttypes) > 1
        start = b'{"_objecttype":' + dumps(objecttype) + b"," if some else b""
        for line in self.lines():
            _, text, *linked = line.split(TAB)
            if text.startswith(start):
                yield loads(text), loads(linked[0]) if linked else {}

    @property
    def range(self) -> str:
        """`<first>-<last>`, or the only one (`spec/v1.md §8.3`)."""
        return str(self.first) if self.count == 1 else f"{self.first}-{self.last}"
