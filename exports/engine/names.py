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
#: How the second of two equal names is told from the first; v1's assets have "-2" (`spec/v1.md §8.3`).
TWIN, DASHED_TWIN = " ({})", "-{}"
#: Characters, and bytes, of a name that people made up, so that a number and an extension still fit.
LONGEST_BASE, LONGEST_BASE_BYTES = 100, 220
FORBIDDEN = re.compile(r'[\x00-\x1f\x7f-\x9f/\\:*?"<>|]')


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

    def beside(self, parent: str, leaf: str, twin: str = TWIN) -> str:
        """A free name for `leaf` in the archive's folder `parent` ("" or with a slash), whatever came before; `twin`
        says how a number is put to it."""
        return self._unique(parent, leaf, twin)

    def _folder(self, path: str) -> str:
        """The name of the folder that holds `path`, with a slash at the end."""
        while not path.startswith(self._open[-1][0]):
            self._open.pop()
        while (cut := path.find("/", len(self._open[-1][0]))) >= 0:
            inner, outer = path[: cut + 1], self._open[-1]
            self._open.append((inner, self._unique(outer[1], inner[len(outer[0]) : -1]) + "/"))
        return self._open[-1][1]

    def _unique(self, parent: str, leaf: str, twin: str = TWIN) -> str:
        name = parent + (leaf if leaf.isprintable() and not SUSPECT.search(leaf) else UNSAFE.sub("_", leaf))
        key = hash(name.lower() if name.isascii() else unicodedata.normalize("NFC", name).casefold())
        if key not in self._taken:
            self._taken.add(key)
            return name
        # Counting on from the last clash keeps 100,000 twins of one name from 5,000,000,000 tries.
        number = self._clashes[key] = self._clashes.get(key, 1) + 1
        return self._unique(parent, numbered(leaf, number, twin), twin)


def numbered(leaf: str, number: int, twin: str = TWIN) -> str:
    """`leaf` with a number before its extension, cut at the end of its stem to what a file system takes."""
    stem, dot, extension = leaf.rpartition(".")
    if not dot or not stem or len(extension) > LONGEST_EXTENSION:
        stem, extension = leaf, ""
    ending = twin.format(number) + (f".{extension}" if extension else "")
    room = LONGEST - len(ending.encode())
    return stem.encode()[:room].decode(errors="ignore") + ending


def cleaned(text: str, *, less: int = 0) -> str:
    """`text` as part of a file's name: no folders, nothing that an operating system refuses (`spec/v1.md §8.3`).

    At most 100 characters, `less` for what comes behind. "" when nothing is left; never "." or "..".
    """
    text = " ".join(FORBIDDEN.sub("_", text).split())[: LONGEST_BASE - less]
    text = text.encode()[: LONGEST_BASE_BYTES - less * 4].decode(errors="ignore").rstrip()
    return text if text.strip(".") else "_" * len(text)
