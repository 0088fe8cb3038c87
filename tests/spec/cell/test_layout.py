"""`spec/cell.md §11`: what is inside a cell snapshot."""

import contextlib
import hashlib
import io
import json
import re
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from cells import writing
from cells.blobs import BlobStore
from cells.errors import DomainError
from cells.models import Blob, Cell, Document
from cells.reading import files_of
from exports.engine.layouts.cell import LISTS, REQUIRED, id_of
from exports.models import Run
from exports.services import imports
from exports.services.verification import file_verify
from tests.engine.judges import JUDGES, Judge
from tests.factories import MTIME, make_cell, put_documents, put_file

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def house(alice: User) -> Cell:
    return make_cell(alice, "house")


def exported(cell: Cell, folder: Path, name: str = "x.zip") -> Path:
    out = io.StringIO()
    call_command("cell_export", cell.name, "-o", str(folder / name), "--layout", "cell", stdout=out, stderr=out)
    return folder / name


def read(cell: Cell, folder: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(exported(cell, folder)) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


def lines(content: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in content.splitlines()]


def keep(cell: Cell, doctype: str, doc_id: str, body: dict[str, Any]) -> None:
    """What an import keeps of a foreign archive."""
    now = datetime(2024, 5, 6, 7, 8, 9, 123456, tzinfo=UTC)
    Document.objects.create(
        cell=cell, generation=cell.generation, doctype=doctype, doc_id=doc_id, rev="1-0", body=body,
        created_at=now, updated_at=now,
    )  # fmt: skip


def test_all_18_files_must_exist_pjson_files_may_be_empty(house: Cell, tmp_path: Path) -> None:
    """§11.1: "All 18 files must exist, pjson files may be empty (0 bytes); an export always creates all of them."."""
    found = read(house, tmp_path)
    assert len(REQUIRED) == 18
    assert set(REQUIRED) <= set(found)
    assert {"10_odata/", "20_webdav/"} <= set(found)
    assert [found[file] for file, *_ in LISTS] == [b""] * 16
    assert set(found) - set(REQUIRED) == {"10_odata/", "20_webdav/", "20_webdav/.pmeta", "20_webdav/__/.pmeta"}


def test_the_manifest(house: Cell, tmp_path: Path, settings) -> None:
    """§11.2: `export_version` 2, `unit_url` of the exporting unit, `create_date` epoch milliseconds."""
    settings.PUBLIC_URL = "https://unit.example"
    put_file(house, "a.txt", mtime=datetime(2031, 1, 1, tzinfo=UTC))
    manifest = json.loads(read(house, tmp_path)["00_manifest.json"])
    assert manifest == {
        "export_version": 2,
        "unit_url": "https://unit.example/",
        "create_date": int(datetime(2031, 1, 1, tzinfo=UTC).timestamp()) * 1000,
    }


def test_the_cell_and_every_line_has_exactly_four_members(house: Cell, tmp_path: Path) -> None:
    """§11.3: "Every object has exactly `_index`, `_type`, `_id`, `_source`" and a 22-character id."""
    put_documents(house, [("note", "a/b", {"text": "zwölf\n"}), ("io.cozy.files", "1", {"n": 12345678901234567890})])
    put_file(house, "photos/a.jpg")
    found = read(house, tmp_path)
    objects = [json.loads(found["10_odata/00_cell.json"])]
    for file, *_ in LISTS:
        assert found[file] == b"" or found[file].endswith(b"}\n")
        objects += lines(found[file])
    assert [each["_type"] for each in objects] == ["Cell", "Box", "UserData", "UserData"]
    for each in objects:
        assert list(each) == ["_index", "_type", "_id", "_source"]
        assert re.fullmatch(r"[A-Za-z0-9_-]{22}", each["_id"])
    own = objects[0]["_id"]
    assert objects[0]["_source"]["s"] == {"Name": "house"}
    assert objects[0]["_source"]["h"]["Owner"].endswith("/#alice")
    assert objects[1]["_source"]["s"] == {"Name": "photos", "Schema": None}
    assert {each["_source"]["c"] for each in objects[1:]} == {own}


def test_our_own_documents_travel_in_the_user_data_list(house: Cell, tmp_path: Path) -> None:
    """Issue 4 point 3; numbers keep all their digits."""
    line = '{"doctype": "note", "id": "a/b", "body": {"text": "zwölf\\n", "n": 123456789012345678901234567890}}'
    assert writing.documents_put(cell=house, lines=[line.encode()]).created == 1
    document = Document.objects.get()
    content = read(house, tmp_path)["10_odata/70_userdata.pjson"]
    assert b"123456789012345678901234567890" in content
    (told,) = lines(content)
    assert told["_id"] == id_of("doc", "note/a/b")
    source = told["_source"]
    assert source["s"] == {"__id": "a/b"}
    assert source["d"] == document.body
    assert source["h"] == {"doctype": "note", "rev": document.rev}
    assert source["t"] == id_of("doctype", "note")
    assert source["p"] == source["u"] == int(document.created_at.timestamp() * 1000)


def test_the_mirror_of_the_store(house: Cell, tmp_path: Path) -> None:
    """§11.4: every node a directory with `.pmeta`, a file's bytes in `content`; the main box is `__`, others by id."""
    for path in ("readme.txt", "__/docs/x.txt", "photos/2024/a.jpg"):
        put_file(house, path, path.encode())
    put_file(house, "photos/run.sh", b"#!", executable=True)
    found = read(house, tmp_path)
    box = f"20_webdav/{id_of('box', 'photos')}/"
    assert {name for name in found if name.startswith("20_webdav")} == {
        "20_webdav/", "20_webdav/.pmeta", "20_webdav/__/.pmeta",
        "20_webdav/__/readme.txt/.pmeta", "20_webdav/__/readme.txt/content",
        "20_webdav/__/docs/.pmeta", "20_webdav/__/docs/x.txt/.pmeta", "20_webdav/__/docs/x.txt/content",
        box + ".pmeta", box + "2024/.pmeta", box + "2024/a.jpg/.pmeta", box + "2024/a.jpg/content",
        box + "run.sh/.pmeta", box + "run.sh/content",
    }  # fmt: skip
    assert found[box + "2024/a.jpg/content"] == b"photos/2024/a.jpg"
    meta = json.loads(found[box + "2024/a.jpg/.pmeta"])
    changed = int(MTIME.timestamp() * 1000)
    assert meta == {
        "i": id_of("node", "photos/2024/a.jpg"), "t": "dav.file", "a": {}, "d": {}, "p": changed, "u": changed, "v": 1,
        "ct": "image/jpeg", "cl": 17, "et": "NONE",
    }  # fmt: skip
    kinds = {name: json.loads(content)["t"] for name, content in found.items() if name.endswith("/.pmeta")}
    assert kinds["20_webdav/.pmeta"] == "Cell" and kinds["20_webdav/__/.pmeta"] == "col.box"
    assert kinds[box + ".pmeta"] == "col.box" and kinds[box + "2024/.pmeta"] == "col.webdav"
    assert json.loads(found["20_webdav/.pmeta"])["cs"] == "normal"
    assert json.loads(found[box + "run.sh/.pmeta"])["d"] == {
        "executable@http://apache.org/dav/props/": '<executable xmlns="http://apache.org/dav/props/">T</executable>'
    }


def test_names_that_cannot_be_unpacked_tell_their_true_path(house: Cell, tmp_path: Path) -> None:
    for path in ("a\\b\n.txt", "box/.pmeta", "box/Twin", "box/twin", "__/top.txt", "top.txt", "box/content"):
        put_file(house, path, path.encode())
    found = read(house, tmp_path)
    told = {}
    for name, content in found.items():
        if name.endswith("/content"):
            meta = json.loads(found[name.removesuffix("content") + ".pmeta"])
            told[content.decode()] = meta["d"].get("path@urn:x-exportsite")
    element = '<path xmlns="urn:x-exportsite">{}</path>'.format
    assert told == {
        "a\\b\n.txt": element("a%5Cb%0A.txt"), "box/.pmeta": element("box/.pmeta"), "box/Twin": None,
        "box/twin": element("box/twin"), "__/top.txt": element("__/top.txt"), "top.txt": element("top.txt"),
        "box/content": None,
    }  # fmt: skip
    assert len([name for name in found if name.endswith("/content")]) == 7


def test_empty_folders_are_there(house: Cell, tmp_path: Path) -> None:
    for path in ("box/empty", "alone", "__"):
        writing.folder_create(cell=house, path=path)
    found = read(house, tmp_path)
    assert f"20_webdav/{id_of('box', 'box')}/empty/.pmeta" in found
    assert f"20_webdav/{id_of('box', 'alone')}/.pmeta" in found
    assert "path@urn:x-exportsite" in json.loads(found["20_webdav/__/.pmeta"])["d"]
    assert {each["_source"]["s"]["Name"] for each in lines(found["10_odata/10_box.pjson"])} == {"box", "alone"}


def test_what_was_kept_of_a_foreign_archive_is_written_back(house: Cell, tmp_path: Path) -> None:
    """Issue 4 point 3: "kept as documents of reserved doctypes and written back on the next export"."""
    keep(house, "_cell.role", "ROLE-1", {"c": "old", "b": "old", "s": {"Name": "reader"}, "p": 1, "u": 2})
    keep(house, "_cell.box", "boxFromElsewhere_22ch", {"c": "old", "s": {"Name": "photos", "Schema": "urn:x"}})
    keep(house, "_cell.box", "../../../etc", {"c": "old", "s": {"Name": "evil"}})
    keep(house, "_cell.userdata", "u1", {"c": "old", "b": "box", "d": {"x": 1}})
    put_file(house, "photos/a.jpg")
    put_file(house, "evil/a.jpg")
    found = read(house, tmp_path)
    own = json.loads(found["10_odata/00_cell.json"])["_id"]
    (role,) = lines(found["10_odata/20_role.pjson"])
    assert role == {
        "_index": "kept", "_type": "Role", "_id": "ROLE-1",
        "_source": {"c": own, "b": own, "s": {"Name": "reader"}, "p": 1, "u": 2},
    }  # fmt: skip
    names = {each["_id"]: (each["_index"], each["_source"]["s"]) for each in lines(found["10_odata/10_box.pjson"])}
    assert names["boxFromElsewhere_22ch"] == ("kept", {"Name": "photos", "Schema": "urn:x"})
    assert names[id_of("box", "evil")] == ("exportsite", {"Name": "evil", "Schema": None})
    assert "20_webdav/boxFromElsewhere_22ch/a.jpg/content" in found
    assert f"20_webdav/{id_of('box', 'evil')}/a.jpg/content" in found
    assert not [name for name in found if ".." in name]
    (datum,) = lines(found["10_odata/70_userdata.pjson"])
    assert datum["_source"] == {"c": own, "b": "box", "d": {"x": 1}}


def test_the_same_cell_gives_the_same_archive(house: Cell, tmp_path: Path) -> None:
    put_documents(house, [("note", str(number), {"n": number}) for number in range(50)])
    for number in range(20):
        put_file(house, f"box{number % 3}/{number}.txt", b"x" * number)
    first, second = exported(house, tmp_path, "1.zip"), exported(house, tmp_path, "2.zip")
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize("judge", [each for each in JUDGES if "zip" in each.formats], ids=lambda judge: judge.name)
def test_foreign_programs_read_it(judge: Judge, house: Cell, tmp_path: Path) -> None:
    put_file(house, "bücher/straße.txt", "ß".encode())
    judge.called().check(exported(house, tmp_path))


def test_a_snapshot_is_a_zip(house: Cell, tmp_path: Path) -> None:
    for arguments in (["-o", str(tmp_path / "x.tar")], ["-o", str(tmp_path / "x.zip"), "--format", "tar"]):
        with pytest.raises(CommandError, match=r"of the cell API is a ZIP\."):
            call_command("cell_export", "house", *arguments, "--layout", "cell")
    assert not Run.objects.exists() and not list(tmp_path.glob("x.*"))


def test_a_file_that_cannot_be_read_is_told_and_is_no_half_node(house: Cell, tmp_path: Path) -> None:
    """Design §2.6: "with an exact list"; a `.pmeta` without its content would be refused by every server."""
    put_file(house, "box/lost.bin", b"lost")
    put_file(house, "box/kept.bin", b"kept")
    Path(BlobStore().path(Blob.objects.get(size=4, sha256=hashlib.sha256(b"lost").hexdigest()).store_file)).unlink()
    with pytest.raises(SystemExit) as ended:
        exported(house, tmp_path)
    assert ended.value.code == 3
    with zipfile.ZipFile(tmp_path / "x.zip") as archive:
        names = archive.namelist()
        (lost,) = json.loads(archive.read("00_manifest.json"))["missing"]
    assert lost["path"] == "box/lost.bin" and lost["reason"]
    assert not [name for name in names if "lost.bin" in name]
    assert len([name for name in names if "kept.bin" in name]) == 2
    assert file_verify(str(tmp_path / "x.zip")) == []


def test_verify_reads_all_of_it(house: Cell, tmp_path: Path) -> None:
    put_file(house, "box/a.bin", b"content of a file")
    target = exported(house, tmp_path)
    assert file_verify(str(target)) == []
    whole = target.read_bytes()
    damaged = bytearray(whole)
    damaged[whole.index(b"content of a file")] ^= 1
    target.write_bytes(damaged)
    assert "box/a.bin" in file_verify(str(target))[0] or "content" in file_verify(str(target))[0]
    target.write_bytes(whole[:-9])
    assert file_verify(str(target))


SEGMENT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/\0"), min_size=1, max_size=12).filter(
    lambda name: name not in (".", "..")
)
PATHS = st.lists(SEGMENT | st.sampled_from(["__", ".pmeta", "content", "a", "A"]), min_size=1, max_size=4).map("/".join)
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=5)
NAMES = st.tuples(
    st.sampled_from(["note", "io.cozy.files", "A"]),
    st.from_regex(r"[a-z][a-zA-Z0-9äöü /.-]{0,20}[a-z]", fullmatch=True),
)
CELLS = st.fixed_dictionaries(
    {
        "files": st.dictionaries(PATHS, st.tuples(st.binary(max_size=40), st.booleans()), max_size=8),
        "folders": st.lists(PATHS, max_size=3),
        "documents": st.dictionaries(
            NAMES, st.dictionaries(TEXT, st.integers(-(2**53), 2**53) | TEXT | st.none(), max_size=5), max_size=5
        ),
    }
)
#: Without shrinking: each example is two exports and an import.
CHANCE = {"deadline": None, "suppress_health_check": list(HealthCheck), "phases": [Phase.explicit, Phase.generate]}


def check_round_trip(alice: User, folder: Path, made: dict[str, Any]) -> None:
    """What a cell holds, and so the next archive of it, survives export and import."""
    cell = make_cell(alice, f"c{Cell.objects.count()}")
    for path, (body, executable) in made["files"].items():
        with contextlib.suppress(DomainError):  # a file where a folder is
            put_file(cell, path, body, executable=executable)
    for path in made["folders"]:
        with contextlib.suppress(DomainError):
            writing.folder_create(cell=cell, path=path)
    put_documents(cell, [(doctype, doc_id, body) for (doctype, doc_id), body in made["documents"].items()])
    first, before = exported(cell, folder, "1.zip").read_bytes(), held(cell)
    row = imports.import_start(cell=cell, owner=alice, archive=f"file:{folder}/1.zip", snapshots_only=True, nudge=False)
    done = imports.run_import(import_id=row.pk)
    assert done is not None and done.state == "done", done and done.error
    cell.refresh_from_db()
    assert held(cell) == before
    assert exported(cell, folder, "2.zip").read_bytes() == first


def held(cell: Cell) -> list[tuple]:
    """Times beyond milliseconds do not travel (FORMAT.md), nor those of folders."""
    files = files_of(cell).order_by("path").values_list("path", "is_folder", "blob", "executable", "content_type")
    documents = Document.objects.filter(cell=cell, generation=cell.generation).order_by("doctype", "doc_id")
    return [*files, *documents.values_list("doctype", "doc_id", "rev", "body")]


@pytest.mark.parametrize("paths", [["__"], ["0", "__/0"], ["0", "__/0/x"], ["__/a/x", "a"], [".pmeta"]], ids=repr)
def test_names_that_meet_in_the_main_box(paths: list[str], alice: User, tmp_path: Path) -> None:
    """Chance found them: taken for the empty main box and left out, or two nodes of one name; §11.4 knows one place for
    files at the top and those of the main box."""
    made = {"files": {path: (path.encode(), False) for path in paths}, "folders": [], "documents": {}}
    check_round_trip(alice, tmp_path, made)
    with zipfile.ZipFile(tmp_path / "2.zip") as archive:
        archive.extractall(tmp_path / "unpacked")
        found = [archive.read(name) for name in archive.namelist() if name.endswith("/content")]
    assert sorted(found) == sorted(path.encode() for path in paths)


@settings(max_examples=6, **CHANCE)
@given(made=CELLS)
def test_export_import_export_of_cells_of_chance(made, alice: User, tmp_path: Path) -> None:
    check_round_trip(alice, tmp_path, made)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@settings(max_examples=200, **CHANCE)
@given(made=CELLS)
def test_export_import_export_of_200_cells_of_chance(made, alice: User, tmp_path: Path) -> None:
    """Issue 4: "gives the identical archive for 200 random cells (Hypothesis)"."""
    check_round_trip(alice, tmp_path, made)
