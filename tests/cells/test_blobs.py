"""Contents are stored once, whole or not at all, and swept only when nobody can want them any more."""

import io
import os
import random
import resource
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.utils import timezone

from cells import sweeping
from cells.blobs import BlobStore, blob_verify
from cells.encoding import BLOCK, SMALL
from cells.errors import BlobDamaged
from cells.models import Blob, Cell, File, FileVersion
from cells.sweeping import blobs_sweep

pytestmark = pytest.mark.django_db

_RANDOM = random.Random(11)
NOISE = _RANDOM.randbytes(3 * BLOCK)
TEXT = b"".join(b"%d sheep jumped over %d fences\n" % (n, _RANDOM.randrange(10**6)) for n in range(100_000))
CONTENTS = (b"", b"x", TEXT[:5000], NOISE[:5000], TEXT[:SMALL], NOISE[:SMALL], TEXT, NOISE)


def read(blob: Blob, start: int = 0, end: int | None = None) -> bytes:
    return b"".join(BlobStore().open(blob, start, end))


def store_files(root: Path) -> dict[str, int]:
    return {str(path.relative_to(root / "blobs")): path.stat().st_size for path in root.rglob("*") if path.is_file()}


def small(count: int, salt: str = "") -> list[bytes]:
    return [f"{salt} small content number {n} ".encode() * (20 + n % 50) for n in range(count)]


@contextmanager
def file_size_limit(limit: int) -> Iterator[None]:
    """A real failing write: the kernel refuses to make a file longer."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def cell(alice: User) -> Cell:
    return Cell.objects.create(name="alices", owner=alice)


def refer(cell: Cell, blob: Blob, path: str = "f") -> File:
    return File.objects.create(
        cell=cell, generation=1, path=path, folder="", blob=blob, size=blob.size, mtime=timezone.now()
    )


# --- putting and reading -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", CONTENTS, ids=len)
def test_what_was_put_is_read_back_whole_and_in_ranges(content: bytes):
    blob = BlobStore().put(content)
    assert read(Blob.objects.get(pk=blob.pk)) == content
    middle = len(content) // 2
    assert read(blob, middle) == content[middle:]
    assert read(blob, middle // 2, middle) == content[middle // 2 : middle]
    blob_verify(blob)


def test_a_stream_and_bytes_give_the_same_blob():
    by_stream = BlobStore().put(io.BytesIO(TEXT))
    assert BlobStore().put(TEXT).pk == by_stream.pk
    assert Blob.objects.count() == 1


def test_a_known_content_keeps_its_place_and_costs_no_second_file(store: Path):
    first = BlobStore().put(TEXT)
    files = store_files(store)
    second = BlobStore().put(TEXT)
    assert (second.store_file, second.offset) == (first.store_file, first.offset)
    assert store_files(store) == files


def test_putting_a_known_content_renews_it():
    blob = BlobStore().put(TEXT)
    long_ago = timezone.now() - timedelta(days=3)
    Blob.objects.update(touched_at=long_ago, unreferenced_at=long_ago)
    again = BlobStore().put(TEXT)
    assert again.pk == blob.pk
    assert again.touched_at > timezone.now() - timedelta(minutes=5)
    assert again.unreferenced_at is None


def test_a_writer_left_without_finish_leaves_nothing(store: Path):
    with BlobStore().writer() as writer:
        writer.write(NOISE)
        assert store_files(store)
    assert store_files(store) == {}
    assert not Blob.objects.exists()


def test_a_writer_left_by_an_exception_leaves_nothing(store: Path):
    with pytest.raises(RuntimeError), BlobStore().writer() as writer:
        writer.write(TEXT * 4)
        raise RuntimeError
    assert store_files(store) == {}
    assert not Blob.objects.exists()


@pytest.mark.parametrize("content", [NOISE, TEXT], ids=["noise", "text"])
def test_a_disk_that_takes_no_more_leaves_nothing(store: Path, content: bytes):
    with file_size_limit(100_000), pytest.raises(OSError, match="too large"):
        BlobStore().put(content)
    assert store_files(store) == {}
    assert not Blob.objects.exists()


def test_nothing_has_its_name_before_it_is_whole(store: Path):
    with BlobStore().writer() as writer:
        writer.write(NOISE)
        assert all(name.startswith("incoming/") for name in store_files(store))
        blob = writer.finish()
    assert list(store_files(store)) == [blob.store_file]


@pytest.mark.parametrize("damage", ["gone", "short"])
def test_putting_a_content_again_heals_a_lost_store_file(store: Path, damage: str):
    blob = BlobStore().put(TEXT)
    path = Path(BlobStore().path(blob.store_file))
    path.unlink() if damage == "gone" else os.truncate(path, blob.stored_size - 1)
    with pytest.raises(BlobDamaged):
        read(blob)
    assert read(BlobStore().put(TEXT)) == TEXT
    assert read(Blob.objects.get(pk=blob.pk)) == TEXT


# --- damage ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [TEXT, NOISE, TEXT[:5000], NOISE[:5000]], ids=len)
def test_a_flipped_bit_is_never_read_as_the_whole_content(content: bytes):
    blob = BlobStore().put(content)
    path = Path(BlobStore().path(blob.store_file))
    stored = bytearray(path.read_bytes())
    stored[len(stored) // 2] ^= 4
    path.write_bytes(stored)
    with pytest.raises(BlobDamaged):
        read(blob)
    with pytest.raises(BlobDamaged):
        blob_verify(blob)


def test_a_lost_store_file_is_told_before_the_first_byte():
    blob = BlobStore().put(TEXT)
    Path(BlobStore().path(blob.store_file)).unlink()
    with pytest.raises(BlobDamaged, match="missing"):
        BlobStore().open(blob)


# --- batches -----------------------------------------------------------------------------------------------------


def test_small_contents_share_a_pack_and_large_ones_do_not(store: Path):
    contents = [*small(500), TEXT, NOISE]
    with BlobStore().batch() as batch:
        stored = [batch.add(content) for content in contents]
    files = store_files(store)
    assert sorted(name.split("/")[0] == "packs" for name in files) == [False, False, True]
    assert [read(Blob.objects.get(pk=each.sha256)) for each in stored] == contents
    for blob in Blob.objects.all():
        blob_verify(blob)


def test_add_each_keeps_the_order_and_gives_a_failure_in_its_turn(tmp_path: Path):
    contents = small(300)
    contents[7], contents[150] = TEXT, NOISE
    for n, content in enumerate(contents):
        (tmp_path / f"{n:03}").write_bytes(content)
    (tmp_path / "100").unlink()
    openers = ((tmp_path / f"{n:03}").open for n in range(300))
    with BlobStore().batch() as batch:
        results = list(batch.add_each(lambda opener=opener: opener("rb") for opener in openers))
    assert isinstance(results.pop(100), FileNotFoundError)
    contents.pop(100)
    assert [read(Blob.objects.get(pk=each.sha256)) for each in results] == contents


def test_a_source_that_fails_in_the_middle_leaves_no_file(store: Path):
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if self.tell() > BLOCK:
                raise OSError(5, "Input/output error")
            return super().read(size)

    with BlobStore().batch() as batch:
        (result,) = batch.add_each([lambda: Broken(NOISE)])
        assert isinstance(result, OSError)
        assert store_files(store) == {}
    assert not Blob.objects.exists()


def test_the_same_content_twice_in_a_batch_is_stored_once(store: Path):
    with BlobStore().batch() as batch:
        for content in [*small(20), TEXT, *small(20), TEXT]:
            batch.add(content)
    assert Blob.objects.count() == 21
    assert sum(store_files(store).values()) == sum(Blob.objects.values_list("stored_size", flat=True))


def test_a_batch_writes_nothing_of_what_is_known(store: Path):
    files = []
    for _ in range(2):
        with BlobStore().batch() as batch:
            for content in [*small(50), TEXT, NOISE]:
                batch.add(content)
        files.append(store_files(store))
    assert files[0] == files[1]


def test_flush_makes_what_was_added_referable(cell: Cell):
    with BlobStore().batch() as batch:
        stored = [batch.add(content) for content in (*small(3), TEXT)]
        assert not Blob.objects.exists()
        batch.flush()
        assert Blob.objects.filter(pk__in=[each.sha256 for each in stored]).count() == 4


def test_a_batch_left_by_an_exception_leaves_nothing(store: Path):
    with pytest.raises(RuntimeError), BlobStore().batch() as batch:
        for content in [*small(5000), TEXT, NOISE]:
            batch.add(content)
        raise RuntimeError
    assert store_files(store) == {}
    assert not Blob.objects.exists()


def test_a_batch_on_a_disk_that_takes_no_more_leaves_nothing(store: Path):
    contents = [NOISE[n : n + 60_000] for n in range(0, 600_000, 1000)]
    with file_size_limit(1_000_000), pytest.raises(OSError, match="too large"), BlobStore().batch() as batch:
        for _ in batch.add_each(lambda content=content: io.BytesIO(content) for content in [*contents, NOISE]):
            pass
    assert store_files(store) == {}
    assert not Blob.objects.exists()


def test_packs_stay_below_64_mb_and_each_batch_has_its_own(store: Path):
    noise = random.Random(3)
    batches = [[noise.randbytes(60_000) for _ in range(count)] for count in (1300, 10)]
    for contents in batches:
        with BlobStore().batch() as batch:
            for content in contents:
                batch.add(content)
    sizes = sorted(store_files(store).values())
    assert len(sizes) == 3
    assert sizes[-1] <= 64 << 20
    assert sum(sizes) == 60_000 * 1310


def test_a_truncated_pack_heals_when_its_contents_come_again(store: Path):
    contents = small(100)
    for _ in range(2):
        with BlobStore().batch() as batch:
            stored = [batch.add(content) for content in contents]
        pack = min(store.rglob("packs/*"), key=lambda path: path.stat().st_mtime_ns)
        os.truncate(pack, 1000)
    assert [read(Blob.objects.get(pk=each.sha256)) for each in stored] == contents


@pytest.mark.django_db(transaction=True)
def test_batches_of_the_same_contents_at_once_neither_block_each_other_nor_lose_a_byte(
    store: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("cells.blobrows._FRESH", timedelta(0))  # every known content is touched, and so locked
    contents = [*small(3000), *(TEXT[n:] for n in range(5))]

    def load(seed: int) -> None:
        mixed = random.Random(seed).sample(contents, len(contents))
        for _ in range(2):
            with BlobStore().batch() as batch:
                for n, content in enumerate(mixed):
                    batch.add(content)
                    if n % 700 == 0:
                        batch.flush()

    assert in_threads(*(lambda seed=seed: load(seed) for seed in range(4))) == []
    assert Blob.objects.count() == len(contents)
    for blob in Blob.objects.all():
        blob_verify(blob)
    assert len([name for name in store_files(store) if not name.startswith("packs/")]) == 5


def in_threads(*calls: Callable[[], object]) -> list[BaseException]:
    failures: list[BaseException] = []

    def run(call: Callable[[], object]) -> None:
        try:
            call()
        except BaseException as failure:
            failures.append(failure)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=[call]) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return failures


# --- sweeping ----------------------------------------------------------------------------------------------------


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
            _age(path, hours=25)
    assert sweep() == (0, 12)
    assert set(store_files(store)) == {blob.store_file, "ab/young", "packs/young", "incoming/young"}


def _age(path: Path, *, hours: float) -> None:
    moment = (timezone.now() - timedelta(hours=hours)).timestamp()
    os.utime(path, (moment, moment))


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
    _age(store / "blobs" / old_pack, hours=48)
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
    with sweeping._alone() as alone:
        assert alone
        assert in_threads(lambda: results.append(sweep(3))) == []
    assert results == [(0, 0)]
    assert sweep(3)[0] == 1


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
