"""Imports: what was exported comes back, wholly or not at all, and can be undone."""

import json
import re
import zipfile
from datetime import timedelta
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError
from django.utils import timezone

from cells import writing
from cells.blobs import BlobStore
from cells.errors import PathTaken, QuotaExceeded
from cells.models import Blob, Cell, Document
from cells.quota import bytes_kept, bytes_used
from cells.sweeping import blobs_sweep
from exports.errors import ArchiveEntryMissing, CellBusy, NoArchive, NothingToDismiss, NothingToUndo
from exports.models import Event, Import
from exports.services import import_lifecycle, imports
from exports.services.cell_jobs import import_failed
from exports.states import ImportState
from tests.engine.hostile import Part, manifest_part, parts, zip_of
from tests.factories import make_cell, put_documents, put_file, put_files
from tests.services.imported import command, contents, generations, holding, run

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def house(alice: User) -> Cell:
    cell = make_cell(alice, "house")
    put_files(cell, {"a.txt": b"alpha\n" * 999, "b/c.txt": b"gamma\n" * 5000, "b/d.bin": bytes(range(256)) * 4000})
    put_file(cell, "bin/run\n\\x", b"#!", executable=True)
    put_documents(cell, [("contact", str(n), {"name": f"N {n}", "n": 1.50}) for n in range(10)])
    return cell


@pytest.fixture
def archive(house: Cell, tmp_path: Path) -> Path:
    command("cell_export", "house", "-o", tmp_path / "house.zip")
    return tmp_path / "house.zip"


@pytest.fixture
def other(alice: User) -> Cell:
    cell = make_cell(alice, "other")
    put_files(cell, {"a.txt": b"mine", "b/c.txt": b"gamma\n" * 5000, "kept": b"kept"})
    put_file(cell, "kept", b"kept anew")
    put_documents(
        cell, [("contact", "1", {"mine": True}), ("contact", "mine", {}), ("contact", "2", {"name": "N 2", "n": 1.5})]
    )
    return cell


def damaged(archive: Path) -> Path:
    """One bit of `b/c.txt`'s content is another."""
    content = bytearray(archive.read_bytes())
    with zipfile.ZipFile(archive) as opened:
        info = opened.getinfo("b/c.txt")
    content[info.header_offset + 30 + len("b/c.txt") + 9 + info.compress_size // 2] ^= 4
    bad = archive.with_name("bad.zip")
    bad.write_bytes(content)
    return bad


@pytest.mark.parametrize("ending", ["zip", "tar", "tar.gz", "tar.bz2"])
def test_a_round_trip_gives_the_identical_archive(ending: str, house: Cell, alice: User, tmp_path: Path) -> None:
    before, after = tmp_path / f"before.{ending}", tmp_path / f"after.{ending}"
    command("cell_export", "house", "-o", before)
    put_file(make_cell(alice, "new"), "old", b"old")
    assert command("cell_import", "new", before) == "4 files and folders, 10 documents\n"
    command("cell_export", "new", "-o", after)
    assert after.read_bytes() == before.read_bytes()


def test_a_cells_own_documents_folder_comes_back_as_files(alice: User, tmp_path: Path) -> None:
    cell = make_cell(alice, "house")
    put_files(cell, {"documents/contact.jsonl": b"no JSON at all", "manifest.json": b"{}"})
    before = contents(cell)
    command("cell_export", "house", "-o", tmp_path / "x.zip")
    assert run(cell, tmp_path / "x.zip").state == ImportState.DONE
    assert contents(cell) == before


def test_replace_shows_the_archive_alone_and_undo_brings_back_what_was(house: Cell, other: Cell, archive: Path) -> None:
    before = holding(other)
    row = run(other, archive)
    assert (row.state, row.error, row.done) == (ImportState.DONE, None, row.total)
    assert contents(other) == contents(house)
    put_file(other, "since", b"then")
    undone = imports.import_undo(cell=other)
    assert undone.state == ImportState.UNDONE
    assert holding(other) == before
    with pytest.raises(NothingToUndo):
        imports.import_undo(cell=other)
    imports.imports_sweep()
    assert generations(other) == [other.generation]
    assert [event.type for event in Event.objects.filter(type__startswith="IMPORT").order_by("pk")] == [
        "IMPORT_START", "IMPORT_FINISH", "IMPORT_UNDONE",
    ]  # fmt: skip


def test_what_was_is_kept_for_undo_and_then_dropped(other: Cell, archive: Path, settings) -> None:
    run(other, archive)
    shown, soon = holding(other), timezone.now() + timedelta(days=settings.IMPORT_UNDO_DAYS, seconds=-60)
    imports.imports_sweep(now=soon)
    blobs_sweep(now=soon)
    blobs_sweep(now=soon + timedelta(hours=2))
    assert len(generations(other)) == 2
    assert all((BlobStore().root / each.store_file).exists() for each in Blob.objects.all())
    assert Blob.objects.filter(size=len(b"mine")).exists()
    imports.imports_sweep(now=soon + timedelta(minutes=2))
    assert generations(other) == [other.generation]
    assert holding(other) == shown
    with pytest.raises(NothingToUndo):
        imports.import_undo(cell=other)


def test_merge_lets_the_archive_win_and_keeps_what_was_as_a_version(house: Cell, other: Cell, archive: Path) -> None:
    mine, theirs = contents(other), contents(house)
    assert run(other, archive, "merge").state == ImportState.DONE
    assert contents(other) == ({**mine[0], **theirs[0]}, {**mine[1], **theirs[1]})
    after = holding(other)
    assert {(path, number) for path, number, _ in after["versions"]} == {("a.txt", 1), ("kept", 1)}
    revs = {doc_id: rev for _, doc_id, rev, *_ in after["documents"]}
    assert (revs["1"][:2], revs["2"][:2], revs["mine"][:2]) == ("2-", "1-", "1-")
    assert len({path for path, *_ in after["files"]}) == len(after["files"])


def test_skip_lets_the_cell_win(house: Cell, other: Cell, archive: Path) -> None:
    mine, theirs, before = contents(other), contents(house), holding(other)
    assert run(other, archive, "skip").state == ImportState.DONE
    assert contents(other) == ({**theirs[0], **mine[0]}, {**theirs[1], **mine[1]})
    after = holding(other)
    assert all(set(before[kind]) <= set(after[kind]) for kind in before)
    imports.import_undo(cell=other)
    assert holding(other) == before


def test_keep_both_numbers_what_differs(house: Cell, other: Cell, archive: Path) -> None:
    put_file(other, "a (2).txt", b"taken")
    mine, theirs = contents(other), contents(house)
    assert run(other, archive, "keep_both").state == ImportState.DONE
    files, documents = contents(other)
    assert files == {**theirs[0], **mine[0], "a (3).txt": theirs[0]["a.txt"]}
    assert documents == {**theirs[1], **mine[1], "contact/1 (2)": theirs[1]["contact/1"]}


def test_a_file_in_the_way_of_a_folder_can_only_be_skipped(house: Cell, alice: User, archive: Path) -> None:
    cell = make_cell(alice, "odd")
    put_file(cell, "b", b"a file, where the archive has a folder")
    before = holding(cell)
    for mode in ("merge", "keep_both"):
        row = run(cell, archive, mode)
        assert (row.state, row.error["code"]) == (ImportState.FAILED, PathTaken.code)
        assert (holding(cell), generations(cell)) == (before, [1])
    assert run(cell, archive, "skip").state == ImportState.DONE
    assert sorted(contents(cell)[0]) == ["a.txt", "b", "bin/run\n\\x"]


def test_a_failed_import_leaves_the_cell_as_it_was_until_it_is_dismissed(other: Cell, archive: Path) -> None:
    before = holding(other)
    row = run(other, damaged(archive))
    assert row.state == ImportState.FAILED
    assert row.error["code"] == "archive_refused" and "b/c.txt" in row.error["message"]
    assert (holding(other), generations(other)) == (before, [1])
    assert import_failed(cell=other) == row
    imports.import_dismiss(cell=other)
    assert import_failed(cell=other) is None
    with pytest.raises(NothingToDismiss):
        imports.import_dismiss(cell=other)
    assert run(other, archive).state == ImportState.DONE
    assert import_failed(cell=other) is None


@pytest.mark.parametrize("change", ["digest", "path of a folder", "document"])
def test_what_only_the_contents_show_fails_the_import_and_nothing_else(
    change: str, other: Cell, tmp_path: Path
) -> None:
    made = parts()
    if change == "digest":
        made[-1].data = re.sub(b'"sha256": "[0-9a-f]{4}', b'"sha256": "0000', made[-1].data, count=1)
    elif change == "document":
        name, lines = "documents/contact.jsonl", b'{"doctype": "c", "id": "1", "rev": "1-a", "body": {"n": 1e999999}}\n'
        made = [Part(name.encode(), lines), manifest_part([(name, lines)], [name])]
    else:
        made = [Part(b"a", b"x"), Part(b"a/b", b"x"), manifest_part([("a", b"x"), ("a/b", b"x")])]
    (tmp_path / "bad.zip").write_bytes(zip_of(made))
    before = holding(other)
    row = run(other, tmp_path / "bad.zip")
    assert (row.state, row.error["code"]) == (ImportState.FAILED, "archive_refused")
    assert (holding(other), generations(other)) == (before, [1])


def test_what_can_be_seen_at_once_is_refused_at_once(other: Cell, tmp_path: Path) -> None:
    for content, error in ((b"no archive", NoArchive), (zip_of(parts()[:-1]), ArchiveEntryMissing)):
        (tmp_path / "bad.zip").write_bytes(content)
        with pytest.raises(error):
            run(other, tmp_path / "bad.zip")
    assert not Import.objects.exists()


def test_a_quota_that_is_too_small_is_seen_before_anything_is_stored(other: Cell, archive: Path) -> None:
    Cell.objects.filter(pk=other.pk).update(quota=100_000)
    before, blobs = holding(other), Blob.objects.count()
    row = run(other, archive)
    assert (row.state, row.error["code"]) == (ImportState.FAILED, QuotaExceeded.code)
    assert (holding(other), generations(other), Blob.objects.count()) == (before, [1], blobs)
    assert run(other, archive, "merge").error["code"] == QuotaExceeded.code
    assert (holding(other), generations(other), Blob.objects.count()) == (before, [1], blobs)


@pytest.mark.parametrize("layout", ["files", "cell", "move"])
@pytest.mark.parametrize("quota", [1000, 999])
def test_a_full_cell_takes_its_own_archive_back(layout: str, quota: int, alice: User, tmp_path: Path) -> None:
    """An archive is larger than what is in it; a cell may also hold more than its quota, if that was lowered."""
    cell = make_cell(alice, "full")
    put_files(cell, {"a.bin": bytes(range(200)) * 5})
    before = contents(cell)
    command("cell_export", "full", *([] if layout == "files" else ["--layout", layout]), "-o", tmp_path / "full.zip")
    Cell.objects.filter(pk=cell.pk).update(quota=quota)
    cell.refresh_from_db()
    row = run(cell, tmp_path / "full.zip")
    assert (row.state, row.error, contents(cell)[0]) == (ImportState.DONE, None, before[0])


def test_only_one_import_of_a_cell_at_a_time(other: Cell, archive: Path) -> None:
    order = {"cell": other, "owner": other.owner, "archive": f"file:{archive}", "mode": "replace", "name": "x"}
    first = imports.import_start(**order, nudge=False)
    with pytest.raises(CellBusy, match="cell import"):
        imports.import_start(**order, nudge=False)
    assert Import.objects.get() == first


def test_a_second_worker_finds_nothing_to_do_and_who_lost_the_lease_publishes_nothing(
    other: Cell, archive: Path, monkeypatch
) -> None:
    before = holding(other)
    row = imports.import_start(
        cell=other, owner=other.owner, archive=f"file:{archive}", mode="replace", name="x", nudge=False
    )
    real = imports._fill

    def taken_away(mine, restore, heart):
        assert imports.run_import(import_id=mine.pk) is None
        report = real(mine, restore, heart)
        import_lifecycle.imports_requeue(now=timezone.now() + timedelta(hours=1))
        assert import_lifecycle.claim(import_id=mine.pk)
        return report

    monkeypatch.setattr(imports, "_fill", taken_away)
    imports.run_import(import_id=row.pk)
    assert holding(other) == before
    monkeypatch.setattr(imports, "_fill", real)
    import_lifecycle.imports_requeue(now=timezone.now() + timedelta(hours=1))
    assert imports.run_import(import_id=row.pk).state == ImportState.DONE
    imports.imports_sweep()
    other.refresh_from_db()
    assert generations(other) == [1, other.generation]


def test_an_import_that_took_three_workers_down_fails(other: Cell, archive: Path) -> None:
    before = holding(other)
    row = imports.import_start(
        cell=other, owner=other.owner, archive=f"file:{archive}", mode="replace", name="x", nudge=False
    )
    for _ in range(3):
        assert import_lifecycle.claim(import_id=row.pk)
        import_lifecycle.imports_requeue(now=timezone.now() + timedelta(hours=1))
    row.refresh_from_db()
    assert (row.state, row.error["code"]) == (ImportState.FAILED, "import_lost")
    assert holding(other) == before


def test_an_archive_in_the_blob_store_is_kept_while_it_is_imported(other: Cell, archive: Path) -> None:
    with archive.open("rb") as opened:
        blob = BlobStore().put(opened)
    row = imports.import_start(
        cell=other, owner=other.owner, archive=f"blob:{blob.sha256}", mode="replace", name="x", nudge=False
    )
    later = timezone.now() + timedelta(days=3)
    blobs_sweep(now=later)
    blobs_sweep(now=later + timedelta(hours=2))
    assert imports.run_import(import_id=row.pk).state == ImportState.DONE
    assert "b/d.bin" in contents(other)[0]


def test_check_tells_what_would_change_and_changes_nothing(house: Cell, other: Cell, archive: Path) -> None:
    before, blobs = holding(other), Blob.objects.count()
    report = json.loads(command("cell_import", "other", archive, "--check"))
    assert report["added"]["paths"] == ["b/d.bin", "bin/run\n\\x"]
    assert report["changed"] == {"count": 2, "files": 1, "documents": 1, "paths": ["a.txt"], "ids": ["contact/1"]}
    assert (report["removed"]["paths"], report["removed"]["ids"]) == (["kept"], ["contact/mine"])
    assert (report["added"]["documents"], report["refused"]) == (8, {"count": 0, "paths": []})
    with pytest.raises(CommandError, match="1 entries would be refused"):
        command("cell_import", "other", damaged(archive), "--check")
    assert (holding(other), generations(other), Blob.objects.count()) == (before, [1], blobs)
    assert not Import.objects.exists()


def test_the_command_tells_usage_from_failure(other: Cell, archive: Path, tmp_path: Path) -> None:
    before = holding(other)
    for arguments, code in (
        (["nobody", archive], 2), (["other", tmp_path / "none"], 2), (["other", damaged(archive)], 1),
    ):  # fmt: skip
        with pytest.raises(CommandError) as refused:
            command("cell_import", *arguments)
        assert refused.value.returncode == code
    assert holding(other) == before


def test_reserved_doctypes_come_from_archives_alone(other: Cell) -> None:
    """REST refuses them; an archive of ours that holds them restores them."""
    report = writing.documents_put(cell=other, lines=[b'{"doctype": "_cell.role", "id": "1", "body": {}}'])
    assert report.refused_count == 1 and not Document.objects.filter(doctype="_cell.role").exists()


def test_archives_made_for_other_programs_are_refused(other: Cell, tmp_path: Path) -> None:
    """Documents as CSV, or a list of deletions: bringing them back would lose what they do not say."""
    before = holding(other)
    for name in ("contact.csv", "deleted.jsonl", "documents/contact.json"):
        (tmp_path / "x.zip").write_bytes(zip_of([Part(name.encode(), b"x"), manifest_part([(name, b"x")], [name])]))
        row = run(other, tmp_path / "x.zip")
        assert (row.state, row.error["code"]) == (ImportState.FAILED, "archive_for_others")
        assert name in row.error["message"] and '("documents": "lines")' in row.error["message"]
    assert (holding(other), generations(other)) == (before, [1])


@pytest.mark.parametrize("bound", [{"IMPORT_UNDO_COUNT": 2}, {"IMPORT_UNDO_SIZE": 2400}])
def test_what_is_kept_for_undo_is_told_and_bounded_the_oldest_goes_first(
    bound: dict[str, int], alice: User, other: Cell, tmp_path: Path, settings
) -> None:
    for name, value in bound.items():
        setattr(settings, name, value)
    kept = []
    for size in (1000, 1100, 1200, 1300):
        put_file(make_cell(alice, f"of-{size}"), "file", b"x" * size)
        command("cell_export", f"of-{size}", "-o", tmp_path / f"{size}.zip")
        assert run(other, tmp_path / f"{size}.zip").state == ImportState.DONE
        kept.append(bytes_kept(other))
    assert kept[2:] == [1000 + 1100, 1100 + 1200] and len(generations(other)) == 3
    imports.import_undo(cell=other)
    imports.import_undo(cell=other)
    assert bytes_used(other) == 1100
    shown = holding(other)
    with pytest.raises(NothingToUndo):
        imports.import_undo(cell=other)
    assert holding(other) == shown


def test_a_lower_bound_holds_for_what_was_kept_before(other: Cell, archive: Path, settings) -> None:
    run(other, archive)
    run(other, archive)
    assert len(generations(other)) == 3
    settings.IMPORT_UNDO_COUNT, shown = 0, holding(other)
    assert imports.imports_sweep() == 2
    assert (bytes_kept(other), generations(other), holding(other)) == (0, [other.generation], shown)
    with pytest.raises(NothingToUndo):
        imports.import_undo(cell=other)
