"""The data files of one package, one behind another (`spec/v1.md §8.3`)."""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from functools import partial
from os.path import dirname
from typing import Any

from exports.engine.entries import Entry
from exports.engine.names import Names
from exports.engine.notes import Notes
from exports.engine.pack import Pack
from exports.engine.produce import csv, json, xlsx, xml
from exports.engine.produce.choosing import Labels
from exports.engine.produce.columns import Columns, Flattener, Row
from exports.engine.produce.options import Csv, Data, Table, Xml
from exports.engine.produce.package import Package
from exports.engine.produce.values import loads
from exports.engine.produce.xslt import Stylesheet

#: Columns are gathered, and rows skipped, without a byte being written; between so many a heart beats.
BEAT = 500
#: Bytes of documents whose rows are kept.
SMALL = 2 * 1024 * 1024


class Producing:
    """Writes packages to `pack`; `close` ends what it started."""

    def __init__(self, data: Data, instance: str, names: Names, pack: Pack, notes: Notes) -> None:
        self._data, self._instance, self._names, self._pack, self._notes = data, instance, names, pack, notes
        self._listed = None if data.fields is None else frozenset(data.fields)
        self._language = (data.languages or ("",))[0]
        self._stylesheet = None
        if data.xml and data.xml.stylesheet is not None:
            self._stylesheet = Stylesheet(data.xml.stylesheet, data.xml.stylesheet_limit, notes, partial(pack.tick, 0))

    def close(self) -> None:
        if self._stylesheet:
            self._stylesheet.close()

    def entries(self, package: Package, folder: str, offset: int) -> Iterator[Entry]:
        """`offset`: documents of the search in front of this package."""
        if self._data.json:
            yield from (
                self._json_of_objects(package, folder, offset)
                if self._data.json.one_per_object
                else [self._json(package, folder, offset)]
            )
        if self._data.xml:
            yield from self._xml(package, folder, self._data.xml)
        if self._data.csv:
            yield from self._csv(package, folder, self._data.csv)
        if self._data.xlsx:
            yield self._xlsx(package, folder, self._data.xlsx)

    def _add(self, folder: str, name: str, chunks: Iterable[bytes], changed: int) -> Entry:
        return self._pack.add(self._names.beside(folder, name), chunks, mtime=changed)

    # --- JSON ---------------------------------------------------------------------------------------------------

    def _json(self, package: Package, folder: str, offset: int) -> Entry:
        text = json.answer(
            package.texts(),
            objecttypes=package.objecttypes,
            count=package.count,
            offset=offset,
            limit=self._data.batch_size or None,
            language=self._language,
        )
        return self._add(folder, f"{package.range}@{self._instance}.json", text, package.changed)

    def _json_of_objects(self, package: Package, folder: str, offset: int) -> Iterator[Entry]:
        for place, text in enumerate(package.texts(), offset):
            document = loads(text)
            answer = json.answer(
                [text], objecttypes=[document["_objecttype"]], count=1, offset=place, limit=1, language=self._language
            )
            name = f"{document['_system_object_id']}@{self._instance}.json"
            yield self._add(folder, name, answer, _changed(document, package))

    # --- XML ----------------------------------------------------------------------------------------------------

    def _xml(self, package: Package, folder: str, options: Xml) -> Iterator[Entry]:
        writer = xml.Writer(self._data.merge, self._labels(""), self._notes, named=self._data.is_named)
        if options.one_per_object:
            for document, linked in package.documents():
                name = f"{document['_system_object_id']}@{self._instance}.xml"
                chunks = [xml.HEAD, writer.element(document, linked), xml.TAIL]
                yield self._add(folder, name, self._styled(folder + name, chunks), _changed(document, package))
        else:
            name = f"{package.range}@{self._instance}.xml"
            chunks = _whole(writer.element(*each) for each in package.documents())
            yield self._add(folder, name, self._styled(folder + name, chunks), package.changed)

    def _styled(self, name: str, chunks: Iterable[bytes]) -> Iterable[bytes]:
        return self._stylesheet.apply(name, chunks) if self._stylesheet else chunks

    # --- Tables -------------------------------------------------------------------------------------------------

    def _csv(self, package: Package, folder: str, options: Csv) -> Iterator[Entry]:
        several = len(package.objecttypes) > 1
        for objecttype, rows, names, headers in self._tables(package, options.table):
            text = csv.table(rows, names, headers, options)
            name = f"{package.range}@{self._instance}{f'.{objecttype}' if several else ''}.csv"
            yield self._add(folder, name, text, package.changed)

    def _xlsx(self, package: Package, folder: str, table: Table) -> Entry:
        book = xlsx.workbook(self._tables(package, table), folder=dirname(self._pack.path), notes=self._notes)
        return self._add(folder, f"{package.range}@{self._instance}.xlsx", book, package.changed)

    def _tables(self, package: Package, table: Table) -> Iterator[tuple[str, Iterable[Row], list[str], list[str]]]:
        """(objecttype, rows, names, headers) each. Columns must be known before the first row is written: the rows of
        a small package are kept meanwhile, those of a large one made twice."""
        columns = {name: Columns(table, name, self._listed, self._notes) for name in package.objecttypes}
        flatteners = {name: self._flattener(name, table) for name in package.objecttypes}
        kept: dict[str, list[Row]] = {name: [] for name in package.objecttypes}
        is_small = package.size <= SMALL
        for number, (document, linked) in enumerate(package.documents()):
            objecttype = document["_objecttype"]
            row = flatteners[objecttype].row(document, linked)
            columns[objecttype].add(row)
            if is_small:
                kept[objecttype].append(row)
            if not number % BEAT:
                self._pack.tick(0)
        labels = self._labels(self._language if table.localized else "")
        for name, found in columns.items():
            rows = kept.pop(name) if is_small else self._rows(package, name, flatteners[name])
            yield name, rows, found.names(), found.headers(labels(name))

    @staticmethod
    def _rows(package: Package, objecttype: str, flattener: Flattener) -> Iterator[Row]:
        for document, linked in package.documents(objecttype):
            yield flattener.row(document, linked)

    def _flattener(self, objecttype: str, table: Table) -> Flattener:
        return Flattener(table, objecttype, self._data.languages, self._listed)

    # --- Names --------------------------------------------------------------------------------------------------

    def _labels(self, language: str) -> Callable[[str], Labels]:
        return lambda objecttype: Labels(self._data.fields, objecttype, language)


def _whole(elements: Iterable[bytes]) -> Iterator[bytes]:
    yield xml.HEAD
    yield from elements
    yield xml.TAIL


def _changed(document: dict[str, Any], package: Package) -> int:
    """Microseconds since 1970; the package's where `fields` left the document's out."""
    text = document.get("_last_modified")
    if not text:
        return package.changed
    moment = datetime.fromisoformat(text)
    return int(moment.timestamp()) * 1_000_000 + moment.microsecond
