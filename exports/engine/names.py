"""Names in an archive: safe to unpack anywhere, and unique after NFC and case folding."""

import re
import unicodedata

#: Control characters garble terminals and end FTP commands. Info-ZIP takes a backslash for a slash, and drops a
#: version number of VMS (";1") at the end; bsdtar drops a drive letter ("c:") in front.
UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\\]|;(?=[0-9]*\Z)|(?<=\A[A-Za-z]):")
#: Names without any of these, and printable, are safe.
SUSPECT = re.compile(r"[\\;:]")
#: Bytes that a file system takes in one name.
LONGEST = 255
LONGEST_EXTENSION = 16


class Names:
    """Gives each path of a cell its name in the archive. Paths must come ordered, those of one folder together.

    Keeps one integer for each name given (about 70 bytes), not the names.
    """

    def __init__(self) -> None:
        self._taken: set[int] = set()
        self._clashes: dict[int, int] = {}
        #: The folders that lead to the last path: (path with slash, name with slash).
        self._open: list[tuple[str, str]] = [("", "")]

    def file(self, path: str) -> str:
        parent = self._folder(path)
        return self._unique(parent, path[path.rfind("/") + 1 :])

    def folder(self, path: str) -> str:
        """Ends in "/"."""
        return self._folder(path + "/")

    def beside(self, parent: str, leaf: str) -> str:
        """A free name for `leaf` in the archive's folder `parent` ("" or with a slash), whatever came before."""
        return self._unique(parent, leaf)

    def _folder(self, path: str) -> str:
        """The name of the folder that holds `path`, with a slash at the end."""
        while not path.startswith(self._open[-1][0]):
            self._open.pop()
        while (cut := path.find("/", len(self._open[-1][0]))) >= 0:
            inner, outer = path[: cut + 1], self._open[-1]
            self._open.append((inner, self._unique(outer[1], inner[len(outer[0]) : -1]) + "/"))
        return self._open[-1][1]

    def _unique(self, parent: str, leaf: str) -> str:
        name = parent + (leaf if leaf.isprintable() and not SUSPECT.search(leaf) else UNSAFE.sub("_", leaf))
        key = hash(name.lower() if name.isascii() else unicodedata.normalize("NFC", name).casefold())
        if key not in self._taken:
            self._taken.add(key)
            return name
        # Counting on from the last clash keeps 100,000 twins of one name from 5,000,000,000 tries.
        number = self._clashes[key] = self._clashes.get(key, 1) + 1
        return self._unique(parent, numbered(leaf, number))


def numbered(leaf: str, number: int) -> str:
    """`leaf` with a number before its extension, cut at the end of its stem to what a file system takes."""
    stem, dot, extension = leaf.rpartition(".")
    if not dot or not stem or len(extension) > LONGEST_EXTENSION:
        stem, extension = leaf, ""
    ending = f" ({number}).{extension}" if extension else f" ({number})"
    room = LONGEST - len(ending.encode())
    return stem.encode()[:room].decode(errors="ignore") + ending
