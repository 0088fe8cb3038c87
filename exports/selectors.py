"""Every read that the interfaces share, ownership inside: a stranger's export is an unknown one."""

from collections.abc import Collection, Iterable
from functools import reduce
from operator import and_, or_
from typing import NamedTuple
from uuid import UUID

from django.contrib.auth.models import User
from django.db.models import Q, QuerySet

from exports.errors import DeliveryNotFailed, ExportNotFound, NothingPublished, TransportNotFound, VolumeNotFound
from exports.models import Delivery, Event, Export, Preference, Run, Transport, Volume
from exports.states import DOWNLOADABLE, RunState

_LARGEST_ID = 2**63 - 1


class Condition(NamedTuple):
    """Holds for an export of one of these types and one of these states; None is any. A state None is "no run yet"."""

    types: Collection[str] | None = None
    states: Collection[RunState | None] | None = None


def export_get(*, id: int, user: User) -> Export:
    """Any export for a root user, one's own for everybody else (`spec/v1.md C5`)."""
    exports = Export.objects.select_related("owner", "current_run", "published_run")
    if not user.is_superuser:
        exports = exports.filter(owner=user)
    export = exports.filter(pk=id).first() if id <= _LARGEST_ID else None
    if export is None:
        raise ExportNotFound(id=id)
    return export


def exports_list(*, owner: User, any_of: Iterable[Collection[Condition]] = ()) -> QuerySet[Export]:
    """Newest first. `any_of` is a disjunction of conjunctions; empty is no filter."""
    exports = Export.objects.filter(owner=owner).select_related("current_run").order_by("-id")
    clauses = [reduce(and_, map(_query, clause)) for clause in any_of]
    return exports.filter(reduce(or_, clauses)) if clauses else exports


def _query(condition: Condition) -> Q:
    query = Q()
    if condition.types is not None:
        query &= Q(type__in=condition.types)
    if condition.states is not None:
        states = Q(current_run__state__in=[state for state in condition.states if state is not None])
        query &= states | Q(current_run=None) if None in condition.states else states
    return query


def published_run(*, export: Export) -> Run:
    """The run whose archives are on offer; NothingPublished without one, or when it has expired."""
    run = export.published_run
    if run is None or run.state not in DOWNLOADABLE:
        current = export.current_run
        raise NothingPublished(id=export.pk, state=current.state if current else "new")
    return run


def volume_get(*, run: Run, packer: str, number: int) -> Volume:
    volume = run.volumes.filter(packer=packer, number=number).first()
    if volume is None:
        raise VolumeNotFound(name=f"{packer} {number}")
    return volume


def deliveries_newest(*, export: Export) -> dict[int, Delivery]:
    """By the transport's position, of the export's newest run."""
    return {each.position: each for each in Delivery.objects.filter(run_id=export.current_run_id).defer("secrets")}


def transport_get(*, export: Export, uuid: UUID) -> Transport:
    transport = export.transports.select_related("export").filter(uuid=uuid).first()
    if transport is None:
        raise TransportNotFound(id=uuid)
    return transport


def delivery_of(*, transport: Transport) -> Delivery:
    """Of the export's newest run. DeliveryNotFailed when nothing was to be delivered: there is nothing to repeat."""
    delivery = deliveries_newest(export=transport.export).get(transport.position)
    if delivery is None:
        raise DeliveryNotFailed(state="new")
    return delivery


def preference_get(*, user: User) -> Preference:
    """The user's own, or the defaults (not saved)."""
    return Preference.objects.filter(user=user).first() or Preference(user=user)


def export_events(*, export: Export, types: Collection[str]) -> QuerySet[Event]:
    return Event.objects.filter(export_id=export.pk, type__in=types).select_related("user").order_by("id")


def owner_events(*, owner: User, types: Collection[str], after: int) -> QuerySet[Event]:
    """Of the owner's runs, oldest first."""
    return Event.objects.filter(user=owner, type__in=types, pk__gt=min(after, _LARGEST_ID)).order_by("id")


def events_all() -> QuerySet[Event]:
    """Whoever asks needs the right to see what everybody does (`spec/v1.md §13`)."""
    return Event.objects.select_related("user")


def event_find(*, id: int) -> Event | None:
    return events_all().filter(pk=id).first() if id <= _LARGEST_ID else None


def event_last_id() -> int:
    return Event.objects.order_by("-id").values_list("id", flat=True).first() or 0
