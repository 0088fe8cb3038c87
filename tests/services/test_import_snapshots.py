"""Snapshots of other servers of the cell API (`spec/cell.md §11`): what we model comes in, what we do not is kept."""

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User

from cells.models import Cell, Document
from exports.engine.layouts.cell import REQUIRED
from exports.errors import ArchiveEntryMissing, ArchiveManifestRefused, ArchiveVersionUnknown
from exports.models import Import
from exports.services import imports
from exports.states import ImportState
from tests.factories import make_cell, put_file
from tests.services.imported import command, contents, generations, holding, run

pytestmark = pytest.mark.django_db(transaction=True)

OLD = "oldCellId0000000000000"
BOX = "boxId00000000000000000"


def line(kind: str, ident: str, source: dict[str, Any]) -> dict[str, Any]:
    return {
        "_index": "u0_admin",
        "_type": kind,
        "_id": ident,
        "_source": {"c": OLD, "p": 1500000000000, "u": 1500000000001, **source},
    }


HIDDEN = {"HashedCredential": "secret", "HashAlgorithm": "scrypt", "HashAttributes": "n=1", "x": 1}
LISTS = {
    "10_odata/10_box.pjson": [line("Box", BOX, {"s": {"Name": "photos", "Schema": None}})],
    "10_odata/11_account.pjson": [line("Account", "a1", {"s": {"Name": "me"}, "h": HIDDEN})],
    "10_odata/20_role.pjson": [
        line("Role", "r1", {"b": BOX, "s": {"Name": "friend"}}),
        line("Role", "r2", {"s": {"Name": OLD}}),
    ],
    "10_odata/70_userdata.pjson": [
        line("UserData", "u1", {"b": OLD, "t": "et", "s": {"__id": "x"}, "d": {"big": 12345678901234567890}})
    ],
}
PMETA = {"a": {}, "d": {}, "p": 1500000000000, "v": 1}
NODES: dict[str, tuple[dict[str, Any], bytes | None]] = {
    "": ({"i": OLD, "t": "Cell"}, None),
    "__": ({"i": OLD, "t": "col.box"}, None),
    "__/docs": ({"i": "n1", "t": "col.webdav"}, None),
    "__/docs/readme.txt": ({"i": "n2", "t": "dav.file", "ct": "text/x-odd", "cl": 5}, b"hello"),
    "__/top.txt": ({"i": "n3", "t": "dav.file", "ct": "text/plain"}, b"top"),
    BOX: ({"i": BOX, "t": "col.box"}, None),
    f"{BOX}/2017": ({"i": "n4", "t": "col.webdav"}, None),
    f"{BOX}/2017/content": ({"i": "n5", "t": "dav.file", "ct": "image/jpeg"}, b"a file called content"),
}


def foreign(path: Path, **changes: bytes | None) -> Path:
    """As the JDK's zip file system writes it; `changes`: other bytes for a member, None leaves it out."""
    members: dict[str, bytes | None] = {
        "00_manifest.json": json.dumps({"export_version": 2, "unit_url": "https://old/", "create_date": 1}).encode(),
        "10_odata/": b"",
        "10_odata/00_cell.json": json.dumps(line("Cell", OLD, {"s": {"Name": "old"}})).encode(),
        **{name: b"" for name in REQUIRED if name.endswith(".pjson")},
        **{name: b"".join(json.dumps(each).encode() + b"\n" for each in lines) for name, lines in LISTS.items()},
    }
    for node, (told, content) in NODES.items():
        place = f"20_webdav/{node}/".replace("//", "/")
        members[place + ".pmeta"] = json.dumps({**PMETA, "u": 1500000000001, **told}).encode()
        if content is not None:
            members[place + "content"] = content
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in {**members, **changes}.items():
            if content is not None:
                archive.writestr(name, content)
    return path


@pytest.fixture
def cell(alice: User) -> Cell:
    cell = make_cell(alice, "mine")
    put_file(cell, "before", b"x")
    return cell


def test_files_and_folders_of_boxes_come_to_their_places(cell: Cell, tmp_path: Path) -> None:
    """§11.4: "`20_webdav/__/.pmeta` main box … `20_webdav/{boxId}/…` every other box, by id"."""
    row = run(cell, foreign(tmp_path / "old.zip"))
    assert (row.state, row.error) == (ImportState.DONE, None)
    files = {path: (kind, mtime) for path, _, _, _, mtime, _, kind, *_ in holding(cell)["files"]}
    assert files.keys() == {
        "__",
        "__/docs",
        "__/docs/readme.txt",
        "top.txt",
        "photos",
        "photos/2017",
        "photos/2017/content",
    }
    assert files["__/docs/readme.txt"][0] == "text/x-odd"
    assert files["top.txt"][1].timestamp() == 1500000000.001


def test_what_we_do_not_model_is_kept_and_written_back(cell: Cell, tmp_path: Path) -> None:
    """Issue 4: "on import of a foreign archive are kept as documents of reserved doctypes and written back on the next
    export, so that nothing is lost on a round trip … Old password hashes are neither exported nor trusted"."""
    run(cell, foreign(tmp_path / "old.zip"))
    kept = {(each.doctype, each.doc_id): each.body for each in Document.objects.filter(generation=2)}
    told = {f"{doctype}/{doc_id}" for doctype, doc_id in kept}
    assert told == {f"_cell.box/{BOX}", "_cell.account/a1", "_cell.role/r1", "_cell.role/r2", "_cell.userdata/u1"}
    assert kept["_cell.account", "a1"]["h"] == {"x": 1}
    assert kept["_cell.userdata", "u1"]["d"] == {"big": 12345678901234567890}
    command("cell_export", "mine", "-o", tmp_path / "again.zip", "--layout", "cell")
    with zipfile.ZipFile(tmp_path / "again.zip") as again:
        for name, lines in LISTS.items():
            back = [json.loads(each) for each in again.read(name).splitlines() if b'"kept"' in each]
            assert [each["_id"] for each in back] == [each["_id"] for each in lines], name
        (role, other) = (json.loads(each) for each in again.read("10_odata/20_role.pjson").splitlines())
        assert role["_source"]["b"] == BOX
        # §8.3: "Ids must be replaced per field, not by text substitution": a name that is the old id stays.
        assert other["_source"]["s"] == {"Name": OLD} and other["_source"]["c"] != OLD
        assert b"HashedCredential" not in again.read("10_odata/11_account.pjson")
    first = contents(cell)
    assert run(cell, tmp_path / "again.zip").state == ImportState.DONE
    assert contents(cell)[0] == first[0]


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"00_manifest.json": None}, ArchiveEntryMissing, "00_manifest.json"),
        ({"00_manifest.json": b"{nonsense"}, ArchiveManifestRefused, "not JSON"),
        ({"00_manifest.json": b"[2]"}, ArchiveVersionUnknown, "is null, not 2"),
        ({"00_manifest.json": b"{}"}, ArchiveVersionUnknown, "is null, not 2"),
        ({"00_manifest.json": b'{"export_version": 3}'}, ArchiveVersionUnknown, "is 3, not 2"),
        ({"00_manifest.json": b'{"export_version": "2"}'}, ArchiveVersionUnknown, "is 2, not 2"),
        ({"00_manifest.json": b'{"export_version": true}'}, ArchiveVersionUnknown, "is True, not 2"),
        ({"10_odata/80_link.pjson": None}, ArchiveEntryMissing, "10_odata/80_link.pjson"),
    ],
)
def test_structure_is_checked_at_once(changes: dict, error: type, said: str, cell: Cell, tmp_path: Path) -> None:
    """§8.1: "The validations above are synchronous; they do not change the cell status"."""
    before = holding(cell)
    archive = foreign(tmp_path / "bad.zip", **changes)
    with pytest.raises(error, match=said):
        imports.import_start(cell=cell, owner=cell.owner, archive=f"file:{archive}", name="bad", snapshots_only=True)
    assert holding(cell) == before and not Import.objects.exists()


@pytest.mark.parametrize(
    "changes",
    [
        {"20_webdav/__/top.txt/content": None},
        {"20_webdav/__/top.txt/.pmeta": None},
        {"20_webdav/__/top.txt/.pmeta": b"[]"},
        {"20_webdav/__/docs/readme.txt/content": b"more than cl says"},
        {"20_webdav/nobody/.pmeta": json.dumps({**PMETA, "t": "col.box"}).encode()},
        {"20_webdav/__/x": b"neither .pmeta nor content"},
        {"more.txt": b"x"},
        {"10_odata/20_role.pjson": b"{}\n"},
        {"10_odata/20_role.pjson": b'{"_id": "r", "_source": 1}\n'},
        {"10_odata/20_role.pjson": b'{"_id": "r", "_source": {}}\n{"_id": "r", "_source": {}}\n'},
        {"10_odata/10_box.pjson": json.dumps(line("Box", BOX, {"s": {"Name": "../up"}})).encode()},
        {"20_webdav/__/top.txt/.pmeta": json.dumps(
            {**PMETA, "t": "dav.file", "d": {"path@urn:x-exportsite": '<path xmlns="urn:x-exportsite">../x</path>'}}
        ).encode()},
    ],
)  # fmt: skip
def test_contents_that_do_not_fit_fail_the_import(changes: dict, cell: Cell, tmp_path: Path) -> None:
    before = holding(cell)
    row = run(cell, foreign(tmp_path / "bad.zip", **changes))
    assert row.state == ImportState.FAILED
    assert row.error["code"] in ("archive_refused", "archive_entry_missing", "archive_manifest_refused")
    assert (holding(cell), generations(cell)) == (before, [1])
