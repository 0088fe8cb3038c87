"""Snapshots of other servers of the cell API (`spec/cell.md §11`): what we model comes in, what we do not is kept."""

import json
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User

from cells import writing
from cells.models import Cell, Document
from exports.engine.layouts.cell import REQUIRED
from exports.engine.restore import Source, restoring
from exports.errors import ArchiveEntryMissing, ArchiveManifestRefused, ArchiveRefused, ArchiveVersionUnknown
from exports.models import Import
from exports.services import imports
from exports.services.archives import budget
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
    lines_kept = Document.objects.filter(generation=2).exclude(doctype="_cell.pmeta")
    kept = {(each.doctype, each.doc_id): each.body for each in lines_kept}
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


ACL = {"ace": [{"principal": {"href": "r1"}, "grant": {"privilege": [{"read": {}}]}}], "requireSchemaAuthz": "none"}
DEAD = {"Author@http://w3.org/z39.50/": '<Z:Author xmlns:Z="http://w3.org/z39.50/">Jürgen</Z:Author>'}
RUN = {"executable@http://apache.org/dav/props/": '<executable xmlns="http://apache.org/dav/props/">T</executable>'}
LONG = "/".join(f"{number:060d}" for number in range(6))
SAME = {"p": 1500000000001}  # as `u`: never changed since it was made
TELLING: dict[str, dict[str, Any]] = {
    "": {"t": "Cell", "a": ACL, "d": DEAD, "cs": "normal"},
    "__": {"t": "col.box", "a": ACL, "v": 2},
    "__/docs": {"t": "col.webdav", "d": DEAD, "i": "n1"},
    "__/docs/readme.txt": {"t": "dav.file", "a": ACL, "d": {**DEAD, **RUN}, "v": 7, "ct": "text/plain", "cl": 5},
    "__/top.txt": {"t": "dav.file", "ct": "text/plain", "cl": 3, "x-new": {"deep": [1, 2.5, None, 2**60]}},
    "__/plain": {"t": "col.webdav", **SAME},
    "__/plain/plain.txt": {"t": "dav.file", "ct": "text/plain", "cl": 5, **SAME},
    "__/data": {"t": "col.odata", "i": "odataNode", **SAME},
    BOX: {"t": "col.box", "a": ACL, "i": BOX},
    f"{BOX}/{LONG}": {"t": "dav.file", "ct": "text/plain", "cl": 4, "d": DEAD},
}
CONTENTS = {
    "__/docs/readme.txt": b"hello",
    "__/top.txt": b"top",
    "__/plain/plain.txt": b"plain",
    f"{BOX}/{LONG}": b"long",
}


def telling(path: Path, **changes: bytes | None) -> Path:
    nodes = {f"20_webdav/{node}/.pmeta".replace("//", "/"): {**PMETA, "u": 1500000000001, **told}
             for node, told in TELLING.items()}  # fmt: skip
    contents = {f"20_webdav/{node}/content": content for node, content in CONTENTS.items()}
    unused = {f"20_webdav/{BOX}/2017/{name}": None for name in (".pmeta", "content/.pmeta", "content/content")}
    return foreign(
        path, **{**unused, **contents, **{name: json.dumps(told).encode() for name, told in nodes.items()}, **changes}
    )


def nodes_of(path: Path) -> dict[str, dict[str, Any]]:
    with zipfile.ZipFile(path) as archive:
        found = {name: json.loads(archive.read(name)) for name in archive.namelist() if name.endswith("/.pmeta")}
    return {name.removeprefix("20_webdav/").removesuffix(".pmeta").rstrip("/"): told for name, told in found.items()}


def test_nothing_that_a_node_tells_is_lost(cell: Cell, tmp_path: Path) -> None:
    """Issue 4: "so that nothing is lost on a round trip"; §11.4: "`a` ACL object (principals as role ids); `d` dead
    properties … `v` version counter", `t` `col.odata`, and `p`, when it was made."""
    assert run(cell, telling(tmp_path / "old.zip")).state == ImportState.DONE
    command("cell_export", "mine", "-o", tmp_path / "again.zip", "--layout", "cell")
    back = nodes_of(tmp_path / "again.zip")
    for node, told in nodes_of(tmp_path / "old.zip").items():
        told.pop("i", None) if node in ("", "__") else None  # a cell keeps its own id
        # FORMAT.md: times of folders that tell nothing else are not kept.
        told = {key: value for key, value in told.items() if node != "__/plain" or key not in "pu"}
        assert {key: back[node][key] for key in told} == told, node
    plain = {"i", "t", "a", "d", "p", "u", "v"}
    assert back["__/plain"].keys() == plain and back["__/plain/plain.txt"].keys() == plain | {"ct", "cl", "et"}
    kept = Document.objects.filter(cell=cell, doctype="_cell.pmeta", generation=2).values_list("doc_id", flat=True)
    named = {".", "./__", "__/docs", "__/docs/readme.txt", "top.txt", "__/data", "photos"}
    assert named < set(kept) and not [each for each in kept if "plain" in each]
    (by_digest,) = set(kept) - named
    assert by_digest.startswith("./") and len(by_digest) == 66

    assert run(cell, tmp_path / "again.zip").state == ImportState.DONE
    command("cell_export", "mine", "-o", tmp_path / "third.zip", "--layout", "cell")
    assert (tmp_path / "third.zip").read_bytes() == (tmp_path / "again.zip").read_bytes()


def test_what_was_told_of_a_node_stays_away_when_the_node_is_gone(cell: Cell, tmp_path: Path) -> None:
    run(cell, telling(tmp_path / "old.zip"))
    cell.refresh_from_db()
    writing.file_delete(cell=cell, path="top.txt")
    writing.file_delete(cell=cell, path="__/docs/readme.txt")
    put_file(cell, "__/docs/readme.txt/folder.txt", b"now below a folder")
    put_file(cell, "photos/new.txt")
    command("cell_export", "mine", "-o", tmp_path / "again.zip", "--layout", "cell")
    back = nodes_of(tmp_path / "again.zip")
    assert "__/top.txt" not in back
    folder, new = back["__/docs/readme.txt"], back[f"{BOX}/new.txt"]
    assert (folder["t"], folder["a"], folder["d"], folder["v"]) == ("col.webdav", {}, {}, 1)
    assert (new["a"], new["d"], new["v"]) == ({}, {}, 1)
    assert run(cell, tmp_path / "again.zip").state == ImportState.DONE


def test_our_own_archives_give_nothing_to_keep(cell: Cell, tmp_path: Path) -> None:
    for path in ("box/a", "__/x/run.sh", "box/Twin", "box/twin", "a\\b"):
        put_file(cell, path, executable=path.endswith(".sh"))
    command("cell_export", "mine", "-o", tmp_path / "ours.zip", "--layout", "cell")
    other = make_cell(cell.owner, "other")
    assert run(other, tmp_path / "ours.zip").state == ImportState.DONE
    assert contents(other) == contents(cell)


def test_many_boxes_cost_no_memory(tmp_path: Path) -> None:
    """Lines of a list pack to almost nothing: a small archive may hold millions."""
    most = []
    for count in (10_000, 60_000):
        lines = (json.dumps(line("Box", f"b{n:021}", {"s": {"Name": f"box{n}"}})) + "\n" for n in range(count))
        archive = foreign(tmp_path / f"{count}.zip", **{REQUIRED[2]: "".join(lines).encode()})
        tracemalloc.start()
        with Source(str(archive)) as source, restoring(source, budget(), snapshots_only=True) as restore:
            # The boxes come first; what lies in those of the other server is then in none.
            with pytest.raises(ArchiveRefused, match="it lies in a box that is not in"):
                restore.prepare(lambda: None)
            most.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert most[1] < most[0] + (4 << 20)


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
        {"20_webdav/.pmeta": b"[]"},
        {"20_webdav/__/.pmeta": b'{"t": "col.box", "a": {"x": "\\u0000"}}'},
        {"20_webdav/__/.pmeta": b'{"t": "col.box", "a": ' + b"[" * 210 + b"]" * 210 + b"}"},
        {"20_webdav/__/.pmeta": b'{"t": "col.box", "a": ' + b"[" * 900 + b"]" * 900 + b"}"},
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
