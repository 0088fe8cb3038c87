"""Lines and listings of another server, one by one: what is not exactly what it should be is refused."""

import json
from collections.abc import Iterable
from hashlib import sha256
from typing import Any

import pytest

from cells import transferring
from cells.lines import Refusal
from cells.transfer_lines import FORMAT
from exports.errors import TransferRefused
from exports.services import source_server
from exports.services.source_server import SourceAway

A, B = sha256(b"a").hexdigest(), sha256(b"b").hexdigest()
TIMES = {"created_at": 1, "updated_at": 1}
FILE = {"path": "a/b", "folder": False, "sha256": A, "size": 1, "mtime": 1, "executable": False} | TIMES
FILE |= {"content_type": "text/plain", "version": 1}
FOLDER = FILE | {"folder": True, "sha256": "", "size": 0, "content_type": ""}
VERSION = {"path": "a/b", "version": 1, "sha256": A, "size": 1, "mtime": 1, "content_type": "", "created_at": 1}
DOCUMENT = {"doctype": "note", "id": "n1", "rev": "1-a", "body": {"a": 1}}
DOCUMENT |= {"created_at": "2024-02-29T12:30:45.678900Z", "updated_at": "2024-02-29T12:30:45.678900Z"}


def line(of: dict[str, Any], **changes: Any) -> bytes:
    return json.dumps(of | changes).encode()


FILES = {
    "up": (FILE, {"path": "../c"}, "is no name"),
    "absolute": (FILE, {"path": "/c"}, "slash at an end"),
    "dot": (FILE, {"path": "a/./c"}, "is no name"),
    "NUL": (FILE, {"path": "a\0c"}, "u0000"),
    "surrogate": (FILE, {"path": "\ud800"}, "not JSON"),
    "a long name": (FILE, {"path": "c" * 256}, "255 bytes"),
    "a long path": (FILE, {"path": "/".join(["c" * 200] * 30)}, "4096 bytes"),
    "no path": (FILE, {"path": None}, "path is no str"),
    "negative": (FILE, {"size": -1}, "size is out of bounds"),
    "too large": (FILE, {"size": 1 << 63}, "size is out of bounds"),
    "no number": (FILE, {"size": "1"}, "size is no int"),
    "a fraction": (FILE, {"size": 1.5}, "size is no int"),
    "true": (FILE, {"size": True}, "size is no int"),
    "version": (FILE, {"version": 1 << 31}, "version is out of bounds"),
    "time": (FILE, {"mtime": 1 << 62}, "mtime is out of bounds"),
    "a time before all": (FILE, {"created_at": -(1 << 62)}, "created_at is out of bounds"),
    "executable": (FILE, {"executable": 0}, "executable is no bool"),
    "not hex": (FILE, {"sha256": "C" * 64}, "sha256 is no SHA-256"),
    "a short digest": (FILE, {"sha256": "c" * 63}, "sha256 is no SHA-256"),
    "a folder's content": (FOLDER, {"sha256": A}, "a folder has a content"),
    "a media type with a line": (FILE, {"content_type": "text\n"}, "no media type"),
    "a long media type": (FILE, {"content_type": "t" * 128}, "no media type"),
    "nested": (FILE, {"more": [[[1]]]}, "nested deeper"),
    "a long line": (FILE, {"more": "x" * 100_000}, "longer than"),
}


@pytest.mark.parametrize(("of", "changes", "reason"), FILES.values(), ids=FILES.keys())
def test_a_line_of_a_file_that_is_none_is_refused(of: dict, changes: dict, reason: str) -> None:
    with pytest.raises(Refusal, match=reason):
        transferring.files_place(None, 1, [line(of, **changes)], lambda: None)


@pytest.mark.parametrize("changes", [{"path": "/a"}, {"version": 0.5}, {"sha256": ""}, {"size": -1}, {"mtime": "now"}])
def test_a_line_of_a_version_that_is_none_is_refused(changes: dict) -> None:
    with pytest.raises(Refusal):
        transferring.versions_place(None, 1, [line(VERSION, **changes)], lambda: None)


DOCUMENTS = {
    "doctype": ({"doctype": "_pool"}, "doctype"),
    "a reserved doctype beyond ours": ({"doctype": "_cell._cell.box"}, "doctype"),
    "a slash in front": ({"id": "/n1"}, "document id"),
    "a number as id": ({"id": 1}, "other keys"),
    "one more key": ({"more": 1}, "other keys"),
    "no time": ({"created_at": "then"}, "isoformat"),
    "a time without zone": ({"updated_at": "2024-02-29T12:30:45"}, "not in UTC"),
    "a time before all years": ({"created_at": "0001-01-01T00:00:00+14:00"}, "not in UTC"),
    "a time after all years": ({"updated_at": "9999-12-31T23:59:59-14:00"}, "not in UTC"),
    "deep": ({"body": json.loads("[" * 300 + "]" * 300)}, "nested deeper"),
    "NUL inside": ({"body": {"a": ["\0"]}}, "u0000"),
}


@pytest.mark.parametrize(("changes", "reason"), DOCUMENTS.values(), ids=DOCUMENTS.keys())
def test_a_line_of_a_document_that_is_none_is_refused(changes: dict, reason: str) -> None:
    with pytest.raises(Refusal, match=reason):
        list(transferring.documents_of([line(DOCUMENT, **changes)]))


@pytest.mark.parametrize("text", [b"", b"null", b"[]", b"{", b"\xff", b'{"a": 1e999999}'])
def test_what_is_no_object_is_refused(text: bytes) -> None:
    with pytest.raises(Refusal):
        list(transferring.documents_of([text]))
    with pytest.raises(Refusal):
        transferring.files_place(None, 1, [text], lambda: None)


def test_documents_of_this_server_s_own_kind_come_along() -> None:
    [found] = transferring.documents_of([line(DOCUMENT, doctype="_cell.box")])
    assert (found.doctype, found.doc_id, found.rev) == ("_cell.box", "n1", "1-a")


def test_an_endless_line_is_not_held() -> None:
    with pytest.raises(Refusal, match="longer than it may be"):
        list(transferring.lines_of(b"x" * (1 << 20) for _ in range(10_000)))


HEAD = {"format": FORMAT, "version": 1, "seal": A, "digest": B, "count": 2, "bytes": 3, "used": 3}
ROWS = [{"n": 0, "kind": "files", "sha256": A, "size": 9, "stored": 2, "encoding": "deflate"}]
ROWS += [{"n": 4, "sha256": B, "size": 1, "stored": 1}]


def listed(*objects: object) -> list[tuple]:
    return judged(json.dumps(each).encode() + b"\n" for each in objects)


def judged(pieces: Iterable[bytes]) -> list[tuple]:
    lines = source_server._lines(pieces, lambda count: None)
    return list(source_server._rows(lines, source_server._head(next(lines, b""))))


END = {"end": True}


def test_a_listing_is_read_however_it_is_cut() -> None:
    text = b"".join(json.dumps(each).encode() + b"\n" for each in (HEAD, *ROWS, END))
    expected = [(0, "files", A, 9, 2, "deflate"), (4, "", B, 1, 1, "raw")]
    for size in (1, 7, 1000):
        assert judged(text[at : at + size] for at in range(0, len(text), size)) == expected


LISTINGS = {
    "another format": [HEAD | {"format": "tar"}, *ROWS, END],
    "another version": [HEAD | {"version": 2}, *ROWS, END],
    "too many": [HEAD | {"count": 10**9}, *ROWS, END],
    "no number of them": [HEAD | {"count": "2"}, *ROWS, END],
    "no seal": [HEAD | {"seal": "x"}, *ROWS, END],
    "no object": [HEAD, 17],
    "out of order": [HEAD, *ROWS[::-1], END],
    "twice": [HEAD, ROWS[0], ROWS[0], END],
    "more than it says": [HEAD | {"count": 1}, *ROWS, END],
    "below zero": [HEAD, ROWS[0], ROWS[1] | {"size": -1, "stored": -1}, END],
    "beyond everything": [HEAD, ROWS[0], ROWS[1] | {"size": 1 << 50, "stored": 1 << 50}, END],
    "two sizes": [HEAD, ROWS[0], ROWS[1] | {"size": 7}, END],
    "another encoding": [HEAD, ROWS[0], ROWS[1] | {"encoding": "brotli"}, END],
    "another kind": [HEAD, ROWS[0] | {"kind": "contents"}, ROWS[1], END],
    "a path as digest": [HEAD, ROWS[0], ROWS[1] | {"sha256": "../../etc/passwd"}, END],
    "a long line": [HEAD, ROWS[0], ROWS[1] | {"more": "x" * 500}, END],
}


@pytest.mark.parametrize("objects", LISTINGS.values(), ids=LISTINGS.keys())
def test_a_listing_that_cannot_be_is_refused(objects: list) -> None:
    with pytest.raises(TransferRefused):
        listed(*objects)


@pytest.mark.parametrize("objects", [[], [HEAD], [HEAD, *ROWS], [HEAD, ROWS[0], END]])
def test_a_listing_that_was_cut_is_asked_for_again(objects: list) -> None:
    with pytest.raises((SourceAway, TransferRefused)):
        listed(*objects)


def test_an_endless_listing_is_not_held() -> None:
    with pytest.raises(TransferRefused, match="longer than it may be"):
        judged(b"x" * 65536 for _ in range(10_000))
    with pytest.raises(TransferRefused, match="not JSON"):
        judged([b"<html>\n"])
