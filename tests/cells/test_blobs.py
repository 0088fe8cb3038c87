"""A content is stored once, whole or not at all, and damage never passes for it."""

import io
import os
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from cells.blobs import BlobStore, blob_verify
from cells.errors import BlobDamaged
from cells.models import Blob
from tests.cells.contents import (
    CONTENTS,
    NOISE,
    TEXT,
    file_size_limit,
    read,
    store_files,
)

pytestmark = pytest.mark.django_db


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
