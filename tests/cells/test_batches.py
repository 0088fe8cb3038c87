"""Many contents at once: packs, order, failures, and other batches beside."""

import io
import os
import random
from datetime import timedelta
from pathlib import Path

import pytest

from cells.blobs import BlobStore, blob_verify
from cells.encoding import BLOCK
from cells.models import Blob
from tests.cells.contents import (
    NOISE,
    TEXT,
    file_size_limit,
    in_threads,
    read,
    small,
    store_files,
)

pytestmark = pytest.mark.django_db


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


def test_flush_makes_what_was_added_referable():
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
