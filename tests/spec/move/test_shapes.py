"""`spec/move.md §5`: what documents of files, folders and old versions look like, and what of them comes back."""

import json
from typing import Any

import pytest

from exports.models import Import
from exports.states import ImportState
from tests.factories import put_file
from tests.spec.move.asking import Move, mailed, unzipped
from tests.spec.move.incoming import directory, document, exported_parts, file, imported, shown, zipped

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("other_servers")]
WHEN = "2021-05-06T07:08:09Z"
COZY = {"doctypeVersion": "1", "metadataVersion": 1, "createdAt": WHEN, "createdByApp": "drive", "updatedAt": WHEN,
        "updatedByApps": [{"slug": "drive", "date": WHEN}], "uploadedAt": WHEN, "uploadedBy": {"slug": "drive"},
        "favorite": True}  # fmt: skip


def told(parts: dict[str, bytes], doctype: str) -> dict[str, dict[str, Any]]:
    prefix = f"My Cozy/Data/{doctype}/"
    entries = [entry for part in parts.values() for entry in unzipped(part)]
    return {
        each["_id"]: each for info, data in entries if info.filename.startswith(prefix) for each in [json.loads(data)]
    }


def exported_again(cell) -> dict[str, bytes]:
    return exported_parts(Move(cell.owner, cell=cell, scopes=("io.cozy.exports",)))


def taken(as_bob: Move, *entries: tuple[str, Any]) -> Import:
    row = imported(as_bob, zipped(*entries))
    assert row.state == ImportState.DONE, row.error
    mailed()
    return row


def test_fixed_folders(as_alice) -> None:
    """§5.1: "root `io.cozy.files.root-dir` (`path` `/`, no name, no dir_id); trash `io.cozy.files.trash-dir` (`name`
    `.cozy_trash`, `path` `/.cozy_trash`, `dir_id` = root)"; "absolute, no trailing slash except root"."""
    folders = {key: each for key, each in told(exported_parts(as_alice), "io.cozy.files").items() if "path" in each}
    root, trash = folders.pop("io.cozy.files.root-dir"), folders.pop("io.cozy.files.trash-dir")
    assert root["path"] == "/" and not {"name", "dir_id"} & root.keys()
    assert (trash["name"], trash["path"], trash["dir_id"]) == (".cozy_trash", "/.cozy_trash", "io.cozy.files.root-dir")
    assert all(each["path"].startswith("/") and not each["path"].endswith("/") for each in folders.values())
    assert {each["type"] for each in (root, trash, *folders.values())} == {"directory"}


def test_what_folders_and_files_know_comes_back_in_the_next_export(as_bob, target) -> None:
    """§5.1, §5.2, §5.3: keys that we have no column for: `tags`, `referenced_by`, `restore_path`, `cozyMetadata`."""
    album = [{"id": "a1", "type": "io.cozy.photos.albums"}]
    taken(
        as_bob,
        directory("d1", "Photos", tags=["x"], referenced_by=album, not_synchronized_on=album, cozyMetadata=COZY),
        *file("f1", "a.jpg", b"1", dir_id="d1", tags=["y"], referenced_by=album, cozyMetadata=COZY, created_at=WHEN,
              antivirus_scan={"status": "clean"}, internal_vfs_id="secret"),
    )  # fmt: skip
    documents = told(exported_again(target), "io.cozy.files")
    for each, tags in ((documents["d1"], ["x"]), (documents["f1"], ["y"])):
        assert (each["tags"], each["referenced_by"], each["cozyMetadata"]) == (tags, album, COZY)
    assert documents["d1"]["not_synchronized_on"] == album
    assert documents["f1"]["antivirus_scan"] == {"status": "clean"} and documents["f1"]["created_at"] == WHEN
    assert "internal_vfs_id" not in documents["f1"], "§5.2: storage detail; drop on import"


def test_trashed_things(as_bob, target) -> None:
    """§5.2: "`dir_id` = trash, `restore_path` = former parent path, files carry `trashed: true` (also files inside a
    trashed folder)"; §12: the old server refused to close such files."""
    trash = "io.cozy.files.trash-dir"
    taken(
        as_bob,
        directory("d1", "old things", trash, restore_path="/Papers"),
        *file("f1", "in.txt", b"1", dir_id="d1", trashed=True),
        *file("f2", "beside.txt", b"2", dir_id=trash, trashed=True, restore_path="/"),
        *file("f3", "kept.txt", b"3"),
    )
    found = shown(target)["files"].keys()
    assert {".cozy_trash/old things/in.txt", ".cozy_trash/beside.txt", "kept.txt"} <= found
    documents = told(exported_again(target), "io.cozy.files")
    assert [documents[each]["trashed"] for each in ("f1", "f2", "f3")] == [True, True, False]
    assert (documents["d1"]["restore_path"], documents["f2"]["restore_path"]) == ("/Papers", "/")
    assert (documents["d1"]["dir_id"], documents["f2"]["dir_id"]) == (trash, trash)


def test_a_name_that_no_name_may_be_comes_back_to_us_alone(as_alice, as_bob, cell, target) -> None:
    """§5.2: "Names: … without `/`, NUL, CR, LF"; what it is here stands beside the name."""
    put_file(cell, "two\r\nlines/a\nb.txt", b"1")
    sent = exported_parts(as_alice)
    named = [each for each in told(sent, "io.cozy.files").values() if "exportsite" in each]
    assert sorted((each["name"], each["exportsite"]["name"]) for each in named) == [
        ("a␊b.txt", "a\nb.txt"), ("two␍␊lines", "two\r\nlines")]  # fmt: skip
    assert next(each["path"] for each in named if "path" in each) == "/two␍␊lines"
    row = imported(as_bob, sent[""])
    assert row.state == ImportState.DONE and "two\r\nlines/a\nb.txt" in shown(target)["files"]
    for hostile in ({"name": "../x"}, {"name": "a/b"}, {"name": 5}, {"name": ""}, {}):
        before = shown(target)
        row = imported(as_bob, zipped(*file("f", "a.txt", b"1", exportsite=hostile)))
        assert row.state == ImportState.FAILED and shown(target) == before


def test_an_old_version(as_alice, cell) -> None:
    """§5.4: `_id` = `<file-id>/<version-id>`; "`size` (string)"; "`md5sum` (base64, key always present), `tags` (key
    always present …)"; "`relationships.file.data` … note the underscored keys"."""
    sent = exported_parts(as_alice)
    versions, files = told(sent, "io.cozy.files.versions"), told(sent, "io.cozy.files")
    assert len(versions) == 2
    for doc_id, each in versions.items():
        file_id, _, version = doc_id.partition("/")
        assert each.keys() == {"_id", "_rev", "updated_at", "size", "md5sum", "tags", "cozyMetadata", "relationships"}
        assert each["relationships"] == {"file": {"data": {"_id": file_id, "_type": "io.cozy.files"}}}
        assert files[file_id]["name"] == "a.txt" and version and type(each["size"]) is str


def test_a_trigger_is_judged_by_its_worker(as_bob, target) -> None:
    """§5.5: "Only `worker` matters for the import rules"."""
    rest = {"domain": "old.example", "type": "@cron", "arguments": "0 0 * * *", "debounce": "", "options": None}
    row = taken(
        as_bob,
        document("io.cozy.triggers", "t1", worker="konnector", message={"konnector": "bank"}, **rest),
        document("io.cozy.triggers", "t2", worker="thumbnail", **rest),
        document("io.cozy.triggers", "t3", **rest),
    )
    assert shown(target)["documents"].keys() == {("io.cozy.triggers", "t1")}
    assert row.report["skipped"] == {"io.cozy.triggers": 2}
