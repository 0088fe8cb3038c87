"""Names of cells, paths, doctypes and documents."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cells.errors import NameRefused
from cells.validators import RESERVED_CELL_NAMES, cell_name, doctype_name, document_id, normal_path, parents_of

LONG = "/".join(["é" * 127] * 16)  # 16 × 254 bytes and 15 slashes


@pytest.mark.parametrize(
    "path",
    [
        "a", "a/b", " ", "a b/ c", "CON", "a.", "...", "~", "-rf", "a\\b", "C:", "a\nb\r", "\x01\x7f", "é", "e\u0301",
        "\u202egnp.exe", "😀", "%2e%2e", "..a", "a" * 255, "é" * 127, LONG, LONG + "/" + "x" * 16,
    ],
)  # fmt: skip
def test_a_path_is_kept_byte_for_byte(path: str) -> None:
    assert normal_path(path) == path


@pytest.mark.parametrize("path", ["/a/b", "a/b/", "/a/b/"])
def test_a_slash_at_either_end_is_dropped(path: str) -> None:
    assert normal_path(path) == "a/b"


@pytest.mark.parametrize(
    "path",
    [
        "", "/", "//", "//a", "a//b", "a//", ".", "..", "a/.", "a/..", "./a", "../a", "a/../b", "a\0b", "\ud800",
        "a/\udfff", "a" * 256, "é" * 128, "a/" + "é" * 128 + "/b", LONG + "/" + "x" * 17,
    ],
)  # fmt: skip
def test_a_path_is_refused(path: str) -> None:
    with pytest.raises(NameRefused) as refusal:
        normal_path(path)
    str(refusal.value).encode()  # the message can be sent


@given(st.text(max_size=300))
def test_a_normal_path_is_normal_and_safe(path: str) -> None:
    try:
        normal = normal_path(path)
    except NameRefused:
        return
    assert normal_path(normal) == normal and normal in path
    assert not {"", ".", ".."} & set(normal.split("/")) and "\0" not in normal


def test_the_folders_above_a_path() -> None:
    assert parents_of("a/b/c") == ["a", "a/b"]
    assert parents_of("a") == []


@pytest.mark.parametrize("name", ["a", "0", "alice-2", "a" * 128, "a-"])
def test_a_cell_name(name: str) -> None:
    assert cell_name(name) == name


@pytest.mark.parametrize(
    "name", ["", "-a", "A", "é", "a_b", "a.b", "a/b", "a\n", "a" * 129, *sorted(RESERVED_CELL_NAMES)]
)
def test_a_cell_name_is_refused(name: str) -> None:
    with pytest.raises(NameRefused):
        cell_name(name)


@pytest.mark.parametrize("doctype", ["book", "io.cozy.files", "a-b_c", "A", "1", "d" * 128])
def test_a_doctype(doctype: str) -> None:
    assert doctype_name(doctype) == doctype


@pytest.mark.parametrize("doctype", ["", "_pool", ".a", "-a", "a/b", "a b", "é", "a\n", "d" * 129, "\ud800"])
def test_a_doctype_is_refused(doctype: str) -> None:
    with pytest.raises(NameRefused):
        doctype_name(doctype)


@pytest.mark.parametrize("doc_id", ["1", "io.cozy.apps/drive", "é 😀", "..", "_design/x", "x" * 256])
def test_a_document_id(doc_id: str) -> None:
    assert document_id(doc_id) == doc_id


@pytest.mark.parametrize("doc_id", ["", "/a", "a/", "a\nb", "a\0", "\ud800", "x" * 257, "\x7f"])
def test_a_document_id_is_refused(doc_id: str) -> None:
    with pytest.raises(NameRefused):
        document_id(doc_id)
