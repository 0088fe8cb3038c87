"""Runs, end to end in this process: freeze, plan, write, prove, publish."""

import os
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from cells.blobs import BlobStore
from cells.errors import BlobDamaged
from cells.models import Blob, Cell, Document, File
from exports.engine import volumes
from exports.errors import EntriesDamaged
from exports.models import Event, Export, Run, RunEntry, Volume
from exports.services import downloads, lifecycle, planning, retention, running, verification
from exports.services.exports import export_delete
from exports.states import RunState

pytestmark = pytest.mark.django_db(transaction=True)

CONTENTS = {
    "a.txt": b"alpha\n" * 1000,
    "b/Ünïcode.txt": "grüße".encode(),
    "b/empty": b"",
    "b/random.bin": os.urandom(300_000),
    "c/A.txt": b"upper",
    "c/a.txt": b"lower",
}


def fill(cell: Cell, contents: dict[str, bytes]) -> None:
    blobs = BlobStore()
    for path, data in contents.items():
        with blobs.writer() as writer:
            writer.write(data)
            blob = writer.finish()
        folder = path.rpartition("/")[0]
        if folder:
            File.objects.get_or_create(
                cell=cell,
                generation=1,
                path=folder,
                defaults={"folder": "", "is_folder": True, "mtime": timezone.now()},
            )
        mtime = datetime(2021, 3, 4, 5, 6, 7, 123456, tzinfo=UTC)
        File.objects.create(cell=cell, generation=1, path=path, folder=folder, blob=blob, size=len(data), mtime=mtime)
    for number in range(3):
        now = timezone.now()
        Document.objects.create(
            cell=cell, generation=1, doctype="io.notes", doc_id=f"n{number}", rev="1-x",
            body={"title": f"Notiz {number}", "nested": {"a": [1, 2.50, None]}}, created_at=now, updated_at=now,
        )  # fmt: skip


@pytest.fixture
def cell(alice: User) -> Cell:
    cell = Cell.objects.create(name="house", owner=alice)
    File.objects.create(
        cell=cell,
        generation=1,
        path="nothing inside",
        folder="",
        is_folder=True,
        mtime=datetime(2020, 1, 1, tzinfo=UTC),
    )
    fill(cell, CONTENTS)
    return cell


def start(owner: User, **order: object) -> Run:
    export = Export.objects.create(owner=owner, name="press", passkey_nonce=b"n" * 32)
    return lifecycle.run_create(export=export, owner=owner, order={"version": 1, **order}, nudge=False)


def run(owner: User, **order: object) -> Run:
    finished = running.run_export(run_id=start(owner, **order).pk)
    assert finished is not None
    return finished


def bytes_of(volume: Volume) -> bytes:
    opened = downloads.open_volume(volume=volume, name="x")
    return b"".join(opened.chunks(0, opened.length))


def test_a_run_ends_done_and_its_archives_hold_every_byte(cell: Cell, alice: User, tmp_path: Path) -> None:
    done = run(alice, definition={"json": True}, packers=["zip_10mb", "tar_gz", "tar_bz2"])
    assert (done.state, done.error) == (RunState.DONE, None)
    assert done.export.published_run == done
    assert {(v.packer, v.stored) for v in done.volumes.all()} == {
        ("zip", False), ("tar", False), ("zip_10mb", True), ("tar_gz", True), ("tar_bz2", True),
    }  # fmt: skip
    for volume in done.volumes.all():
        path = tmp_path / f"{volume.packer}"
        path.write_bytes(bytes_of(volume))
        assert path.stat().st_size == volume.length
        assert verification.file_verify(str(path)) == []
    with zipfile.ZipFile(tmp_path / "zip") as archive:
        names = archive.namelist()
        assert names[-2:] == ["documents/io.notes.json", "manifest.json"]
        assert "nothing inside/" in names and "b/" not in names
        for path, data in CONTENTS.items():
            name = {"c/a.txt": "c/a (2).txt"}.get(path, path)
            assert archive.read(name) == data
        assert b"Notiz 2" in archive.read("documents/io.notes.json")


def test_the_same_content_gives_the_same_archive_again(cell: Cell, alice: User) -> None:
    first, second = run(alice), run(alice)
    one, two = (bytes_of(each.volumes.get(packer="zip")) for each in (first, second))
    assert one == two
    assert first.volumes.get(packer="tar").etag == second.volumes.get(packer="tar").etag


def test_a_destroyed_blob_is_named_and_the_rest_arrives_whole(cell: Cell, alice: User, tmp_path: Path) -> None:
    for path in ("a.txt", "b/random.bin"):
        blob = Blob.objects.get(pk=File.objects.get(path=path).blob_id)
        stored = Path(BlobStore().path(blob.store_file))
        stored.chmod(0o600)
        data = bytearray(stored.read_bytes())
        data[10] ^= 1
        stored.write_bytes(data if path == "a.txt" else data[:1000])
    for packers in ([], ["zip"]):
        done = run(alice, packers=packers)
        assert done.state == RunState.DONE_WITH_WARNINGS
        missing = dict(running.manifest.missing_iter(run_id=done.pk))
        assert set(missing) == {"a.txt", "b/random.bin"}
        archive = tmp_path / "x.zip"
        archive.write_bytes(bytes_of(done.volumes.get(packer="zip")))
        assert verification.file_verify(str(archive)) == []
        with zipfile.ZipFile(archive) as opened:
            assert b'"path": "a.txt"' in opened.read("manifest.json")
            assert "a.txt" not in opened.namelist()


def test_stop_is_heard_and_nothing_is_left(cell: Cell, alice: User, store: Path) -> None:
    pending = start(alice)
    lifecycle.run_stop(run=pending)
    pending.refresh_from_db()
    assert pending.state == RunState.STOPPED
    assert running.run_export(run_id=pending.pk) is None

    processing = start(alice)

    def watch(*progress: object) -> None:
        lifecycle.run_stop(run=processing)

    stopped = running.run_export(run_id=processing.pk, watch=watch)
    assert stopped is not None and stopped.state == RunState.STOPPED
    assert list((store / "runs").iterdir()) == []
    assert Event.objects.filter(type="EXPORT_STOPPED").count() == 2


def test_a_lost_run_goes_to_another_worker_and_ends_with_the_same_archive(cell: Cell, alice: User) -> None:
    undisturbed = bytes_of(run(alice).volumes.get(packer="zip"))

    class Killed(BaseException):
        pass

    lost = start(alice, packers=["zip"])
    for phase in ("freeze", "write"):

        def die(now: str, done: int, planned: int, phase: str = phase) -> None:
            if now == phase:
                raise Killed

        with pytest.raises(Killed):
            running.run_export(run_id=lost.pk, watch=die)
        assert running.run_export(run_id=lost.pk) is None, "its lease is not over yet"
        Run.objects.filter(pk=lost.pk).update(heartbeat_at=datetime(2020, 1, 1, tzinfo=UTC))
        Volume.objects.filter(run=lost).update(claimed_at=None)
        assert lifecycle.requeue_lost() == 1
    finished = running.run_export(run_id=lost.pk)
    assert finished is not None and (finished.state, finished.fence) == (RunState.DONE, 3)
    assert bytes_of(finished.volumes.get(packer="zip")) == undisturbed


def test_who_lost_the_lease_cannot_publish(cell: Cell, alice: User) -> None:
    lost = start(alice)

    def usurp(*progress: object) -> None:
        Run.objects.filter(pk=lost.pk).update(fence=7)

    after = running.run_export(run_id=lost.pk, watch=usurp)
    assert after is not None and after.state == RunState.PROCESSING
    assert after.export.published_run is None


def test_a_run_expires_but_not_under_a_reader(cell: Cell, alice: User, store: Path) -> None:
    done = run(alice, packers=["zip"])
    later = done.expires_at + (done.expires_at - done.finished_at)
    Run.objects.filter(pk=done.pk).update(last_read_at=later)
    assert retention.expire(now=later) == 0
    Run.objects.filter(pk=done.pk).update(last_read_at=None)
    assert retention.expire(now=later) == 1
    done.refresh_from_db()
    assert done.state == RunState.EXPIRED
    assert [path for path in (*(store / "runs").rglob("*"), *(store / "volumes").rglob("*")) if path.is_file()] == []


def test_a_folder_or_file_can_be_had_alone(cell: Cell, alice: User, tmp_path: Path) -> None:
    done = run(alice)
    for path, names in (("b", ["b/empty", "b/random.bin", "b/Ünïcode.txt"]), ("b/random.bin", ["random.bin"])):
        opened = downloads.open_selection(run=done, path=path, format="zip", name="x.zip")
        data = b"".join(opened.chunks(0, opened.length))
        assert len(data) == opened.length
        (tmp_path / "x.zip").write_bytes(data)
        with zipfile.ZipFile(tmp_path / "x.zip") as archive:
            assert archive.namelist() == names
            assert archive.testzip() is None
    assert b"".join(downloads.open_entry(run=done, path="b/random.bin").chunks(5, 77)) == CONTENTS["b/random.bin"][5:77]


def test_planning_again_changes_nothing(cell: Cell, alice: User) -> None:
    done = run(alice)
    before = list(done.volumes.order_by("pk").values())
    source = planning.run_source(done)
    closing = planning.closing_entry(done, source)
    planning.volumes_plan(done, source(0, closing.ordinal), closing=closing, stored=())
    assert list(done.volumes.order_by("pk").values()) == before


def test_a_deleted_export_takes_its_files_along_even_while_it_runs(cell: Cell, alice: User, store: Path) -> None:
    finished = run(alice, packers=["zip"])
    export_delete(export=finished.export)
    assert not RunEntry.objects.filter(run_id=finished.pk).exists()

    doomed = start(alice, packers=["zip"])

    def delete(phase: str, done: int, planned: int) -> None:
        if phase == "write" and Run.objects.filter(pk=doomed.pk).exists():
            export_delete(export=doomed.export)

    assert running.run_export(run_id=doomed.pk, watch=delete) is None
    assert [path for path in (*(store / "runs").rglob("*"), *(store / "volumes").rglob("*")) if path.is_file()] == []


def test_a_single_file_is_checked_before_its_last_bytes_are_given(cell: Cell, alice: User) -> None:
    done = run(alice)
    blob = Blob.objects.get(pk=File.objects.get(path="b/random.bin").blob_id)
    stored = Path(BlobStore().path(blob.store_file))
    stored.chmod(0o600)
    data = bytearray(stored.read_bytes())
    data[-7] ^= 1
    stored.write_bytes(data)
    opened = downloads.open_entry(run=done, path="b/random.bin")
    sent = 0
    with pytest.raises(BlobDamaged):
        for chunk in opened.chunks(0, opened.length):
            sent += len(chunk)
    assert sent < opened.length


def test_a_store_that_reads_badly_once_is_asked_again_but_not_for_ever(
    cell: Cell, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second look finds nothing: so it is when a disk or a network hiccups."""
    true_write, failures = volumes.write, [2]

    def write(*arguments: object) -> int:
        if failures[0]:
            failures[0] -= 1
            raise EntriesDamaged({})
        return true_write(*arguments)

    monkeypatch.setattr(volumes, "write", write)
    assert run(alice, packers=["zip"]).state == RunState.DONE
    failures[0] = 99
    failed = run(alice, packers=["zip"])
    assert (failed.state, failed.error["code"]) == (RunState.FAILED, "entries_damaged")
