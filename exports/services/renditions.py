"""Pictures made of pictures: once for each content and recipe, and kept (`spec/v1.md §8.2`)."""

import hashlib
import os
import secrets
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from django.conf import settings
from django.db import connection
from django.utils import timezone

from cells.blobs import BlobStore
from cells.errors import BlobDamaged
from cells.models import Blob
from exports.engine.images.pictures import Picture
from exports.engine.images.recipe import Recipe
from exports.engine.images.studio import Studio
from exports.engine.volumes import named
from exports.models import Rendition
from exports.services import store

#: A picture that nobody has asked for so long is made again when somebody does.
KEEP = timedelta(days=30)
#: So long it is believed that nothing can be made of a content: the two passes of a run ask twice.
BELIEVED = timedelta(hours=1)
_USED_AGAIN = timedelta(days=1)
#: Bytes: all pixels that a picture may have, in four colours of 16 bits, fit in. What is larger is not even copied.
LARGEST = 1 << 30
_SWEEP = """
    DELETE FROM exports_rendition r WHERE used_at < %s OR (sha256 = '' AND recipe <> '' AND made_at < %s)
        OR NOT EXISTS (SELECT FROM cells_blob b WHERE b.sha256 = r.source)
"""


class Renditions:
    """`exports.engine.images.pictures.Pictures` over blobs. `tick` is called while a picture is made; it may raise."""

    def __init__(self, tick: Callable[[], object] = lambda: None) -> None:
        self._studio = Studio(tick)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        self._studio.close()

    def made(self, sha256: str, recipe: Recipe) -> Picture | str:
        digest = recipe.digest()
        known = self._known(sha256, digest)
        if known and known.reason:
            return known.reason
        blob = Blob.objects.filter(pk=known.sha256).first() if known else None
        if blob is None:
            known, blob = self._make(sha256, digest, recipe)
        return _picture(blob, known.extension) if blob else known.reason

    def measured(self, sha256: str) -> dict[str, int]:
        known = self._known(sha256, "")
        if known is None:
            known = _keep(sha256, "", self._looked_at(sha256, self._studio.measure))
        return {"width": known.width, "height": known.height} if known.width else {}

    @cached_property
    def watermark(self) -> str:
        return watermark_digest()

    def _known(self, sha256: str, digest: str) -> Rendition | None:
        known = Rendition.objects.filter(source=sha256, recipe=digest).first()
        now = timezone.now()
        if known is None or (known.reason and known.made_at < now - BELIEVED):
            return None
        if known.used_at < now - _USED_AGAIN:
            Rendition.objects.filter(pk=known.pk).update(used_at=now)
        return known

    def _make(self, sha256: str, digest: str, recipe: Recipe) -> tuple[Rendition, Blob | None]:
        if recipe.watermark and recipe.watermark != self.watermark:
            return _keep(sha256, digest, {"reason": "the server's watermark was changed or taken away"}), None
        with _Scratch() as target:
            told = self._looked_at(
                sha256,
                lambda source: self._studio.paint(
                    source, str(target), recipe, watermark=settings.WATERMARK_FILE if recipe.watermark else ""
                ),
            )
            if "reason" in told:
                return _keep(sha256, digest, told), None
            with target.open("rb") as made:
                blob = BlobStore().put(made)
        return _keep(sha256, digest, {**told, "sha256": blob.pk}), blob

    def _looked_at(self, sha256: str, look: Callable[[str], dict[str, Any]]) -> dict[str, Any]:
        """The studio reads files; a blob may be compressed, or lie in a pack."""
        with _Scratch() as source:
            try:
                blob = Blob.objects.get(pk=sha256)
                if blob.size > LARGEST:
                    return {"reason": f"it has {blob.size:,} bytes, and a picture may have {LARGEST:,}"}
                with source.open("wb") as plain:
                    for piece in BlobStore().open(blob):
                        plain.write(piece)
            except Blob.DoesNotExist:
                return {"reason": "the store has no such blob"}
            except BlobDamaged as error:
                return {"reason": str(error)[:200]}
            except OSError as error:
                raise named(error, str(source)) from error
            return look(str(source))


class _Scratch:
    """A file beside those of the runs, for as long as it is needed; `retention.sweep` finds what a kill left."""

    def __enter__(self) -> Path:
        self._path = store.folder("runs") / f"picture.{secrets.token_hex(8)}"
        return self._path

    def __exit__(self, *failure: object) -> None:
        self._path.unlink(missing_ok=True)


def _keep(source: str, recipe: str, told: dict[str, Any]) -> Rendition:
    values = {"sha256": "", "extension": "", "reason": "", "width": None, "height": None, **told}
    now = timezone.now()
    kept, _ = Rendition.objects.update_or_create(
        source=source, recipe=recipe, defaults={**values, "made_at": now, "used_at": now}
    )
    return kept


def _picture(blob: Blob, extension: str) -> Picture:
    return Picture(blob.pk, blob.size, blob.crc32, blob.encoding, blob.stored_size, blob.stored_crc32, extension)


def watermark_digest() -> str:
    """SHA-256 of the watermark's file, "" where the server has none."""
    path = settings.WATERMARK_FILE
    if not path or not os.path.exists(path):
        return ""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def renditions_sweep(*, now: datetime | None = None) -> int:
    """Forget pictures nobody has used for long, and those whose source is gone; the blobs go with the next sweep."""
    now = now or timezone.now()
    with connection.cursor() as cursor:
        cursor.execute(_SWEEP, [now - KEEP, now - BELIEVED])
        return cursor.rowcount
