"""`spec/v1.md §8.5`: XML, read by libxml2 and by expat; linked objects, and stylesheets."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from lxml import etree

from cells.models import Cell, Document, File
from tests.clients import V1
from tests.factories import make_cell, put_documents, put_file
from tests.spec.v1.asking import answer, created, refused, run
from tests.spec.v1.packed import got, unzipped, url
from tests.spec.v1.test_written import EASYDB, exported, one_xml

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def shelf(alice: Any) -> Cell:
    return make_cell(alice, "shelf")


def found(root: Any, path: str) -> Any:
    return root.find("/".join(EASYDB + step for step in path.split("/")))


def text(root: Any, path: str) -> str | None:
    element = found(root, path)
    return None if element is None else element.text


def test_system_children(as_alice: V1, shelf: Cell) -> None:
    """§8.5: "Root `objects`, namespace …; One child per object, named like its objecttype, default namespace (no
    prefix)"; "System children"."""
    body = {
        "title": {"de-DE": "Ä"},
        "_pool": {"pool": {"_id": 3, "name": {"de-DE": "Archiv"}, "reference": "r"}},
        "_tags": [{"_id": 4, "displayname": {"de-DE": "neu"}, "shortname": "n"}],
    }
    put_documents(shelf, [("book", "b", body)])
    root = one_xml(as_alice)
    assert (root.tag, root.prefix, [child.tag for child in root]) == (f"{EASYDB}objects", None, [f"{EASYDB}book"])
    document = Document.objects.get()
    [book] = root
    written = document.updated_at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    expected = {
        "_standard/de-DE": "Ä", "_objecttype": "book", "_system_object_id": str(document.pk),
        "_global_object_id": f"{document.pk}@local", "_uuid": "b", "_last_modified": written, "_id": str(document.pk),
        "_version": "1", "_pool/name/de-DE": "Archiv", "_pool/reference": "r", "_tags/tag/displayname/de-DE": "neu",
        "_tags/tag/shortname": "n",
    }  # fmt: skip
    assert {path: text(book, path) for path in expected} == expected
    assert (found(book, "_pool").get("id"), found(book, "_tags/tag").get("id")) == ("3", "4")


def test_user_fields(as_alice: V1, shelf: Cell) -> None:
    """§8.5: "element = field name, attributes `type` and `column-api-id`", type by type; "(false is written)"; "nested
    table → `_nested__<ot>__<tab>` containing one `<ot>__<tab>` per row"; "colons become `__`"."""
    body = {
        "t": "a < b & c\r\n]]>", "n": 5.67, "no": False, "day": "2020-01-31", "nothing": None,
        "l": {"de-DE": "ä", "en-US": "a"}, "period": {"from": "1900", "to": "1910", "text": "um 1900"},
        "_nested:book__copies": [{"n": 1}, {"n": 2}], "_reverse_nested:film:book": [{"n": 3}],
        "words": ["x", "y"], "data": {"x": {"y": "z"}}, "1 odd: näme": "o",
    }  # fmt: skip
    put_documents(shelf, [("book", "b", body)])
    [book] = one_xml(as_alice)
    expected = {
        "t": "a < b & c\r\n]]>", "n": "5.67", "no": "false", "day": "2020-01-31", "nothing": None, "l/en-US": "a",
        "period/from": "1900", "period/to": "1910", "period/text": "um 1900",
        "_reverse_nested__film__book/film/n": "3", "words/item": "x", "data/x/y": "z", "_1_odd___näme": "o",
    }  # fmt: skip
    assert {path: text(book, path) for path in expected} == expected
    types = {"t": "string", "n": "number", "no": "boolean", "day": "date", "l": "l10n", "period": "daterange"}
    assert {name: found(book, name).get("type") for name in types} == types
    assert found(book, "_1_odd___näme").get("column-api-id") == "1 odd: näme"
    rows = found(book, "_nested__book__copies").findall(f"{EASYDB}book__copies")
    assert [text(row, "n") for row in rows] == ["1", "2"]


def test_every_character_that_xml_can_hold_comes_back(as_alice: V1, shelf: Cell) -> None:
    """What it cannot hold is U+FFFD, and the run says so."""
    every = "".join(map(chr, [9, 10, 13, *range(32, 0xD800), *range(0xE000, 0xFFFE), 0x10000, 0x10FFFF]))
    put_documents(shelf, [("book", "b", {"t": every, 'k<&">\n': 1})])
    [book] = one_xml(as_alice)
    assert text(book, "t") == every
    assert [each.get("column-api-id") for each in book if each.get("type") == "number"] == ['k<&">\n']
    put_documents(shelf, [("book", "b", {"t": "a\x07\ufffeb", "deep": "x"})])
    export = run(as_alice, created(as_alice, xml=True, eas_fields={}))
    assert export["_state"] == "done_with_warnings"
    assert "XML cannot hold control characters" in export["_log"][-1]["event"]["info"]["protocol"]
    packed = unzipped(got(as_alice.get(url(export, ".zip"))))
    [data] = [data for name, data in packed.items() if name.endswith(".xml")]
    assert text(etree.fromstring(data)[0], "t") == "a\ufffd\ufffdb"


def test_the_deepest_document_is_still_readable(as_alice: V1, shelf: Cell) -> None:
    deep: Any = "end"
    for _ in range(90):
        deep = [{"d": deep}]
    put_documents(shelf, [("book", "b", {"deep": deep})])
    [book] = one_xml(as_alice)
    assert [each.get("type") for each in book.iter(f"{EASYDB}d")][-1] == "json"
    assert b'"end"' in etree.tostring(book)


# --- Linked objects -------------------------------------------------------------------------------------------------


@pytest.fixture
def linked(shelf: Cell) -> dict[str, int]:
    """book → person → town → book: a circle."""
    for doctype in ("book", "person", "town"):
        put_documents(shelf, [(doctype, doctype, {"title": doctype, "own": f"of {doctype}"})])
    ids = dict(Document.objects.values_list("doctype", "pk"))
    for doctype, name, other in (("book", "author", "person"), ("person", "home", "town"), ("town", "story", "book")):
        body = {"title": doctype, "own": f"of {doctype}", name: {other: {"_id": ids[other]}, "_objecttype": other}}
        if doctype == "book":
            body["_reverse_nested:town:book"] = [{"town": {"_id": ids["town"]}}]
        put_documents(shelf, [(doctype, doctype, body)])
    return ids


def of_book(client: V1, **attributes: Any) -> Any:
    [book] = one_xml(client, **{"search": {"objecttypes": ["book"]}, **attributes})
    return book


def test_links_are_named_only_by_default(as_alice: V1, linked: dict[str, int]) -> None:
    """§8.5: "link → `<field type="link"><linked ot>…</linked ot></field>`"; "by default written with ids, version and
    `_standard` only"."""
    person = found(of_book(as_alice), "author/person")
    assert found(of_book(as_alice), "author").get("type") == "link"
    assert {child.tag.removeprefix(EASYDB): child.text for child in person} == {
        "_standard": "person", "_objecttype": "person", "_system_object_id": str(linked["person"]),
        "_global_object_id": f"{linked['person']}@local", "_uuid": "person", "_id": str(linked["person"]),
        "_version": "2",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("policy", "searched", "author", "reverse"),
    [
        ("none", ["book"], False, False),
        ("all", ["book"], True, True),
        ("not_in_main_search", ["book"], True, True),
        ("not_in_main_search", None, False, False),
        ("in_main_search", ["book"], False, False),
        ("not_in_main_search_and_reverse", None, False, True),
        ("not_in_main_search_unless_reverse", ["book"], True, False),
    ],
)
def test_what_is_merged(
    as_alice: V1, linked: dict[str, int], policy: str, searched: list[str] | None, author: bool, reverse: bool
) -> None:
    """§8.5: "`merge_linked_objects` + `merge_max_depth` (1..9) embed the full content", by each policy."""
    search = {"objecttypes": searched, "search": [{"type": "in", "fields": ["_objecttype"], "in": ["book"]}]}
    book = of_book(as_alice, merge_linked_objects=policy, search=search)
    assert (text(book, "author/person/own") == "of person") is author
    assert (text(book, "_reverse_nested__town__book/town/own") == "of town") is reverse
    assert text(book, "author/person/_id") == str(linked["person"])


@pytest.mark.parametrize(("depth", "persons", "towns"), [(1, True, False), (2, True, True), (9, True, True)])
def test_merging_has_a_depth_and_no_circles(
    as_alice: V1, linked: dict[str, int], depth: int, persons: bool, towns: bool
) -> None:
    """§8.5: "`merge_max_depth` (1..9)"; "Guard against cycles"."""
    book = of_book(as_alice, merge_linked_objects="all", merge_max_depth=depth)
    assert (text(book, "author/person/own") is not None) is persons
    town = "author/person/home/town"
    assert (text(book, f"{town}/own") is not None) is towns
    if towns:
        assert text(book, f"{town}/story/book/_id") == str(linked["book"])
        assert text(book, f"{town}/story/book/own") is None


def test_nobody_merges_what_belongs_to_another(as_alice: V1, shelf: Cell, bob: User) -> None:
    put_documents(make_cell(bob, "bobs"), [("person", "secret", {"title": "secret"})])
    other = Document.objects.get(doctype="person").pk
    put_documents(shelf, [("book", "b", {"author": {"person": {"_id": other, "note": "mine"}}})])
    book = of_book(as_alice, merge_linked_objects="all", merge_max_depth=9)
    assert text(book, "author/person/_id") == str(other)
    assert b"secret" not in etree.tostring(book)


def test_a_web_of_links_has_an_end_and_a_warning(as_alice: V1, shelf: Cell) -> None:
    """Twelve objects that all link all: 12! paths."""
    put_documents(shelf, [("n", f"{number:02}", {}) for number in range(12)])
    ids = list(Document.objects.values_list("pk", flat=True))
    put_documents(shelf, [("n", f"{number:02}", {"all": [{"n": {"_id": id}} for id in ids]}) for number in range(12)])
    export = run(as_alice, created(as_alice, xml=True, eas_fields={}, merge_linked_objects="all", merge_max_depth=9))
    assert export["_state"] == "done_with_warnings"
    assert "linked objects" in export["_log"][-1]["event"]["info"]["protocol"]
    packed = unzipped(got(as_alice.get(url(export, ".zip"))))
    [data] = [data for name, data in packed.items() if name.endswith(".xml")]
    assert len(etree.fromstring(data, etree.XMLParser(huge_tree=True))) == 12


# --- Stylesheets ----------------------------------------------------------------------------------------------------

SHEET = """<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform"
    xmlns:e="https://schema.easydb.de/EASYDB/1.0/objects/" exclude-result-prefixes="e">
  <xsl:template match="/"><titles><xsl:for-each select="//e:title">
    <title><xsl:value-of select="."/></title></xsl:for-each></titles></xsl:template>
</xsl:stylesheet>"""


def sheet_of(cell: Cell, content: str, path: str = "titles.xsl") -> dict[str, int]:
    put_file(cell, path, content.encode())
    return {"_id": File.objects.get(cell=cell, path=path).pk}


def test_a_stylesheet_is_applied_to_the_xml(as_alice: V1, shelf: Cell) -> None:
    """§4.2: "applies to generated XML", package by package and object by object."""
    put_documents(shelf, [("book", "b1", {"title": "ä"}), ("book", "b2", {"title": "b"})])
    sheet = sheet_of(shelf, SHEET)
    [whole] = exported(as_alice, xml=True, xslt_xml_post_processing=sheet).values()
    assert [title.text for title in etree.fromstring(whole)] == ["ä", "b"]
    single = exported(as_alice, xml=True, xml_one_file_per_object=True, xslt_xml_post_processing=sheet)
    assert [[title.text for title in etree.fromstring(data)] for data in single.values()] == [["ä"], ["b"]]


def test_a_large_file_is_skipped_with_a_warning(as_alice: V1, shelf: Cell, settings: Any) -> None:
    """§4.2: "skipped with a warning for XML bigger than the configured limit (10 MB)"."""
    assert settings.EXPORT_XSLT_LIMIT == 10 * 1024 * 1024
    settings.EXPORT_XSLT_LIMIT = 2000
    put_documents(shelf, [("book", "b", {"title": "x" * 2000})])
    sheet = sheet_of(shelf, SHEET)
    export = run(as_alice, created(as_alice, name="press", xml=True, eas_fields={}, xslt_xml_post_processing=sheet))
    assert export["_state"] == "done_with_warnings"
    assert "it has more than 2,000 bytes" in export["_log"][-1]["event"]["info"]["protocol"]
    packed = unzipped(got(as_alice.get(url(export, ".zip"))))
    [data] = [data for name, data in packed.items() if name.endswith(".xml")]
    assert etree.fromstring(data).tag == f"{EASYDB}objects"


def test_a_stylesheet_must_be_one_of_ones_own(as_alice: V1, as_bob: V1, shelf: Cell) -> None:
    """§4.2: "asset must exist and be a stylesheet … else `invalid_value`"; a stranger's is none."""
    sheet, picture = sheet_of(shelf, SHEET), sheet_of(shelf, "x", "photo.jpg")
    for client, given in ((as_bob, sheet), (as_alice, picture), (as_alice, {"_id": 2**63})):
        body = {"export": {"search": {}, "xml": True, "xslt_xml_post_processing": given}}
        refused(client.put("export", body), 400, "error.api.invalid_value")
        assert answer(client.get("export"))["count"] == 0


def test_a_stylesheet_that_is_gone_is_a_warning(as_alice: V1, shelf: Cell) -> None:
    put_documents(shelf, [("book", "b", {"title": "x"})])
    export = created(as_alice, xml=True, eas_fields={}, xslt_xml_post_processing=sheet_of(shelf, SHEET))
    File.objects.all().delete()
    done = run(as_alice, export)
    assert done["_state"] == "done_with_warnings"
    assert "it is gone" in done["_log"][-1]["event"]["info"]["protocol"]
