"""Imports: one attempt to fill a cell from an archive; and what one would change."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from cells.models import Cell
from exports.states import IMPORT_ACTIVE, ImportState


class ImportMode(models.TextChoices):
    """What becomes of what the cell has already."""

    #: It goes: afterwards the cell holds what the archive holds.
    REPLACE = "replace"
    #: Where both have something, the archive wins; a file's old content stays as its version.
    MERGE = "merge"
    #: Where both have something, the cell wins.
    SKIP = "skip"
    #: Where both have something else, the archive's gets a number behind its name.
    KEEP_BOTH = "keep_both"


class Import(models.Model):
    """One attempt. `services.import_lifecycle` alone writes `state`.

    The archive is read into `generation`, which nobody sees; one transaction then shows it instead of what is kept as
    `previous_generation` until `undo_until`.
    """

    cell = models.ForeignKey(Cell, on_delete=models.CASCADE, related_name="imports")
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    #: For people: the snapshot's name without its ending, or the file's.
    name = models.CharField(max_length=255, blank=True)
    #: `blob:<sha256>`, `run:<id>`, `file:<absolute path>` …; see `services.archives`.
    source = models.CharField(max_length=4200)
    mode = models.CharField(max_length=16, choices=ImportMode.choices, default=ImportMode.REPLACE)
    state = models.CharField(max_length=20, choices=ImportState.choices(), default=ImportState.PENDING)
    #: Fencing number, lease and nudge, as for runs.
    fence = models.PositiveIntegerField(default=0)
    heartbeat_at = models.DateTimeField(null=True)
    nudged_at = models.DateTimeField(null=True)
    #: Plain bytes of the archive's contents; while `total` is 0, bytes fetched from another server.
    done = models.BigIntegerField(default=0)
    total = models.BigIntegerField(default=0)
    #: Since it was accepted: who asks right afterwards is told when.
    started_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True)
    #: {"code": …, "message": …} of a failed one.
    error = models.JSONField(null=True)
    #: Null before it is reserved, and when it was dropped.
    generation = models.PositiveIntegerField(null=True)
    previous_generation = models.PositiveIntegerField(null=True)
    undo_until = models.DateTimeField(null=True)
    #: {"files": …, "documents": …} of a done one: what the archive held.
    report = models.JSONField(default=dict)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["cell"], condition=Q(state__in=IMPORT_ACTIVE), name="import_one_active_per_cell"
            )
        ]
        indexes = [
            models.Index(fields=["cell", "-id"], name="import_by_cell"),
            models.Index(fields=["finished_at"], name="import_failed", condition=Q(state=ImportState.FAILED)),
        ]

    def __str__(self) -> str:
        return f"import {self.pk}: {self.state}"


class ImportCheck(models.Model):
    """What an import that replaces would change: one for a person and a cell. Deleted when cancelled, or a day old.

    It waits without a heartbeat, runs with one, and is over when it has `finished_at`. See `services.import_checks`.
    """

    cell = models.ForeignKey(Cell, on_delete=models.CASCADE, related_name="+")
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    name = models.CharField(max_length=255, blank=True)
    #: As of an import.
    source = models.CharField(max_length=4200)
    snapshots_only = models.BooleanField(default=False)
    fence = models.PositiveIntegerField(default=0)
    heartbeat_at = models.DateTimeField(null=True)
    nudged_at = models.DateTimeField()
    #: Plain bytes of the archive's contents.
    done = models.BigIntegerField(default=0)
    total = models.BigIntegerField(default=0)
    started_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True)
    #: Of `services.import_checking`: counts, and the first thousand names of each kind.
    report = models.JSONField(null=True)
    #: {"code": …, "message": …} of an archive that cannot be brought back.
    error = models.JSONField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["cell", "owner"], name="import_check_once")]

    def __str__(self) -> str:
        return f"check {self.pk}"
