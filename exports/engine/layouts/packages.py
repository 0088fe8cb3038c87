"""The v1 layout of data files: packages of documents below a folder of the export's name (`spec/v1.md §8.3`)."""

import os
from collections.abc import Collection, Iterable, Iterator
from contextlib import closing
from datetime import datetime
from functools import partial
from itertools import chain, islice
from typing import Any

from cells.frozen import Snapshot
from cells.search import Condition
from exports.engine.entries import Entry
from exports.engine.freeze import Layout, Noting, noted_by_nobody
from exports.engine.layouts.assets import Assets, AssetsMaker, Document, Place
from exports.engine.names import Names
from exports.engine.notes import Notes
from exports.engine.pack import Pack
from exports.engine.produce.choosing import Chooser
from exports.engine.produce.linking import Linker
from exports.engine.produce.options import Data
from exports.engine.produce.package import TAB, Package
from exports.engine.produce.parents import paths_tell
from exports.engine.produce.producing import Producing
from exports.engine.produce.values import dumps, loads

#: Documents whose files and links are looked up together.
BATCH = 200
#: Documents between two looks at the clock.
BEAT = 500
HAS_FILES = b'"_file"'


def packages(
    *,
    data: Data,
    assets: AssetsMaker,
    condition: Condition,
    instance: str,
    notes: Notes,
    since: datetime | None = None,
    file_fields: Collection[str] = (),
    note: Noting = noted_by_nobody,
) -> Layout:
    """What `assets` puts first, then package by package the files of its documents and the data about them.

    `since`: documents that were written then or later, or of whose files, in one of `file_fields`, this is true. `note`
    hears which documents.
    """
    more = {"data": data, "assets": assets, "condition": condition, "instance": instance, "notes": notes}
    return partial(_entries, **more, since=since, file_fields=file_fields, note=note)


def _entries(
    snapshot: Snapshot,
    cells: list[tuple[int, str]],
    names: Names,
    pack: Pack,
    *,
    data: Data,
    assets: AssetsMaker,
    condition: Condition,
    instance: str,
    notes: Notes,
    since: datetime | None,
    file_fields: Collection[str],
    note: Noting,
) -> Iterator[Entry]:
    ids = [cell_id for cell_id, _ in cells]
    files = assets(Place(snapshot, cells, names, pack, notes, data.flat))
    yield from files.first()
    linker = Linker(snapshot, ids, instance, data.merge, data.has_parents, notes)
    chooser = Chooser(data.fields, data.languages)
    preparing = _Preparing(files, chooser, linker if data.is_linked else None, pack, parents=data.parents)
    producing = Producing(data, instance, names, pack, notes)
    selection = snapshot.selection(condition, ids, since, file_fields)
    note(snapshot, ids, selection)
    rows = snapshot.objects(ids, instance, selection)
    offset, top = 0, ""
    with closing(producing):
        for number, (raw, several) in enumerate(_packages(rows, data.batch_size, preparing), 1):
            if not (top or data.flat):
                top = names.beside("", data.folder) + "/"
            folder = f"{top}{number}/" if several and not data.flat else top
            with raw, raw.renewed() as package:
                yield from preparing.entries(raw, package, folder)
                yield from producing.entries(package, folder, offset)
                offset += raw.count


def _packages(rows: Iterable[tuple], size: int, preparing: "_Preparing") -> Iterator[tuple[Package, bool]]:
    """(package, whether there is more than one): `size` documents each, 0 for all of them."""
    rows = iter(rows)
    head = next(rows, None)
    several = False
    while head is not None:
        package = preparing.read(chain([head], islice(rows, size - 1) if size else rows))
        head = next(rows, None)
        several = several or head is not None
        yield package, several


class _Preparing:
    """Documents as the producers shall see them: with their files, their links, and no more than was chosen."""

    def __init__(self, files: Assets, chooser: Chooser, linker: Linker | None, pack: Pack, *, parents: bool) -> None:
        self._files, self._chooser, self._linker, self._pack = files, chooser, linker, pack
        self._parents = parents

    def read(self, rows: Iterable[tuple[int, int, str, int, bytes]]) -> Package:
        package = Package(os.path.dirname(self._pack.path))
        for number, (sid, cell_id, objecttype, changed, text) in enumerate(rows):
            package.count_in(sid, objecttype, changed)
            package.append(cell_id, text)
            package.is_raw = package.is_raw or self._concerns(text)
            if not number % BEAT:
                self._pack.tick(0)
        return package

    def _concerns(self, text: bytes) -> bool:
        return (
            self._chooser.is_needed or HAS_FILES in text or (self._linker is not None and self._linker.concerns(text))
        )

    def entries(self, raw: Package, package: Package, folder: str) -> Iterator[Entry]:
        """Files of the documents; when all are given, `package` holds what `raw` held, prepared."""
        if not raw.is_raw:
            return
        lines = raw.lines()
        while batch := [line.split(TAB) for line in islice(lines, BATCH)]:
            self._pack.tick(0)
            documents = [_document(cell_id, text) if self._concerns(text) else None for cell_id, text in batch]
            having = [each for each, (_, text) in zip(documents, batch, strict=True) if each and HAS_FILES in text]
            if having:
                yield from self._files.ship(having, folder)
            linked = self._links([each for each in documents if each])
            for (cell_id, text), document in zip(batch, documents, strict=True):
                if document:
                    text = dumps(self._chooser.choose(document.doctype, document.object))
                package.append(int(cell_id), text, linked.get(document.sid) if document else None)

    def _links(self, documents: list[Document]) -> dict[int, dict[str, Any]]:
        if self._linker is None or not documents:
            return {}
        found = self._linker.linked(documents)
        if self._parents:
            for document, linked in zip(documents, found, strict=True):
                paths_tell(document.object, linked)
        return {
            document.sid: {id: self._chooser.translate(target) for id, target in linked.items()}
            for document, linked in zip(documents, found, strict=True)
        }


def _document(cell_id: bytes, text: bytes) -> Document:
    found = loads(text)
    return Document(found["_system_object_id"], int(cell_id), found["_objecttype"], found)
