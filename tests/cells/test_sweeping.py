"""What is swept is what nobody can want any more, and nothing else."""

import os
import random
import threading
import time
from datetime import timedelta
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from cells import sweeping
from cells.alone import alone
from cells.blobs import BlobStore, blob_verify
from cells.frozen import Snapshot
from cells.models import Blob, Cell, FileVersion
from cells.sweeping import blobs_sweep
from tests.cells.contents import NOISE, TEXT, age, in_threads, read, refer, small, store_files

pytestmark = pytest.mark.django_db


@pytest.fixture
def cell(alice: User) -> Cell:
    return Cell.objects.create(name="alices", owner=alice)


def sweep(days: float = 0) -> tuple[int, int]:
    return blobs_sweep(now=timezone.now() + timedelta(days=days))


def test_a_blob_goes_when_a_second_sweep_finds_it_unreferenced_still(store: Path, cell: Cell):
    blob, kept = BlobStore().put(TEXT), BlobStore().put(NOISE)
    refer(cell, kept)
    assert sweep(0.9) == sweep(1.1) == (0, 0)
    assert sweep(1.1 + 0.5 / 24) == (0, 0)
    assert sweep(1.1 + 1.1 / 24) == (1, blob.stored_size)
    assert list(Blob.objects.all()) == [kept]
    assert list(store_files(store)) == [kept.store_file]


def test_files_versions_and_other_apps_keep_their_blobs(cell: Cell, monkeypatch: pytest.MonkeyPatch):
    current, old, named = (BlobStore().put(content) for content in (b"current", b"old", b"named by a run"))
    file = refer(cell, current)
    FileVersion.objects.create(
        file=file, version=1, blob=old, size=3, mtime=file.mtime, content_type="x/y", created_at=file.mtime
    )
    monkeypatch.setattr(
        sweeping, "REFERENCES", [*sweeping.REFERENCES, f"SELECT '{named.pk}' AS sha256 WHERE 'a%' LIKE '%a%'"]
    )
    for days in (2, 3, 4):
        assert sweep(days) == (0, 0)
    assert Blob.objects.count() == 3


def test_the_exports_app_has_registered_its_references():
    assert any("exports_runentry" in reference for reference in sweeping.REFERENCES)


def test_a_reference_between_two_sweeps_saves_the_blob_and_starts_its_time_anew(cell: Cell):
    blob = BlobStore().put(TEXT)
    sweep(2)
    file = refer(cell, blob)
    sweep(3)
    file.delete()
    assert sweep(4) == (0, 0)
    assert sweep(5)[0] == 1


def test_putting_a_content_between_two_sweeps_saves_it(store: Path):
    blob = BlobStore().put(TEXT)
    Blob.objects.update(touched_at=timezone.now() - timedelta(days=3))
    sweep()
    BlobStore().put(TEXT)
    assert sweep(0.5) == (0, 0)
    assert read(Blob.objects.get(pk=blob.pk)) == TEXT


def test_files_without_rows_go_when_older_than_a_day_and_no_others(store: Path):
    blob = BlobStore().put(TEXT)
    lost = {f"{place}/{age}": b"lost" for place in ("ab", "packs", "incoming") for age in ("old", "young")}
    for name, content in lost.items():
        path = store / "blobs" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        if name.endswith("old"):
            age(path, hours=25)
    assert sweep() == (0, 12)
    assert set(store_files(store)) == {blob.store_file, "ab/young", "packs/young", "incoming/young"}


def test_a_store_whose_database_knows_no_blob_is_left_alone(store: Path):
    blob = BlobStore().put(TEXT)
    Blob.objects.all().delete()
    assert sweep(30) == (0, 0)
    assert list(store_files(store)) == [blob.store_file]


def packed(cell: Cell, count: int, keep: int) -> tuple[list[Blob], str]:
    """A pack of `count` contents of which `keep` are referred to after two sweeps."""
    contents = [random.Random(n).randbytes(5000) for n in range(count)]
    with BlobStore().batch() as batch:
        stored = [batch.add(content) for content in contents]
    blobs = [Blob.objects.get(pk=each.sha256) for each in stored]
    for number in range(keep):
        refer(cell, blobs[number * count // keep], f"f{number}")
    return [blobs[number * count // keep] for number in range(keep)], blobs[0].store_file


def test_a_pack_less_than_half_live_is_rewritten_and_goes_a_day_later(store: Path, cell: Cell):
    live, old_pack = packed(cell, 100, 40)
    age(store / "blobs" / old_pack, hours=48)
    contents = [read(blob) for blob in live]
    assert sweep(2) == (0, 0)
    assert sweep(2.1) == (60, 0)
    moved = [Blob.objects.get(pk=blob.pk) for blob in live]
    assert {blob.store_file for blob in moved}.isdisjoint({old_pack})
    assert [read(blob) for blob in moved] == contents
    assert store_files(store) == {old_pack: 500_000, moved[0].store_file: 200_000}
    assert [read(blob) for blob in live] == contents
    assert sweep(0.9) == (0, 0)
    assert sweep(1.1) == (0, 500_000)
    assert store_files(store) == {moved[0].store_file: 200_000}
    assert [read(blob) for blob in live] == contents, "rows read before the move still find their content"
    for blob in live:
        blob_verify(blob)


def test_a_pack_half_live_stays(store: Path, cell: Cell):
    _, pack = packed(cell, 100, 50)
    sweep(2)
    assert sweep(2.1) == (50, 0)
    assert store_files(store) == {pack: 500_000}


def test_sparse_packs_are_rewritten_into_one(store: Path, cell: Cell):
    for salt in ("a", "b", "c"):
        with BlobStore().batch() as batch:
            stored = [batch.add(content) for content in small(10, salt)]
        refer(cell, Blob.objects.get(pk=stored[0].sha256), salt)
    sweep(2)
    sweep(2.1)
    assert Blob.objects.count() == 3
    assert len(set(Blob.objects.values_list("store_file", flat=True))) == 1


def test_a_damaged_content_stays_where_it_is_when_its_pack_is_rewritten(
    store: Path, cell: Cell, caplog: pytest.LogCaptureFixture
):
    (damaged, *others), pack = packed(cell, 100, 4)
    path = store / "blobs" / pack
    stored = bytearray(path.read_bytes())
    stored[damaged.offset + 10] ^= 1
    path.write_bytes(stored)
    sweep(2)
    sweep(2.1)
    assert Blob.objects.get(pk=damaged.pk).store_file == pack
    assert damaged.pk in caplog.text
    for blob in others:
        blob_verify(Blob.objects.get(pk=blob.pk))
    assert pack in store_files(store)


@pytest.mark.django_db(transaction=True)
def test_only_one_sweep_runs_at_a_time():
    BlobStore().put(TEXT)
    sweep(2)
    results: list[tuple[int, int]] = []
    with alone(sweeping._LOCK) as is_alone:
        assert is_alone
        assert in_threads(lambda: results.append(sweep(3))) == []
    assert results == [(0, 0)]
    assert sweep(3)[0] == 1


@pytest.mark.django_db(transaction=True)
def test_a_freeze_keeps_what_was_still_there_when_it_began_however_long_it_takes(cell: Cell):
    file = refer(cell, BlobStore().put(TEXT))
    Blob.objects.update(touched_at=timezone.now() - timedelta(days=3))
    with Snapshot() as freeze:
        file.delete()
        assert sweep() == sweep(0.5) == (0, 0)
        ((*_, sha256, _, _, _, _, _),) = freeze.files(cell.pk)
        assert Blob.objects.filter(pk=sha256).exists()
    removed, deadline = 0, time.monotonic() + 30
    while not removed and time.monotonic() < deadline:  # PostgreSQL sees a closed connection a moment later
        removed, _ = sweep(0.5)
    assert removed == 1


@pytest.mark.django_db(transaction=True)
def test_a_blob_that_is_just_being_put_is_left_alone():
    blob = BlobStore().put(TEXT)
    long_ago = timezone.now() - timedelta(days=3)
    Blob.objects.update(touched_at=long_ago, unreferenced_at=long_ago)
    results: list[tuple[int, int]] = []
    with transaction.atomic():
        BlobStore().put(TEXT)
        assert in_threads(lambda: results.append(sweep())) == []
    assert results == [(0, 0)]
    assert read(Blob.objects.get(pk=blob.pk)) == TEXT


@pytest.mark.django_db(transaction=True)
def test_a_sweep_against_a_put_never_leaves_a_row_without_its_bytes():
    contents = small(40)
    long_ago = timezone.now() - timedelta(days=3)
    for _ in range(15):
        for content in contents[:20]:
            BlobStore().put(content)
        with BlobStore().batch() as batch:
            for content in contents:
                batch.add(content)
        Blob.objects.update(touched_at=long_ago, unreferenced_at=long_ago)
        for path in BlobStore().root.rglob("*.*"):
            os.utime(path, (long_ago.timestamp(),) * 2)
        start = threading.Barrier(2)

        def put(start: threading.Barrier = start) -> None:
            start.wait()
            for content in contents[::-1]:
                BlobStore().put(content)

        def run_sweep(start: threading.Barrier = start) -> None:
            start.wait()
            sweep()

        assert in_threads(put, run_sweep) == []
        assert [read(BlobStore().put(content)) for content in contents] == contents
