"""Whatever a document holds, its data files can be read: judged by csv, libxml2, expat, orjson and openpyxl."""

import csv
import io
import itertools
import json
import re
from typing import Any
from xml.etree import ElementTree

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree
from openpyxl import load_workbook

from exports.engine.notes import Notes
from exports.engine.produce import csv as ours
from exports.engine.produce import xlsx, xml
from exports.engine.produce.choosing import Chooser, Labels
from exports.engine.produce.columns import Columns, Flattener
from exports.engine.produce.options import Csv, Merge, Table
from exports.engine.produce.values import dumps, loads

#: Names that mean something to the producers, in places where they should not be.
NAMES = st.sampled_from(
    "_file _id _version _id_parent _standard _tags _pool pool _objecttype versions technical_metadata path url 1 text "
    "from to de-DE en-US title name _nested:a__b _reverse_nested:a:b a:b #x [0] = é \U0001f600".split()
) | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=5)
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)
LEAVES = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(-1e9, 1e9, width=32) | TEXTS
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4))
BLOCKS = st.dictionaries(NAMES, VALUES, max_size=5)


def document(block: dict[str, Any], id: int = 7) -> dict[str, Any]:
    text = {"_objecttype": "book", "_system_object_id": id, "_global_object_id": f"{id}@here", "_uuid": "b"}
    return {**text, "_created": "2020-01-01T00:00:00.000000Z", "_last_modified": "2020-01-01T00:00:00.000000Z",
            "book": {**block, "_id": id, "_version": 1}}  # fmt: skip


def read(given: dict[str, Any]) -> dict[str, Any]:
    return loads(json.dumps(given, ensure_ascii=False).encode())


@settings(max_examples=50, deadline=None)
@given(BLOCKS, BLOCKS)
def test_xml(block: dict[str, Any], other: dict[str, Any]) -> None:
    linked = {str(id): read(document(other, id)) for id in (0, 1, 7)}
    writer = xml.Writer(Merge("all", 3), lambda objecttype: Labels(None, objecttype), Notes())
    text = xml.HEAD + writer.element(read(document(block)), linked) + xml.TAIL
    root = etree.fromstring(text)
    assert len(root) == 1
    assert root.findtext(f"{{{xml.NAMESPACE}}}book/{{{xml.NAMESPACE}}}_system_object_id") == "7"
    ElementTree.fromstring(text)  # noqa: S314


@settings(max_examples=50, deadline=None)
@given(st.lists(BLOCKS, min_size=1, max_size=3), st.booleans(), st.sampled_from([None, "/", "column"]))
def test_tables(tmp_path_factory: Any, blocks: list[dict[str, Any]], empty: bool, hierarchy: str | None) -> None:
    table, notes = Table(empty_columns=empty, hierarchy=hierarchy), Notes()
    flattener, columns = Flattener(table, "book", None, None), Columns(table, "book", None, notes)
    rows = [flattener.row(read(document(block)), {"7": read(document(block))}) for block in blocks]
    for row in rows:
        columns.add(row)
    names = columns.names()
    text = b"".join(ours.table(rows, names, names, Csv(table)))
    lines = list(csv.reader(io.StringIO(text.decode(), newline=""), strict=True))
    assert lines[0] == names and len(lines) == len(rows) + 1
    assert lines[1:] == [[ours.text_of(row.get(name, "")) for name in names] for row in rows]
    folder = str(tmp_path_factory.getbasetemp())
    book = b"".join(xlsx.workbook([("book", rows, names, names)], folder=folder, notes=notes))
    sheet = load_workbook(io.BytesIO(book))["book"]
    assert (sheet.max_row, sheet.max_column) == (len(rows) + 1, len(names))
    assert all(cell.data_type != "f" for line in sheet.iter_rows() for cell in line)


CLASHING = st.sampled_from(["a", "a#de-DE", "a[0]", "a[0]#a", '"a#de-DE"', "_tags", "book._tags"])
LEAF = st.just("leaf")
SHAPES = LEAF | st.fixed_dictionaries({"de-DE": LEAF}) | st.lists(LEAF | st.dictionaries(CLASHING, LEAF), max_size=2)
ROWS_IN_ROWS = st.dictionaries(CLASHING, SHAPES | st.lists(st.dictionaries(CLASHING, SHAPES), max_size=2), min_size=3)


@settings(max_examples=200, deadline=None)
@given(ROWS_IN_ROWS, st.sampled_from("#.-"))
def test_no_two_values_are_in_one_column(block: dict[str, Any], separator: str) -> None:
    """`title#de-DE` beside `title` with a German text: each has a column."""
    numbers = itertools.count()
    numbered = json.loads(re.sub('"leaf"', lambda _: f'"<{next(numbers)}>"', json.dumps(block)))
    row = Flattener(Table(separator=separator), "book", None, None).row(document(numbered), {})
    told = " ".join(map(str, row.values()))
    assert [each for each in re.findall("<[0-9]+>", json.dumps(numbered)) if each not in told] == []


@settings(max_examples=50, deadline=None)
@given(BLOCKS)
def test_json_is_what_it_was(block: dict[str, Any]) -> None:
    whole = document(block)
    assert json.loads(dumps(read(whole))) == whole
    chosen = Chooser({"title": {}, "a.b": {}, "_standard": {}}, ("de-DE",)).choose("book", read(whole))
    assert orjson.loads(dumps(chosen))["_system_object_id"] == 7
