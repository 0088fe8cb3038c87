"""`spec/v1.md §8.4`, attribute by attribute, read by Python's own `csv`."""

import csv
import io
from typing import Any

import pytest

from cells.models import Cell, Document
from tests.clients import V1
from tests.factories import make_cell, put_documents
from tests.spec.v1.test_written import exported

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def shelf(alice: Any) -> Cell:
    return make_cell(alice, "shelf")


def text(client: V1, options: dict[str, Any] | None = None, **attributes: Any) -> str:
    [data] = exported(client, csv=options or {}, **attributes).values()
    return data.decode()


def rows(client: V1, options: dict[str, Any] | None = None, **attributes: Any) -> list[dict[str, str]]:
    """Also: no row has more or fewer values than the header."""
    given = {name: (options or {})[name] for name in ("delimiter",) if name in (options or {})}
    lines = list(csv.reader(io.StringIO(text(client, options, **attributes), newline=""), strict=True, **given))
    return [dict(zip(lines[0], line, strict=True)) for line in lines[1:]]


def one(client: V1, options: dict[str, Any] | None = None, **attributes: Any) -> dict[str, str]:
    [row] = rows(client, options, **attributes)
    return row


def test_delimiter_quote_and_escape(as_alice: V1, shelf: Cell) -> None:
    """§8.4: "every value is quoted, header included"; "placed before each quote character inside a value; if escape ≠
    quote the escape character itself is escaped too"; "tab allowed"; "line end CRLF"."""
    put_documents(shelf, [("a", "1", {"q": """it's "so"; \\ ,""", "z": None})])
    fields = {"fields": {"q": {}, "z": {}}}
    assert text(as_alice, **fields) == '"q"\r\n"it\'s ""so""; \\ ,"\r\n'
    assert text(as_alice, {"delimiter": "\t", "empty_columns": True}, **fields) == (
        '"q"\t"z"\r\n"it\'s ""so""; \\ ,"\t""\r\n'
    )
    assert text(as_alice, {"quote": "'"}, **fields) == "'q'\r\n'it\"'s \"\"so\"\"; \\ ,'\r\n"
    assert text(as_alice, {"quote": "'", "escape": "\\"}, **fields) == "'q'\r\n'it\\'s \"so\"; \\\\ ,'\r\n"


def test_bom(as_alice: V1, shelf: Cell) -> None:
    """§8.4: "file starts with EF BB BF"."""
    put_documents(shelf, [("a", "1", {"q": "ä"})])
    [plain] = exported(as_alice, csv={}, fields={"q": {}}).values()
    [marked] = exported(as_alice, csv={"use_bom": True}, fields={"q": {}}).values()
    assert marked == b"\xef\xbb\xbf" + plain == '\ufeff"q"\r\n"ä"\r\n'.encode()


def test_empty_columns(as_alice: V1, shelf: Cell) -> None:
    """§8.4: "false: columns without any value in the file are left out"."""
    put_documents(shelf, [("a", "1", {"never": None, "list": [], "text": "", "late": ""}), ("a", "2", {"late": "x"})])
    assert {"never", "list", "text"}.isdisjoint(rows(as_alice)[0])
    assert [row["late"] for row in rows(as_alice)] == ["", "x"]
    whole = rows(as_alice, {"empty_columns": True})
    assert {"never", "list", "text", "_tags", "_pool", "_standard"} <= whole[0].keys()


def test_no_columns(as_alice: V1, shelf: Cell) -> None:
    """§8.4: "If nothing at all is left, write a single header column `<no columns>`"."""
    put_documents(shelf, [("a", "1", {"x": 1})])
    assert text(as_alice, fields={"y": {}}) == '"<no columns>"\r\n'


def test_system_columns_come_first(as_alice: V1, shelf: Cell) -> None:
    """§8.4: "Columns: system `_objecttype`, `_system_object_id`, …; then user fields by database name"; §8.1: "then
    nested and reverse nested"."""
    body = {
        "_nested:a__rows": [{"n": 1}],
        "_reverse_nested:b:a": [{"n": 2}],
        "_pool": {"pool": {"_id": 3, "name": "P"}},
        "_tags": [{"_id": 4}],
        "zz": 1,
        "title": "T",
    }
    put_documents(shelf, [("a", "1", body)])
    assert list(one(as_alice)) == [
        "_objecttype", "_system_object_id", "_global_object_id", "_uuid", "_tags[0]#_id", "_last_modified",
        "_pool#_id", "_pool#_standard", "_standard", "zz", "title", "_nested:a__rows[0]#n", "_reverse_nested:b:a[0]#n",
    ]  # fmt: skip


def test_sub_values(as_alice: V1, shelf: Cell) -> None:
    """§8.4: "Sub-values: `<field>#<sub>`", in each of its forms; "Booleans `true`/`false`"; "structured custom data as
    JSON text"; "values may contain line breaks"."""
    put_documents(shelf, [("person", "p", {"title": {"de-DE": "Anna", "en-US": "Ann"}})])
    person = Document.objects.get(doctype="person").pk
    body = {
        "title": {"de-DE": "Ä", "en-US": "A"},
        "period": {"from": "1900", "to": "1901"},
        "author": {"person": {"_id": person}},
        "rows": [{"n": number, "deep": [{"m": 1}]} for number in range(11)],
        "words": ["one", "two\nlines"],
        "yes": True,
        "custom": {"x": {"y": 1}, "z": [2]},
        "long": list(range(101)),
    }
    put_documents(shelf, [("a", "1", body)])
    row = one(as_alice, search={"objecttypes": ["a"]})
    expected = {
        "title#de-DE": "Ä", "title#en-US": "A", "period#from": "1900", "period#to": "1901", "author#_id": str(person),
        "author#_standard#de-DE": "Anna", "author#_standard#en-US": "Ann", "rows[0]#n": "0", "rows[10]#n": "10",
        "rows[3]#deep[0]#m": "1", "words[0]": "one", "words[1]": "two\nlines", "yes": "true",
        "custom": '{"x":{"y":1},"z":[2]}', "long": f"[{','.join(map(str, range(101)))}]",
    }  # fmt: skip
    assert {name: row[name] for name in expected} == expected
    names = list(row)
    assert names.index("rows[2]#n") < names.index("rows[10]#n")
    dotted = one(as_alice, {"subfield_separator": "."}, search={"objecttypes": ["a"]})
    assert dotted["title.de-DE"] == "Ä" and dotted["rows[10].n"] == "10"


def test_languages(as_alice: V1, shelf: Cell) -> None:
    """§8.4: "`all_languages: true` = all configured ones"; else those of the search, where it has any."""
    put_documents(shelf, [("a", "1", {"title": {"de-DE": "Ä", "en-US": "A"}})])
    search = {"languages": ["de-DE"]}
    assert {name for name in one(as_alice, search=search) if name.startswith("title")} == {"title#de-DE"}
    every = one(as_alice, search=search, all_languages=True)
    assert {name for name in every if name.startswith("title")} == {"title#de-DE", "title#en-US"}


@pytest.fixture
def tree(shelf: Cell) -> Cell:
    """Three levels, and a document that links the lowest."""
    above = None
    for name in ("Europe", "Italy", "Rome"):
        put_documents(shelf, [("place", name, {"title": name, **({"_id_parent": above} if above else {})})])
        above = Document.objects.get(doc_id=name).pk
    put_documents(shelf, [("a", "1", {"where": {"place": {"_id": above}}})])
    return shelf


def test_hierarchy(as_alice: V1, tree: Cell) -> None:
    """§8.4: "null → only the object's own standard; `>` or `/` → one column, standards from root to object joined by
    ` > ` or ` / `; `column` → one column per level, suffix `#0` (root) … `#n` (the object itself)"."""
    places, linking = {"objecttypes": ["place"]}, {"objecttypes": ["a"]}

    def standards(options: dict[str, Any]) -> list[str]:
        return [row["_standard"] for row in rows(as_alice, options, search=places)]

    assert standards({}) == standards({"hierarchy": ""}) == ["Europe", "Italy", "Rome"]
    assert standards({"hierarchy": ">"}) == ["Europe", "Europe > Italy", "Europe > Italy > Rome"]
    assert standards({"hierarchy": "/"})[2] == "Europe / Italy / Rome"
    assert one(as_alice, {"hierarchy": ">"}, search=linking)["where#_standard"] == "Europe > Italy > Rome"
    rome = rows(as_alice, {"hierarchy": "column"}, search=places)[2]
    assert [rome[f"_standard#{level}"] for level in range(3)] == ["Europe", "Italy", "Rome"]
    where = one(as_alice, {"hierarchy": "column"}, search=linking)
    assert [where[f"where#_standard#{level}"] for level in range(3)] == ["Europe", "Italy", "Rome"]


def test_a_circle_of_parents_has_an_end(as_alice: V1, tree: Cell) -> None:
    rome, europe = Document.objects.get(doc_id="Rome"), Document.objects.get(doc_id="Europe")
    put_documents(tree, [("place", "Europe", {"title": "Europe", "_id_parent": rome.pk})])
    assert europe.pk == Document.objects.get(doc_id="Europe").pk
    found = rows(as_alice, {"hierarchy": "/"}, search={"objecttypes": ["place"]})
    assert [row["_standard"] for row in found] == [
        "Italy / Rome / Europe", "Rome / Europe / Italy", "Europe / Italy / Rome"
    ]  # fmt: skip


def test_localized_column_names(as_alice: V1, shelf: Cell) -> None:
    """§8.4, fylr's `localized_column_names`; the names come from our `display_names`."""
    put_documents(shelf, [("a", "1", {"title": "T", "year": 1})])
    fields = {"title": {"display_name": "t", "display_names": {"de-DE": "Titel"}}, "year": {}}
    search = {"language": "de-DE"}
    assert set(one(as_alice, fields=fields, search=search)) == {"t", "year"}
    assert set(one(as_alice, {"localized_column_names": True}, fields=fields, search=search)) == {"Titel", "year"}


def test_changelog(as_alice: V1, shelf: Cell) -> None:
    """§8.4, fylr's `include_changelog`."""
    put_documents(shelf, [("a", "1", {"title": "T"})])
    row = one(as_alice, {"include_changelog": True})
    found = Document.objects.get()
    assert row["_changelog#date_created"] == found.created_at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    assert row["_changelog#date_last_updated"] == row["_last_modified"]
    assert not any(name.startswith("_changelog") for name in one(as_alice))


PAYLOADS = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1", "'quoted", "plain", "a=1", "", "-"]


def test_formula_safe(as_alice: V1, shelf: Cell) -> None:
    """Our `csv.formula_safe`: no text begins as a formula does, and every text can be had back; numbers stay."""
    keys = {f"k{number:02}": payload for number, payload in enumerate(PAYLOADS)}
    put_documents(shelf, [("a", "1", {**keys, "=key": "x", "number": -5})])
    raw, safe = one(as_alice), one(as_alice, {"formula_safe": True})
    assert {name: raw.get(name, "") for name in keys} == keys
    assert not [value for value in safe.values() if value[:1] in tuple("=+@\t\r\n＝＋－＠") and value]
    assert {name: safe.get(name, "").removeprefix("'") for name in keys} == keys
    assert safe["number"] == "-5" and safe["'=key"] == "x"


def test_each_file_has_its_own_columns(as_alice: V1, shelf: Cell) -> None:
    """§8.4: "columns without any value in the file are left out": the file, not the export."""
    put_documents(shelf, [("a", "1", {"x": 1}), ("a", "2", {"y": 2})])
    first, second = (data.partition(b"\r\n")[0] for data in exported(as_alice, csv={}, batch_size=1).values())
    assert (b'"x"' in first, b'"y"' in first, b'"x"' in second, b'"y"' in second) == (True, False, False, True)


def test_what_people_call_like_a_system_column_is_not_taken_for_it(as_alice: V1, shelf: Cell) -> None:
    """§8.4: system columns tell the object; a field of its own goes under its objecttype's name."""
    fake = {"_system_object_id": 999, "_uuid": "fake", "_objecttype": "b", "_last_modified": "never", "_changelog": "x"}
    put_documents(shelf, [("a", "1", fake)])
    row = one(as_alice, {"include_changelog": True})
    assert (row["_objecttype"], row["_uuid"]) == ("a", "1")
    assert row["_system_object_id"] == str(Document.objects.get().pk)
    assert {f"a.{name}": str(value) for name, value in fake.items()}.items() <= row.items()


def test_columns_that_would_be_called_alike_are_two(as_alice: V1, shelf: Cell) -> None:
    """§8.4: "Sub-values: `<field>#<sub>` (C13): languages `title#de-DE`"; a field that is called so keeps its value."""
    row = {"a": {"de-DE": "4"}, "a#de-DE": "5"}
    block = {"title#de-DE": "1", "title": {"de-DE": "2"}, "list[0]": "3", "list": ["0"], "rows": [row]}
    put_documents(shelf, [("a", "1", block)])
    told = one(as_alice)
    assert {name: text for name, text in told.items() if name[0] != "_"} == {
        '"title#de-DE"': "1", "title#de-DE": "2", '"list[0]"': "3", "list[0]": "0", "rows[0]#a#de-DE": "4",
        'rows[0]#"a#de-DE"': "5",
    }  # fmt: skip
