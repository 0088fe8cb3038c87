"""The v1 layout: files under their paths; documents, if wanted, as one JSON file for each doctype."""

from collections.abc import Iterator
from datetime import datetime
from functools import partial

from cells.frozen import Snapshot
from cells.search import Condition
from exports.engine.entries import Entry
from exports.engine.freeze import Layout, Noting, cell_entries, noted_by_nobody
from exports.engine.names import Names
from exports.engine.pack import Pack

FOLDER = "documents"


def search(
    *,
    documents: str | None,
    condition: Condition,
    instance: str,
    since: datetime | None = None,
    note: Noting = noted_by_nobody,
) -> Layout:
    """`documents`: "json" for a v1 search answer a doctype (`spec/v1.md §8.6`), "lines" for NDJSON as our REST takes
    it, None for files alone. `condition`: which documents; files are not searched. `instance`: the part behind the @
    of global object ids.
    `since`: only files and documents written then or later (`spec/v1.md §11`). `note` hears which documents."""
    return partial(_entries, documents=documents, condition=condition, instance=instance, since=since, note=note)


def _entries(
    snapshot: Snapshot,
    cells: list[tuple[int, str]],
    names: Names,
    pack: Pack,
    *,
    documents: str | None,
    condition: Condition,
    instance: str,
    since: datetime | None,
    note: Noting,
) -> Iterator[Entry]:
    ids, selection = [cell_id for cell_id, _ in cells], condition
    if documents:
        selection = snapshot.selection(condition, ids, since)
        note(snapshot, ids, selection)
    for cell_id, cell_name in cells:
        prefix = f"{cell_name}/" if len(cells) > 1 else ""
        yield from cell_entries(snapshot, cell_id, prefix, names, since)
        if not documents:
            continue
        # Behind the files, so that a cell's own "documents" keeps its name.
        folder = names.beside(prefix, FOLDER)
        for doctype, count, changed in snapshot.doctypes(cell_id, since, selection):
            if documents == "lines":
                lines = snapshot.documents(cell_id, doctype, "lines", instance, since, selection=selection)
                name, text = f"{doctype}.jsonl", lines
            else:
                lines = snapshot.documents(cell_id, doctype, "objects", instance, since, ",", selection)
                name, text = f"{doctype}.json", _answer(lines, doctype, count)
            yield pack.add(names.beside(folder + "/", name), text, mtime=changed)


def _answer(lines: Iterator[bytes], doctype: str, count: int) -> Iterator[bytes]:
    """`lines` are led by commas."""
    yield b'{"type": "objects", "format": "long", "objecttypes": ["%b"], "offset": 0, ' % doctype.encode()
    yield b'"limit": null, "count": %d, "objects": [\n' % count
    yield next(lines, b"")[1:]
    yield from lines
    yield b"]}\n"
