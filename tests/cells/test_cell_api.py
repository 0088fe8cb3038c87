"""`/api/v1/cell`: cells, documents, files over HTTP (design §9)."""

import base64
import hashlib
from datetime import timedelta
from io import BytesIO

import orjson
import pytest
from django.contrib.auth.models import User
from django.urls import get_resolver

from cells import reading, tokens, writing
from cells.models import Blob, Cell, Document, File, FileVersion
from tests.clients import V1, content
from tests.factories import make_cell, put_documents, put_file, put_files

pytestmark = pytest.mark.django_db
STREAMED = pytest.mark.django_db(transaction=True)  # lists are read on a connection of their own


@pytest.fixture
def cell(alice: User) -> Cell:
    return make_cell(alice)


@pytest.fixture
def v1(alice: User) -> V1:
    return V1(alice)


def error(response) -> tuple[int, str]:
    return response.status_code, response.json()["code"]


def ndjson(*lines: dict | bytes) -> bytes:
    return b"\n".join(line if isinstance(line, bytes) else orjson.dumps(line) for line in lines)


def post_documents(v1: V1, body: bytes, query: str = "", **headers: str):
    return v1.call("POST", f"cell/alice-cell/documents{query}", body, "application/x-ndjson", **headers)


# --- cells -------------------------------------------------------------------------------------------------------


def test_a_cell_is_made_listed_shown_and_deleted(v1: V1) -> None:
    made = v1.post("cell", {"name": "one", "quota": 1000})
    assert made.status_code == 201
    shown = {"name": "one", "owner": "alice", "quota": 1000, "used": 0, "kept": 0, "created": ""}
    assert made.json() | {"created": ""} == shown
    assert v1.post("cell", {"name": "two"}).json()["quota"] is None
    v1.put_file("cell/one/files/a/b", b"12345")
    listed = v1.get("cell?limit=1").json()
    assert (listed["count"], listed["limit"], listed["offset"]) == (2, 1, 0)
    assert [(cell["name"], cell["used"]) for cell in listed["objects"]] == [("one", 5)]
    shown = v1.get("cell/one/").json()
    assert (shown["files"], shown["folders"], shown["documents"]) == (1, 1, 0)
    deleted = v1.delete("cell/one")
    assert (deleted.status_code, deleted.json()) == (200, {})
    assert error(v1.get("cell/one")) == (404, "error.user.cell_not_found")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, (400, "error.api.attribute_expected")),
        ({"name": 1}, (400, "error.api.type_mismatch")),
        ({"name": "api"}, (400, "error.api.invalid_value")),
        ({"name": "A"}, (400, "error.api.invalid_value")),
        ({"name": "x", "quota": -1}, (400, "error.api.invalid_value")),
        ({"name": "x", "quota": 2**63}, (400, "error.api.invalid_value")),
        ({"name": "x", "quota": True}, (400, "error.api.type_mismatch")),
        ({"name": "x", "owner": "bob"}, (400, "error.api.attribute_not_accepted")),
        ({"name": "alice-cell"}, (400, "error.user.integrity_constraint_violation")),
        ([], (400, "error.api.type_mismatch")),
    ],
)
def test_a_refused_cell_is_not_made(v1: V1, cell: Cell, body: object, expected: tuple[int, str]) -> None:
    assert error(v1.post("cell", body)) == expected
    assert list(Cell.objects.all()) == [cell]


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"", "application/json"),
        (b"{", "application/json"),
        (b'{"name":"x"}', "application/x-www-form-urlencoded"),
        (b'{"name":"x"}', "multipart/form-data; boundary=x"),
        (b'{"name":"x"}', "image/png"),
        (b"\xff", "text/plain"),
    ],
)
def test_a_body_that_is_no_json_is_invalid_content(v1: V1, body: bytes, content_type: str) -> None:
    """§1.3."""
    assert error(v1.call("POST", "cell", body, content_type)) == (400, "error.api.invalid_content")
    assert not Cell.objects.exists()


@pytest.mark.parametrize("content_type", ["", "text/plain", "application/json; charset=utf-8", "application/x+json"])
def test_json_is_read_whatever_text_it_calls_itself(v1: V1, content_type: str) -> None:
    """§1.3: "when `Content-Type` is JSON, `text/*`, or absent"."""
    assert v1.call("POST", "cell", b'{"name":"x"}', content_type).status_code == 201


def test_list_integers_are_checked(v1: V1) -> None:
    """§1.11."""
    for query in ("limit=x", "limit=", "offset=1.5", "limit=²", "limit=" + "9" * 30):
        assert error(v1.get(f"cell?{query}")) == (400, "error.api.type_mismatch")
    assert error(v1.get("cell?limit=-1")) == (400, "error.api.invalid_value")
    assert v1.get("cell?limit=0").json() == {"limit": 0, "offset": 0, "count": 0, "objects": []}


# --- who may -----------------------------------------------------------------------------------------------------

CALLS = [
    ("GET", "", None), ("DELETE", "", None), ("POST", "/move", b'{"from":"f","to":"g"}'),
    ("GET", "/documents", None), ("POST", "/documents", b'{"doctype":"book","body":{}}'),
    ("GET", "/documents/book/1", None), ("PUT", "/documents/book/1", b'{"evil":1}'),
    ("DELETE", "/documents/book/1", None), ("GET", "/files", None), ("GET", "/files/f", None),
    ("HEAD", "/files/f", None), ("PUT", "/files/f", b"evil"), ("PUT", "/files/new/", b""), ("DELETE", "/files/f", None),
]  # fmt: skip


def everything() -> tuple:
    return (
        list(Cell.objects.values_list("name", "generation")),
        list(File.objects.order_by("path").values_list("path", "blob_id")),
        list(Document.objects.values_list("doc_id", "rev")),
    )


@pytest.mark.parametrize(("method", "path", "body"), CALLS)
def test_charlie_and_strangers_see_and_change_nothing(
    cell: Cell, charlie: User, alice: User, method: str, path: str, body: bytes | None
) -> None:
    put_files(cell, {"f": b"content"})
    put_documents(cell, [("book", "1", {"a": 1})])
    before = everything()
    other = make_cell(charlie, "charlie-cell")
    bearers = {
        "nobody": (V1(), 403, "error.user.not_authenticated"),
        "charlie": (V1(charlie), 404, "error.user.cell_not_found"),
        "a token for another cell": (V1(charlie, cell=other), 404, "error.user.cell_not_found"),
        "a narrow token": (V1(alice, cell=cell, scopes=["io.cozy.exports"]), 403, "error.user.insufficient_rights"),
        "a narrow token without cell": (V1(alice, scopes=["io.cozy.exports"]), 403, "error.user.insufficient_rights"),
    }
    for who, (client, status, code) in bearers.items():
        answer = client.call(method, f"cell/alice-cell{path}", body)
        assert answer.status_code == status, who
        if method != "HEAD":
            assert answer.json()["code"] == code, who
        unknown = client.call(method, f"cell/unknown{path}", body)
        expected = 404 if who not in ("nobody",) else 403
        assert unknown.status_code == expected
    Cell.objects.filter(pk=other.pk).delete()
    assert everything() == before


def test_bob_may_with_a_token_for_the_cell_but_not_delete_it(cell: Cell, bob: User) -> None:
    client = V1(bob, cell=cell)
    assert client.put_file("cell/alice-cell/files/f", b"bob was here").status_code == 201
    assert [one["name"] for one in client.get("cell").json()["objects"]] == ["alice-cell"]
    assert error(client.delete("cell/alice-cell")) == (403, "error.user.insufficient_rights")
    assert error(client.post("cell", {"name": "more"})) == (403, "error.user.insufficient_rights")
    assert list(Cell.objects.all()) == [cell]


def test_an_expired_token_is_told_so(cell: Cell, alice: User) -> None:
    client = V1(alice, expires=timedelta(seconds=-1))
    assert error(client.get("cell/alice-cell")) == (400, "error.user.session_invalid")


def test_every_route_under_cell_is_in_the_matrix() -> None:
    found = {
        str(inner.pattern)
        for outer in get_resolver().url_patterns
        if str(outer.pattern) == "api/v1/"
        for inner in outer.url_patterns
        if str(inner.pattern).startswith("cell/<str:name>")
    }
    names = {"<str:name>": "", "/documents/<str:doctype>/<path:doc_id>": "/documents/book/1", "/<path:path>": "/f"}
    for route in found:
        path = route.removeprefix("cell/<str:name>").removesuffix("/")
        path = names.get(path, path.replace("/<path:path>", "/f"))
        assert any(path == known for _, known, _ in CALLS), route


# --- documents ---------------------------------------------------------------------------------------------------


@STREAMED
def test_documents_go_in_and_come_out_as_lines(v1: V1, cell: Cell) -> None:
    lines = [{"doctype": "book", "id": str(n), "body": {"title": f"é{n}"}} for n in range(9)]
    answer = post_documents(v1, ndjson(*lines, {"doctype": "book", "id": "0", "deleted": True}) + b"\n")
    assert answer.status_code == 200
    assert answer.json() == {"created": 8, "updated": 0, "deleted": 0, "refused_count": 0, "refused": []}
    listed = v1.get("cell/alice-cell/documents?doctype=book&after=3&limit=2")
    assert listed["Content-Type"] == "application/x-ndjson"
    out = [orjson.loads(line) for line in content(listed).splitlines()]
    assert [(one["id"], one["body"]["title"], one["doctype"]) for one in out] == [
        ("4", "é4", "book"),
        ("5", "é5", "book"),
    ]
    again = post_documents(v1, content(v1.get("cell/alice-cell/documents/")))
    assert again.json()["updated"] == 8
    assert len(content(v1.get("cell/alice-cell/documents?after=book/6")).splitlines()) == 2
    assert content(v1.get("cell/alice-cell/documents?doctype=film")) == b""


def test_a_refused_line_is_told_with_its_number_and_nothing_is_stored(v1: V1, cell: Cell) -> None:
    body = ndjson({"doctype": "book", "id": "1", "body": {}}, b"nonsense", {"doctype": "book", "id": "2", "body": {}})
    answer = post_documents(v1, body)
    assert error(answer) == (400, "error.api.invalid_content")
    told = answer.json()
    assert (told["created"], told["refused_count"], told["refused"][0]["line"]) == (0, 1, 2)
    assert "Line 2" in told["description"] and not Document.objects.exists()
    loose = post_documents(v1, body, "?atomic=false")
    assert (loose.status_code, loose.json()["created"], loose.json()["refused"][0]["line"]) == (200, 2, 2)
    assert Document.objects.count() == 2


def test_lines_may_be_cut_anywhere_by_the_network(v1: V1, cell: Cell, monkeypatch) -> None:
    monkeypatch.setattr("cells.api.bodies._CHUNK", 7)
    lines = [{"doctype": "book", "id": str(n), "body": {"x": "é" * n}} for n in range(20)]
    assert post_documents(v1, ndjson(b"", *lines, b"")).json()["created"] == 20
    assert Document.objects.get(doc_id="19").body == {"x": "é" * 19}


def test_a_line_too_long_is_refused_and_the_next_is_read(v1: V1, cell: Cell, monkeypatch) -> None:
    for module in ("cells.api.bodies", "cells.lines"):
        monkeypatch.setattr(f"{module}.LONGEST_LINE", 1000)
    monkeypatch.setattr("cells.api.bodies._CHUNK", 100)
    long = b'{"doctype":"book","id":"long","body":{"x":"' + b"x" * 5000 + b'"}}'
    answer = post_documents(v1, ndjson(long, {"doctype": "book", "id": "1", "body": {}}), "?atomic=false").json()
    assert (answer["created"], answer["refused"][0]["line"]) == (1, 1) and "longer" in answer["refused"][0]["error"]


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"CONTENT_LENGTH": "", "HTTP_TRANSFER_ENCODING": "chunked"}, (411, "error.api.invalid_content")),
        ({"HTTP_TRANSFER_ENCODING": "chunked"}, (411, "error.api.invalid_content")),
        ({"CONTENT_LENGTH": ""}, (411, "error.api.invalid_content")),
        ({"CONTENT_LENGTH": "1000"}, (400, "error.api.invalid_content")),
        ({"HTTP_CONTENT_ENCODING": "gzip"}, (400, "error.api.invalid_content")),
        ({"HTTP_CONTENT_RANGE": "bytes 0-9/100"}, (400, "error.api.invalid_content")),
    ],
)
def test_a_body_that_would_be_read_wrongly_is_refused(v1: V1, cell: Cell, headers: dict, expected: tuple) -> None:
    body = ndjson({"doctype": "book", "id": "1", "body": {}})
    put_file(cell, "f", b"old")
    for method, path in (("POST", "documents"), ("PUT", "documents/book/1"), ("PUT", "files/f"), ("PUT", "files/new")):
        network = {"wsgi.input": BytesIO(body)}  # the test client's own refuses to be read beyond its end
        assert error(v1.call(method, f"cell/alice-cell/{path}", body, **headers, **network)) == expected
    assert not Document.objects.exists()
    assert list(File.objects.values_list("path", "size")) == [("f", 3)] and not FileVersion.objects.exists()


def test_one_document_by_its_name(v1: V1, cell: Cell) -> None:
    url = "cell/alice-cell/documents/io.cozy.apps/io.cozy.apps%2Fdrive"
    made = v1.put(url, {"b": 1, "a": 2})
    rev = made.json()["rev"]
    assert (made.status_code, made["ETag"], made.json()["id"]) == (201, f'"{rev}"', "io.cozy.apps/drive")
    shown = v1.get(url)
    assert (shown.json(), shown["ETag"]) == ({"a": 2, "b": 1}, f'"{rev}"')
    head = v1.head(url)
    assert (head["ETag"], head["Content-Length"], head.content) == (f'"{rev}"', shown["Content-Length"], b"")
    assert v1.get(url, HTTP_IF_NONE_MATCH=f'"{rev}"').status_code == 304
    stale = v1.put(url, {}, HTTP_IF_MATCH='"1-stale"')
    assert error(stale) == (412, "error.user.version_mismatch")
    assert stale.json()["parameters"] == {"provided": "1-stale", "expected": rev}
    assert v1.put(url, {"c": 3}, HTTP_IF_MATCH=f'"{rev}"').status_code == 200
    assert error(v1.delete(url, HTTP_IF_MATCH=f'"{rev}"')) == (412, "error.user.version_mismatch")
    assert v1.get(url).json() == {"c": 3}
    assert v1.delete(url).json() == {}
    assert error(v1.get(url)) == (404, "error.user.document_not_found")
    assert error(v1.delete(url)) == (404, "error.user.document_not_found")


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"a":NaN}'])
def test_a_bad_document_changes_nothing(v1: V1, cell: Cell, body: bytes) -> None:
    put_documents(cell, [("book", "1", {"a": 1})])
    answer = v1.call("PUT", "cell/alice-cell/documents/book/1", body, "application/json")
    assert error(answer) == (400, "error.api.invalid_content")
    assert error(v1.put("cell/alice-cell/documents/_pool/1", {})) == (400, "error.api.invalid_value")
    assert Document.objects.get().body == {"a": 1}


@pytest.mark.parametrize("query", ["doctype=_x", "after=x", "after=%00/", "limit=x", "doctype=book&after=a%00"])
def test_a_bad_list_of_documents(v1: V1, cell: Cell, query: str) -> None:
    answer = v1.get(f"cell/alice-cell/documents?{query}")
    assert answer.status_code == 400 and answer.json()["realm"] == "api"


# --- files -------------------------------------------------------------------------------------------------------


def test_a_file_goes_in_and_comes_out(v1: V1, cell: Cell) -> None:
    data = bytes(range(256)) * 5000
    made = v1.put_file(
        "cell/alice-cell/files/a/%C3%A9%20b.bin", data, HTTP_X_MTIME="2020-02-29T01:02:03.456+02:00",
        HTTP_X_EXECUTABLE="true",
    )  # fmt: skip
    digest = hashlib.sha256(data).hexdigest()
    assert (made.status_code, made["ETag"]) == (201, f'"{digest}"')
    told = made.json()
    assert (told["path"], told["sha256"], told["size"], told["executable"]) == ("a/é b.bin", digest, len(data), True)
    assert told["mtime"] == "2020-02-28T23:02:03.456000Z" and told["crc32"] == f"{Blob.objects.get().crc32:08x}"
    got = v1.get("cell/alice-cell/files/a/é b.bin")
    assert content(got) == data
    assert (got["ETag"], got["Content-Length"], got["Accept-Ranges"]) == (f'"{digest}"', str(len(data)), "bytes")
    assert got["Last-Modified"] == "Fri, 28 Feb 2020 23:02:03 GMT"
    part = v1.get("cell/alice-cell/files/a/é b.bin", HTTP_RANGE="bytes=300000-300009")
    assert (part.status_code, content(part)) == (206, data[300000:300010])
    assert v1.get("cell/alice-cell/files/a/é b.bin", HTTP_RANGE=f"bytes={len(data)}-").status_code == 416
    assert v1.get("cell/alice-cell/files/a/é b.bin", HTTP_IF_NONE_MATCH=f'"{digest}"').status_code == 304
    head = v1.head("cell/alice-cell/files/a/é b.bin")
    assert dict(head.items()) == dict(got.items()) and head.content == b""


def test_an_empty_file_is_a_file(v1: V1, cell: Cell) -> None:
    assert v1.put_file("cell/alice-cell/files/empty", b"").status_code == 201
    got = v1.get("cell/alice-cell/files/empty")
    assert (got.status_code, got["Content-Length"], content(got)) == (200, "0", b"")


def test_conditions_on_put_and_delete(v1: V1, cell: Cell) -> None:
    url = "cell/alice-cell/files/f"
    etag = v1.put_file(url, b"one", HTTP_IF_NONE_MATCH="*")["ETag"]
    assert error(v1.put_file(url, b"two", HTTP_IF_NONE_MATCH="*")) == (412, "error.user.version_mismatch")
    assert error(v1.put_file(url, b"two", HTTP_IF_MATCH='"x"')) == (412, "error.user.version_mismatch")
    assert error(v1.delete(url, HTTP_IF_MATCH='"x"')) == (412, "error.user.version_mismatch")
    assert content(v1.get(url)) == b"one"
    replaced = v1.put_file(url, b"two", HTTP_IF_MATCH=etag)
    assert (replaced.status_code, replaced.json()["version"]) == (200, 2)
    assert v1.delete(url, HTTP_IF_MATCH=replaced["ETag"]).json() == {}
    assert error(v1.get(url)) == (404, "error.user.file_not_found")


def sha(content_: bytes, algorithm: str = "sha256") -> str:
    return base64.b64encode(hashlib.new(algorithm, content_).digest()).decode()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"HTTP_DIGEST": f"sha-256={sha(b'one')}"}, 201),
        ({"HTTP_DIGEST": f"MD5=abcd, SHA-256={sha(b'one')},SHA-512={sha(b'one', 'sha512')}"}, 201),
        ({"HTTP_CONTENT_DIGEST": f"sha-512=:{sha(b'one', 'sha512')}:"}, 201),
        ({"HTTP_REPR_DIGEST": f"sha-256=:{sha(b'one')}:"}, 201),
        ({"HTTP_DIGEST": f"sha-256={sha(b'two')}"}, 400),
        ({"HTTP_CONTENT_DIGEST": f"sha-256=:{sha(b'one')}:,sha-512=:{sha(b'two')}:"}, 400),
        ({"HTTP_DIGEST": "md5=abcd"}, 400),
        ({"HTTP_DIGEST": ""}, 400),
        ({"HTTP_DIGEST": "sha-256=a"}, 400),
        ({"HTTP_X_MTIME": "yesterday"}, 400),
        ({"HTTP_X_MTIME": "0001-01-01T00:00:00+14:00"}, 400),
        ({"HTTP_X_EXECUTABLE": "maybe"}, 400),
    ],
)
def test_headers_of_a_put_are_checked(v1: V1, cell: Cell, headers: dict, status: int) -> None:
    answer = v1.put_file("cell/alice-cell/files/f", b"one", **headers)
    assert answer.status_code == status
    assert File.objects.exists() == (status == 201)
    if status == 400:
        assert answer.json()["realm"] == "api"


@pytest.mark.parametrize("path", ["..", "a/../b", "a//b", "%00", "a/%2e%2e/b", "//x", "%ED%A0%80/" + "x" * 256])
def test_a_path_that_cannot_be_is_refused(v1: V1, cell: Cell, path: str) -> None:
    assert error(v1.put_file(f"cell/alice-cell/files/{path}", b"evil")) == (400, "error.api.invalid_value")
    assert not File.objects.exists()


def test_the_quota_answers_413_before_the_body_is_read_and_after(v1: V1, alice: User) -> None:
    make_cell(alice, quota=10)
    assert v1.put_file("cell/alice-cell/files/a", b"12345678").status_code == 201
    early = v1.put_file("cell/alice-cell/files/b", b"123")
    assert error(early) == (413, "error.user.quota_exceeded")
    assert early.json()["parameters"] == {"quota": "10", "used": "8", "needed": "3"}
    late = post_documents(v1, ndjson({"doctype": "book", "body": {"a": 1}}))
    assert error(late) == (413, "error.user.quota_exceeded")
    assert File.objects.count() == 1 and not Document.objects.exists() and Blob.objects.count() == 1


def test_folders_are_made_listed_moved_and_deleted(v1: V1, cell: Cell) -> None:
    assert v1.put_file("cell/alice-cell/files/a/empty/", b"").status_code == 201
    assert v1.put_file("cell/alice-cell/files/a/empty/", b"").status_code == 200
    assert error(v1.put_file("cell/alice-cell/files/a/other/", b"x")) == (400, "error.api.invalid_content")
    put_files(cell, {"a/1.txt": b"1", "a/b/2": b"2", "top": b"3"})
    for root in ("files", "files/"):
        assert [one["path"] for one in v1.get(f"cell/alice-cell/{root}").json()["objects"]] == ["a", "top"]
    page = v1.get("cell/alice-cell/files/a/?limit=2").json()
    assert (page["folder"], page["after"]) == ("a", "a/b")
    assert [(one["path"], one["type"]) for one in page["objects"]] == [("a/1.txt", "file"), ("a/b", "folder")]
    rest = v1.get(f"cell/alice-cell/files/a?limit=2&after={page['after']}").json()
    assert ([one["path"] for one in rest["objects"]], rest["after"]) == (["a/empty"], None)
    everything = v1.get("cell/alice-cell/files/?recursive=true").json()["objects"]
    assert [one["path"] for one in everything] == ["a", "a/1.txt", "a/b", "a/b/2", "a/empty", "top"]
    moved = v1.post("cell/alice-cell/move", {"from": "a", "to": "z/y"})
    assert (moved.status_code, moved.json()["path"]) == (200, "z/y")
    assert content(v1.get("cell/alice-cell/files/z/y/b/2")) == b"2"
    taken = v1.post("cell/alice-cell/move", {"from": "top", "to": "z"})
    assert error(taken) == (409, "error.user.path_taken") and taken.json()["parameters"]["path"] == "z"
    assert error(v1.get("cell/alice-cell/files/top/")) == (404, "error.user.file_not_found")
    assert error(v1.delete("cell/alice-cell/files/top/")) == (404, "error.user.file_not_found")
    assert v1.delete("cell/alice-cell/files/z/").json() == {}
    assert [file.path for file in reading.files_list(cell=cell, limit=9, recursive=True)] == ["top"]


@pytest.mark.parametrize("body", [{}, {"from": "a"}, {"from": "a", "to": 1}, {"from": "top", "to": ""}])
def test_a_bad_move_changes_nothing(v1: V1, cell: Cell, body: dict) -> None:
    put_files(cell, {"top": b"3"})
    assert v1.post("cell/alice-cell/move", body).status_code == 400
    assert File.objects.get().path == "top"


def test_hostile_content_cannot_act_in_our_name(v1: V1, cell: Cell) -> None:
    v1.put_file("cell/alice-cell/files/evil.html", b"<script>steal()</script>", "text/html; charset=utf-8")
    got = v1.get("cell/alice-cell/files/evil.html")
    assert got["Content-Type"] == "text/html; charset=utf-8"
    assert got["Content-Security-Policy"].startswith("sandbox")
    assert got["X-Content-Type-Options"] == "nosniff" and got["Referrer-Policy"] == "no-referrer"


@pytest.mark.parametrize("content_type", ["text/html\r\nX-Evil: 1", "x" * 200 + "/y", "nonsense", "a/b; \x00"])
def test_a_content_type_that_could_break_headers_is_refused(v1: V1, cell: Cell, content_type: str) -> None:
    assert error(v1.put_file("cell/alice-cell/files/f", b"x", content_type)) == (400, "error.api.invalid_value")
    assert not File.objects.exists()


def test_a_form_is_a_file_like_any_other(v1: V1, cell: Cell) -> None:
    """`curl --data-binary` calls everything a form, and its content must not be read as parameters."""
    body = b"token=nonsense&method=x"
    made = v1.put_file("cell/alice-cell/files/a.json", body, "application/x-www-form-urlencoded")
    assert made.json()["content_type"] == "application/json"
    assert content(v1.get("cell/alice-cell/files/a.json")) == body


def test_a_damaged_blob_is_a_server_error_and_no_short_file(v1: V1, cell: Cell, store) -> None:
    put_file(cell, "f", b"x" * 100_000)
    (file,) = [path for path in (store / "blobs").rglob("*") if path.is_file()]
    file.write_bytes(b"")
    answer = v1.get("cell/alice-cell/files/f")
    assert error(answer) == (500, "error.server.internal_file_error") and answer.json()["uuid"]


def test_the_token_in_the_query_will_do(alice: User, cell: Cell) -> None:
    raw = tokens.token_create(user=alice)
    assert V1().get(f"cell/alice-cell?token={raw}").json()["name"] == "alice-cell"


def test_services_and_rest_see_the_same(v1: V1, cell: Cell) -> None:
    v1.put_file("cell/alice-cell/files/a", b"1")
    writing.file_move(cell=cell, source="a", target="b")
    assert content(v1.get("cell/alice-cell/files/b")) == b"1"
