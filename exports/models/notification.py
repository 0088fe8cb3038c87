"""Mails to owners about their runs, about imports that were fetched from elsewhere, and about cells that move away."""

from django.db import models
from django.db.models import Q
from django.utils import timezone

from exports.models.imports import Import
from exports.models.run import Run
from exports.models.transfer import Departure


class NotificationKind(models.TextChoices):
    DONE = "done"
    WARNINGS = "done_with_warnings"
    FAILED = "failed"
    SCHEDULE_OFF = "schedule_off"
    #: Asks for the owner's word: a cell is to move to another server.
    CONFIRM = "confirm"


class Notification(models.Model):
    """One mail, to be sent or sent. What it says is made up when it goes out. Of a run, an import, or a departure."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, null=True, related_name="notifications")
    imported = models.ForeignKey(Import, on_delete=models.CASCADE, null=True, related_name="notifications")
    departure = models.ForeignKey(Departure, on_delete=models.CASCADE, null=True, related_name="notifications")
    kind = models.CharField(max_length=20, choices=NotificationKind)
    attempts = models.PositiveIntegerField(default=0)
    #: Not before; null when it is over, sent or given up. While one worker sends, no other may before then.
    next_at = models.DateTimeField(null=True, default=timezone.now)
    sent_at = models.DateTimeField(null=True)
    #: To whom it went.
    address = models.CharField(max_length=254, default="", blank=True)
    #: Why the last try did not succeed.
    error = models.CharField(max_length=1000, default="", blank=True)

    class Meta:
        indexes = [models.Index(fields=["next_at"], name="notification_due", condition=Q(next_at__isnull=False))]

    def __str__(self) -> str:
        about = {"run": self.run_id, "import": self.imported_id, "departure": self.departure_id}
        return f"{self.kind} of " + " ".join(f"{what} {key}" for what, key in about.items() if key)
