"""Would the old server take what we export? Random cells, tiny parts, and an importer that forgives nothing
(`spec/move.md §4.7, §4.8, §5, §6.8`)."""

import io
import json
import zipfile
from base64 import b64encode
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from cells.models import Cell, Document, File, FileVersion
from cells.writing import folder_create
from exports.services import imports
from exports.services.archives import FILES as PARTS
from exports.states import ImportState
from tests.factories import make_cell, put_documents, put_file
from tests.spec.move.asking import Move, exported, mailed, manifest, opaque_of, parts
from tests.spec.move.incoming import shown
from tests.spec.move.old_server import FORBIDDEN, OldServer

pytestmark = pytest.mark.django_db(transaction=True)

NAMES = st.one_of(
    st.sampled_from(["a", "A", "b.txt", "é", "e\u0301", " x ", "CON", "a.", "\r\n", "100%.txt", "#?&+", "back\\slash"]),
    st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=8).filter(
        lambda name: name not in (".", "..")
    ),
)
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
CONTENTS = st.lists(st.binary(max_size=40), min_size=1, max_size=3)
DOCTYPES = st.sampled_from(["io.cozy.contacts", "io.cozy.bank.operations", "note", "io.cozy.files", "A-b_c"])
IDS = st.one_of(st.sampled_from(["1", "A", "a", "é", "io.cozy.apps/drive", "../x", "a//b"]), st.uuids().map(str))
BODIES = st.dictionaries(
    st.text(max_size=5).filter(lambda key: "\0" not in key), st.one_of(st.integers(-(2**53), 2**53), st.booleans())
)
CELLS = st.fixed_dictionaries(
    {
        "files": st.dictionaries(PATHS, CONTENTS, max_size=8),
        "folders": st.lists(PATHS, max_size=3),
        "trash": st.dictionaries(NAMES, st.binary(max_size=20), max_size=2),
        "documents": st.dictionaries(st.tuples(DOCTYPES, IDS), BODIES, max_size=5),
    }
)


def filled(owner: User, number: int, content: dict[str, Any]) -> Cell:
    cell = make_cell(owner, f"c{number}", quota=10**9)
    trashed = {f".cozy_trash/{name}": [data] for name, data in content["trash"].items()}
    taken: set[str] = set()
    for number, (path, versions) in enumerate((content["files"] | trashed).items()):
        above = {path[:at] for at in range(len(path)) if path[at] == "/"}
        if above & taken or any(other.startswith(path + "/") for other in taken):
            continue  # a file where another's folder is
        taken.add(path)
        for data in versions:
            put_file(cell, path, data, executable=bool(number % 2))
    for path in content["folders"]:
        if not any((path + "/").startswith(other + "/") for other in taken):
            folder_create(cell=cell, path=path)
    put_documents(cell, [(doctype, doc_id, body) for (doctype, doc_id), body in content["documents"].items()])
    return cell


def received(client: Move) -> tuple[OldServer, list[bytes], dict[str, Any]]:
    opaque = opaque_of(mailed())
    told, found, old = manifest(client, opaque)["attributes"], parts(Move(), opaque), OldServer()
    for cursor, part in zip(["", *told["parts_cursors"]], found, strict=True):
        old.take(part, cursor)
    return old, found, told


#: A failure is told as it was found: making it smaller would take minutes.
tried = partial(
    settings, deadline=None, derandomize=True, database=None, phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)  # fmt: skip


@tried(max_examples=8)
@given(content=CELLS, parts_size=st.integers(1, 60))
def test_the_old_server_would_read_every_file_exactly_once(alice, tmp_path, content: dict, parts_size: int) -> None:
    taken(alice, tmp_path, content, parts_size)


@pytest.mark.slow
@tried(max_examples=60)
@given(content=CELLS, parts_size=st.integers(1, 60))
def test_the_old_server_would_read_many_cells(alice, tmp_path, content: dict, parts_size: int) -> None:
    taken(alice, tmp_path, content, parts_size)


def taken(alice: User, tmp_path: Path, content: dict[str, Any], parts_size: int) -> None:
    """§14: "a randomised test with tiny parts was added: *every file in exactly one part*. Keep that property test";
    §5: "a writer must use the exact JSON types because the Go importer is strict"."""
    cell = filled(alice, Cell.objects.count(), content)
    client = Move(alice, cell=cell, scopes=("io.cozy.exports",))
    export = exported(client, parts_size=parts_size)
    old, found, told = received(client)
    files = File.objects.filter(cell=cell, is_folder=False)
    clean = str.maketrans("\r\n", "␍␊")
    assert sorted(map(old.path_of, old.files.values())) == sorted(file.path.translate(clean) for file in files)
    got = sorted((len(each.content), each.content, each.mode) for each in old.files.values())
    assert [size for size, *_ in got] == sorted(files.values_list("size", flat=True))
    assert len(old.versions) == FileVersion.objects.filter(file__in=files).count()
    folders = {
        path.translate(clean) for path in File.objects.filter(cell=cell, is_folder=True).values_list("path", flat=True)
    }
    assert {path.removeprefix("/") for path in old.paths.values()} == folders | {"", ".cozy_trash"}
    assert len(old.documents) == Document.objects.filter(cell=cell).count()
    assert told["total_size"] == old.metadata == export.total_size
    assert old.instance["domain"] == told["domain"] and not set(FORBIDDEN) & old.instance.keys()
    sizes: dict[int, list[int]] = {}
    for each in (*old.files.values(), *old.versions.values()):
        sizes.setdefault(each.part, []).append(len(each.content))
    # §4.7: only a part that holds one large thing holds more than its size; what follows it is nothing, or empty.
    assert all(sum(held) <= parts_size or sum(held[:-1]) <= parts_size for held in sizes.values())
    same_again(alice, cell, found, tmp_path)


def same_again(owner: User, cell: Cell, found: list[bytes], folder: Path) -> None:
    """And we read it back as it was, names with line ends too, whatever the order of the parts."""
    target = make_cell(owner, f"{cell.name}-back")
    paths = [folder / f"{cell.name}-{number}.zip" for number in range(len(found))]
    for path, part in zip(paths, found, strict=True):
        path.write_bytes(part)
    source = PARTS + "\n".join(map(str, reversed(paths)))
    row = imports.import_start(cell=target, owner=owner, archive=source, nudge=False)
    done = imports.run_import(import_id=row.pk)
    assert done.state == ImportState.DONE and done.report["missing"] == [], done.error
    before, after = shown(cell), shown(target)
    for what in ("files", "versions", "times"):
        assert after[what] == before[what]


def changed(part: bytes, change: dict[str, Any], kind: str = "file") -> bytes:
    """The same part, but for the first document of this kind."""
    out, waits = io.BytesIO(), True
    with zipfile.ZipFile(io.BytesIO(part)) as old, zipfile.ZipFile(out, "w") as new:
        for info in old.infolist():
            data = old.read(info)
            if waits and f'"type":"{kind}"'.encode() in data and b"root-dir" not in info.filename.encode():
                data, waits = json.dumps(json.loads(data) | change).encode(), False
            new.writestr(info, data)
    assert not waits
    return out.getvalue()


def test_the_old_server_of_these_tests_is_strict(as_alice, cell) -> None:
    """It refuses what was changed, be it a little; what was only packed anew it takes."""
    exported(as_alice, parts_size=6000)
    _, found, told = received(as_alice)
    second = told["parts_cursors"][0]
    file, folder = {"name": "other"}, {"tags": []}
    for part in (changed(found[0], file), changed(found[0], folder, "directory")):
        OldServer().take(part, "")
    for change in ({"size": 6000}, {"size": "5999"}, {"md5sum": "AAAA"}, {"md5sum": b64encode(bytes(16)).decode()},
                   {"executable": "no"}, {"name": "a/b"}, {"name": ".."}, {"updated_at": "2020-01-01T00:00:00"},
                   {"dir_id": "nobody"}, {"tags": [1]}, {"trashed": None}, {"encrypted": 0},
                   {"path": "/x"}):  # fmt: skip
        with pytest.raises((AssertionError, TypeError, ValueError)):
            OldServer().take(changed(found[0], change), "")
    for change in ({"path": "/elsewhere"}, {"dir_id": "nobody"}, {"created_at": 0}, {"name": ""}):
        with pytest.raises((AssertionError, KeyError)):
            OldServer().take(changed(found[0], change, "directory"), "")
    for cursors in (["", second + "x"], [second], ["", second, second]):
        old = OldServer()
        with pytest.raises(AssertionError):
            for cursor, part in zip(cursors, (found[0], found[1], found[1]), strict=False):
                old.take(part, cursor)
