"""Pictures are made once, kept as blobs, and swept when nobody has a use for them."""

from datetime import timedelta
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from cells.blobs import BlobStore
from cells.models import Blob, File
from cells.sweeping import blobs_sweep
from exports.engine.images.pictures import Picture
from exports.engine.images.recipe import Recipe
from exports.engine.images.studio import Studio
from exports.models import Rendition
from exports.services import retention
from exports.services.renditions import KEEP, Renditions, watermark_digest
from tests.engine.pictures import encoded, quarters
from tests.factories import make_cell, put_file

pytestmark = pytest.mark.django_db(transaction=True)
PNG = Recipe(format="png")


@pytest.fixture
def source(alice: User) -> str:
    return put_file(make_cell(alice), "photo.jpg", encoded(quarters())).blob_id


@pytest.fixture
def painted(monkeypatch: pytest.MonkeyPatch) -> list[Recipe]:
    """What the studio was asked for."""
    asked: list[Recipe] = []
    paint = Studio.paint

    def counted(self: Studio, source: str, target: str, recipe: Recipe, **options: str) -> dict:
        asked.append(recipe)
        return paint(self, source, target, recipe, **options)

    monkeypatch.setattr(Studio, "paint", counted)
    return asked


def make(sha256: str, recipe: Recipe = PNG) -> Picture | str:
    with Renditions() as renditions:
        return renditions.made(sha256, recipe)


def test_a_picture_is_made_once_for_each_recipe(source: str, painted: list[Recipe], store: Path) -> None:
    first, again, other = make(source), make(source), make(source, Recipe(format="bmp"))
    assert first == again != other
    assert len(painted) == 2
    stored = Blob.objects.get(pk=first.sha256)
    assert b"".join(BlobStore().open(stored)).startswith(b"\x89PNG")
    assert (first.size, first.crc32, first.extension) == (stored.size, stored.crc32, "png")
    assert list((store / "runs").iterdir()) == []


def test_why_nothing_could_be_made_is_believed_for_an_hour(alice: User, painted: list[Recipe], store: Path) -> None:
    broken = put_file(make_cell(alice), "photo.jpg", b"no picture").blob_id
    assert make(broken) == make(broken) == "it is no picture that can be read"
    assert len(painted) == 1
    Rendition.objects.update(made_at=timezone.now() - timedelta(hours=2))
    make(broken)
    assert len(painted) == 2
    assert list((store / "runs").iterdir()) == []


def test_what_is_too_large_for_a_picture_is_not_even_copied(
    source: str, painted: list[Recipe], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A film of 100 GB may be called image/png."""
    monkeypatch.setattr("exports.services.renditions.LARGEST", 100)
    opened: list[object] = []
    monkeypatch.setattr(BlobStore, "open", lambda self, blob: opened.append(blob) or iter(()))
    assert "and a picture may have 100" in str(make(source))
    with Renditions() as renditions:
        assert renditions.measured(source) == {}
    assert opened == painted == []


def test_measures_are_taken_once(source: str, alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    text = put_file(make_cell(alice, "other"), "a.txt", b"text").blob_id
    with Renditions() as renditions:
        assert renditions.measured(source) == {"width": 80, "height": 60}
        assert renditions.measured(text) == {}
    monkeypatch.setattr(Studio, "measure", None)
    with Renditions() as renditions:
        assert renditions.measured(source) == {"width": 80, "height": 60}


def test_damaged_content_is_no_picture(source: str, store: Path) -> None:
    path = store / "blobs" / Blob.objects.get(pk=source).store_file
    path.write_bytes(bytes(path.stat().st_size))
    assert "are damaged" in make(source)
    assert make("0" * 64) == "the store has no such blob"


def test_another_watermark_is_another_picture(source: str, settings, tmp_path: Path) -> None:
    mark = tmp_path / "mark.png"
    settings.WATERMARK_FILE = str(mark)
    assert watermark_digest() == ""
    made = []
    for colour in ("red", "blue"):
        mark.write_bytes(encoded(quarters(mode="RGBA") if colour == "red" else quarters(9, 9, "RGBA"), "PNG"))
        made.append(make(source, Recipe(watermark=watermark_digest())))
    assert made[0].sha256 != made[1].sha256
    settings.WATERMARK_FILE = ""
    assert make(source, Recipe(watermark="gone")) == "the server's watermark was changed or taken away"


def test_pictures_stay_as_long_as_they_are_used_and_their_source_is_there(source: str) -> None:
    made = make(source)
    old = timezone.now() + timedelta(days=2)
    for hours in (0, 2):
        blobs_sweep(now=old + timedelta(hours=hours))
    assert make(source) == made

    Rendition.objects.update(used_at=timezone.now() - KEEP + timedelta(hours=1))
    assert make(source) == made
    retention.sweep()
    assert Rendition.objects.get().used_at > timezone.now() - timedelta(hours=1)

    Rendition.objects.update(used_at=timezone.now() - KEEP - timedelta(hours=1))
    retention.sweep()
    assert not Rendition.objects.exists()
    for hours in (0, 2):
        blobs_sweep(now=old + timedelta(hours=hours))
    assert not Blob.objects.filter(pk=made.sha256).exists()
    assert Blob.objects.filter(pk=source).exists()


def test_the_picture_of_a_deleted_photo_goes_with_it(source: str) -> None:
    make(source)
    File.objects.all().delete()
    for hours in (0, 2):
        blobs_sweep(now=timezone.now() + timedelta(days=2, hours=hours))
    retention.sweep()
    assert not Rendition.objects.exists()
