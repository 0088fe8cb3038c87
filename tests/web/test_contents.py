"""Putting in, looking inside and taking along: answers and what they may do in a browser."""

import io
import zipfile
from itertools import product

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from cells import reading
from cells.errors import FileNotFound
from cells.models import Cell, File
from exports.models import Export, Run
from exports.services import browsing, running
from exports.services import exports as services
from tests.clients import content
from tests.factories import make_cell, put_documents, put_files

pytestmark = pytest.mark.django_db

HOSTILE = b"<script>top.location='https://evil.example'</script>"
FILES = {
    "Notes/a/one.txt": b"one\n",
    "Notes/a/two.txt": "zwei 'grüße'\n".encode(),
    "Notes/b%20.txt": b"b",
    "evil.html": HOSTILE,
    "evil.svg": b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>',
    "line\nbreak.txt": b"x",
    "Über/日本.txt": b"y" * 5000,
}


@pytest.fixture
def cell(alice: User) -> Cell:
    cell = make_cell(alice, "home")
    put_files(cell, FILES)
    put_documents(cell, [("note", str(number), {"n": number, "tag": "<b>"}) for number in range(3)])
    return cell


@pytest.fixture
def client(alice: User) -> Client:
    client = Client(raise_request_exception=False)
    client.force_login(alice)
    return client


@pytest.fixture
def run(transactional_db: None, cell: Cell, alice: User) -> Run:
    export = services.export_create(
        owner=alice,
        type="export",
        name="press",
        cells=None,
        definition={"search": {}, "json": True},
        transports=[],
        schedules=[],
    )
    return running.run_export(run_id=services.export_start(export=export).pk)


def test_a_folder_lists_each_child_once_with_what_is_below(run: Run) -> None:
    top = {child.path: child for child in browsing.children(run=run, limit=100)}
    assert list(top) == sorted(top, key=str.encode)
    assert {path for path, child in top.items() if child.is_folder} == {"Notes", "documents", "Über"}
    assert (top["Notes"].files, top["Notes"].size) == (3, 4 + len(FILES["Notes/a/two.txt"]) + 1)
    inner = browsing.children(run=run, folder="Notes", limit=100)
    assert [(child.name, child.is_folder) for child in inner] == [("a", True), ("b%20.txt", False)]


def test_pages_of_a_folder_join_without_gap_or_repeat(run: Run) -> None:
    whole = [child.name for child in browsing.children(run=run, limit=100)]
    paged: list[str] = []
    while page := browsing.children(run=run, after=paged[-1] if paged else "", limit=2):
        paged += [child.name for child in page]
    assert paged == whole


def test_a_search_finds_names_and_nothing_else(run: Run) -> None:
    for text in ("TWO", "Notes", "日本", "%", "'"):
        expected = {path for path in FILES if text.casefold() in path.rpartition("/")[2].casefold()}
        found = {child.path for child in browsing.search(run=run, text=text, limit=100) if not child.is_folder}
        assert {path for path in found if not path.startswith("documents/")} == expected, text


def test_what_people_store_cannot_act_in_a_browser(client: Client, run: Run) -> None:
    for where in (f"exports/{run.export_id}/contents/raw", "cells/home/raw"):
        for path, show in product(("evil.html", "evil.svg"), "01"):
            answer = client.get(f"/web/{where}", {"path": path, "show": show})
            assert content(answer) == FILES[path]
            assert answer["Content-Security-Policy"].startswith("sandbox; default-src 'none'")
            assert answer["X-Content-Type-Options"] == "nosniff"
            assert answer["Content-Disposition"].startswith("attachment")
            assert answer["Content-Type"] == "application/octet-stream"


def test_a_preview_of_markup_is_text(client: Client, run: Run) -> None:
    for page in (f"exports/{run.export_id}/contents", "cells/home/"):
        answer = client.get(f"/web/{page}", {"path": "evil.html"})
        assert b"&lt;script&gt;top.location" in answer.content
        assert HOSTILE not in answer.content


def test_documents_are_shown_as_text(transactional_db: None, client: Client, cell: Cell) -> None:
    assert b"&lt;b&gt;" in client.get("/web/cells/home/documents", {"doctype": "note"}).content
    assert b">3<" in client.get("/web/cells/home/counts").content


def test_a_folder_or_a_file_comes_as_a_zip(client: Client, run: Run) -> None:
    for path, names in (("Notes/a", {"a/one.txt", "a/two.txt"}), ("evil.html", {"evil.html"})):
        answer = client.get(f"/web/exports/{run.export_id}/contents/zip", {"path": path})
        body = content(answer)
        assert int(answer["Content-Length"]) == len(body)
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            assert set(archive.namelist()) == names
            assert archive.testzip() is None


def test_a_name_with_a_line_break_is_no_second_header(client: Client, cell: Cell) -> None:
    answer = client.get("/web/cells/home/raw", {"path": "line\nbreak.txt"})
    assert content(answer) == b"x"
    assert "\n" not in answer["Content-Disposition"]


def test_what_is_not_inside_is_a_page_that_says_so(client: Client, run: Run) -> None:
    for path in ("nothing", "Notes/nothing", "../etc/passwd", "a\0b", "Notes/a/one.txt/x"):
        for route in ("contents", "contents/raw", "contents/zip"):
            assert client.get(f"/web/exports/{run.export_id}/{route}", {"path": path}).status_code == 404, (route, path)


def test_files_come_in_by_a_form_and_one_by_one(client: Client, cell: Cell) -> None:
    files = [SimpleUploadedFile("x.txt", b"x" * 10), SimpleUploadedFile("y.txt", b"")]
    assert client.post("/web/cells/home/upload", {"folder": "in/here", "files": files}).status_code == 302
    when = {"X-Mtime": "2024-05-06T07:08:09.500Z"}
    answer = client.put("/web/cells/home/upload?path=in/z.bin", b"zz", "text/html", headers=when)
    assert answer.status_code == 204
    found = {file.path: file for file in reading.files_below(cell, "in").filter(is_folder=False)}
    assert {path: file.size for path, file in found.items()} == {"in/here/x.txt": 10, "in/here/y.txt": 0, "in/z.bin": 2}
    assert found["in/z.bin"].mtime.isoformat() == "2024-05-06T07:08:09.500000+00:00"


def test_what_has_no_room_is_refused_and_said(client: Client, cell: Cell) -> None:
    Cell.objects.filter(pk=cell.pk).update(quota=10)
    answer = client.put("/web/cells/home/upload?path=new.bin", b"z" * 100, "text/plain")
    assert answer.status_code == 413 and b"quota" in answer.content
    client.post("/web/cells/home/upload", {"folder": "", "files": [SimpleUploadedFile("n.txt", b"z" * 100)]})
    assert "quota" in client.get("/web/cells/home/").content.decode()
    with pytest.raises(FileNotFound):
        reading.file_get(cell=cell, path="new.bin")


def test_a_cell_goes_only_when_its_name_is_entered(client: Client, cell: Cell) -> None:
    client.post("/web/cells/home/remove", {"name": "hom"})
    assert Cell.objects.filter(pk=cell.pk).exists()
    client.post("/web/cells/home/remove", {"name": "home"})
    assert not Cell.objects.filter(pk=cell.pk).exists()


def test_a_strangers_cell_is_an_unknown_one(bob: User, cell: Cell) -> None:
    client = Client(raise_request_exception=False)
    client.force_login(bob)
    for route in ("", "counts", "documents?doctype=note", "raw?path=evil.html", "remove"):
        assert client.get(f"/web/cells/home/{route}").status_code == 404, route
    before = set(File.objects.values_list("path", flat=True))
    for route in ("upload", "folder", "remove"):
        assert (
            client.post(f"/web/cells/home/{route}", {"new": "f", "name": "home", "path": "evil.html"}).status_code
            == 404
        )
    assert client.put("/web/cells/home/upload?path=p", b"x", "text/plain").status_code == 404
    assert set(File.objects.values_list("path", flat=True)) == before


def test_a_link_shows_what_it_gives_until_it_is_renewed(client: Client, run: Run) -> None:
    page = client.get(f"/web/exports/{run.export_id}/").content.decode()
    link = page.partition('id="link"')[2].partition('value="')[2].partition('"')[0]
    path = link.partition("testserver")[2]
    nobody = Client(raise_request_exception=False)
    shared = nobody.get(path)
    assert shared.status_code == 200
    assert b"alice" in shared.content and b"press.zip" in shared.content and b"curl -C -" in shared.content
    archive = shared.content.decode().partition('<td class="name"><a href="')[2].partition('"')[0]
    assert zipfile.ZipFile(io.BytesIO(content(nobody.get(archive)))).testzip() is None
    client.post(f"/web/exports/{run.export_id}/renew")
    assert nobody.get(path).status_code == 403
    assert nobody.get(archive).status_code == 302
    assert Export.objects.get(pk=run.export_id).published_run_id == run.pk


def test_what_has_no_archives_says_what_to_do(client: Client, run: Run) -> None:
    Run.objects.filter(pk=run.pk).update(state="expired")
    answer = client.get(f"/web/exports/{run.export_id}/contents")
    assert answer.status_code == 404
    assert "There are no archives at present" in answer.content.decode() and "Run it again" in answer.content.decode()
