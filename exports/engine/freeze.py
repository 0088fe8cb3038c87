"""One consistent view of some cells, turned into the ordered entries of a manifest."""

from collections.abc import Callable, Iterator
from datetime import datetime

from cells.frozen import Snapshot
from cells.search import Condition
from exports.engine.entries import EXECUTABLE_MODE, FILE_MODE, FOLDER_MODE, Entry
from exports.engine.names import Names
from exports.engine.pack import Pack

EMPTY_SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

#: (snapshot, [(cell id, cell name)], names, pack) → entries without ordinals; see `layouts`.
Layout = Callable[[Snapshot, list[tuple[int, str]], Names, Pack], Iterator[Entry]]
#: (snapshot, cell ids, selection of documents): told once by a layout, before it takes them.
Noting = Callable[[Snapshot, list[int], Condition], object]


def noted_by_nobody(snapshot: Snapshot, cells: list[int], selection: Condition) -> None:
    """The default of layouts."""


def freeze(
    snapshot: Snapshot, cells: list[tuple[int, str]], layout: Layout, names: Names, pack: Pack
) -> Iterator[Entry]:
    """Entries numbered in the order of the archive. Generated contents go to `pack`, which is not sealed here.

    Reads everything inside `snapshot`'s one transaction; never blocks a writer.
    """
    for ordinal, entry in enumerate(layout(snapshot, cells, names, pack)):
        yield entry._replace(ordinal=ordinal)


def cell_entries(
    snapshot: Snapshot, cell_id: int, prefix: str, names: Names, since: datetime | None = None
) -> Iterator[Entry]:
    """The files of one cell under their paths, and folders that are empty (others follow from their files).

    `since`: of those written then or later.
    """
    for path, is_folder, size, mtime, executable, sha256, crc32, encoding, stored, stored_crc32, _ in snapshot.files(
        cell_id, since
    ):
        full = prefix + path
        if is_folder:
            name = names.folder(full)
            same = name == full + "/"
            yield Entry(
                -1, name, None if same else full, FOLDER_MODE, mtime, 0, 0, EMPTY_SHA256, "raw", 0, 0, None, b""
            )
        else:
            name = names.file(full)
            mode = EXECUTABLE_MODE if executable else FILE_MODE
            original = None if name == full else full
            yield Entry(
                -1, name, original, mode, mtime, size, crc32, sha256, encoding, stored, stored_crc32, None, b""
            )  # fmt: skip
