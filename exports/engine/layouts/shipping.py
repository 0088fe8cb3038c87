"""Files that go out under their paths, or not at all: `eas_fields` null and {} (`spec/v1.md §8.2`, FORMAT.md)."""

import posixpath
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from cells.mediatypes import class_of
from exports.engine.entries import Entry
from exports.engine.freeze import cell_entries
from exports.engine.layouts.assets import AssetsMaker, Document, FileField, Place, file_fields, path_of
from exports.engine.names import Names


def no_files(place: Place) -> "NoFiles":
    return NoFiles()


def all_files(since: datetime | None = None) -> AssetsMaker:
    """`since`: those written then or later."""
    return lambda place: AllFiles(place, since)


class NoFiles:
    """Nothing goes out, and the data says nothing of files."""

    def first(self) -> Iterator[Entry]:
        yield from ()

    def ship(self, documents: Sequence[Document], folder: str) -> Iterator[Entry]:
        for document in documents:
            for field in file_fields(document):
                replace(field, [])
        yield from ()


class AllFiles:
    """All files of the cells under their paths, in front of the documents; data says where each lies."""

    def __init__(self, place: Place, since: datetime | None) -> None:
        self._place, self._since = place, since
        self._prefixes = {id: f"{name}/" if len(place.cells) > 1 else "" for id, name in place.cells}
        #: {(cell id, path): name} where the name is another than the path: nobody can compute it again.
        self._renamed: dict[tuple[int, str], str] = {}

    def first(self) -> Iterator[Entry]:
        place = self._place
        names = Names() if place.flat else place.names  # a name in a folder is not one in use
        for cell_id, prefix in self._prefixes.items():
            for entry in cell_entries(place.snapshot, cell_id, prefix, names, self._since):
                if place.flat:
                    if entry.is_folder:
                        continue
                    full = entry.path or entry.name
                    name = place.names.beside("", full.rpartition("/")[2])
                    entry = entry._replace(name=name, path=None if name == full else full)
                if entry.path is not None:
                    self._renamed[cell_id, entry.path.removeprefix(prefix)] = entry.name
                yield entry

    def ship(self, documents: Sequence[Document], folder: str) -> Iterator[Entry]:
        fields = [(document.cell_id, field) for document in documents for field in file_fields(document)]
        known: dict[tuple[int, str], dict[str, Any]] = {}
        for cell_id in {cell_id for cell_id, _ in fields}:
            paths = {path_of(file["_file"]) for cell, field in fields if cell == cell_id for file in field.files}
            for row in self._place.snapshot.files_at(cell_id, sorted(paths)):
                known[cell_id, row[0]] = self._facts(cell_id, row, folder)
        for cell_id, field in fields:
            files = []
            for file in field.files:
                found = known.get((cell_id, path_of(file["_file"])))
                files.append({**file, **found} if found else file)
            replace(field, files)
        yield from ()

    def _facts(self, cell_id: int, row: tuple, folder: str) -> dict[str, Any]:
        path, id, size, content_type, changed = row[0], row[1], row[2], row[10], row[11]
        facts = {**known_of(path, id, size, content_type), "versions": {}}
        if self._since is None or changed >= self._since:
            name = self._renamed.get((cell_id, path)) or self._prefixes[cell_id] + path
            facts["versions"] = {"original": {"path": posixpath.relpath(name, folder or ".")}}
        return facts


def known_of(path: str, id: int, size: int, content_type: str) -> dict[str, Any]:
    """What the data says of a file, but for its versions."""
    leaf = path.rpartition("/")[2]
    stem, dot, extension = leaf.rpartition(".")
    if not (dot and stem):
        stem, extension = leaf, ""
    file_class = class_of(content_type)
    return {
        "_id": id,
        "class": file_class,
        "name": stem,
        "extension": extension.lower(),
        "class_extension": f"{file_class}.{extension.lower()}".rstrip("."),
        "original_filename": leaf,
        "filesize": size,
        "content_type": content_type,
    }


def replace(field: FileField, files: list[dict[str, Any]]) -> None:
    if files:
        field.holder[field.key] = files
    elif isinstance(field.holder, dict):
        del field.holder[field.key]
    else:
        field.holder[field.key] = None
