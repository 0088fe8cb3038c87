"""Files that go out as rules say: `eas_fields`, `classes` and `assets` (`spec/v1.md §8.2`, names §8.3)."""

import posixpath
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple
from urllib.parse import quote

from cells.mediatypes import class_of
from exports.engine.entries import FILE_MODE, Entry
from exports.engine.freeze import EMPTY_SHA256
from exports.engine.images.pictures import Pictures
from exports.engine.layouts.assets import AssetsMaker, Document, FileField, Place, file_fields, path_of
from exports.engine.layouts.filenames import Naming, Shipped
from exports.engine.layouts.rules import Candidate, FieldRule, Link, Rules, Version
from exports.engine.layouts.shipping import known_of, replace
from exports.engine.names import DASHED_TWIN

FOLDER = "files"


class Content(NamedTuple):
    """One content that a file has or had; the fields are those of `Entry`."""

    size: int
    mtime: int
    sha256: str
    crc32: int
    encoding: str
    stored_size: int
    stored_crc32: int


class Found(NamedTuple):
    """A file that a document refers to."""

    cell_id: int
    path: str
    id: int
    content_type: str
    current: Content

    @property
    def file_class(self) -> str:
        return class_of(self.content_type)


class Use(NamedTuple):
    """A field of a document that the rules speak of, with the files of it that are there."""

    document: Document
    field: FileField
    rule: FieldRule
    #: (reference, file) each.
    files: list[tuple[dict[str, Any], Found]]


def ruled_files(
    rules: Rules, naming: Naming, pictures: Pictures, *, base_url: str, measured: bool = False
) -> AssetsMaker:
    """`base_url`: in front of `/api/v1/cell/…` in links. `measured`: the data tells how large pictures are."""
    return lambda place: RuledFiles(place, rules, naming, pictures, base_url, measured)


class RuledFiles:
    """What documents refer to, as far as the rules let it, in `files/` of their package."""

    def __init__(
        self, place: Place, rules: Rules, naming: Naming, pictures: Pictures, base_url: str, measured: bool
    ) -> None:
        self._place, self._rules, self._naming, self._pictures = place, rules, naming, pictures
        self._base_url, self._measured = base_url, measured
        self._cells = dict(place.cells)
        self._version_names = sorted(rules.names())
        #: Of the files of the documents at hand: {(file id, "original" or a number): content}.
        self._old: dict[tuple[int, str], Content] = {}
        #: (folder of the data files, folder of theirs).
        self._folder: tuple[str, str] | None = None

    def first(self) -> Iterator[Entry]:
        yield from ()

    def ship(self, documents: Sequence[Document], folder: str) -> Iterator[Entry]:
        uses = list(self._uses(documents))
        found = {file.id for use in uses for _, file in use.files}
        self._old = self._old_contents(sorted(found))
        for use in uses:
            yield from self._use(use, folder)

    def _uses(self, documents: Sequence[Document]) -> Iterator[Use]:
        """Fields without a rule are gone then."""
        wanted: list[tuple[Document, FileField, FieldRule]] = []
        for document in documents:
            for field in file_fields(document):
                if rule := self._rules.field(document.doctype, field.path):
                    wanted.append((document, field, rule))
                else:
                    replace(field, [])
        known = self._known((document.cell_id, file["_file"]) for document, field, _ in wanted for file in field.files)
        for document, field, rule in wanted:
            files = []
            for reference in field.files:
                if file := known.get((document.cell_id, reference["_file"])):
                    files.append((reference, file))
                else:
                    self._place.notes.warn(
                        f"{document.doctype} {document.sid}: {field.path} refers to {reference['_file'][:200]!r}, "
                        "and there is no such file."
                    )
            yield Use(document, field, rule, files)

    def _known(self, asked: Iterable[tuple[int, str]]) -> dict[tuple[int, str], Found]:
        by_cell: dict[int, dict[str, list[str]]] = {}
        for cell_id, given in asked:
            by_cell.setdefault(cell_id, {}).setdefault(path_of(given), []).append(given)
        known = {}
        for cell_id, paths in by_cell.items():
            for row in self._place.snapshot.files_at(cell_id, sorted(paths)):
                path, id, size, mtime, _, *facts, content_type, _ = row
                file = Found(cell_id, path, id, content_type, Content(size, mtime, *facts))
                known.update({(cell_id, given): file for given in paths[path]})
        return known

    def _old_contents(self, files: list[int]) -> dict[tuple[int, str], Content]:
        old: dict[tuple[int, str], Content] = {}
        for id, number, *facts, _ in self._place.snapshot.versions_of(files, self._version_names) if files else ():
            old.setdefault((id, "original"), Content(*facts))
            old[id, str(number)] = Content(*facts)
        return old

    def _use(self, use: Use, folder: str) -> Iterator[Entry]:
        marked = next((n for n, (reference, _) in enumerate(use.files) if reference.get("preferred") is True), 0)
        candidates = [Candidate(file.id, file.file_class, n == marked) for n, (_, file) in enumerate(use.files)]
        told = []
        for index, versions in self._rules.chosen(use.rule, candidates):
            reference, file = use.files[index]
            places: dict[str, dict[str, str]] = {}
            for version in versions:
                entry = self._entry(use, file, version, folder, several=len(versions) > 1)
                if not entry.missing:
                    where = posixpath.relpath(entry.name, folder or ".")
                    places.setdefault(_free(version.label, places), {})["path"] = where
                yield entry
            for link in use.rule.links:
                self._link(link, use, file, places)
            told.append(self._told(use.rule, reference, file, index == marked, places))
        replace(use.field, told)

    def _told(
        self, rule: FieldRule, reference: dict[str, Any], file: Found, preferred: bool, places: dict[str, Any]
    ) -> dict[str, Any]:
        """Bare links say what they must; all else says what is known (§8.2 item 5)."""
        if rule.links and not rule.files and not any(link.long for link in rule.links):
            return {"_file": reference["_file"], "_id": file.id, "versions": places}
        facts = known_of(file.path, file.id, file.current.size, file.content_type)
        if self._measured and file.file_class == "image":
            facts["technical_metadata"] = self._pictures.measured(file.current.sha256)
        return {**reference, **facts, "preferred": preferred, "versions": places}

    def _link(self, link: Link, use: Use, file: Found, places: dict[str, dict[str, str]]) -> None:
        version = link.version(file.file_class)
        if version is None:
            return
        content = self._content(file, version)
        if content is None or content.sha256 != file.current.sha256:
            why = "has no such version" if content is None else "is of an older content, which has no address"
            self._place.notes.warn(f"The link to {file.path[:200]!r}, {version.label}, was left out: it {why}.")
            return
        path = f"/api/v1/cell/{quote(self._cells[file.cell_id])}/files/{quote(file.path)}"
        places.setdefault(version.label, {})["url"] = self._base_url + path

    def _content(self, file: Found, version: Version) -> Content | None:
        if version.kind == "version":
            return self._old.get((file.id, version.name))
        if version.kind == "original":
            return self._old.get((file.id, "original"), file.current)
        return file.current

    def _entry(self, use: Use, file: Found, version: Version, folder: str, *, several: bool) -> Entry:
        content = self._content(file, version)
        extension, missing = _extension(file.path), ""
        if content is None:
            content, missing = _NOTHING, f"it has no version called {version.name!r}"
        elif version.recipe is not None:
            made = self._pictures.made(content.sha256, version.recipe)
            if isinstance(made, str):
                content, missing = _NOTHING, f"its {version.label} version could not be made: {made}"
            else:
                keeps = version.recipe.format == "keep" and extension
                extension = extension if keeps else made.extension
                content = Content(
                    made.size, content.mtime, made.sha256, made.crc32, made.encoding, made.stored_size,
                    made.stored_crc32,
                )  # fmt: skip
        name = self._name(use, file, version, extension, folder, several=several)
        path = f"{self._cells[file.cell_id]}/{file.path}" if len(self._cells) > 1 else file.path
        return Entry(
            -1, name, None if name == path else path, FILE_MODE, content.mtime, content.size, content.crc32,
            content.sha256, content.encoding, content.stored_size, content.stored_crc32, None, b"",
            asset_id=file.id, asset_version=version.label[:100], asset_class=file.file_class, missing=missing,
            document_id=use.document.sid,
        )  # fmt: skip

    def _name(self, use: Use, file: Found, version: Version, extension: str, folder: str, *, several: bool) -> str:
        original = _extension(file.path)
        leaf = file.path.rpartition("/")[2]
        shipped = Shipped(
            id=file.id,
            file_class=file.file_class,
            stem=leaf.removesuffix(f".{original}") if original else leaf,
            extension=extension,
            version=version.label,
            is_one_of_several=several,
            measures=lambda: self._pictures.measured(file.current.sha256),
        )
        base = self._naming.base(use.document, use.field.path, shipped)
        leaf = f"{base}.{extension}" if extension else base
        return self._place.names.beside(self._files_folder(folder), leaf, DASHED_TWIN)

    def _files_folder(self, folder: str) -> str:
        if self._place.flat:
            return folder
        if self._folder is None or self._folder[0] != folder:
            self._folder = (folder, self._place.names.beside(folder, FOLDER) + "/")
        return self._folder[1]


_NOTHING = Content(0, 0, EMPTY_SHA256, 0, "raw", 0, 0)


def _extension(path: str) -> str:
    """Without its dot; "" of a name that has none, or nothing in front of it."""
    stem, dot, extension = path.rpartition("/")[2].rpartition(".")
    return extension if dot and stem and len(extension) <= _LONGEST_EXTENSION else ""


_LONGEST_EXTENSION = 16


def _free(label: str, taken: dict[str, Any]) -> str:
    """Two custom versions of a file are two keys in its data."""
    number, key = 1, label
    while key in taken:
        number += 1
        key = f"{label}-{number}"
    return key
