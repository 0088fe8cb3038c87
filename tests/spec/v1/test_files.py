"""`file/<path>` and `_files`, and what goes into an export: `spec/v1.md §4.5, §5.8`; seed 003."""

import re
from html import unescape
from urllib.parse import quote, unquote, urljoin

import pytest

from cells.models import Cell
from exports.models import Event, Export, Run, Volume
from exports.states import RunState
from tests.clients import V1, content
from tests.factories import make_cell, put_documents, put_files
from tests.spec.v1.asking import answer, created, id_of, refused, run
from tests.spec.v1.packed import FILES, got, path_to, untarred, unzipped, url

pytestmark = pytest.mark.django_db(transaction=True)


def test_files_are_listed_with_path_and_size(done: dict) -> None:
    """§4.5: regular files, relative raw paths, sizes."""
    sizes = {file["path"]: file["size"] for file in done["_files"]}
    assert {name: sizes[name] for name in FILES} == {name: len(data) for name, data in FILES.items()}
    assert not [path for path in sizes if path.endswith("/") or path.startswith("/")]


def test_every_listed_file_can_be_fetched(as_alice: V1, done: dict) -> None:
    """§5.8: 200 with the bytes and Content-Length; `<path>` percent-encoded."""
    for file in done["_files"]:
        response = as_alice.get(path_to(done, f"/file/{quote(file['path'])}"))
        assert int(response.headers["Content-Length"]) == file["size"]
        body = got(response)
        assert body == FILES.get(file["path"], body)
        assert "Content-Disposition" not in response.headers


@pytest.mark.parametrize("prefix", ["export", "v1/export"])
def test_both_prefixes_serve_the_three_families(as_alice: V1, done: dict, prefix: str) -> None:
    """C1."""
    base = f"{prefix}/{id_of(done)}"
    assert got(as_alice.get(f"{base}/file/readme.txt")) == FILES["readme.txt"]
    assert unzipped(got(as_alice.get(f"{base}/zip")))["readme.txt"] == FILES["readme.txt"]
    assert untarred(got(as_alice.get(f"{base}/tar_gz")))["readme.txt"] == FILES["readme.txt"]
    passkey_url = url(done, ".zip").removeprefix("export/").partition("/")[2]
    assert unzipped(got(as_alice.get(f"{base}/{passkey_url}")))["readme.txt"] == FILES["readme.txt"]


def test_head_equals_get_and_ranges_are_slices(as_alice: V1, done: dict) -> None:
    """GET|HEAD of §5.8, §5.9, §5.11; ranges are ours."""
    for path in (path_to(done, "/file/readme.txt"), path_to(done, "/zip"), path_to(done, "/tar_gz"), url(done, ".tar")):
        response = as_alice.get(path)
        whole = got(response)
        head = as_alice.head(path)
        assert head.status_code == 200
        assert content(head) == b""
        for name in ("Content-Length", "Content-Type", "ETag", "Accept-Ranges"):
            assert head.headers[name] == response.headers[name], name
        part = as_alice.get(path, HTTP_RANGE="bytes=100-299", HTTP_IF_RANGE=response.headers["ETag"])
        assert part.status_code == 206
        assert content(part) == whole[100:300]
        assert content(as_alice.get(path, HTTP_RANGE="bytes=1-2", HTTP_IF_RANGE='"other"')) == whole
        assert as_alice.get(path, HTTP_RANGE=f"bytes={len(whole)}-").status_code == 416
        assert as_alice.get(path, HTTP_IF_NONE_MATCH=response.headers["ETag"]).status_code == 304


def test_what_is_no_file_is_an_api_error(as_alice: V1, done: dict) -> None:
    """C4: 400; 302 with `disposition` (§3.3)."""
    for path in ["photos", "photos/", "absent", "../readme.txt", "/readme.txt", "photos/../readme.txt", "a%00b", "%ff"]:
        refused(as_alice.get(path_to(done, f"/file/{path}")), 400, "error.api.generic")
        response = as_alice.get(path_to(done, f"/file/{path}?disposition=inline"))
        assert (response.status_code, response.headers["Location"]) == (302, "/#server_error:export.file.not.found")


def test_file_without_path_expects_one(as_alice: V1, done: dict) -> None:
    for rest in ("/file", "/file/"):
        refused(as_alice.get(path_to(done, rest)), 400, "error.api.positional_parameter_expected")


class TestIndex:
    """§5.8: "empty path or trailing `/` renders an HTML index, `[fylr]`; we answer 400 unless `Accept: text/html`
    asks for it"."""

    BROWSER = {"HTTP_ACCEPT": "text/html,application/xhtml+xml,*/*;q=0.8"}

    def links(self, client: V1, path: str) -> dict[str, str]:
        response = client.get(path, **self.BROWSER)
        body = got(response).decode()
        assert response.headers["Content-Type"].startswith("text/html")
        assert response.headers["Content-Security-Policy"] == "default-src 'none'"
        found = re.findall(r'<a href="([^"]*)">([^<]*)</a>', body)
        here = f"/api/v1/{path}".partition("?")[0]
        return {unescape(text): urljoin(here, unescape(href)).removeprefix("/api/v1/") for href, text in found}

    @pytest.mark.parametrize("rest", ["/file", "/file/"])
    def test_a_browser_walks_through_all_files(self, as_alice: V1, done: dict, rest: str) -> None:
        wanted, found = [path_to(done, rest)], {}
        while wanted:
            for text, path in self.links(as_alice, wanted.pop()).items():
                if text.endswith("/"):
                    wanted.append(path)
                elif text != "..":
                    found[unquote(path).partition("/file/")[2]] = got(as_alice.get(path, **self.BROWSER))
        assert {path: found[path] for path in FILES} == FILES
        assert found.keys() == {file["path"] for file in done["_files"]}

    def test_links_lead_up_and_keep_the_token(self, as_alice: V1, as_nobody: V1, done: dict) -> None:
        links = self.links(as_nobody, path_to(done, f"/file/photos/?token={as_alice.token}"))
        assert links[".."] == path_to(done, f"/file/?token={as_alice.token}")
        assert got(as_nobody.get(links["Füße 100%.jpg"])) == FILES["photos/Füße 100%.jpg"]

    def test_a_long_folder_has_pages(self, as_alice: V1, done: dict, monkeypatch) -> None:
        monkeypatch.setattr("exports.api.v1.files.PAGE", 2)
        found, page = [], path_to(done, "/file/")
        while page:
            links = self.links(as_alice, page)
            page = links.pop("more", "")
            found += links
        assert len(found) == len(set(found)) > 2
        assert {name.rstrip("/") for name in found} == {file["path"].partition("/")[0] for file in done["_files"]}

    def test_only_folders_of_one_s_own_have_one(self, as_alice: V1, as_bob: V1, done: dict) -> None:
        """§5.8: "`[seed]` statuses 200/302/400", so what C5 calls not found is 400 here (C8: "otherwise 400 JSON")."""
        for rest in ("/file/absent/", "/file/readme.txt/", "/file/../", "/file/a%00/", "/file/?after=%00"):
            refused(as_alice.get(path_to(done, rest), **self.BROWSER), 400, "error.api.generic")
        refused(
            as_bob.get(path_to(done, "/file/"), **self.BROWSER), 400, "error.user.export_not_found", id=str(id_of(done))
        )
        fresh = created(as_alice)
        refused(as_alice.get(path_to(fresh, "/file/"), **self.BROWSER), 400, "error.api.generic")


def test_dispositions_and_names(as_alice: V1, done: dict) -> None:
    """§5.8."""
    for query, header in [
        ("disposition=attachment", 'attachment; filename="readme.txt"'),
        ("disposition=inline", 'inline; filename="readme.txt"'),
        ("disposition=attachment&filename=notes", 'attachment; filename="notes.txt"'),
        ("disposition=attachment&filename=notes.TXT", 'attachment; filename="notes.TXT"'),
        ("filename=notes", 'attachment; filename="notes.txt"'),
        ("filename=a/b%5Cc%0D%0ASet-Cookie:x", 'attachment; filename="a_b_c__Set-Cookie:x.txt"'),
        ("filename=a%22b", "attachment; filename=\"a_b.txt\"; filename*=UTF-8''a%22b.txt"),
        ("filename=F%C3%BC%C3%9Fe", "attachment; filename=\"Fue.txt\"; filename*=UTF-8''F%C3%BC%C3%9Fe.txt"),
        ("filename=%E6%97%A5", "attachment; filename=\"download.txt\"; filename*=UTF-8''%E6%97%A5.txt"),
    ]:
        response = as_alice.get(path_to(done, f"/file/readme.txt?{query}"))
        assert response.headers["Content-Disposition"] == header
        assert got(response) == FILES["readme.txt"]


def test_another_disposition_is_an_invalid_value(as_alice: V1, done: dict) -> None:
    for rest in ["/file/readme.txt", "/zip", "/tar_gz"]:
        refused(as_alice.get(path_to(done, f"{rest}?disposition=open")), 400, "error.api.invalid_value")


def test_hostile_content_is_sandboxed(as_alice: V1, done: dict) -> None:
    response = as_alice.get(path_to(done, "/file/page.html?disposition=inline"))
    assert response.headers["Content-Type"].startswith("text/html")
    assert response.headers["Content-Security-Policy"].startswith("sandbox")
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert got(response) == FILES["page.html"]


def test_nothing_before_the_export_is_done(as_alice: V1, as_nobody: V1) -> None:
    """§5.8; §3.3."""
    for rest in ["/file/readme.txt", "/zip", "/tar_gz", "/zip/photos"]:
        export = created(as_alice)
        refused(as_alice.get(path_to(export, rest)), 400, "error.api.generic")
        for client, path, key in (
            (as_alice, path_to(export, rest), "export.not.done"),
            (as_nobody, path_to(export, rest), "export.not.authenticated"),
            (as_alice, f"export/{id_of(export) + 1}{rest}", "export.not.found"),
        ):
            response = client.get(f"{path}?disposition=attachment")
            assert (response.status_code, response.headers["Location"]) == (302, f"/#server_error:{key}")


def test_root_may_read_single_exports(as_root: V1, done: dict) -> None:
    """C5."""
    assert got(as_root.get(path_to(done, "/file/readme.txt"))) == FILES["readme.txt"]
    assert unzipped(got(as_root.get(path_to(done, "/zip"))))


def test_fetching_is_noted_once_and_keeps_the_secret(as_alice: V1, as_nobody: V1, done: dict, alice) -> None:
    """§12 DOWNLOAD_EXPORT: one event for a download, however many pieces; the passkey is in none."""
    path = url(done, ".zip")
    content(as_nobody.get(path))
    content(as_nobody.get(path, HTTP_RANGE="bytes=0-9"))
    content(as_nobody.get(path, HTTP_RANGE="bytes=10-19"))
    as_nobody.head(path)
    content(as_alice.get(path_to(done, "/file/readme.txt")))
    events = list(Event.objects.filter(type="DOWNLOAD_EXPORT").order_by("id"))
    assert [(event.user, event.info["url"]) for event in events] == [
        (None, "download/press.zip"),
        (None, "download/press.zip"),
        (alice, "file/readme.txt"),
    ]
    assert events[0].info["export"] == {"_id": id_of(done), "_version": 1}
    passkey = path.split("/")[3]
    assert passkey not in str([event.info for event in Event.objects.all()])
    assert "DOWNLOAD_EXPORT" not in [event["event"]["type"] for event in answer(as_alice.get(path_to(done)))["_log"]]


def test_several_cells_stand_side_by_side(as_alice: V1, cell: Cell, alice) -> None:
    """Our extension: with more than one cell, paths start with the cell's name; `cells` chooses."""
    put_files(make_cell(alice, "second"), {"readme.txt": b"second"})
    both = {file["path"] for file in run(as_alice, created(as_alice))["_files"]}
    assert {"alice-cell/readme.txt", "second/readme.txt"} <= both
    one = run(as_alice, created(as_alice, cells=["second"]))
    assert got(as_alice.get(path_to(one, "/file/readme.txt"))) == b"second"


def test_json_adds_documents(as_alice: V1, cell: Cell) -> None:
    """`json: true` → documents; `objecttypes` chooses among them."""
    put_documents(cell, [("book", "b1", {"title": "Füße"}), ("author", "a1", {"name": "A"})])
    without = {file["path"] for file in run(as_alice, created(as_alice))["_files"]}
    export = run(as_alice, created(as_alice, json=True, search={"objecttypes": ["book"]}))
    extra = {file["path"] for file in export["_files"]} - without
    texts = [got(as_alice.get(path_to(export, f"/file/{quote(path)}"))).decode() for path in extra]
    assert "Füße" in "".join(texts)
    assert '"a1"' not in "".join(texts)


def test_a_destroyed_blob_ends_with_warnings_and_says_which(as_alice: V1, cell: Cell, store) -> None:
    """§6.1 done_with_warnings; §6.3: a file that cannot be fetched does not abort the export."""
    victim = cell.files.get(path="photos/Füße 100%.jpg").blob
    path = store / "blobs" / victim.store_file
    data = bytearray(path.read_bytes())
    data[victim.offset + 100] ^= 1
    path.write_bytes(data)
    export = run(as_alice, created(as_alice, name="press"))
    assert export["_state"] == "done_with_warnings"
    assert "photos/Füße 100%.jpg" not in {file["path"] for file in export["_files"]}
    assert unzipped(got(as_alice.get(path_to(export, "/zip"))))["readme.txt"] == FILES["readme.txt"]
    [missing] = export["_missing"]
    assert missing["path"] == "photos/Füße 100%.jpg"
    assert missing["reason"]


def test_a_whole_life(as_alice: V1, as_nobody: V1, cell: Cell) -> None:
    """§6.4: `_log` oldest first; §17: list, delete each, put, start, poll, zip, delete."""
    for listed in answer(as_alice.get("export"))["objects"]:
        answer(as_alice.delete(f"export/{id_of(listed)}"))
    export = run(as_alice, created(as_alice, name="etl"))
    assert [event["event"]["type"] for event in export["_log"]] == ["EXPORT_INSERT", "EXPORT_START", "EXPORT_FINISH"]
    assert export["_log"][-1]["event"]["info"]["state"] == "done"
    response = as_nobody.get(path_to(export, f"/zip?token={as_alice.token}"))
    assert unzipped(got(response))
    answer(as_alice.delete(path_to(export)))
    assert not Export.objects.exists()
    assert not Volume.objects.exists()
    assert not Run.objects.filter(state=RunState.DONE).exists()
