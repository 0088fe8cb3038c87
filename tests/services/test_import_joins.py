"""Imports that join: whoever writes the cell meanwhile waits for none of it, and what he writes counts as written after
the import."""

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cells import catching_up, writing
from cells.errors import DocumentNotFound, FileNotFound, PathTaken
from cells.models import Cell, FileVersion
from cells.quota import bytes_used
from exports.states import ImportState
from tests.elsewhere import elsewhere
from tests.factories import make_cell, put_documents, put_file, put_files
from tests.services.imported import command, contents, generations, run

pytestmark = pytest.mark.django_db(transaction=True)
MODES = ["merge", "skip", "keep_both"]
FILES = {"a": b"1", "same": b"same", "d/x": b"2", "d/e/y": b"3"}
OTHERS = {"a": b"mine", "same": b"same", "d/x": b"my 2", "mine": b"4", "f/g/z": b"5"}


@pytest.fixture
def archive(alice: User, tmp_path: Path) -> Path:
    cell = make_cell(alice, "source")
    put_files(cell, FILES)
    put_documents(cell, [("note", name, {"of": "archive", "n": name}) for name in ("a", "b", "c")])
    command("cell_export", "source", "-o", tmp_path / "source.zip")
    return tmp_path / "source.zip"


def make(owner: User, name: str) -> Cell:
    cell = make_cell(owner, name)
    put_files(cell, OTHERS)
    put_file(cell, "mine", b"4 anew")
    put_documents(cell, [("note", name, {"of": "cell"}) for name in ("a", "mine")])
    return cell


def when_joined(monkeypatch, work: Callable[[], object]) -> None:
    """`work` is done by somebody else, when all has been joined and nothing is held."""
    real = catching_up.generations_join

    def join(**options: Any) -> None:
        real(**options)
        elsewhere(work)

    monkeypatch.setattr(catching_up, "generations_join", join)


#: None of them finds another state after the import than during it.
OPERATIONS = st.lists(
    st.tuples(st.sampled_from(["put", "delete"]), st.sampled_from(["a", "same", "d/x", "mine", "new"]), st.just(""))
    | st.tuples(st.just("move"), st.sampled_from(["mine", "new", "f/g/z"]), st.sampled_from(["to/1", "to/2/3"]))
    | st.tuples(st.sampled_from(["document", "forget"]), st.sampled_from(["a", "mine", "new"]), st.just("")),
    max_size=8,
)


def write(cell: Cell, operations: list[tuple[str, str, str]]) -> None:
    for number, (kind, name, to) in enumerate(operations):
        try:
            if kind == "put":
                put_file(cell, name, f"w{number}".encode())
            elif kind == "delete":
                writing.file_delete(cell=cell, path=name)
            elif kind == "move":
                writing.file_move(cell=cell, source=name, target=to)
            elif kind == "document":
                put_documents(cell, [("note", name, {"n": number})])
            else:
                writing.document_delete(cell=cell, doctype="note", doc_id=name)
        except (FileNotFound, DocumentNotFound, PathTaken):
            pass


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "operations",
    [
        [("put", "a", ""), ("put", "a", ""), ("put", "new", "")],
        [("put", "d/x", ""), ("delete", "d/x", "")],
        [("move", "mine", "to/1"), ("delete", "a", "")],
        [("delete", "same", ""), ("put", "same", "")],
        [("document", "a", ""), ("forget", "mine", ""), ("document", "new", "")],
    ],
)
def test_what_is_written_meanwhile_is_as_if_written_afterwards(
    mode: str, operations: list, alice: User, archive: Path, monkeypatch
) -> None:
    cell, after = make(alice, "meanwhile"), make(alice, "after")
    assert run(after, archive, mode).state == ImportState.DONE
    write(Cell.objects.get(pk=after.pk), operations)
    when_joined(monkeypatch, lambda: write(Cell.objects.get(pk=cell.pk), operations))
    row = run(cell, archive, mode)
    assert row.state == ImportState.DONE, row.error
    assert contents(cell) == contents(after)
    assert kept(cell) == kept(after)
    assert bytes_used(cell) == bytes_used(after)


def kept(cell: Cell) -> set[tuple[str, str]]:
    """(path, SHA-256) of all contents that files have had."""
    old = FileVersion.objects.filter(file__cell=cell, file__generation=cell.generation)
    return set(old.values_list("file__path", "blob_id"))


def test_a_writer_that_never_stops_waits_for_no_join(alice: User, archive: Path, monkeypatch) -> None:
    """He writes in each step of it, in every round, and would wait for ever where the cell is held."""
    cell, number = make(alice, "busy"), iter(range(10**6))
    monkeypatch.setattr(catching_up, "_FEW", -1)  # there is always something
    monkeypatch.setattr(catching_up, "_ROUNDS", 4)

    def work() -> None:
        here, n = Cell.objects.get(pk=cell.pk), next(number)
        put_file(here, f"w/{n}", b"w")
        put_file(here, "a", f"{n}".encode())
        put_documents(here, [("note", f"w{n}", {}), ("note", "a", {"n": n})])
        if n:
            writing.file_delete(cell=here, path=f"w/{n - 1}")

    real = catching_up.Joining._apply

    def apply(self: catching_up.Joining) -> None:
        if not held(cell):
            elsewhere(work)
        real(self)

    when_joined(monkeypatch, work)
    monkeypatch.setattr(catching_up.Joining, "_apply", apply)
    assert run(cell, archive, "merge").state == ImportState.DONE
    last = next(number) - 1
    assert last == 4
    files, documents = contents(cell)
    assert {path for path in files if path.startswith("w/")} == {f"w/{last}"}
    assert documents["note/a"] == {"n": last} and f"note/w{last}" in documents and "d/e/y" in files


def held(cell: Cell) -> bool:
    """Whether somebody holds it, seen from another connection."""
    free: list[Cell] = []

    def ask() -> None:
        with transaction.atomic():
            free.extend(Cell.objects.select_for_update(skip_locked=True, no_key=True).filter(pk=cell.pk))

    elsewhere(ask)
    return not free


@pytest.mark.parametrize("mode", MODES)
def test_a_folder_that_goes_while_the_archive_fills_it_stays(
    mode: str, alice: User, archive: Path, monkeypatch
) -> None:
    """Whoever deleted it had not seen what came."""
    cell = make(alice, "cell")
    when_joined(monkeypatch, lambda: writing.file_delete(cell=Cell.objects.get(pk=cell.pk), path="d"))
    assert run(cell, archive, mode).state == ImportState.DONE
    files, _ = contents(cell)
    assert "d/e/y" in files and cell.files.filter(generation=cell.generation, path="d/e", is_folder=True).exists()
    writing.file_delete(cell=cell, path="d")


@pytest.mark.parametrize("mode", MODES)
def test_a_file_written_where_the_archive_brings_a_folder_fails_the_import(
    mode: str, alice: User, archive: Path, monkeypatch
) -> None:
    cell = make_cell(alice, "cell")
    put_file(cell, "kept", b"kept")
    when_joined(monkeypatch, lambda: put_file(Cell.objects.get(pk=cell.pk), "d", b"file"))
    row = run(cell, archive, mode)
    assert (row.state, row.error["code"]) == (ImportState.FAILED, PathTaken.code)
    assert contents(cell)[0].keys() == {"kept", "d"} and generations(cell) == [1]


@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(mode=st.sampled_from(MODES), operations=OPERATIONS)
def test_writes_of_chance(mode: str, operations: list, alice: User, archive: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        name = f"c{Cell.objects.count()}"
        cell, after = make(alice, name), make(alice, f"{name}-after")
        run(after, archive, mode)
        write(Cell.objects.get(pk=after.pk), operations)
        when_joined(patch, lambda: write(Cell.objects.get(pk=cell.pk), operations))
        row = run(cell, archive, mode)
        assert row.state == ImportState.DONE, row.error
        assert contents(cell) == contents(after) and kept(cell) == kept(after)


def test_what_was_written_in_several_rounds_is_kept_once(alice: User, archive: Path, monkeypatch) -> None:
    """What the cell had itself came from its history, and again as what the archive had brought."""
    cell, contents_of_a = make(alice, "cell"), iter([b"second", b"third", b"fourth"])
    monkeypatch.setattr(catching_up, "_FEW", -1)
    monkeypatch.setattr(catching_up, "_ROUNDS", 2)
    real = catching_up.Joining._apply

    def apply(self: catching_up.Joining) -> None:
        if not held(cell):
            elsewhere(lambda: put_file(Cell.objects.get(pk=cell.pk), "a", next(contents_of_a)))
        real(self)

    when_joined(monkeypatch, lambda: put_file(Cell.objects.get(pk=cell.pk), "a", next(contents_of_a)))
    monkeypatch.setattr(catching_up.Joining, "_apply", apply)
    assert run(cell, archive, "merge").state == ImportState.DONE
    file = cell.files.get(generation=Cell.objects.get(pk=cell.pk).generation, path="a")
    had = [sha256(content).hexdigest() for content in (b"mine", b"second", b"third", FILES["a"])]
    assert sorted(file.versions.values_list("blob_id", flat=True)) == sorted(had)
    assert (file.blob_id, file.version) == (sha256(b"fourth").hexdigest(), 5)


@pytest.mark.parametrize("mode", MODES)
def test_a_folder_of_the_cell_that_becomes_a_file_meanwhile_is_one(
    mode: str, alice: User, archive: Path, monkeypatch
) -> None:
    cell = make(alice, "cell")

    def work() -> None:
        here = Cell.objects.get(pk=cell.pk)
        writing.file_delete(cell=here, path="f")
        put_file(here, "f", b"file")

    when_joined(monkeypatch, work)
    row = run(cell, archive, mode)
    assert row.state == ImportState.DONE, row.error
    files, _ = contents(cell)
    assert "f" in files and "f/g/z" not in files and "d/e/y" in files
