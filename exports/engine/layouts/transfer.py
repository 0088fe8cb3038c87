"""What one exportsite offers another: all rows of a cell as chunks of lines, and each content once (FORMAT.md)."""

from collections.abc import Iterator

from cells import transfer_lines
from cells.frozen import Snapshot
from exports.engine.entries import FILE_MODE, Entry
from exports.engine.names import Names
from exports.engine.pack import Pack

CONTENTS = "contents"


def transfer(snapshot: Snapshot, cells: list[tuple[int, str]], names: Names, pack: Pack) -> Iterator[Entry]:
    """The layout of one cell. Names tell the kind, and are unique by construction."""
    ((cell_id, _),) = cells
    [(generation,)] = snapshot.rows("SELECT generation FROM cells_cell WHERE id = %(cell)s", {"cell": cell_id})
    place = {"cell": cell_id, "generation": generation}
    for kind, query in transfer_lines.ROWS.items():
        for number, chunk in enumerate(transfer_lines.chunks(snapshot.rows(query, place))):
            yield pack.add(f"{kind}/{number:08}.ndjson", [chunk], mtime=0)
    for sha256, size, crc32, encoding, stored_size, stored_crc32 in snapshot.rows(transfer_lines.CONTENTS, place):
        yield Entry(
            -1, f"{CONTENTS}/{sha256}", None, FILE_MODE, 0, size, crc32, sha256, encoding, stored_size, stored_crc32,
            None, b"",
        )  # fmt: skip
