"""What websockets wait for (`spec/move.md §4.11, §6.10`), read for all of them at once."""

from collections.abc import Collection
from datetime import timedelta
from typing import NamedTuple

from django.db.models import Q
from django.utils import timezone

from cells.models import AccessToken
from exports.models import Import, MoveExport
from exports.states import ACTIVE, IMPORT_ACTIVE

#: What ended longer ago is told to nobody any more.
_TOLD_LATE = timedelta(hours=1)


class Begun(NamedTuple):
    """An export that a worker has begun."""

    uid: str
    cell: int
    owner: int
    state: str


class Scope(NamedTuple):
    """Whose exports a token may see: its cell's, or those of all cells that its user owns."""

    token: str
    user: int
    cell: int | None

    def covers(self, export: Begun) -> bool:
        return export.owner == self.user if self.cell is None else export.cell == self.cell


def scope_of(token: AccessToken) -> Scope:
    assert token.user_id is not None
    return Scope(token.digest, token.user_id, token.cell_id)


def tokens_ended(digests: Collection[str]) -> set[str]:
    """Those that open nothing any more."""
    found = AccessToken.objects.filter(pk__in=digests, user__is_active=True)
    alive = found.filter(Q(expires_at=None) | Q(expires_at__gt=timezone.now()))
    return set(digests) - set(alive.values_list("pk", flat=True))


def imports_ended(ids: Collection[int]) -> set[int]:
    """Those that are not waiting or running: done, failed, or gone with their cell."""
    active = Import.objects.filter(pk__in=ids, state__in=IMPORT_ACTIVE)
    return set(ids) - set(active.values_list("pk", flat=True))


def exports_begun(scopes: Collection[Scope]) -> list[Begun]:
    """Of these scopes, running or ended within the hour. One that failed before it began has no document (§4.3)."""
    cells = {scope.cell for scope in scopes if scope.cell is not None}
    owners = {scope.user for scope in scopes if scope.cell is None}
    recent = Q(run__state__in=ACTIVE) | Q(run__finished_at__gt=timezone.now() - _TOLD_LATE)
    mine = Q(cell__in=cells) | Q(cell__owner__in=owners)
    here = MoveExport.objects.filter(cell__removed_at=None, run__started_at__isnull=False)
    rows = here.filter(mine, recent).order_by("run_id")
    return [Begun(*row) for row in rows.values_list("uid", "cell_id", "cell__owner_id", "run__state")]


def export_find(uid: str) -> MoveExport | None:
    return MoveExport.objects.select_related("run", "cell").filter(pk=uid).first()
