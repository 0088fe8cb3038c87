"""Which files go out with documents, and what the data says of them (`spec/v1.md §8.2`): the shape of the answer.

A field of a document refers to files by `{"_file": <path>}`, or by a list of such. Of those that the data shall speak
of, an `Assets` makes a list of objects, one for each file, which all producers of data files read:

`_file`               path in the cell, as it was
`_id`                 asset id, `cells_file.id`
`class`, `extension`, `class_extension`    image | audio | video | office | other; `jpg`; `image.jpg`
`name`, `original_filename`                without and with extension
`filesize`, `content_type`, `preferred`, `compiled`
`technical_metadata`  {name: value}; absent or empty where nothing is known
`versions`            {name: {"path": of the shipped file, relative to the data files, "url": …}}, either or both

All but `_file`, `_id` and `versions` may be absent.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

from cells.errors import NameRefused
from cells.frozen import Snapshot
from cells.validators import normal_path
from exports.engine.entries import Entry
from exports.engine.names import Names
from exports.engine.notes import Notes
from exports.engine.pack import Pack


class Document(NamedTuple):
    """One document of a package. `object` is its v1 form (`spec/v1.md §7.1`), to be changed in place."""

    sid: int
    cell_id: int
    doctype: str
    object: dict[str, Any]

    @property
    def block(self) -> dict[str, Any]:
        """`_id`, `_version` and the document's own fields."""
        return self.object[self.doctype]


class FileField(NamedTuple):
    """A place in a document where files are referred to."""

    #: Dotted, behind the doctype, without numbers of rows: `chapters.photo`.
    path: str
    #: `holder[key]` is the reference, or the list of them.
    holder: Any
    key: Any
    #: The references, never empty: each has `_file`, and what else people wrote beside it.
    files: list[dict[str, Any]]


class Assets(Protocol):
    def first(self) -> Iterator[Entry]:
        """What stands in the archive before all packages."""
        ...

    def ship(self, documents: Sequence[Document], folder: str) -> Iterator[Entry]:
        """Resolve the file fields of some documents of one package, and give what goes out with them.

        Each `FileField` has become a list of objects as above, or is gone where the rules have nothing for it; this is
        done when the iterator has ended. `folder` holds the package's data files: "" or with a slash at the end.
        Called for the documents of a package in order, some hundred at a time; only documents with files come here.
        """
        ...


class Place(NamedTuple):
    """What an `Assets` has to work with. `cells`: [(id, name)]."""

    snapshot: Snapshot
    cells: list[tuple[int, str]]
    names: Names
    pack: Pack
    notes: Notes
    #: No folders at all (`spec/v1.md §8.3`).
    flat: bool


#: Made anew for each run's freeze.
AssetsMaker = Callable[[Place], Assets]


def file_fields(document: Document) -> Iterable[FileField]:
    """Every place in the document's block that refers to files, the outermost first."""
    found: list[FileField] = []
    _find(document.block, "", found)
    return found


def path_of(given: str) -> str:
    """The path in the cell that `_file` means; "" is that of no file."""
    try:
        return normal_path(given)
    except NameRefused:
        return ""


def references(value: Any) -> list[dict[str, Any]]:
    """The references that a value is, [] when it is something else."""
    if isinstance(value, dict):
        return [value] if isinstance(value.get("_file"), str) else []
    if (
        isinstance(value, list)
        and value
        and all(isinstance(e, dict) and isinstance(e.get("_file"), str) for e in value)
    ):
        return value
    return []


def _find(holder: Any, path: str, found: list[FileField]) -> None:
    items = holder.items() if isinstance(holder, dict) else enumerate(holder)
    for key, value in items:
        if not isinstance(value, dict | list):
            continue
        below = path if isinstance(holder, list) else f"{path}.{key}" if path else key
        if files := references(value):
            found.append(FileField(below, holder, key, files))
        else:
            _find(value, below, found)
