"""Taking the archives of one run to one place."""

from django.db import models
from django.db.models import Q
from django.utils import timezone

from exports.models.export import Transport
from exports.models.run import Run
from exports.states import DELIVERY_ACTIVE, DeliveryState


class Delivery(models.Model):
    """One transport of one run. `services.lifecycle` alone writes `state`.

    Holds its own copy of the target: a transport changed later does not redirect a delivery that was ordered before.
    """

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="deliveries")
    transport = models.ForeignKey(Transport, on_delete=models.SET_NULL, null=True, related_name="deliveries")
    position = models.PositiveIntegerField()
    type = models.CharField(max_length=20)
    packer = models.CharField(max_length=20, null=True)
    options = models.JSONField(default=dict)
    #: As `Transport.secrets`.
    secrets = models.BinaryField(default=b"")
    email = models.JSONField(null=True)
    state = models.CharField(max_length=20, choices=DeliveryState.choices(), default=DeliveryState.PENDING)
    #: Fencing number and lease, as for runs.
    fence = models.PositiveIntegerField(default=0)
    heartbeat_at = models.DateTimeField(null=True)
    attempts = models.PositiveIntegerField(default=0)
    #: Not before: grows with each transient failure.
    next_at = models.DateTimeField(default=timezone.now)
    #: Archives that are at the target by this delivery or the ones before, as `services.placed` writes them.
    placed = models.JSONField(default=list)
    bytes_done = models.BigIntegerField(default=0)
    bytes_planned = models.BigIntegerField(default=0)
    #: Lines for people, without secrets; the newest 200.
    log = models.JSONField(default=list)
    #: {"code": …, "message": …, "permanent": …} of the last failure.
    error = models.JSONField(null=True)
    created_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["position"]
        verbose_name_plural = "deliveries"
        constraints = [models.UniqueConstraint(fields=["run", "position"], name="delivery_once")]
        indexes = [
            models.Index(fields=["next_at"], name="delivery_due", condition=Q(state__in=DELIVERY_ACTIVE)),
            models.Index(fields=["finished_at"], name="delivery_failed", condition=Q(state=DeliveryState.FAILED)),
        ]

    def __str__(self) -> str:
        return f"{self.type} of run {self.run_id}: {self.state}"
