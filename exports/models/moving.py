"""What the move API knows of an export beside its run."""

import uuid

from django.db import models
from django.utils import timezone

from cells.models import Cell
from exports.models.run import Run


def _uid() -> str:
    return uuid.uuid4().hex


class MoveExport(models.Model):
    """An export document (`spec/move.md §4.3`). State, times and parts are the run's."""

    uid = models.CharField(max_length=32, primary_key=True, default=_uid)
    cell = models.ForeignKey(Cell, on_delete=models.CASCADE, related_name="move_exports")
    run = models.OneToOneField(Run, on_delete=models.CASCADE, related_name="move")
    #: Bytes of contents a part; what was asked for, or what §4.2.1 makes of it.
    parts_size = models.BigIntegerField()
    #: Nanoseconds since the run began; may be negative, and has expired at once then (DEC-11).
    max_age = models.BigIntegerField()
    with_doctypes = models.JSONField(default=list)
    without_files = models.BooleanField(default=False)
    #: Where the one who asked came by, for links: an address without a slash at its end.
    base_url = models.CharField(max_length=300)
    #: Of the documents in part 0; -1 until done.
    total_size = models.BigIntegerField(default=-1)
    #: Of all files and old versions; -1 until done.
    contents_size = models.BigIntegerField(default=-1)
    created_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return f"move export {self.uid}"
