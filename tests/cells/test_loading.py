"""Items come into a cell all together, or with an exception none."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.contrib.auth.models import User

from cells.blobs import blob_verify
from cells.errors import CellNotFound, QuotaExceeded
from cells.generations import drop_generation, new_generation
from cells.loading import LoadItem, files_load
from cells.models import Cell, File, FileVersion
from tests.cells.loads import contents, item, load_items

pytestmark = pytest.mark.django_db


@pytest.fixture
def cell(alice: User) -> Cell:
    return Cell.objects.create(name="alices", owner=alice)


def test_folders_above_an_item_are_made(cell: Cell):
    report, _ = load_items(cell, item("a/b/c/f"), item("a/x", None))
    assert contents(cell) == {"a": None, "a/b": None, "a/b/c": None, "a/b/c/f": b"x", "a/x": None}
    assert (report.created, report.bytes) == (2, 1)


def test_of_two_items_with_one_path_the_later_counts(cell: Cell):
    load_items(cell, item("f", b"first"), *(item(f"g{n}", b"%d" % n) for n in range(200)), item("/f/", b"last"))
    assert contents(cell)["f"] == b"last"
    assert File.objects.get(path="f").version == 1


def test_a_folder_loaded_over_a_file_is_refused_with_all_below(cell: Cell):
    load_items(cell, item("a/taken", b"file"), item("b/folder/inside", b"kept"))
    before = list(File.objects.order_by("pk").values())
    _, refused = load_items(
        cell,
        item("a/taken", None),
        item("a/taken/x/y", b"1"),
        item("a/taken/x", None),
        item("b/folder", b"2"),
        item("c"),
    )
    assert list(File.objects.exclude(path="c").order_by("pk").values()) == before
    assert contents(cell)["c"] == b"x"
    assert dict(refused) == {
        "a/taken": "the cell has a file there",
        "a/taken/x": "a file is where a folder above it should be",
        "a/taken/x/y": "a file is where a folder above it should be",
        "b/folder": "the cell has a folder there",
    }


def test_an_item_below_a_file_of_the_same_load_is_refused(cell: Cell):
    _, refused = load_items(cell, item("f/deep/er", b"1"), item("f", b"file"))
    assert contents(cell) == {"f": b"file"}
    assert [path for path, _ in refused] == ["f/deep/er"]


@pytest.mark.parametrize("path", ["", "a//b", "../up", "a/./b", "nul\0", "x" * 256, "/".join(["é" * 120] * 18)])
def test_a_path_that_cannot_be_is_refused_and_the_others_come(cell: Cell, path: str):
    _, refused = load_items(cell, item("before"), item(path), item("after"))
    assert contents(cell) == {"before": b"x", "after": b"x"}
    assert [name for name, _ in refused] == [path]


def test_long_paths_that_share_their_first_300_characters_are_told_apart(cell: Cell):
    start = "/".join(["d" * 100] * 4)
    for content in (b"1", b"2"):
        load_items(cell, *(item(f"{start}/f{n}", content + b"%d" % n) for n in range(5)))
    assert contents(cell)[f"{start}/f3"] == b"23"
    assert FileVersion.objects.count() == 5


def test_another_generation_can_be_filled_unseen(cell: Cell):
    load_items(cell, item("f", b"visible"))
    unseen = new_generation(cell)
    load_items(cell, item("f", b"next"), item("g", b"next"), generation=unseen)
    assert contents(cell) == {"f": b"visible"}
    assert File.objects.filter(cell=cell, generation=unseen).count() == 2


def test_a_generation_that_was_dropped_takes_nothing_any_more(cell: Cell):
    """Its filler may be a worker that lost its lease and does not know it yet."""
    dropped = new_generation(cell)
    drop_generation(cell, dropped)
    with pytest.raises(CellNotFound):
        load_items(cell, item("f", b"late"), generation=dropped)
    assert not File.objects.filter(cell=cell).exists()


def test_a_source_of_items_that_breaks_leaves_the_cell_as_it_was(cell: Cell, store: Path):
    def items() -> Iterator[LoadItem]:
        yield from (item(f"f{n}", os.urandom(100)) for n in range(6000))
        yield item("large", os.urandom(1 << 20))
        raise RuntimeError("the archive ends here")

    load_items(cell, item("f1", b"old"))
    with pytest.raises(RuntimeError):
        files_load(cell=cell, items=items(), refuse=lambda *why: None)
    assert contents(cell) == {"f1": b"old"}
    assert not list(store.rglob("*.part"))
    load_items(cell, item("f1", b"new"))
    assert contents(cell) == {"f1": b"new"}


def test_many_files_in_many_chunks_come_whole(cell: Cell):
    report, _ = load_items(cell, *(item(f"d{n % 70}/f{n}", b"%d" % n * (1 + n % 300)) for n in range(11_000)))
    assert report.created == 11_000
    assert File.objects.filter(is_folder=True).count() == 70
    files = File.objects.filter(is_folder=False).select_related("blob")
    assert all(
        file.size
        == file.blob.size
        == len(b"%d" % int(file.path.split("f")[-1])) * (1 + int(file.path.split("f")[-1]) % 300)
        for file in files
    )
    for file in files[::97]:
        blob_verify(file.blob)


def test_the_quota_counts_old_versions_too(cell: Cell):
    Cell.objects.update(quota=10)
    cell.refresh_from_db()
    load_items(cell, item("f", b"12345"))
    load_items(cell, item("f", b"54321"))
    with pytest.raises(QuotaExceeded):
        load_items(cell, item("f", b"!"))
    assert contents(cell) == {"f": b"54321"}
    assert FileVersion.objects.count() == 1
