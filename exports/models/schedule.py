"""When an export runs by itself."""

from django.db import models


class Schedule(models.Model):
    """One entry of an export's `_schedules` (`spec/v1.md §10`). The export runs when any of its schedules is due."""

    export = models.ForeignKey("Export", on_delete=models.CASCADE, related_name="schedules")
    position = models.PositiveIntegerField()
    #: {"weekdays": […], "days_of_month": […], "hours": […], "minutes": […]}, each optional, in v1's own spelling.
    definition = models.JSONField(default=dict)
    #: IANA name; "" is the site's zone.
    timezone = models.CharField(max_length=64, default="", blank=True)
    #: Null: never again, or switched off.
    next_run_at = models.DateTimeField(null=True)
    last_run_at = models.DateTimeField(null=True)
    #: Runs in a row that failed; at five the schedule is switched off.
    failures = models.PositiveIntegerField(default=0)
    switched_off_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["position"]
        constraints = [models.UniqueConstraint(fields=["export", "position"], name="schedule_once")]
        indexes = [models.Index(fields=["next_run_at"], name="schedule_due")]

    def __str__(self) -> str:
        return f"schedule {self.position} of export {self.export_id}"
