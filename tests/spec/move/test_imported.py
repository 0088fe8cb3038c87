"""`spec/move.md §6.5–§6.9`: imports from another server, and what becomes of what is in the parts."""

import io
import json
import random
import zipfile
from base64 import b64encode
from datetime import timedelta
from hashlib import md5
from typing import Any

import pytest
from django.core import mail

from cells.models import Cell
from exports.engine.archives.move import SKIPPED
from exports.services import imports, move_fetching, move_links
from exports.services.archives import FILE
from exports.states import ImportState
from tests.factories import put_file
from tests.spec.move.asking import Move, attributes, exported, mailed, opaque_of
from tests.spec.move.incoming import ROOT, directory, document, exported_parts, file, imported, ran, shown, zipped
from tests.spec.move.other import other_server

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("other_servers")]
CONTENT = ("Files/f", b"1")


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
    assert "What was here before is kept for 7 days, and can be brought back." in " ".join(text.split())
    imports.import_undo(cell=target)
    assert shown(target) == before


def test_a_mail_promises_nothing_that_is_not_kept(as_alice, as_bob, target, settings) -> None:
    settings.IMPORT_UNDO_COUNT = 0
    with other_server(exported_parts(as_alice)) as other:
        row = ran(as_bob, other.link)
    assert (row.state, row.previous_generation) == (ImportState.DONE, None)
    text = mailed()
    assert "has been imported." in text and "brought back" not in text


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


@pytest.mark.parametrize("mode", ["merge", "skip", "keep_both"])
def test_an_archive_is_joined_with_what_is_there(as_alice, cell, target, tmp_path, mode: str) -> None:
    """Old versions stay away then: the cell's own are gone on with."""
    put_file(target, "a.txt", b"bob's first")
    put_file(target, "a.txt", b"bob's a")
    path = tmp_path / "move.zip"
    path.write_bytes(exported_parts(as_alice)[""])
    row = imports.import_start(cell=target, owner=target.owner, archive=FILE + str(path), mode=mode, nudge=False)
    done = imports.run_import(import_id=row.pk)
    assert done.state == ImportState.DONE, done.error
    found = shown(target)
    assert {"old.txt", "Documents/b.bin", "Photos/ü 100%.jpg"} <= found["files"].keys()
    assert {path for path, *_ in found["versions"]} == {"a.txt"}
    assert ("io.old", "o1") in found["documents"] and ("io.cozy.contacts", "c1") in found["documents"]


def test_a_cell_moves_from_this_server_to_itself(as_alice, as_bob, cell, target, live_server) -> None:
    """Over real HTTP, with the ranges and the length that our own parts have."""
    exported(as_alice, parts_size=6000)
    opaque = opaque_of(mailed())
    row = ran(as_bob, f"{live_server.url}/#/exports/{opaque}")
    assert row.state == ImportState.DONE, row.error
    source, got = shown(cell), shown(target)
    assert (got["files"], got["times"], got["versions"]) == (source["files"], source["times"], source["versions"])


def test_a_server_that_drips_is_given_up(as_alice, as_bob, cell, target, settings, monkeypatch) -> None:
    """A byte before each cut is progress each time: the worker would be held for ever. What came is kept."""
    before, sent = shown(target), exported_parts(as_alice)
    settings.IMPORT_LINK_RATE = 10**9
    with other_server(sent) as other:
        monkeypatch.setattr(move_fetching, "WINDOW_SECONDS", 0.0)
        other.cuts = [1] * 50
        row = ran(as_bob, other.link)
        assert (row.state, row.error["code"]) == (ImportState.FAILED, "archive_unreadable")
        assert len(other.cuts) == 49 and shown(target) == before
        monkeypatch.setattr(move_fetching, "WINDOW_SECONDS", 600.0)
        other.cuts = []
        assert ran(as_bob, other.link).state == ImportState.DONE
        assert other.asked[-1][1]["Range"] == "bytes=1-"


def test_all_of_it_has_to_come_in_time(as_alice, as_bob, cell, target, settings) -> None:
    before, sent = shown(target), exported_parts(as_alice)
    settings.IMPORT_LINK_TIMEOUT = timedelta(seconds=-1)
    with other_server(sent) as other:
        assert ran(as_bob, other.link).error["code"] == "archive_unreadable"
    assert shown(target) == before


@pytest.mark.parametrize("drips", [0, 20])
def test_headers_that_never_end_are_not_waited_for(as_bob, target, monkeypatch, drips: int) -> None:
    before = shown(target)
    monkeypatch.setattr(move_links, "MANIFEST_SECONDS", 0.3)
    with other_server({"": b""}) as other:
        other.drips = drips
        try:
            assert as_bob.post("move/imports/precheck", attributes(url=other.link)).status_code == 412
            assert not other.silence.is_set() and shown(target) == before
        finally:
            other.silence.set()


def test_no_more_is_fetched_than_the_cell_could_hold(as_alice, as_bob, cell, target, settings) -> None:
    """Neither of a server that says how much it is, nor of one that lies."""
    put_file(cell, "large.bin", random.Random(5).randbytes(400_000))
    sent, settings.IMPORT_MAX_ENTRIES = exported_parts(as_alice), 10
    Cell.objects.filter(pk=target.pk).update(quota=100_000)
    before = shown(target)
    with other_server(sent, contents_size=450_000) as other:
        assert ran(as_bob, other.link).error["code"] == "move_too_large"
        assert other.sent == 0
    with other_server(sent) as other:
        row = ran(as_bob, other.link)
        assert row.error["code"] == "archive_too_large" and "110240 are allowed" in row.error["message"]
    assert shown(target) == before
