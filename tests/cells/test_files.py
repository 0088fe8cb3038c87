"""Files, folders, versions, quota and generations as services."""

import hashlib
import random
import string
import threading
from datetime import timedelta
from io import BytesIO

import pytest
from django.contrib.auth.models import User
from django.db import connections

from cells import reading, writing
from cells.blobs import BlobStore
from cells.errors import (
    AccessDenied,
    BodyIncomplete,
    CellNotFound,
    DigestMismatch,
    FileNotFound,
    NameRefused,
    NameTaken,
    PathTaken,
    PreconditionFailed,
    QuotaExceeded,
)
from cells.models import AccessToken, Blob, Cell, Document, File, FileVersion, Usage
from cells.quota import bytes_used
from tests.factories import MTIME, make_cell, put_documents, put_file, put_files

pytestmark = pytest.mark.django_db


@pytest.fixture
def cell(alice: User) -> Cell:
    return make_cell(alice)


def tree(cell: Cell) -> list[str]:
    """Paths in order, folders with a slash."""
    files = reading.files_list(cell=cell, limit=1000, recursive=True)
    assert all(file.folder == file.path.rpartition("/")[0] for file in files)
    return [file.path + "/" * file.is_folder for file in files]


def content_of(cell: Cell, path: str) -> bytes:
    return b"".join(BlobStore().open(reading.file_get(cell=cell, path=path).blob))


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_a_file_is_stored_with_the_folders_above_it(cell: Cell) -> None:
    file = put_file(cell, "/a/é/c.txt", b"hello", executable=True)
    assert tree(cell) == ["a/", "a/é/", "a/é/c.txt"]
    assert (file.size, file.blob_id, file.mtime, file.executable) == (5, sha256(b"hello"), MTIME, True)
    assert (file.version, file.content_type) == (1, "text/plain")
    assert content_of(cell, "a/é/c.txt") == b"hello"


def test_an_overwritten_content_is_kept_as_a_version(cell: Cell) -> None:
    put_file(cell, "f", b"one", content_type="text/x-one")
    put_file(cell, "f", b"two")
    file = put_file(cell, "f", b"two", mtime=MTIME + timedelta(1))  # the same content is no new version
    assert (file.version, content_of(cell, "f"), file.mtime) == (2, b"two", MTIME + timedelta(1))
    version = FileVersion.objects.get()
    assert (version.version, version.blob_id, version.content_type) == (1, sha256(b"one"), "text/x-one")
    assert bytes_used(cell) == 6


def test_what_is_in_the_way_stays(cell: Cell) -> None:
    put_files(cell, {"file": b"1", "folder/x": b"2"})
    for path in ("file/x", "file/x/y", "folder"):
        with pytest.raises(PathTaken):
            put_file(cell, path)
    with pytest.raises(PathTaken):
        writing.folder_create(cell=cell, path="file")
    with pytest.raises(PathTaken):
        writing.folder_create(cell=cell, path="file/x/")
    assert tree(cell) == ["file", "folder/", "folder/x"]
    assert File.objects.get(path="file").version == 1


def test_nothing_is_read_when_it_can_be_refused_before(alice: User, cell: Cell) -> None:
    class Unreadable(BytesIO):
        def read(self, *_: object) -> bytes:
            raise AssertionError("the body was read")

    put_files(cell, {"file": b"1"})
    small = make_cell(alice, "small", quota=10)
    bad = [
        ({"cell": cell, "path": "file/x"}, PathTaken),
        ({"cell": cell, "path": "a//b"}, NameRefused),
        ({"cell": cell, "path": "file", "if_none_match": {"*"}}, PreconditionFailed),
        ({"cell": cell, "path": "other", "if_match": {"*"}}, PreconditionFailed),
        ({"cell": small, "path": "file", "length": 11}, QuotaExceeded),
    ]
    for options, error in bad:
        with pytest.raises(error):
            writing.file_put(stream=Unreadable(), **options)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"length": 6}, BodyIncomplete),
        ({"digests": {"sha256": b"\0" * 32}}, DigestMismatch),
        ({"digests": {"sha256": hashlib.sha256(b"hello").digest(), "sha512": b""}}, DigestMismatch),
        ({"if_match": {sha256(b"other")}}, PreconditionFailed),
        ({"if_none_match": {sha256(b"old")}}, PreconditionFailed),
    ],
)
def test_a_refused_content_leaves_the_old_one(cell: Cell, options: dict, error: type[Exception]) -> None:
    put_file(cell, "f", b"old")
    with pytest.raises(error):
        put_file(cell, "f", b"hello", **options)
    assert content_of(cell, "f") == b"old" and not FileVersion.objects.exists()


def test_right_digests_and_conditions_are_accepted(cell: Cell) -> None:
    both = {"sha256": hashlib.sha256(b"hello").digest(), "sha512": hashlib.sha512(b"hello").digest()}
    put_file(cell, "f", b"hello", digests=both, if_none_match={"*"})
    put_file(cell, "f", b"again", if_match={sha256(b"hello"), "other"}, if_none_match={"other"})
    assert content_of(cell, "f") == b"again"


def test_of_a_longer_stream_only_the_announced_bytes_are_taken(cell: Cell) -> None:
    stream = BytesIO(b"hello and more")
    writing.file_put(cell=cell, path="f", stream=stream, length=5)
    assert content_of(cell, "f") == b"hello" and stream.read() == b" and more"


def test_the_quota_counts_files_and_old_versions(alice: User) -> None:
    cell = make_cell(alice, quota=10)
    put_file(cell, "f", b"12345")
    put_file(cell, "f", b"6789")
    assert bytes_used(cell) == 9
    for length in (2, None):  # unknown lengths are refused late, with nothing stored either
        with pytest.raises(QuotaExceeded) as refusal:
            put_file(cell, "g/h", b"ab", length=length)
        assert refusal.value.params == {"quota": 10, "used": 9, "needed": 2}
    assert tree(cell) == ["f"] and bytes_used(cell) == 9
    put_file(cell, "g", b"a")
    writing.file_delete(cell=cell, path="f")
    assert bytes_used(cell) == 1


def test_a_move_takes_everything_along(cell: Cell) -> None:
    put_files(cell, {"a/b/1": b"1", "a/b/c/2": b"2", "a/b0": b"3", "a/b-": b"4", "ab/b/1": b"5"})
    put_file(cell, "a/b/1", b"new")
    writing.file_move(cell=cell, source="a/b", target="x/y/z")
    assert tree(cell) == [
        "a/", "a/b-", "a/b0", "ab/", "ab/b/", "ab/b/1", "x/", "x/y/", "x/y/z/", "x/y/z/1", "x/y/z/c/", "x/y/z/c/2",
    ]  # fmt: skip
    assert content_of(cell, "x/y/z/1") == b"new"
    assert FileVersion.objects.get().file.path == "x/y/z/1"
    writing.file_move(cell=cell, source="x/y/z/1", target="top")
    assert content_of(cell, "top") == b"new"
    writing.file_move(cell=cell, source="x/y", target="x/yy")
    assert [path for path in tree(cell) if path[0] == "x"] == ["x/", "x/yy/", "x/yy/z/", "x/yy/z/c/", "x/yy/z/c/2"]


@pytest.mark.parametrize(
    ("source", "target", "error"),
    [
        ("a", "a/b/x", PathTaken),
        ("a", "f", PathTaken),
        ("f", "a", PathTaken),
        ("f", "g/x", PathTaken),
        ("nothing", "x", FileNotFound),
        ("f", "../x", NameRefused),
        ("a", "/".join(["l" * 250] * 16) + "/" + "m" * 79, NameRefused),
    ],
)
def test_a_refused_move_changes_nothing(cell: Cell, source: str, target: str, error: type[Exception]) -> None:
    put_files(cell, {"a/b/1": b"1", "f": b"2", "g": b"3"})
    before = tree(cell)
    with pytest.raises(error):
        writing.file_move(cell=cell, source=source, target=target)
    assert tree(cell) == before


def test_a_move_onto_itself_is_nothing(cell: Cell) -> None:
    put_files(cell, {"a/1": b"1"})
    writing.file_move(cell=cell, source="a", target="/a/")
    assert tree(cell) == ["a/", "a/1"]


def test_delete_removes_a_folder_with_all_and_only_that(cell: Cell) -> None:
    put_files(cell, {"a/1": b"1", "a/b/2": b"2", "a0": b"3", "a-": b"4"})
    put_file(cell, "a/1", b"new")
    assert writing.file_delete(cell=cell, path="a") == 4
    assert tree(cell) == ["a-", "a0"] and not FileVersion.objects.exists()
    with pytest.raises(FileNotFound):
        writing.file_delete(cell=cell, path="a")
    with pytest.raises(PreconditionFailed):
        writing.file_delete(cell=cell, path="a0", if_match={"x"})
    writing.file_delete(cell=cell, path="a0", if_match={sha256(b"3")})
    assert tree(cell) == ["a-"] and bytes_used(cell) == 1


def test_folders_can_be_empty(cell: Cell) -> None:
    assert writing.folder_create(cell=cell, path="a/b/") is True
    assert writing.folder_create(cell=cell, path="a/b") is False
    assert tree(cell) == ["a/", "a/b/"]


def test_pages_follow_each_other_without_gap_or_repetition(cell: Cell) -> None:
    names = ["B", "a-x", "a/1", "a/2", "a0", "é", "Z/1", "\U0001f600", "\uffee"]
    put_files(cell, dict.fromkeys(names, b""))
    expected = sorted([*names, "a", "Z"], key=str.encode)

    def pages(size: int, **options: object) -> list[str]:
        found: list[str] = []
        while page := reading.files_list(cell=cell, after=found[-1] if found else None, limit=size, **options):
            found += [file.path for file in page]
        return found

    assert all(pages(size, recursive=True) == expected for size in (1, 2, 3, 100))
    assert pages(2) == [path for path in expected if "/" not in path]
    assert pages(1, folder="a") == pages(1, folder="a", recursive=True) == ["a/1", "a/2"]
    with pytest.raises(FileNotFound):
        pages(1, folder="a/1")
    with pytest.raises(FileNotFound):
        pages(1, folder="b")


def test_paths_longer_than_any_index_entry_can_be_used(cell: Cell) -> None:
    """A B-tree entry has 2,704 bytes at most, a path may have 4,096."""
    letters = random.Random(1)
    folder = "/".join("".join(letters.choices(string.printable[:62], k=200)) for _ in range(20))
    put_files(cell, {f"{folder}/b": b"1", f"{folder}/a": b"2", "x": b"3"})
    put_file(cell, f"{folder}/b", b"new")
    assert content_of(cell, f"{folder}/b") == b"new"
    assert [file.path[-1] for file in reading.files_list(cell=cell, folder=folder, limit=9)] == ["a", "b"]
    assert [file.path[-1] for file in reading.files_list(cell=cell, folder=folder, limit=9, after=f"{folder}/a")] == [
        "b"
    ]
    writing.file_move(cell=cell, source=folder.partition("/")[0], target="short")
    assert tree(cell)[-1] == "x" and sum(path.endswith("/b") for path in tree(cell)) == 1
    assert writing.file_delete(cell=cell, path="short") == 22


def test_a_path_is_found_through_the_index(cell: Cell, django_assert_num_queries) -> None:
    put_files(cell, {f"a/{n}": b"" for n in range(20)})
    below = reading.files_below(cell, "a")
    for files in (reading.files_of(cell).filter(path="a/7"), reading.files_of(cell).filter(path__in=["a/7"]), below):
        with connections["default"].cursor() as cursor:
            cursor.execute("SET LOCAL enable_seqscan = off")
        plan = files.explain()
        assert "LEFT" in plan.upper().partition("INDEX COND")[2].partition("FILTER")[0], plan


def test_a_cells_name_is_given_once(alice: User, bob: User, cell: Cell) -> None:
    with pytest.raises(NameTaken):
        make_cell(bob, cell.name)
    with pytest.raises(NameRefused):
        make_cell(bob, "api")
    assert Cell.objects.get().owner == alice


def test_a_deleted_cell_leaves_no_rows_and_others_whole(alice: User, cell: Cell) -> None:
    other = make_cell(alice, "other")
    for one in (cell, other):
        put_files(one, {"a/1": b"1"})
        put_file(one, "a/1", b"2")
        put_documents(one, [("book", "1", {})])
        AccessToken.objects.create(digest=one.name, user=alice, cell=one)
    writing.cell_delete(cell=cell)
    assert list(Cell.objects.all()) == [other]
    for model, left in ((File, 2), (FileVersion, 1), (Document, 1), (AccessToken, 1), (Usage, 1)):
        assert model.objects.count() == left
    assert bytes_used(other) == 4
    with pytest.raises(CellNotFound):
        put_file(cell, "late")


def test_alice_owns_root_may_and_charlie_must_not(alice: User, bob: User, charlie: User, cell: Cell) -> None:
    User.objects.filter(pk=bob.pk).update(is_superuser=True)
    bob.refresh_from_db()
    assert reading.cell_get(name=cell.name, user=alice) == reading.cell_get(name=cell.name, user=bob) == cell
    for name in (cell.name, "unknown", "a\0b"):
        with pytest.raises(CellNotFound):
            reading.cell_get(name=name, user=charlie)
    assert list(reading.cells_of(alice)) == [cell] and not reading.cells_of(bob)


def test_a_token_for_a_cell_opens_that_cell_only(alice: User, charlie: User, cell: Cell) -> None:
    other = make_cell(alice, "other")
    root = AccessToken(user=charlie, cell=cell, scopes=["root"])
    assert reading.cell_get(name=cell.name, user=charlie, token=root) == cell
    narrow = AccessToken(user=alice, cell=cell, scopes=["io.cozy.exports"])
    with pytest.raises(CellNotFound):
        reading.cell_get(name=other.name, user=alice, token=AccessToken(user=alice, cell=cell, scopes=["root"]))
    with pytest.raises(AccessDenied):
        reading.cell_get(name=cell.name, user=alice, token=narrow)
    with pytest.raises(AccessDenied):
        reading.cell_get(name=cell.name, user=alice, token=AccessToken(user=alice, scopes=["io.cozy.exports"]))
    assert list(reading.cells_of(alice, narrow)) == [cell]


def test_a_generation_is_filled_beside_the_visible_one_and_switched_to(alice: User) -> None:
    cell = make_cell(alice, quota=10)
    put_file(cell, "old", b"12345678")
    first, second = writing.new_generation(cell), writing.new_generation(cell)
    assert (first, second) == (2, 3)
    blob = Blob.objects.get()
    File.objects.create(cell=cell, generation=second, path="new", blob=blob, size=9, mtime=MTIME)
    assert tree(cell) == ["old"] and bytes_used(cell) == 8 and bytes_used(cell, second) == 9
    assert writing.switch_generation(cell, second) == 1
    assert tree(cell) == ["new"] and Cell.objects.get().generation == 3
    with pytest.raises(ValueError, match="in use"):
        writing.drop_generation(cell, second)
    with pytest.raises(CellNotFound):
        writing.switch_generation(cell, 7)
    writing.drop_generation(cell, 1)
    assert [file.path for file in File.objects.all()] == ["new"]


def test_a_generation_beyond_the_quota_is_not_switched_to(alice: User) -> None:
    cell = make_cell(alice, quota=10)
    put_file(cell, "old", b"1")
    generation = writing.new_generation(cell)
    File.objects.create(cell=cell, generation=generation, path="new", blob=Blob.objects.get(), size=11, mtime=MTIME)
    with pytest.raises(QuotaExceeded):
        writing.switch_generation(cell, generation)
    assert tree(Cell.objects.get()) == ["old"]


@pytest.mark.django_db(transaction=True)
def test_writers_at_the_same_time_keep_quota_versions_and_folders(alice: User) -> None:
    cell = make_cell(alice, quota=100)
    refused: list[str] = []

    def write(writer: int) -> None:
        for n in range(5):
            try:
                put_file(cell, "shared", f"{writer}{n}345".encode(), length=None)
                put_file(cell, f"a/b/{n}/{writer}", b"12345", length=None)
            except QuotaExceeded as error:
                refused.append(str(error))
        connections.close_all()

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    files = File.objects.filter(is_folder=False)
    versions = list(FileVersion.objects.order_by("version").values_list("version", flat=True))
    assert bytes_used(cell) == 5 * (files.count() + len(versions)) == 100 and refused
    assert versions == list(range(1, File.objects.get(path="shared").version))
