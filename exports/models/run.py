"""Executions: one attempt, its sealed manifest, its volumes, and what happened."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from cells.fields import PathField, unique_path
from exports.states import ACTIVE, RunState


class Run(models.Model):
    """One attempt to export. `services.lifecycle` alone writes `state`."""

    export = models.ForeignKey("Export", on_delete=models.CASCADE, null=True, related_name="runs")
    #: Set: a snapshot of this cell is made, which is kept in its snapshot area; at most one at a time.
    cell = models.ForeignKey("cells.Cell", on_delete=models.CASCADE, null=True, related_name="+")
    #: How this attempt was asked for, frozen at start: cells, definition, name. Never read from the export again.
    order = models.JSONField(default=dict)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    state = models.CharField(max_length=20, choices=RunState.choices(), default=RunState.PENDING)
    stop_requested = models.BooleanField(default=False)
    #: Fencing number: grows with each claim; whoever holds an older one has lost the run.
    fence = models.PositiveIntegerField(default=0)
    heartbeat_at = models.DateTimeField(null=True)
    #: freeze | write | deliver, for people who watch.
    phase = models.CharField(max_length=20, default="", blank=True)
    bytes_done = models.BigIntegerField(default=0)
    bytes_planned = models.BigIntegerField(default=0)
    #: Documents and files: while the cells are read, no bytes are planned yet.
    read_done = models.BigIntegerField(default=0)
    read_planned = models.BigIntegerField(default=0)
    #: Known once the manifest is sealed.
    entry_count = models.BigIntegerField(null=True)
    entry_bytes = models.BigIntegerField(null=True)
    manifest_sha256 = models.CharField(max_length=64, default="", blank=True)
    #: {"code": …, "message": …} of a failed or stopped run.
    error = models.JSONField(null=True)
    #: Where generated contents are, relative to the runs' folder of the store.
    pack_file = models.CharField(max_length=255, default="", blank=True)
    #: When the queue was last told; a message may be lost, the row is not.
    nudged_at = models.DateTimeField(null=True)
    #: Sentences for people; what is missing entry by entry stands in `RunEntry.missing`.
    warnings = models.JSONField(default=list)
    created_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True)
    frozen_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField(null=True)
    #: Somebody was fetching from it then; it does not expire under a download.
    last_read_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["export"], condition=Q(state__in=ACTIVE), name="run_one_active_per_export"),
            models.UniqueConstraint(fields=["cell"], condition=Q(state__in=ACTIVE), name="run_one_active_per_cell"),
        ]
        indexes = [
            models.Index(fields=["state", "heartbeat_at"], name="run_by_state"),
            models.Index(fields=["finished_at"], name="run_failed", condition=Q(state=RunState.FAILED)),
        ]

    def __str__(self) -> str:
        return f"run {self.pk}: {self.state}"

    @property
    def percent(self) -> int:
        """Of the whole run: reading the cells is one half of it, proving or writing the archives the other."""
        halves = [(self.read_done, self.read_planned), (self.bytes_done, self.bytes_planned)]
        known = halves if self.read_planned else halves[1:]
        return min(100, sum(100 * done // planned for done, planned in known if planned) // len(known))


class RunEntry(models.Model):
    """One line of a sealed manifest. Written by COPY and read by cursor (`services.manifest`); never updated.

    (run, ordinal) gives the order in the archive, (run, name) keeps names unique.
    """

    pk = models.CompositePrimaryKey("run", "ordinal")
    #: A trigger deletes them with their run (migration 0002).
    run = models.ForeignKey(
        Run, on_delete=models.DO_NOTHING, related_name="entries", db_index=False, db_constraint=False
    )
    ordinal = models.BigIntegerField()
    #: The name in the archive; folders end in "/".
    name = PathField(max_length=8192)
    #: The path in the cell where it differs from `name`, else null.
    path = models.CharField(max_length=8192, null=True, db_collation="C")
    mode = models.PositiveIntegerField()
    #: Microseconds since 1970, UTC.
    mtime = models.BigIntegerField()
    size = models.BigIntegerField()
    crc32 = models.BigIntegerField()
    sha256 = models.CharField(max_length=64, db_collation="C")
    encoding = models.CharField(max_length=8)
    stored_size = models.BigIntegerField()
    stored_crc32 = models.BigIntegerField()
    #: Offset in the run's own pack file for generated content; null: the bytes are the blob `sha256`.
    pack_offset = models.BigIntegerField(null=True)
    #: As `cells.Blob.points`, for generated content only.
    points = models.BinaryField(default=b"")
    #: Why this entry is in no archive ("" for all that are): its stored bytes were found damaged or gone.
    missing = models.CharField(max_length=200, default="", db_default="", blank=True)
    #: As in `engine.entries.Entry`, for what v1 calls an asset.
    asset_id = models.BigIntegerField(null=True)
    asset_version = models.CharField(max_length=100, default="", db_default="", blank=True)
    asset_class = models.CharField(max_length=8, default="", db_default="", blank=True)
    document_id = models.BigIntegerField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint("run", *unique_path("name"), name="run_entry_name_once"),
        ]
        indexes = [models.Index(fields=["sha256"], name="run_entry_by_blob", condition=Q(pack_offset=None))]

    def __str__(self) -> str:
        return self.name


class Volume(models.Model):
    """One archive planned from a run's manifest; stored on disk, or computed whenever somebody reads it."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="volumes")
    #: Packer name for the archives on offer; `zip:<path>` or `tar_gz:<path>` for a selection made on the fly.
    packer = models.CharField(max_length=8300, db_collation="C")
    #: 1-based; `of` is how many volumes the packer made.
    number = models.PositiveIntegerField(default=1)
    of = models.PositiveIntegerField(default=1)
    #: Ordinals [first, last) of the manifest; names lose their first `strip` characters.
    first = models.BigIntegerField()
    last = models.BigIntegerField()
    strip = models.PositiveIntegerField(default=0)
    #: Whether the run's `manifest.json` (its last entry) closes the archive.
    has_manifest = models.BooleanField(default=True)
    #: Null while unknown (only tar_bz2, until written).
    length = models.BigIntegerField(null=True)
    #: Strong: equal plans give equal bytes.
    etag = models.CharField(max_length=64)
    #: `engine.plan.Checkpoints.pack()`: where every so many entries begin, to start reading anywhere.
    checkpoints = models.BinaryField(default=b"")
    #: Whether it is to be written to the store; others are computed whenever somebody reads them.
    stored = models.BooleanField(default=False)
    #: Relative to the store of volumes; "" until it is written.
    store_file = models.CharField(max_length=255, default="", blank=True)
    #: Since when somebody has been writing it; older than the lease, somebody else may.
    claimed_at = models.DateTimeField(null=True)
    written_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["run", "packer", "number"], name="volume_once")]

    def __str__(self) -> str:
        return f"{self.packer} {self.number}/{self.of}"


class Event(models.Model):
    """What happened, once; v1 shows these as `_log` and under `/event` (`spec/v1.md §12`)."""

    type = models.CharField(max_length=48)
    at = models.DateTimeField(default=timezone.now)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+")
    #: Not a foreign key: events outlive what they speak of.
    export_id = models.BigIntegerField(null=True)
    export_version = models.PositiveIntegerField(null=True)
    run_id = models.BigIntegerField(null=True)
    #: Of the v1 session in which it was done; see `services.acting`.
    session = models.CharField(max_length=16, default="", db_default="", blank=True)
    address = models.GenericIPAddressField(null=True)
    info = models.JSONField(default=dict)

    class Meta:
        indexes = [models.Index(fields=["export_id", "id"], name="event_by_export")]

    def __str__(self) -> str:
        return f"{self.type} {self.at:%Y-%m-%d %H:%M:%S}"
