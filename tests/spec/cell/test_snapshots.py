"""`spec/cell.md §12`: the snapshot area."""

import re
import zipfile
from io import BytesIO
from xml.dom import minidom

import pytest
from django.utils.http import parse_http_date

from cells.errors import BodyIncomplete, QuotaExceeded
from cells.models import Blob, Cell, SnapshotFile
from cells.snapshots import MOST_FILES, snapshot_put
from exports.api.cell.errors import code_of
from tests.spec.cell.asking import CellClient, content, empty, exported, refused

pytestmark = pytest.mark.django_db
#: For those that run an export, which reads through a connection of its own.
committed = pytest.mark.django_db(transaction=True)
AREA = "/cell1/__snapshot"
URL = "https://unit.example/cell1/__snapshot"


def put(client: CellClient, name: str = "a.zip", body: bytes = b"0123456789", kind: str = "", **headers: str):
    return client.call("PUT", f"{AREA}/{name}", body, kind, **headers)


def test_put_a_new_file_is_201_an_old_one_204_with_an_etag_and_nothing_else(cell: Cell, as_alice: CellClient) -> None:
    """§12.3: "not existing → **201** with `ETag`"; "Existing → **204** with new `ETag`"; "No body, no `Location`"."""
    first = empty(put(as_alice), 201)
    assert re.fullmatch(r'"1-\d{13}"', first.headers["ETag"])
    second = empty(put(as_alice, body=b"other"), 204)
    assert re.fullmatch(r'"2-\d{13}"', second.headers["ETag"])
    assert "Location" not in first.headers and "Location" not in second.headers
    assert content(as_alice.get(f"{AREA}/a.zip")) == b"other"


def test_what_is_uploaded_is_not_looked_at(cell: Cell, as_alice: CellClient) -> None:
    """§12.3: "no validation of content, type or extension"; [R] octet-stream when there is no type."""
    for name, kind, stored in (
        ("x.txt", "", "application/octet-stream"),
        ("x.error", "application/json", "application/json"),
        ("x.zip", "bad type", "application/octet-stream"),
    ):
        empty(put(as_alice, name, b"garbage", kind), 201)
        response = as_alice.get(f"{AREA}/{name}")
        assert (content(response), response.headers["Content-Type"]) == (b"garbage", stored)


def test_if_match(cell: Cell, as_alice: CellClient) -> None:
    """§12.3: ignored for a new file; absent or `*` unconditional; equal or `W/` + equal ok; else 412."""
    etag = put(as_alice, if_match='"nonsense"').headers["ETag"]
    etag = empty(put(as_alice, if_match="*"), 204).headers["ETag"]
    etag = empty(put(as_alice, if_match=etag), 204).headers["ETag"]
    etag = empty(put(as_alice, if_match=f"W/{etag}"), 204).headers["ETag"]
    for wrong in ("", '"1-1487652733383"', etag.strip('"'), f'{etag}, "x"'):
        refused(put(as_alice, body=b"changed", if_match=wrong), "PR412-DV-0001", "ETag does not match.")
        refused(as_alice.delete(f"{AREA}/a.zip", if_match=wrong), "PR412-DV-0001", "ETag does not match.")
    assert content(as_alice.get(f"{AREA}/a.zip")) == b"0123456789"
    empty(as_alice.delete(f"{AREA}/a.zip", if_match=etag), 204)


def test_the_area_is_full_with_1024_files(cell: Cell, as_alice: CellClient) -> None:
    """§12.3: "≥ 1024 files in the area → 400 `PR400-DV-0007`"; what is there may be replaced."""
    put(as_alice)
    rows = (
        SnapshotFile(cell=cell, name=f"{number}.zip", error={}, content_type="x/y") for number in range(MOST_FILES - 1)
    )
    SnapshotFile.objects.bulk_create(rows)
    for response in (put(as_alice, "one-more.zip"), as_alice.post("/cell1/__export", {"Name": "one-more"})):
        refused(response, "PR400-DV-0007", "Cannot add any more child resources.")
    assert SnapshotFile.objects.count() == MOST_FILES
    empty(put(as_alice, body=b"other"), 204)


@pytest.mark.parametrize(
    "name", ["a%20b", "a%3Ab", "a%5Cb", "a%2A", "%01", "%7F", ".", "..", "x" * 256, "a%22", "%C2%85"]
)
def test_names_that_no_dav_server_takes(name: str, cell: Cell, as_alice: CellClient) -> None:
    """§12.3 [R]: 403 `PR403-DV-0004` "Resource name is invalid [{0}]."."""
    refused(put(as_alice, name), "PR403-DV-0004")
    assert not SnapshotFile.objects.exists()


@pytest.mark.parametrize("name", ["a%00b", "a%2Fb"])
def test_names_that_are_no_name_at_all(name: str, cell: Cell, as_alice: CellClient) -> None:
    assert put(as_alice, name).status_code in (403, 404)
    assert as_alice.get(f"{AREA}/{name}").status_code == 404
    assert not SnapshotFile.objects.exists()


def test_other_letters_are_names_and_are_quoted_in_hrefs(cell: Cell, as_alice: CellClient) -> None:
    empty(put(as_alice, "%C3%A4%26%23.zip"), 201)
    listed = parsed(content(as_alice.propfind(AREA, depth="1")))
    assert listed.getElementsByTagName("href")[1].firstChild.data == f"{URL}/%C3%A4%26%23.zip"


def test_get_has_length_etag_type_and_ranges(cell: Cell, as_alice: CellClient) -> None:
    """§12.2: "200: body bytes, `Content-Type` as stored, `Content-Length`, `ETag`, `Accept-Ranges: bytes`"."""
    etag = put(as_alice, kind="application/zip").headers["ETag"]
    for method in ("GET", "HEAD"):
        response = as_alice.call(method, f"{AREA}/a.zip")
        assert response.status_code == 200
        assert content(response) == (b"0123456789" if method == "GET" else b"")
        told = {name: response.headers[name] for name in ("Content-Type", "Content-Length", "ETag", "Accept-Ranges")}
        assert told == {
            "Content-Type": "application/zip", "Content-Length": "10", "ETag": etag, "Accept-Ranges": "bytes",
        }  # fmt: skip


def test_what_is_missing(cell: Cell, as_alice: CellClient) -> None:
    """§12.2: 404 `PR404-DV-0001` "Resource not found. [{CellURL}__snapshot/{file}]."."""
    for method in ("GET", "DELETE", "PROPFIND", "OPTIONS"):
        response = as_alice.call(method, f"{AREA}/none.zip", depth="0")
        refused(response, "PR404-DV-0001", f"Resource not found. [{URL}/none.zip].")


def test_if_none_match(cell: Cell, as_alice: CellClient) -> None:
    """§12.2: equal or `W/` → 304 with ETag; "Any other value — including `*`, empty and malformed — → 200"."""
    etag = put(as_alice).headers["ETag"]
    for same in (etag, f"W/{etag}"):
        assert empty(as_alice.get(f"{AREA}/a.zip", if_none_match=same), 304).headers["ETag"] == etag
    for other in ("*", "", "nonsense", f'{etag}, "x"'):
        assert content(as_alice.get(f"{AREA}/a.zip", if_none_match=other)) == b"0123456789"


@pytest.mark.parametrize(
    ("given", "part", "told"),
    [
        ("bytes=0-0", b"0", "bytes 0-0/10"),
        ("bytes=3-", b"3456789", "bytes 3-9/10"),
        ("bytes=-4", b"6789", "bytes 6-9/10"),
        ("bytes=8-99", b"89", "bytes 8-9/10"),
        ("bytes=2-3,50-60", b"23", "bytes 2-3/10"),
    ],
)
def test_single_ranges_are_206(given: str, part: bytes, told: str, cell: Cell, as_alice: CellClient) -> None:
    """§12.2 [R]: "valid single range 206 + `Content-Range: bytes a-b/size`"."""
    put(as_alice)
    response = as_alice.get(f"{AREA}/a.zip", range=given)
    assert (response.status_code, content(response)) == (206, part)
    assert (response.headers["Content-Range"], response.headers["Content-Length"]) == (told, str(len(part)))


@pytest.mark.parametrize(
    "given",
    ["bytes=5-3", "bytes=x-y", "bytes=-", "bytes", "lines=1-2", "bytes=1-2,x", "bytes=" + ",".join(["0-1"] * 14)],
)
def test_bad_ranges_are_ignored(given: str, cell: Cell, as_alice: CellClient) -> None:
    """§12.2: "syntactically invalid or reversed → ignored, 200"; "more than 13 ranges → ignored"."""
    put(as_alice)
    response = as_alice.get(f"{AREA}/a.zip", range=given)
    assert (response.status_code, content(response)) == (200, b"0123456789")


def test_ranges_that_cannot_be_answered(cell: Cell, as_alice: CellClient) -> None:
    """§12.2: beyond the end 416 `PR416-DV-0001`; more than one satisfiable range 501 `PR501-MC-0002`."""
    put(as_alice)
    response = as_alice.get(f"{AREA}/a.zip", range="bytes=10-20")
    refused(response, "PR416-DV-0001", "Requested range not satisfiable.")
    assert response.headers["Content-Range"] == "bytes */10"
    refused(
        as_alice.get(f"{AREA}/a.zip", range="bytes=0-1,4-5"), "PR501-MC-0002", "Not implemented. [Range-MultiPart]."
    )


@committed
def test_any_range_of_an_archive_is_served_from_its_plan(cell: Cell, as_alice: CellClient) -> None:
    """Issue 4 point 1: "single ranges on snapshot files (206) served from the plan"; no copy is stored."""
    exported(as_alice, cell, "one")
    whole = content(as_alice.get(f"{AREA}/one.zip"))
    file = SnapshotFile.objects.get()
    assert (file.size, file.blob_id) == (len(whole), None)
    with zipfile.ZipFile(BytesIO(whole)) as archive:
        assert archive.testzip() is None
    for start in range(0, len(whole), 211):
        part = content(as_alice.get(f"{AREA}/one.zip", range=f"bytes={start}-{start + 210}"))
        assert part == whole[start : start + 211]
    response = as_alice.get(f"{AREA}/one.zip", range="bytes=0-3", if_range='"1-0"')
    assert (response.status_code, content(response)) == (200, whole)


def test_propfind_of_the_area(cell: Cell, as_alice: CellClient) -> None:
    """§12.1: depth 0 the collection alone, depth 1 a response per file, one propstat each, properties in order."""
    etag = put(as_alice, kind="application/zip").headers["ETag"]
    for depth, count in (("0", 1), ("1", 2)):
        response = as_alice.propfind(AREA, depth=depth)
        assert response.status_code == 207 and response.headers["Content-Type"] == "application/xml"
        body = content(response)
        assert body.startswith(b'<multistatus xmlns="DAV:"><response><href>')
        responses = parsed(body).getElementsByTagName("response")
        assert len(responses) == count
        assert all(len(each.getElementsByTagName("propstat")) == 1 for each in responses)
    area, file = responses
    assert area.getElementsByTagName("href")[0].firstChild.data == URL
    assert properties(area) == ["creationdate", "getlastmodified", "resourcetype", "p:cellstatus", "acl"]
    assert area.getElementsByTagName("p:cellstatus")[0].firstChild.data == "normal"
    assert area.getElementsByTagName("acl")[0].getAttribute("xml:base") == "https://unit.example/cell1/__role/__/"
    assert file.getElementsByTagName("href")[0].firstChild.data == f"{URL}/a.zip"
    assert properties(file) == [
        "creationdate", "getcontentlength", "getcontenttype", "getlastmodified", "resourcetype", "acl",
    ]  # fmt: skip
    created = file.getElementsByTagName("creationdate")[0].firstChild.data
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+0000", created)
    assert parse_http_date(file.getElementsByTagName("getlastmodified")[0].firstChild.data)
    assert file.getElementsByTagName("status")[0].firstChild.data == "HTTP/1.1 200 OK"
    alone = as_alice.propfind(f"{AREA}/a.zip", depth="1")
    assert alone.headers["ETag"] == etag
    assert parsed(content(alone)).getElementsByTagName("response")[0].toxml() == file.toxml()


def parsed(body: bytes) -> minidom.Document:
    return minidom.parseString(body)  # noqa: S318 - our own answer


def properties(response: minidom.Element) -> list[str]:
    return [each.tagName for each in response.getElementsByTagName("prop")[0].childNodes]


def test_depth(cell: Cell, as_alice: CellClient) -> None:
    """§12.1: "`infinity` → 403 `PR403-DV-0001`"; missing → 400 with `[null]`; anything else with the value."""
    refused(as_alice.propfind(AREA, depth="infinity"), "PR403-DV-0001", "Infinite depth is not supported.")
    refused(as_alice.propfind(AREA), "PR400-DV-0003", "Invalid depth header value:[null].")
    for other in ("2", "", "Infinity", "0, 1"):
        refused(as_alice.propfind(AREA, depth=other), "PR400-DV-0003", f"Invalid depth header value:[{other}].")


BOMB = '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><propfind xmlns="DAV:"><allprop/>&b;</propfind>'
FETCH = '<!DOCTYPE x SYSTEM "http://169.254.169.254/"><propfind xmlns="DAV:"/>'


@pytest.mark.parametrize(
    "body",
    [
        b"nonsense", b"<a/>", b'<propfind xmlns="other"/>', b"<propfind/>", b'<propfind xmlns="DAV:">', b"\xff\xfe\0",
        BOMB.encode(), FETCH.encode(), b'<propfind xmlns="DAV:">' + b"<a>" * 9_000 + b"</a>" * 9_000 + b"</propfind>",
    ],
    ids=lambda body: body[:20].decode(errors="replace"),
)  # fmt: skip
def test_a_body_that_is_no_propfind_is_400(body: bytes, cell: Cell, as_alice: CellClient) -> None:
    """§12.1: "well-formed XML with root `{DAV:}propfind`; otherwise 400"; "Use a hardened XML parser"."""
    response = as_alice.propfind(AREA, body, depth="0")
    assert response.status_code == 400
    if len(body) < 60_000:
        refused(response, "PR400-DV-0001", "XML parse error.")


@pytest.mark.parametrize("inner", ["", "<allprop/>", "<propname/>", "<prop><getetag/></prop>", "<x:y xmlns:x='z'/>"])
def test_whatever_is_asked_for_all_properties_come(inner: str, cell: Cell, as_alice: CellClient) -> None:
    """§12.1: "Whatever is inside … is treated as allprop"."""
    body = f'<?xml version="1.0" encoding="utf-8"?><D:propfind xmlns:D="DAV:" xmlns="DAV:">{inner}</D:propfind>'
    told = content(as_alice.propfind(AREA, body.encode(), depth="0"))
    assert told == content(as_alice.propfind(AREA, depth="0"))


def test_delete(cell: Cell, as_alice: CellClient) -> None:
    """§12.4: "success **204**, no body"."""
    put(as_alice)
    empty(as_alice.delete(f"{AREA}/a.zip"), 204)
    refused(as_alice.delete(f"{AREA}/a.zip"), "PR404-DV-0001")
    assert not SnapshotFile.objects.exists()


def test_other_methods(cell: Cell, as_alice: CellClient) -> None:
    """§12.5."""
    put(as_alice)
    for method in ("GET", "PUT", "POST", "DELETE", "MKCOL", "PROPPATCH", "MOVE", "COPY", "REPORT", "ACL"):
        refused(as_alice.call(method, AREA), "PR405-MC-0001", "Method not allowed.")
    for method in ("POST", "MKCOL", "PROPPATCH", "MOVE", "COPY", "ACL"):
        refused(as_alice.call(method, f"{AREA}/a.zip"), "PR405-MC-0001", "Method not allowed.")
    refused(as_alice.call("REPORT", f"{AREA}/a.zip"), "PR501-MC-0001", "Method not implemented.")
    assert content(as_alice.get(f"{AREA}/a.zip")) == b"0123456789"


def test_a_trailing_slash_is_the_same_resource_and_deeper_paths_are_none(cell: Cell, as_alice: CellClient) -> None:
    """§1."""
    put(as_alice)
    assert content(as_alice.get(f"{AREA}/a.zip/")) == b"0123456789"
    assert as_alice.propfind(f"{AREA}/", depth="0").status_code == 207
    refused(as_alice.get(f"{AREA}/a/b"), "PR404-MC-0001", "URI is not recognized.")


def test_an_upload_that_ends_early_leaves_nothing(cell: Cell) -> None:
    with pytest.raises(BodyIncomplete) as raised:
        snapshot_put(cell=cell, name="a.zip", stream=BytesIO(b"12345"), length=10, content_type="x/y")
    assert code_of(raised.value) == ("PR500-CM-0001", "Failed to load the request body for some reason.")
    assert not SnapshotFile.objects.exists() and not Blob.objects.filter(size=5).exists()


def test_a_quota_bounds_the_area_too(cell: Cell, as_alice: CellClient) -> None:
    Cell.objects.update(quota=5000)
    put(as_alice, body=b"x" * 3000)
    refused(put(as_alice, "b.zip", b"x" * 3000), "PR503-SV-0005")
    empty(put(as_alice, body=b"x" * 4000), 204)
    assert SnapshotFile.objects.get().size == 4000


def test_uploads_at_once_share_the_quota(cell: Cell) -> None:
    """Both found room when they began."""
    Cell.objects.update(quota=5000)
    cell.refresh_from_db()

    class Slow(BytesIO):
        def read(self, size: int = -1) -> bytes:
            if not self.tell():
                snapshot_put(cell=cell, name="b.zip", stream=BytesIO(b"y" * 3000), length=3000, content_type="")
            return super().read(size)

    with pytest.raises(QuotaExceeded):
        snapshot_put(cell=cell, name="a.zip", stream=Slow(b"x" * 3000), length=3000, content_type="")
    assert [each.name for each in SnapshotFile.objects.all()] == ["b.zip"]


@committed
def test_the_area_survives_renaming_and_goes_with_the_cell(cell: Cell, as_alice: CellClient) -> None:
    """§12: "survives renaming of the cell; deleted with the cell"."""
    put(as_alice)
    exported(as_alice, cell, "one")
    as_alice.put("/__ctl/Cell('cell1')", {"Name": "other"})
    assert content(as_alice.get("/other/__snapshot/a.zip")) == b"0123456789"
    empty(as_alice.delete("/other", x_personium_recursive="true"), 204)
    assert not SnapshotFile.objects.exists()
