"""A folder comes into a cell as it is, and what cannot come is named."""

import io
import os
import socket
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command

from cells import lines
from cells.blobs import BlobStore
from cells.management.commands import cell_load
from cells.models import Blob, Cell, Document, File, FileVersion, Usage
from tests.cells.loads import MOMENT, contents, item, load_items

pytestmark = pytest.mark.django_db


@pytest.fixture
def cell(alice: User) -> Cell:
    return Cell.objects.create(name="alices", owner=alice)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "tree").mkdir()
    return tmp_path / "tree"


def write(path: Path, content: bytes | str = b"content") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def load(cell: Cell, folder: Path, **options: object) -> tuple[int, str, str]:
    """(exit code, stdout, stderr)"""
    out, err = io.StringIO(), io.StringIO()
    try:
        call_command("cell_load", cell.name, str(folder), stdout=out, stderr=err, **options)
    except CommandError as error:
        return error.returncode, out.getvalue(), err.getvalue() + str(error)
    except SystemExit as end:
        return end.code, out.getvalue(), err.getvalue()
    return 0, out.getvalue(), err.getvalue()


def test_a_tree_comes_with_contents_times_modes_and_empty_folders(cell: Cell, folder: Path):
    write(folder / "Ünïcode/日本/Brief an Zoë.txt", "Hallo")
    write(folder / "big.bin", os.urandom(3 << 20))
    write(folder / "run.sh", "#!/bin/sh").chmod(0o755)
    (folder / "empty/also empty").mkdir(parents=True)
    moment = int(MOMENT.timestamp() * 1_000_000) * 1000 + 654
    for path in [*folder.rglob("*")]:
        os.utime(path, ns=(moment, moment))
    code, out, err = load(cell, folder)
    assert (code, err) == (0, "")
    assert "7 created" in out
    wanted = {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")
    }
    assert contents(cell) == wanted
    assert {file.mtime for file in File.objects.all()} == {MOMENT}
    assert [file.path for file in File.objects.filter(executable=True)] == ["run.sh"]
    assert {file.path: file.folder for file in File.objects.all()} == {path: path.rpartition("/")[0] for path in wanted}
    assert File.objects.get(path="Ünïcode/日本/Brief an Zoë.txt").content_type == "text/plain"


def test_links_and_devices_are_refused_by_name_and_all_else_comes(cell: Cell, folder: Path, monkeypatch):
    write(folder / "kept.txt")
    write(folder.parent / "secret.txt", "not for the cell")
    (folder / "link").symlink_to("../secret.txt")
    (folder / "link to a folder").symlink_to("..")
    (folder / "dangling").symlink_to("nowhere")
    os.mkfifo(folder / "pipe")
    monkeypatch.chdir(folder)  # a socket's whole path may have 107 bytes
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
        code, _, err = load(cell, folder)
    assert code == 3
    assert contents(cell) == {"kept.txt": b"content"}
    assert sorted(err.splitlines()) == [
        "5 refused",
        "refused: dangling: a symbolic link",
        "refused: link to a folder: a symbolic link",
        "refused: link: a symbolic link",
        "refused: pipe: a device, pipe or socket",
        "refused: socket: a device, pipe or socket",
    ]


def test_a_file_that_became_a_link_after_it_was_listed_is_not_followed(cell: Cell, folder: Path):
    write(folder.parent / "secret.txt", "not for the cell")
    write(folder / "kept.txt")
    swapped = write(folder / "swapped.txt")
    found = list(cell_load._walk(folder, lambda *why: pytest.fail(str(why))))
    swapped.unlink()
    swapped.symlink_to("../secret.txt")
    _, refused = load_items(cell, *map(cell_load._item, found))
    assert contents(cell) == {"kept.txt": b"content"}
    assert [path for path, _ in refused] == ["swapped.txt"]


def test_names_that_are_not_utf_8_are_refused_once_and_shown_harmlessly(cell: Cell, folder: Path):
    write(folder / "kept")
    top = os.fsencode(folder)
    Path(os.fsdecode(top + b"/caf\xe9")).write_bytes(b"latin-1")
    write(Path(os.fsdecode(top + b"/\xff")) / "below" / "deeper", b"unreachable")
    (folder / "bell\a\x1b[31m").symlink_to("kept")
    code, _, err = load(cell, folder)
    assert code == 3
    assert contents(cell) == {"kept": b"content"}
    assert err.isascii()
    assert err.count("refused: ") == 3
    assert "\x1b" not in err
    assert "caf\\udce9: not valid Unicode" in err


def test_names_with_control_characters_and_newlines_are_names(cell: Cell, folder: Path):
    for name in ("two\nlines", "tab\there", "%s %(x)s", "'quoted\"", "back\\slash", " ", "\x01\x02"):
        write(folder / "odd\nfolder" / name, name)
    assert load(cell, folder)[0] == 0
    assert set(contents(cell).values()) - {None} == {path.name.encode() for path in folder.rglob("*/*")}


def test_loading_again_changes_nothing(cell: Cell, folder: Path):
    for number in range(30):
        write(folder / f"d{number % 3}/f{number}", f"content {number}")
    load(cell, folder)
    before = list(File.objects.order_by("pk").values())
    code, out, _ = load(cell, folder)
    assert code == 0
    assert "0 created, 0 updated, 33 unchanged" in out
    assert list(File.objects.order_by("pk").values()) == before
    assert not FileVersion.objects.exists()


def test_what_a_path_held_before_is_kept_as_a_version(cell: Cell, folder: Path):
    write(folder / "a/letter.txt", "first")
    write(folder / "a/other.txt", "other")
    load(cell, folder)
    old = File.objects.get(path="a/letter.txt")
    for content in ("second", "third"):
        write(folder / "a/letter.txt", content)
        load(cell, folder)
    file = File.objects.get(path="a/letter.txt")
    assert contents(cell) == {"a": None, "a/letter.txt": b"third", "a/other.txt": b"other"}
    assert (file.pk, file.version, file.created_at) == (old.pk, 3, old.created_at)
    versions = {version.version: version for version in file.versions.select_related("blob")}
    assert {n: b"".join(BlobStore().open(version.blob)) for n, version in versions.items()} == {
        1: b"first",
        2: b"second",
    }
    assert (versions[1].mtime, versions[1].size, versions[1].content_type) == (old.mtime, 5, "text/plain")
    assert Usage.objects.get(cell=cell).bytes == len("firstsecondthirdother")


def test_a_new_time_or_mode_makes_no_version(cell: Cell, folder: Path):
    path = write(folder / "f")
    load(cell, folder)
    os.utime(path, (1_000_000_000, 1_000_000_000))
    path.chmod(0o700)
    code, out, _ = load(cell, folder)
    assert (code, "0 created, 1 updated, 0 unchanged" in out) == (0, True)
    file = File.objects.get()
    assert (file.version, file.executable, file.mtime.timestamp()) == (1, True, 1_000_000_000)
    assert not FileVersion.objects.exists()


def test_files_of_other_cells_and_paths_stay(cell: Cell, folder: Path, alice: User):
    other = Cell.objects.create(name="other", owner=alice)
    load_items(other, item("f", b"other"))
    load_items(cell, item("g/h", b"mine"))
    write(folder / "f", "new")
    assert load(cell, folder)[0] == 0
    assert contents(cell) == {"f": b"new", "g": None, "g/h": b"mine"}
    assert contents(other) == {"f": b"other"}


def test_a_load_beyond_the_quota_changes_nothing(cell: Cell, folder: Path):
    load_items(cell, item("kept", b"12345"))
    Cell.objects.update(quota=1000)
    before = list(File.objects.values())
    for number in range(20):
        write(folder / f"f{number}", f"{number:100}")
    code, out, err = load(cell, folder)
    assert (code, out) == (1, "")
    assert "quota" in err
    assert list(File.objects.values()) == before
    assert Usage.objects.get(cell=cell).bytes == 5


def test_a_file_larger_than_the_quota_is_not_even_read(cell: Cell, folder: Path, store: Path):
    Cell.objects.update(quota=1 << 20)
    write(folder / "f", os.urandom((1 << 20) + 1))
    code, _, err = load(cell, folder)
    assert code == 1
    assert "quota" in err
    assert [path for path in store.rglob("*") if path.is_file()] == []
    assert not File.objects.exists()
    assert not Blob.objects.exists()


def test_a_load_that_just_fits_the_quota_fits_again(cell: Cell, folder: Path):
    Cell.objects.update(quota=2000)
    for number in range(20):
        write(folder / f"f{number}", f"{number:100}")
    assert load(cell, folder)[0] == 0
    assert load(cell, folder)[0] == 0
    Cell.objects.update(quota=10)
    assert load(cell, folder)[0] == 0
    assert File.objects.count() == 20


@pytest.mark.parametrize("missing", ["cell", "folder"])
def test_an_unknown_cell_or_folder_is_a_mistake_of_usage(cell: Cell, folder: Path, missing: str):
    write(folder / "f")
    code, out, err = load(
        Cell(name="nobodys") if missing == "cell" else cell, folder / "nowhere" if missing == "folder" else folder
    )
    assert (code, out) == (2, "")
    assert missing in err
    assert not File.objects.exists()


def test_jsonl_and_ndjson_come_as_documents_when_asked(cell: Cell, folder: Path):
    write(folder / "people.jsonl", '{"doctype": "person", "id": "1", "body": {"name": "Zoë"}}\n')
    write(folder / "deep/more.ndjson", '{"doctype": "person", "id": "2", "body": {}}\n\n{"doctype": "pet", "body": {}}')
    write(folder / "note.json", "{}")
    code, out, err = load(cell, folder, documents=True)
    assert (code, err) == (0, "")
    assert "documents: 3 created, 0 updated, 0 deleted" in out
    assert set(Document.objects.values_list("doctype", flat=True)) == {"person", "pet"}
    assert Document.objects.get(doc_id="1").body == {"name": "Zoë"}
    assert contents(cell) == {"note.json": b"{}", "deep": None}


def test_jsonl_comes_as_a_file_when_documents_are_not_asked_for(cell: Cell, folder: Path):
    write(folder / "people.jsonl", '{"doctype": "person", "id": "1", "body": {}}\n')
    assert load(cell, folder)[0] == 0
    assert list(contents(cell)) == ["people.jsonl"]
    assert not Document.objects.exists()


def test_a_line_that_is_no_document_is_named_and_the_others_come(
    cell: Cell, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(lines, "LONGEST_LINE", 200)
    monkeypatch.setattr(cell_load, "LONGEST_LINE", 200)
    good = '{{"doctype": "note", "id": "{}", "body": {{}}}}\n'
    long = '{"doctype": "note", "id": "long", "body": {"text": "' + "x" * 5000 + '"}}\n'
    write(folder / "notes.jsonl", good.format(1) + "no JSON\n" + good.format(2) + long + good.format(3))
    code, out, err = load(cell, folder, documents=True)
    assert code == 3
    assert "documents: 3 created" in out
    assert sorted(Document.objects.values_list("doc_id", flat=True)) == ["1", "2", "3"]
    assert "refused: notes.jsonl line 2: " in err
    assert "refused: notes.jsonl line 4: " in err
    assert err.splitlines()[-1] == "2 refused"


def test_a_terminal_sees_a_bar_that_is_gone_at_the_end(cell: Cell, folder: Path):
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    for number in range(30):
        write(folder / f"f{number}", os.urandom(1000))
    err = Terminal()
    call_command("cell_load", cell.name, str(folder), stdout=io.StringIO(), stderr=err)
    assert "[" in err.getvalue()
    assert "%" in err.getvalue()
    assert err.getvalue().endswith("\r\x1b[K")
