"""Moves of a cell between two servers: what the one that gives knows, and what the one that takes knows."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from cells.models import Cell
from exports.models.imports import Import
from exports.models.run import Run
from exports.states import DEPARTURE_ACTIVE, DepartureState


def _uid() -> str:
    return uuid.uuid4().hex


class Departure(models.Model):
    """One attempt to move a cell away. `services.departure_lifecycle` alone writes `state`.

    The state MOVED of this row is the only decision of a move: until then the other server shows nothing new, and
    afterwards it will.
    """

    uid = models.CharField(max_length=32, primary_key=True, default=_uid)
    #: Null when it was deleted here, as it may be once it has moved: the other server may still ask what was decided.
    cell = models.ForeignKey(Cell, on_delete=models.SET_NULL, null=True, related_name="departures")
    #: Null when the account was deleted, which it cannot be before its cells are.
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+")
    state = models.CharField(max_length=20, choices=DepartureState.choices(), default=DepartureState.ASKED)
    #: Address of the other server or of the cell there, without a slash at its end.
    target_url = models.CharField(max_length=2000)
    #: Sealed {"target_token", "token"}: what opens the other server, and what opens this transfer here.
    secrets = models.BinaryField(default=b"")
    #: SHA-256 of the link's secret, and of the token that the other server gets.
    secret_digest = models.CharField(max_length=64, db_index=True)
    token_digest = models.CharField(max_length=64, blank=True, db_index=True)
    #: The other server knows only what the spec says: no hold, no second freeze, no digest.
    classic = models.BooleanField(default=False)
    ignore_vault = models.BooleanField(default=False)
    #: Where the owner came by, for links and for the other server: an address without a slash at its end.
    base_url = models.CharField(max_length=300)
    #: What is offered while others write, and what is offered once nobody can.
    run = models.ForeignKey(Run, on_delete=models.SET_NULL, null=True, related_name="+")
    held_run = models.ForeignKey(Run, on_delete=models.SET_NULL, null=True, related_name="+")
    #: Content digest of `held_run` (FORMAT.md); "" before it is HELD.
    digest = models.CharField(max_length=64, blank=True)
    #: Of the contents of the run on offer, and how many the other server has asked for.
    bytes_total = models.BigIntegerField(default=0)
    bytes_sent = models.BigIntegerField(default=0)
    created_at = models.DateTimeField(default=timezone.now)
    #: When the other server accepted the offer; it will fetch from then on.
    accepted_at = models.DateTimeField(null=True)
    held_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    #: The last word of the other server.
    heard_at = models.DateTimeField(null=True)
    #: What is to be told to it: "offer", "abort" or "" ; when, and after how many tries.
    tell = models.CharField(max_length=8, blank=True)
    tell_at = models.DateTimeField(default=timezone.now)
    tries = models.PositiveIntegerField(default=0)
    #: {"code", "message"} of an aborted one, or why the last try to tell failed.
    error = models.JSONField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["cell"], condition=Q(state__in=DEPARTURE_ACTIVE), name="departure_one_active_per_cell"
            )
        ]
        indexes = [models.Index(fields=["cell", "-created_at"], name="departure_by_cell")]

    def __str__(self) -> str:
        return f"departure {self.uid}: {self.state}"


class Arrival(models.Model):
    """What a cell's import knows of the server that it comes from. Its state is the import's."""

    imported = models.OneToOneField(Import, on_delete=models.CASCADE, primary_key=True, related_name="arrival")
    #: Address of the other server, without a slash at its end.
    source_url = models.CharField(max_length=2000)
    #: Sealed {"token"}: what the other server gave us to speak with it.
    secrets = models.BinaryField(default=b"")
    #: The other server's `Departure.uid`; "" of one that knows only what the spec says.
    transfer = models.CharField(max_length=32, blank=True)
    vault = models.BooleanField(default=False)
    #: Stored bytes of what is to be fetched, and of what has been.
    listed = models.BigIntegerField(default=0)
    fetched = models.BigIntegerField(default=0)
    #: Content digest of the generation that is ready to be shown, computed from its own rows.
    digest = models.CharField(max_length=64, blank=True)
    #: Since when the other server alone decides: it was, or will be, asked to finalize. Null: it may still be aborted.
    asked_at = models.DateTimeField(null=True)
    #: When the other server said that the cell has moved.
    decided_at = models.DateTimeField(null=True)
    #: The last word of the other server.
    heard_at = models.DateTimeField(default=timezone.now)
    #: Tries since then, and workers lost since the last progress.
    tries = models.PositiveIntegerField(default=0)
    lost = models.PositiveIntegerField(default=0)
    #: What is still to be told to it when all is over: "finalize" (of a classic move), "abort" or "".
    tell = models.CharField(max_length=8, blank=True)
    tell_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return f"arrival of import {self.imported_id}"


class Received(models.Model):
    """A content that came for this cell in an earlier try, whose rows may not be there yet."""

    pk = models.CompositePrimaryKey("cell", "sha256")
    cell = models.ForeignKey(Cell, on_delete=models.CASCADE, related_name="+", db_index=False)
    sha256 = models.CharField(max_length=64, db_collation="C")
    put_at = models.DateTimeField(default=timezone.now)

    class Meta:
        indexes = [models.Index(fields=["put_at"], name="received_by_time")]

    def __str__(self) -> str:
        return self.sha256
