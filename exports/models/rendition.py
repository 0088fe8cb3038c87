"""Pictures made of pictures, kept for the next run."""

from django.db import models
from django.utils import timezone


class Rendition(models.Model):
    """What a recipe makes of a content, by their digests; or why it makes nothing.

    The row keeps the blob `sha256` from being swept; `retention` removes rows that nobody has used for long, and those
    whose source is gone.
    """

    source = models.CharField(max_length=64, db_collation="C")
    #: `Recipe.digest()`; "" for the measures of the source itself.
    recipe = models.CharField(max_length=64, db_collation="C")
    #: The blob with the picture; "" without one.
    sha256 = models.CharField(max_length=64, db_collation="C", default="", blank=True)
    #: Of the format that was made, without a dot.
    extension = models.CharField(max_length=8, default="", blank=True)
    width = models.PositiveIntegerField(null=True)
    height = models.PositiveIntegerField(null=True)
    #: Why there is no picture.
    reason = models.CharField(max_length=200, default="", blank=True)
    made_at = models.DateTimeField(default=timezone.now)
    used_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["source", "recipe"], name="rendition_once")]
        indexes = [models.Index(fields=["sha256"], name="rendition_by_blob")]

    def __str__(self) -> str:
        return f"rendition of {self.source[:12]}"
