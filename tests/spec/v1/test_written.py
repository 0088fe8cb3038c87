"""`spec/v1.md §8.1, §8.3-8.6`: what gets written, over HTTP and through a run, read by other people's programs."""

import csv
import io
from typing import Any
from xml.etree import ElementTree

import orjson
import pytest
from lxml import etree
from openpyxl import load_workbook
from openpyxl.utils.escape import unescape

from cells import writing
from cells.models import Cell, Document
from tests.clients import V1
from tests.factories import make_cell, put_documents, put_file
from tests.spec.v1.asking import answer, created, refused, run
from tests.spec.v1.packed import got, unzipped, url

pytestmark = pytest.mark.django_db(transaction=True)

EASYDB = "{https://schema.easydb.de/EASYDB/1.0/objects/}"
BOOKS = [
    (
        "book",
        f"b{number}",
        {
            "title": {"de-DE": f"Bänd {number}", "en-US": f"Volume {number}"},
            "pages": 100 + number,
            "price": 5.67,
            "lent": number == 0,
            "period": {"from": "1900", "to": "1910-05"},
            "chapters": [{"name": "one", "page": 1}, {"name": "two", "page": 20}],
        },
    )
    for number in range(3)
]


@pytest.fixture
def library(alice: Any) -> Cell:
    cell = make_cell(alice, "library")
    put_documents(cell, BOOKS)
    return cell


def sids(cell: Cell) -> list[int]:
    return list(Document.objects.filter(cell=cell).order_by("pk").values_list("pk", flat=True))


def exported(client: V1, **attributes: Any) -> dict[str, bytes]:
    """The files of the archive without its manifest; the run must have nothing to complain of."""
    export = run(client, created(client, **{"name": "press", "eas_fields": {}, **attributes}))
    assert export["_state"] == "done", export["_log"]
    packed = unzipped(got(client.get(url(export, ".zip"))))
    manifest = orjson.loads(packed.pop("manifest.json"))
    assert [entry["name"] for entry in manifest["entries"] if not entry["name"].endswith("/")] == list(packed)
    return packed


def one_csv(client: V1, csv_options: dict[str, Any] | None = None, **attributes: Any) -> list[list[str]]:
    [text] = exported(client, csv=csv_options or {}, **attributes).values()
    return list(csv.reader(io.StringIO(text.decode(), newline=""), strict=True))


def one_xml(client: V1, **attributes: Any) -> Any:
    """Judged by two parsers, which must see the same."""
    [text] = exported(client, xml=True, **attributes).values()
    ElementTree.fromstring(text)  # noqa: S314
    return etree.fromstring(text)


# --- §8.3 Folders and names -----------------------------------------------------------------------------------------


def test_a_package_holds_batch_size_objects(as_alice: V1, library: Cell) -> None:
    """§8.3: "a new folder (package) per n objects"; "with more than one package `<name>/<k>/` (k = 1, 2, ...)";
    "`<first sid>-<last sid>@<instance>.<ext>`, one object only: `<sid>@<instance>.<ext>`"."""
    one, two, three = sids(library)
    packed = exported(as_alice, json=True, batch_size=2)
    assert list(packed) == [f"press/1/{one}-{two}@local.json", f"press/2/{three}@local.json"]
    told = [orjson.loads(text) for text in packed.values()]
    assert [(each["count"], each["offset"], each["limit"]) for each in told] == [(2, 0, 2), (1, 2, 2)]
    assert [item["_uuid"] for each in told for item in each["objects"]] == ["b0", "b1", "b2"]


def test_batch_size_0_is_one_package_and_null_the_setting(as_alice: V1, library: Cell, settings: Any) -> None:
    """§8.3: "0 = all in one; null = system setting (default 100)"."""
    one, _, three = sids(library)
    assert list(exported(as_alice, xml=True, batch_size=0)) == [f"press/{one}-{three}@local.xml"]
    assert settings.EXPORT_BATCH_SIZE == 100
    settings.EXPORT_BATCH_SIZE = 1
    assert list(exported(as_alice, xml=True)) == [
        f"press/{n}/{sid}@local.xml" for n, sid in enumerate(sids(library), 1)
    ]


def test_flat_has_no_folders(as_alice: V1, library: Cell) -> None:
    """§8.3: "`flat: true`: no directories at all, everything at the root"."""
    put_file(library, "a/deep/one.txt", b"1")
    put_file(library, "b/one.txt", b"2")
    packed = exported(as_alice, json=True, batch_size=1, flat=True, eas_fields=None)
    assert set(packed) == {"one.txt", "one (2).txt", *(f"{sid}@local.json" for sid in sids(library))}
    assert {packed["one.txt"], packed["one (2).txt"]} == {b"1", b"2"}


def test_the_top_folder_is_the_sanitised_name(as_alice: V1, library: Cell) -> None:
    """§8.3: "top folder = sanitised export name"."""
    [name] = exported(as_alice, json=True, json_one_file_per_object=False, batch_size=0, name='a/b\\c:"  d')
    assert name.partition("/")[0] == "a_b_c__ d"


def test_a_file_of_the_cell_keeps_its_name_beside_the_top_folder(as_alice: V1, library: Cell) -> None:
    put_file(library, "press", b"a file that is called like the folder")
    packed = exported(as_alice, xml=True, eas_fields=None)
    assert packed.pop("press") == b"a file that is called like the folder"
    assert [name.partition("/")[0] for name in packed] == ["press (2)"]


def test_one_file_per_object(as_alice: V1, library: Cell) -> None:
    """§8.3: "one file per object: `<sid>@<instance>.xml` / `.json` (= global object id)"; §8.6: "the same envelope with
    `count` 1"."""
    packed = exported(as_alice, xml=True, xml_one_file_per_object=True, json=True, json_one_file_per_object=True)
    ids = sids(library)
    assert list(packed) == [f"press/{sid}@local.{kind}" for kind in ("json", "xml") for sid in ids]
    for sid in ids:
        told = orjson.loads(packed[f"press/{sid}@local.json"])
        assert (told["type"], told["count"], told["objects"][0]["_global_object_id"]) == ("objects", 1, f"{sid}@local")
        root = etree.fromstring(packed[f"press/{sid}@local.xml"])
        assert [child.findtext(f"{EASYDB}_global_object_id") for child in root] == [f"{sid}@local"]


def test_a_csv_for_each_objecttype(as_alice: V1, library: Cell) -> None:
    """§8.3: "CSV with several objecttypes: one CSV per objecttype, `<range>.<objecttype>.csv`"."""
    put_documents(library, [("film", "f", {"length": 90})])
    ids = sids(library)
    packed = exported(as_alice, csv={})
    start = f"press/{ids[0]}-{ids[-1]}@local"
    assert list(packed) == [f"{start}.book.csv", f"{start}.film.csv"]
    rows = list(csv.DictReader(io.StringIO(packed[f"{start}.film.csv"].decode())))
    assert [(row["_objecttype"], row["length"]) for row in rows] == [("film", "90")]


def test_data_files_follow_the_order_of_the_search(as_alice: V1, library: Cell) -> None:
    """§7.6: "The output files follow this order"."""
    found = list(exported(as_alice, json=True, batch_size=1))
    assert [name.rpartition("/")[2] for name in found] == [f"{sid}@local.json" for sid in sids(library)]


# --- §8.1 fields ----------------------------------------------------------------------------------------------------


def test_only_listed_fields(as_alice: V1, library: Cell) -> None:
    """§8.1: "Non-null map → only listed fields (plus row keys `_objecttype`, `_system_object_id` in JSON/XML)"."""
    fields = {"book.pages": {}, "chapters.name": {}, "film.length": {}}
    [text] = exported(as_alice, json=True, fields=fields).values()
    first = sids(library)[0]
    assert orjson.loads(text)["objects"][0] == {
        "_objecttype": "book",
        "_system_object_id": first,
        "book": {"pages": 100, "chapters": [{"name": "one"}, {"name": "two"}]},
    }
    header, row, *_ = one_csv(as_alice, fields=fields)
    assert dict(zip(header, row, strict=True)) == {
        "pages": "100", "chapters[0]#name": "one", "chapters[1]#name": "two"
    }  # fmt: skip
    book = one_xml(as_alice, fields=fields)[0]
    assert [child.tag.removeprefix(EASYDB) for child in book] == [
        "_objecttype", "_system_object_id", "pages", "chapters"
    ]  # fmt: skip


def test_display_names(as_alice: V1, library: Cell) -> None:
    """§8.1: "`display_name` replaces the column/element name in CSV **and** XML; for XML an invalid element name is
    sanitised to `_`"; "Column order follows the mask/document, not the map order"."""
    fields = {
        "book.title": {"display_name": "Titel des Buchs"},
        "pages": {"display_name": "1. Seiten"},
        "_system_object_id": {},
    }
    header, *_ = one_csv(as_alice, fields=fields)
    assert header == ["_system_object_id", "1. Seiten", "Titel des Buchs#de-DE", "Titel des Buchs#en-US"]
    book = one_xml(as_alice, fields=fields)[0]
    assert book.findtext(f"{EASYDB}_1._Seiten") == "100"
    assert book.find(f"{EASYDB}Titel_des_Buchs").get("column-api-id") == "title"


def test_fields_null_is_everything(as_alice: V1, library: Cell) -> None:
    """§8.1: "Null → every field the owner may see, database names"."""
    [text] = exported(as_alice, json=True, fields=None).values()
    assert orjson.loads(text)["objects"][0]["book"] == {"_id": sids(library)[0], "_version": 1, **BOOKS[0][2]}


# --- §8.6 JSON, XLSX ------------------------------------------------------------------------------------------------


def test_json_is_shaped_like_a_search_response(as_alice: V1, library: Cell) -> None:
    """§8.6: "one document per package shaped like a search response: `type` `"objects"`, `format` `"long"`, …"."""
    [text] = exported(as_alice, json=True, search={"language": "de-DE"}).values()
    told = orjson.loads(text)
    assert list(told) == ["type", "format", "language", "objecttypes", "offset", "limit", "count", "objects"]
    assert (told["type"], told["format"], told["language"], told["objecttypes"]) == (
        "objects", "long", "de-DE", ["book"]
    )  # fmt: skip
    assert told["objects"][0]["book"]["title"] == {"de-DE": "Bänd 0"}


def test_numbers_are_what_they_were(as_alice: V1, library: Cell) -> None:
    """More digits than a double has, through every format that rewrites documents."""
    body = b'{"big": 123456789012345678901234567890, "fine": 0.1000000000000000000001, "tiny": 0.0000001, "two": 2.50}'
    line = b'{"doctype": "sum", "id": "s", "body": %b}' % body
    writing.documents_put(cell=library, lines=[line])
    search = {"objecttypes": ["sum"], "language": "de-DE"}  # a language has documents written anew
    values = ["123456789012345678901234567890", "0.1000000000000000000001", "0.0000001", "2.50"]
    [text] = exported(as_alice, json=True, search=search).values()
    for value in values:
        assert f": {value}".replace(" ", "").encode() in text.replace(b" ", b"")
    header, row = one_csv(as_alice, search=search)
    assert [row[header.index(name)] for name in ("big", "fine", "tiny", "two")] == values
    [found] = one_xml(as_alice, search=search)
    assert [found.findtext(f"{EASYDB}{name}") for name in ("big", "fine", "tiny", "two")] == values


def test_xlsx_has_the_columns_of_csv(as_alice: V1, library: Cell) -> None:
    """§8.6: "same columns as CSV"; a sheet for each objecttype, and nothing in it is a formula."""
    put_documents(library, [("film", "f", {"title": "=1+1", "note": "<r>x</r>", "bell": "a\x07b_x0041_"})])
    [data] = exported(as_alice, xlsx={}).values()
    book = load_workbook(io.BytesIO(data))
    assert book.sheetnames == ["book", "film"]
    header, *rows = book["book"].iter_rows(values_only=True)
    expected, *texts = one_csv(as_alice, search={"objecttypes": ["book"]})
    assert list(header) == expected
    assert rows[0][expected.index("pages")] == 100 and rows[0][expected.index("lent")] is True
    assert [[str(value) for value in row][:4] for row in rows] == [text[:4] for text in texts]
    film = book["film"]
    cells = {film.cell(1, column).value: film.cell(2, column) for column in range(1, film.max_column + 1)}
    assert (cells["title"].value, cells["title"].data_type) == ("=1+1", "s")
    assert cells["note"].value == "<r>x</r>"
    assert unescape(cells["bell"].value) == "a\x07b_x0041_"


def test_nothing_wanted_is_an_empty_list(as_alice: V1, library: Cell) -> None:
    """§8.6: "If neither csv, xml, json, xlsx nor any file results, the export is still `done` with an empty `_files`
    list"."""
    export = run(as_alice, created(as_alice, eas_fields={}))
    assert (export["_state"], export["_files"]) == ("done", [])
    export = run(as_alice, created(as_alice, eas_fields={}, xml=True, csv={}, xlsx={}, search={"limit": 0}))
    assert (export["_state"], export["_files"]) == ("done", [])


# --- §8.2 null and {} -----------------------------------------------------------------------------------------------


@pytest.fixture
def illustrated(library: Cell) -> Cell:
    put_file(library, "photos/a b.jpg", b"a photo")
    put_documents(library, [("photo", "p", {"image": {"_file": "photos/a b.jpg"}, "gone": [{"_file": "no/such"}]})])
    return library


def test_data_tells_where_its_files_are(as_alice: V1, illustrated: Cell) -> None:
    """§8.4: "`image#_relative_filename` (path **relative to the CSV file**)"; §8.6: "do it for JSON as well"; our
    default for `eas_fields` null: all files, under their paths."""
    search = {"objecttypes": ["photo"]}
    packed = exported(as_alice, csv={}, xml=True, json=True, eas_fields=None, search=search)
    assert packed["photos/a b.jpg"] == b"a photo"
    file_id = illustrated.files.get(path="photos/a b.jpg").pk
    [csv_text] = [text for name, text in packed.items() if name.endswith(".csv")]
    [row] = csv.DictReader(io.StringIO(csv_text.decode()))
    assert row["image#_relative_filename"] == "../photos/a b.jpg"
    assert (row["image#_id"], row["image#original_filename"]) == (str(file_id), "a b.jpg")
    [json_text] = [text for name, text in packed.items() if name.endswith(".json")]
    [image] = orjson.loads(json_text)["objects"][0]["photo"]["image"]
    assert image["versions"]["original"]["path"] == "../photos/a b.jpg"
    [xml_text] = [text for name, text in packed.items() if name.endswith(".xml")]
    [file] = etree.fromstring(xml_text).iter(f"{EASYDB}file")
    assert file.findtext(f"{EASYDB}eas-id") == str(file_id)
    version = file.find(f"{EASYDB}versions/{EASYDB}version")
    assert (version.get("name"), version.findtext(f"{EASYDB}path")) == ("original", "../photos/a b.jpg")


def test_no_files_and_no_word_of_them(as_alice: V1, illustrated: Cell) -> None:
    """§8.2: "`null`/`{}` for `eas_fields` → no files at all", which holds for `{}` here; "nothing for F, not even
    links"."""
    [text] = exported(as_alice, json=True, eas_fields={}, search={"objecttypes": ["photo"]}).values()
    assert set(orjson.loads(text)["objects"][0]["photo"]) == {"_id", "_version"}


# --- Refusals -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("attributes", "code"),
    [
        ({"csv": True}, "error.api.type_mismatch"),
        ({"csv": {"delimiter": ";;"}}, "error.api.invalid_value"),
        ({"csv": {"delimiter": 1}}, "error.api.type_mismatch"),
        ({"csv": {"delimiter": '"'}}, "error.api.invalid_value"),
        ({"csv": {"escape": "\n"}}, "error.api.invalid_value"),
        ({"csv": {"hierarchy": "tree"}}, "error.api.invalid_value"),
        ({"csv": {"formula_safe": 1}}, "error.api.type_mismatch"),
        ({"csv": {"formula_safe": True, "escape": "\\"}}, "error.api.invalid_value"),
        ({"csv": {"formula_safe": True, "quote": "'", "escape": "'"}}, "error.api.invalid_value"),
        ({"batch_size": 2**64 - 1}, "error.api.invalid_value"),
        ({"csv": {"include_changelog": {"with_user": True}}}, "error.api.invalid_value"),
        ({"xlsx": {"include_thumbnail": True}}, "error.api.invalid_value"),
        ({"fields": {"a": {"display_name": 1}}}, "error.api.type_mismatch"),
        ({"fields": {"a": {"display_names": {"de-DE": 1}}}}, "error.api.type_mismatch"),
        ({"merge_max_depth": 10}, "error.api.invalid_value"),
        ({"documents": "all"}, "error.api.invalid_value"),
        ({"documents": "lines", "csv": {}}, "error.api.invalid_value"),
        ({"xslt_xml_post_processing": {"_id": 99}}, "error.api.invalid_value"),
    ],
)
def test_what_cannot_be_written_is_refused(as_alice: V1, attributes: dict[str, Any], code: str) -> None:
    """§8.4: "Non-string or not exactly one character for the char options → `type_mismatch` / `invalid_value`"."""
    refused(as_alice.put("export", {"export": {"search": {}, **attributes}}), 400, code)
    assert answer(as_alice.get("export"))["count"] == 0
