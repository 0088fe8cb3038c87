"""`spec/move.md §6`: links, precheck, imports from another server, and what becomes of what is in the parts."""

import io
import json
import random
import zipfile
from base64 import b64encode
from hashlib import md5
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core import mail

from cells.models import Cell, Document, File, FileVersion
from exports.engine.archives.move import SKIPPED
from exports.errors import MoveNotFound
from exports.models import Import
from exports.services import imports, move_fetching, move_links
from exports.services.archives import FILE
from exports.states import ImportState
from tests.clients import content
from tests.factories import make_cell, put_documents, put_file
from tests.spec.move.asking import (
    EMPTY,
    Move,
    api_error,
    attributes,
    exported,
    mailed,
    manifest,
    opaque_of,
    parts,
    plain,
)
from tests.spec.move.conftest import FILES
from tests.spec.move.other import Other, other_server

pytestmark = pytest.mark.django_db(transaction=True)
ROOT = "io.cozy.files.root-dir"


CONTENT = ("Files/f", b"1")


@pytest.fixture(autouse=True)
def quick(settings, monkeypatch) -> None:
    settings.EGRESS_ALLOW = ["127.0.0.0/8"]
    monkeypatch.setattr(move_fetching, "_PAUSES", (0.0,) * move_fetching.TRIES)


@pytest.fixture
def target(bob: User) -> Cell:
    cell = make_cell(bob, "bobs")
    put_file(cell, "old.txt", b"old")
    put_documents(cell, [("io.old", "o1", {"old": True})])
    return cell


@pytest.fixture
def as_bob(bob: User, target: Cell) -> Move:
    return Move(bob, cell=target, scopes=("io.cozy.imports",))


def shown(cell: Cell) -> dict[str, Any]:
    """Everything that a cell holds, without what a copy may not share."""
    cell.refresh_from_db()
    rows = {"cell": cell, "generation": cell.generation}
    files = File.objects.filter(**rows)
    versions = FileVersion.objects.filter(file__in=files)
    return {
        "files": {each.path: (each.is_folder, each.blob_id, each.executable, each.content_type) for each in files},
        "times": {each.path: each.mtime for each in files if not each.is_folder},
        "versions": sorted(versions.values_list("file__path", "version", "blob_id", "mtime")),
        "documents": {(each.doctype, each.doc_id): each.body for each in Document.objects.filter(**rows)},
    }


def zipped(*entries: tuple[str, Any]) -> bytes:
    """A part as others make it: names below `My Cozy/`, JSON or bytes."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, value in (("Data/instance.json", {"domain": "old.example"}), *entries):
            archive.writestr(f"My Cozy/{name}", value if isinstance(value, bytes) else json.dumps(value))
    return out.getvalue()


def document(doctype: str, doc_id: str, **body: Any) -> tuple[str, Any]:
    return f"Data/{doctype}/{doc_id}.json", {"_id": doc_id, "_rev": "3-abc", **body}


def file(doc_id: str, name: str, data: bytes, **more: Any) -> list[tuple[str, Any]]:
    told = {"type": "file", "name": name, "dir_id": ROOT, "size": str(len(data)), "mime": "text/plain",
            "updated_at": "2020-02-29T10:00:00.123456789+02:00", "executable": False, **more}  # fmt: skip
    return [document("io.cozy.files", doc_id, **told), (f"Files/{name}", data)]


def directory(doc_id: str, name: str, parent: str = ROOT, **more: Any) -> tuple[str, Any]:
    return document("io.cozy.files", doc_id, type="directory", name=name, dir_id=parent, **more)


def ran(client: Move, link: str) -> Import:
    response = client.post("move/imports", attributes(url=link))
    assert response.status_code == 303, content(response)
    row = imports.run_import(import_id=Import.objects.latest("pk").pk)
    assert row is not None
    return row


def imported(client: Move, part: bytes) -> Import:
    with other_server({"": part}) as other:
        return ran(client, other.link)


def exported_parts(as_alice: Move, **options: Any) -> dict[str, bytes]:
    exported(as_alice, **options)
    opaque = opaque_of(mailed())
    cursors = ["", *manifest(Move(), opaque)["attributes"]["parts_cursors"]]
    return dict(zip(cursors, parts(Move(), opaque), strict=True))


@pytest.mark.parametrize(
    ("link", "url"),
    [
        ("https://alice-settings.example.net/#/exports/AAAA==", "https://alice.example.net/move/exports/AAAA=="),
        ("https://settings.alice.example.net/#/exports/abc", "https://alice.example.net/move/exports/abc"),
        (
            "https://settings.source.cozy.localhost:8080/#/exports/abc",
            "https://source.cozy.localhost:8080/move/exports/abc",
        ),
        (
            "https://alice-settings.example.net:8080/foo?x=1#/exports/abc",
            "https://alice.example.net:8080/move/exports/abc",
        ),
        ("  https://alice.example.net/#/exports/abc \n", "https://alice.example.net/move/exports/abc"),
    ],
)
def test_a_link_leads_to_a_manifest(link: str, url: str) -> None:
    """§6.2, its table."""
    assert move_links.manifest_url(link) == url


NO_LINKS = [
    *("https://alice-settings.example.net/#/export/abc", "https://alice.example.net/", "", "x"),
    *("https://alice.example.net/#/exports/", "https://a.example/#/exports/../x"),
]


@pytest.mark.parametrize("link", NO_LINKS)
def test_other_links_are_refused(as_bob, target, link: str) -> None:
    """§6.2: "refused"; §6.5: "Unusable URL → **500 HTML** page mentioning `exports: not found`"."""
    before = shown(target)
    with pytest.raises(MoveNotFound):
        move_links.manifest_url(link)
    told = "code=404, message=exports: not found"
    api_error(
        as_bob.post("move/imports/precheck", attributes(url=link)), 412, "Precondition Failed", told, parameter="url"
    )
    response = as_bob.post("move/imports", attributes(url=link))
    assert (response.status_code, response.headers["Content-Type"]) == (500, "text/html; charset=UTF-8")
    assert b"exports: not found" in content(response)
    assert not Import.objects.exists() and shown(target) == before


def test_what_a_precheck_answers(as_bob, target) -> None:
    """§6.4: "usable → 204"; "`state` ≠ `done` → 412"; "Nothing is changed on either side"."""
    told = "code=404, message=exports: not found"
    with other_server({"": b""}) as other:
        usable = as_bob.post("move/imports/precheck", attributes(url=other.link))
        assert (usable.status_code, content(usable)) == (204, b"")
        assert "Authorization" not in other.asked[0][1]
        for manifest in ({"data": {"attributes": {"state": "exporting"}}}, {"data": []}, [], "x", {"data": None},
                         {"data": {"attributes": {"state": "done", "parts_cursors": [1]}}}):  # fmt: skip
            other.manifest = manifest
            refused = as_bob.post("move/imports/precheck", attributes(url=other.link))
            api_error(refused, 412, "Precondition Failed", told, parameter="url")
    gone = as_bob.post("move/imports/precheck", attributes(url=other.link))
    api_error(gone, 412, "Precondition Failed", told, parameter="url")
    assert not Import.objects.exists()


def test_a_precheck_says_how_much_does_not_fit(as_bob, target) -> None:
    """DEC-8: 422; issue 5: "both metadata and files are counted; the answer says how much is missing"."""
    Cell.objects.filter(pk=target.pk).update(quota=1000)
    with other_server({"": b""}, total_size=300, contents_size=701) as other:
        response = as_bob.post("move/imports/precheck", attributes(url=other.link))
        [error] = json.loads(content(response))["errors"]
        assert (response.status_code, error["status"], error["title"]) == (422, "422", "Request Entity Too Large")
        assert error["detail"] == "code=413, message=import: not enough disk space"
        assert error["meta"] == {"missing": 1, "needed": 1001, "quota": 1000}
        other.manifest["data"]["attributes"]["contents_size"] = 700
        assert as_bob.post("move/imports/precheck", attributes(url=other.link)).status_code == 204


@pytest.mark.parametrize("path", ["move/imports", "move/imports/precheck"])
def test_permissions(as_alice, as_nobody, bob, target, path: str) -> None:
    """§3.3: "token, **POST on whole `io.cozy.imports`**"."""
    plain(as_nobody.post(path, EMPTY), 401, "No token in request")
    plain(Move(bob, cell=target, scopes=("io.cozy.exports",)).post(path, EMPTY), 403, "Forbidden")
    plain(as_alice.post(f"bobs/{path}", EMPTY), 403, "Forbidden")
    assert not Import.objects.exists()


def test_a_cell_moves_by_its_link(as_alice, as_bob, cell, target) -> None:
    """Files, folders, versions and documents come back as they were; what was there before can be brought back."""
    before = shown(target)
    sent = exported_parts(as_alice, parts_size=6000)
    with other_server(sent) as other:
        row = ran(as_bob, other.link)
    assert row.state == ImportState.DONE, row.error
    source, got = shown(cell), shown(target)
    skipped = {key for key in source["documents"] if key[0] in {*SKIPPED, "io.cozy.apps"}}
    assert {key for key in source["documents"] if key not in got["documents"]} == skipped
    assert got["documents"] == {("io.cozy.contacts", "c1"): {"name": "Zoë"}, ("io.cozy.contacts", "c2"): {"n": 1.5}}
    assert (got["files"], got["times"], got["versions"]) == (source["files"], source["times"], source["versions"])
    assert row.report["skipped"] == {"io.cozy.apps": 1} and row.report["not_installed"] == ["drive"]
    assert not list(move_fetching.store.folder("imports").iterdir())
    text = mailed()
    assert mail.outbox[0].to == ["bob@example.org"] and "drive" in text
    imports.import_undo(cell=target)
    assert shown(target) == before


def test_an_export_of_an_import_says_the_same(as_alice, as_bob, cell, target) -> None:
    sent = exported_parts(as_alice)
    with other_server(sent) as other:
        ran(as_bob, other.link)
    mailed()
    again = exported_parts(Move(target.owner, cell=target, scopes=("io.cozy.exports",)))

    def documents_of(part: bytes) -> dict[str, Any]:
        with zipfile.ZipFile(io.BytesIO(part)) as archive:
            names = [name for name in archive.namelist() if name.startswith("My Cozy/Data/io.cozy.files")]
            told = {name: json.loads(archive.read(name)) for name in names}
        # When a folder was made is not told apart from when it was written: ours are made anew.
        return {name: each | {"created_at": "", "updated_at": ""} for name, each in told.items()}

    assert documents_of(again[""]) == documents_of(sent[""])


def test_a_download_goes_on_after_cuts(as_alice, as_bob, cell, target) -> None:
    """Issue 5: "parts with resume after a cut"; what is sent twice is little."""
    put_file(cell, "large.bin", random.Random(5).randbytes(400_000))
    sent = exported_parts(as_alice)
    with other_server(sent) as other:
        other.cuts = [1000, 5000, 20_000, 100, 3000] * 4
        row = ran(as_bob, other.link)
        assert row.state == ImportState.DONE, row.error
        assert other.sent == sum(map(len, sent.values())) and not other.cuts
    assert shown(target)["files"] == shown(cell)["files"]


def test_a_server_without_ranges_is_asked_from_the_beginning(as_alice, as_bob, cell, target) -> None:
    """§4.9.4: the old server has "No `Range` support, no `ETag`"."""
    sent = exported_parts(as_alice)
    with other_server(sent) as other:
        other.ranges, other.cuts = False, [1000, 2000]
        assert ran(as_bob, other.link).state == ImportState.DONE
    assert shown(target)["files"] == shown(cell)["files"]


def test_a_second_try_fetches_what_is_missing(as_alice, as_bob, cell, target) -> None:
    before = shown(target)
    sent = exported_parts(as_alice, parts_size=6000)
    with other_server(sent) as other:
        other.cuts = [10**9] * (len(sent) - 1) + [0] * move_fetching.TRIES
        row = ran(as_bob, other.link)
        assert row.state == ImportState.FAILED and row.error["code"] == "archive_unreadable"
        assert shown(target) == before
        assert "has failed" in mailed()
        got = other.sent
        assert ran(as_bob, other.link).state == ImportState.DONE
        assert other.sent == sum(map(len, sent.values())) and other.sent > got
    assert shown(target)["files"] == shown(cell)["files"]


def test_a_damaged_part_changes_nothing(as_alice, as_bob, target) -> None:
    before = shown(target)
    part = bytearray(exported_parts(as_alice)[""])
    part[len(part) // 2] ^= 1
    row = imported(as_bob, bytes(part))
    assert row.state == ImportState.FAILED and shown(target) == before


def test_one_thing_at_a_time(as_bob, target) -> None:
    with other_server({"": zipped()}) as other:
        assert as_bob.post("move/imports", attributes(url=other.link)).status_code == 303
        second = as_bob.post("move/imports", attributes(url=other.link))
        assert second.status_code == 409 and b"cell import" in content(second)
        assert Import.objects.count() == 1


def test_the_link_is_not_kept_in_the_open(as_bob, target) -> None:
    """§4.6: "it is a bearer capability for the whole data set"."""
    with other_server({"": zipped()}) as other:
        as_bob.post("move/imports", attributes(url=other.link))
    row = Import.objects.get()
    assert "QUFB" not in row.source and other.url not in row.source and "QUFB" not in row.name


def test_the_page_to_wait_on(as_bob, as_nobody, target) -> None:
    """§6.10: "200 HTML always, even when nothing runs"; §6.5: 303 to it."""
    with other_server({"": zipped()}) as other:
        response = as_bob.post("bobs/move/imports", attributes(url=other.link))
    assert response.headers["Location"] == "http://localhost:8000/bobs/move/importing"
    for path, told in (("bobs/move/importing", b"Import in progress"), ("move/importing", b"No import is running")):
        page = as_nobody.get(path)
        assert page.status_code == 200 and told in content(page)


@pytest.mark.parametrize("doctype", sorted(SKIPPED))
def test_doctypes_that_are_never_taken(as_bob, target, doctype: str) -> None:
    """§6.8: "skip"; §6.8.1: "recommended: skip them"."""
    row = imported(as_bob, zipped(document(doctype, "x", secret=1)))
    assert row.state == ImportState.DONE and row.report["skipped"] == {doctype: 1}
    assert shown(target)["documents"] == {}


def test_rules_of_doctypes(as_bob, target) -> None:
    """§6.8, its table."""
    row = imported(
        as_bob,
        zipped(
            document("io.cozy.settings", "io.cozy.settings.instance", email="evil@example.org"),
            document("io.cozy.settings", "io.cozy.settings.bitwarden", x=1),
            document("io.cozy.settings", "theme", dark=True),
            document("io.cozy.triggers", "t1", worker="konnector"),
            document("io.cozy.triggers", "t2", worker="share-track"),
            document("io.cozy.konnectors", "k", slug="bank"),
            document("io.cozy.accounts", "a", account_type="tax"),
            document("io.cozy.accounts", "b", account_type=""),
            document("io.cozy.contacts", "me", me=True, email=[{"address": "old@example.org"}]),
            document("io.cozy.contacts", "c", _conflicts=[1], _attachments={}, name="C"),
        ),
    )
    assert row.state == ImportState.DONE, row.error
    documents = shown(target)["documents"]
    assert documents.keys() == {("io.cozy.settings", "theme"), ("io.cozy.triggers", "t1"), ("io.cozy.contacts", "me"),
                                ("io.cozy.contacts", "c")}  # fmt: skip
    assert documents[("io.cozy.contacts", "me")]["email"] == [{"address": "bob@example.org", "primary": True}]
    assert documents[("io.cozy.contacts", "c")] == {"name": "C"}
    assert row.report["not_installed"] == ["bank", "tax"]


def test_the_path_of_a_directory_is_not_believed(as_bob, target) -> None:
    """§6.8.1: "Never trust `path`"; "queue directories until their parent exists"."""
    data = b"inside"
    entries = [
        directory("d2", "inner", "d1", path="/../../etc"),
        *file("f1", "a.txt", data, dir_id="d2", md5sum=b64encode(md5(data).digest()).decode()),
        directory("d1", "outer", path="/"),
        document("io.cozy.files", ROOT, type="directory", path="/"),
        directory("io.cozy.files.trash-dir", ".cozy_trash"),
        *file("f2", "gone.txt", b"gone", dir_id="io.cozy.files.trash-dir", trashed=True),
    ]
    row = imported(as_bob, zipped(*entries))
    assert row.state == ImportState.DONE, row.error
    found = shown(target)
    assert found["files"].keys() == {"outer", "outer/inner", "outer/inner/a.txt", ".cozy_trash", ".cozy_trash/gone.txt"}
    assert found["times"]["outer/inner/a.txt"].isoformat() == "2020-02-29T08:00:00.123456+00:00"


def test_ids_of_files_are_kept_for_whoever_refers_to_them(as_bob, target) -> None:
    """§5.6: "Ids are preserved across export/import"; certified flags are not trusted (§6.8)."""
    data, digest = b"photo", b64encode(md5(b"photo").digest()).decode()
    metadata = {"width": 7, "carbonCopy": True, "electronicSafe": True}
    entries = [
        directory("d1", "Photos", tags=["x"]),
        *file("f1", "a.jpg", data, dir_id="d1", md5sum=digest, metadata=metadata),
    ]
    assert imported(as_bob, zipped(*entries)).state == ImportState.DONE
    mailed()
    [part] = exported_parts(Move(target.owner, cell=target, scopes=("io.cozy.exports",))).values()
    with zipfile.ZipFile(io.BytesIO(part)) as archive:
        told = json.loads(archive.read("My Cozy/Data/io.cozy.files/f1.json"))
        above = json.loads(archive.read("My Cozy/Data/io.cozy.files/d1.json"))
    assert (told["dir_id"], told["md5sum"], told["metadata"]) == ("d1", digest, {"width": 7})
    assert (above["path"], above["tags"]) == ("/Photos", ["x"])


def test_a_file_without_its_content_is_named_and_the_rest_comes(as_bob, target) -> None:
    """§6.8.1: "otherwise record `No content for file` and go on (repairs archives made by upstream's §4.8.3 bug)"."""
    entries = [file("f1", "lost.txt", b"lost")[0], *file("f2", "there.txt", b"there"), file("f3", "last.txt", b"")[0]]
    row = imported(as_bob, zipped(*entries))
    assert row.state == ImportState.DONE, row.error
    assert shown(target)["files"].keys() == {"there.txt"}
    assert [each["path"] for each in row.report["missing"]] == ["lost.txt", "last.txt"]
    assert {each["reason"] for each in row.report["missing"]} == {"No content for file"}
    assert "lost.txt" in mailed()


@pytest.mark.parametrize(
    ("reason", "entries"),
    [
        ("Invalid hash", file("f", "a", b"data", md5sum=b64encode(bytes(16)).decode())),
        ("md5sum is no MD5", file("f", "a", b"data", md5sum="nonsense")),
        ("Content length does not match", file("f", "a", b"data", size="5")),
        ("Content length does not match", file("f", "a", b"data", size=4)),
        ("Parent directory with given DirID does not exist", file("f", "a", b"data", dir_id="nobody")),
        ("Parent directory with given DirID does not exist", [directory("a", "x", "b"), directory("b", "y", "a")]),
        ("it is there twice", [*file("f", "a", b"1"), *file("g", "a", b"2")]),
        ("it is there twice", [directory("d", "a"), *file("g", "a", b"2")]),
        ("neither of a file nor of a directory", [document("io.cozy.files", "x", type="device"), ("Files/x", b"")]),
        ("name or dir_id is missing", file("f", "a/b", b"1")),
        ("path cannot be", [document("io.cozy.files", "f", type="file", name="..", dir_id=ROOT, size="1"), CONTENT]),
        ("without _id", [("Data/io.x/a.json", {"x": 1})]),
        ("not an object", [("Data/io.x/a.json", [1])]),
        ("not JSON", [("Data/io.x/a.json", b"{")]),
        ("reserved", [document("io.x", "_design/x")]),
        ("cannot be used", [document("_cell.account", "x")]),
        ("reserved", [document("exportsite._cell.movefile", "x", path="a")]),
        ("is there twice", [document("io.x", "a"), ("Data/io.x/b.json", {"_id": "a"})]),
    ],
)  # fmt: skip
def test_what_is_not_as_it_should_be_changes_nothing(as_bob, target, reason: str, entries: list) -> None:
    """Issue 5: "checks and staging as for cells, one switch at the end … nothing trusted"."""
    before = shown(target)
    row = imported(as_bob, zipped(*entries))
    assert row.state == ImportState.FAILED and reason in row.error["message"], row.error
    assert shown(target) == before


def test_a_part_that_is_not_the_first_is_no_archive(as_alice, as_bob, target) -> None:
    sent = exported_parts(as_alice, parts_size=6000)
    row = imported(as_bob, list(sent.values())[1])
    assert row.state == ImportState.FAILED and shown(target)["files"].keys() == {"old.txt"}


def test_layouts_are_told_apart(alice, target, tmp_path) -> None:
    """Issue 5: "layout detection tells cell snapshot, move archive and our own manifest apart"."""
    path = tmp_path / "files.zip"
    path.write_bytes(zipped(*file("f", "a.txt", b"1")))
    row = imports.import_start(cell=target, owner=target.owner, archive=FILE + str(path), nudge=False)
    assert imports.run_import(import_id=row.pk).state == ImportState.DONE
    assert shown(target)["files"].keys() == {"a.txt"}


def test_all_that_a_link_may_lead_to(as_bob, target) -> None:
    """§6.3: redirects are followed, "cap redirects and the manifest size"."""
    with other_server({"": zipped(*file("f", "a.txt", b"1"))}) as behind, other_server({}) as front:
        front.redirect = f"{behind.url}/move/exports/QUFB"
        assert as_bob.post("move/imports/precheck", attributes(url=front.link)).status_code == 204
        front.redirect = front.url
        assert as_bob.post("move/imports/precheck", attributes(url=front.link)).status_code == 412
        assert len(front.asked) == 1 + move_links.REDIRECTS + 1
        behind.manifest["data"]["attributes"]["padding"] = "x" * move_links.LARGEST_MANIFEST
        assert as_bob.post("move/imports/precheck", attributes(url=behind.link)).status_code == 412


def test_files_of_the_source_are_all_there() -> None:
    """The cell that these tests move has an empty file, odd names and folders within folders."""
    assert {len(data) for data in FILES.values()} >= {0} and any("ü" in path for path in FILES)
    assert Other({}).cuts == []
