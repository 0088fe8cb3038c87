"""Definitions: what to export, how and where to."""

from django.conf import settings
from django.db import models
from django.utils import timezone


class ExportType(models.TextChoices):
    EXPORT = "export"
    INCREMENTAL = "export_incremental"
    DOWNLOAD = "download"


class Export(models.Model):
    """A definition, not an execution: attempts are `Run` rows.

    `current_run` is the newest attempt, `published_run` the one whose archives are on offer; a failed attempt
    moves the first and leaves the second alone.
    """

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="exports")
    type = models.CharField(max_length=20, choices=ExportType.choices, default=ExportType.EXPORT)
    #: "" when none was given; `display_name` then makes one (`spec/v1.md §4.4`).
    name = models.CharField(max_length=255, blank=True)
    version = models.PositiveIntegerField(default=1)
    #: Names of cells; null is every cell that the owner has at the time of the run.
    cells = models.JSONField(null=True)
    #: The rest of v1's `export` object, normalised and with defaults filled in (`spec/v1.md §4.2`).
    definition = models.JSONField(default=dict)
    #: Changes to revoke every passkey URL given out so far.
    passkey_nonce = models.BinaryField()
    current_run = models.ForeignKey("Run", on_delete=models.SET_NULL, null=True, related_name="+")
    published_run = models.ForeignKey("Run", on_delete=models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)
    updated_at = models.DateTimeField(default=timezone.now)

    class Meta:
        indexes = [models.Index(fields=["owner", "-id"], name="export_by_owner")]

    def __str__(self) -> str:
        return self.display_name

    @property
    def display_name(self) -> str:
        return self.name or f"easydb-{self.type}-{self.pk}"


class Transport(models.Model):
    """Where a finished archive goes. The order of an export's transports is the order of delivery."""

    export = models.ForeignKey(Export, on_delete=models.CASCADE, related_name="transports")
    position = models.PositiveIntegerField()
    uuid = models.UUIDField(unique=True)
    type = models.CharField(max_length=20)
    packer = models.CharField(max_length=20, null=True)
    options = models.JSONField(default=dict)
    #: What of the options must never be shown again (passwords, keys): JSON, encrypted with a key from SECRET_KEY.
    secrets = models.BinaryField(default=b"")
    email = models.JSONField(null=True)

    class Meta:
        ordering = ["position"]
        constraints = [models.UniqueConstraint(fields=["export", "position"], name="transport_once")]

    def __str__(self) -> str:
        return f"{self.type} {self.packer or 'files'}"
