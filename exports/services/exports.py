"""What one can do with a definition: make it, change it, start it, stop it, remove it."""

import secrets
import time
import uuid
from dataclasses import dataclass, field
from typing import Any, TypedDict

from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.utils import timezone

from cells.models import Cell
from exports.errors import (
    DefinitionRefused,
    ExportNameRequired,
    ExportNameTaken,
    ExportNotFound,
    ExportNotRunning,
    VersionMismatch,
)
from exports.models import Export, Run, Transport
from exports.registry import TRANSPORTS
from exports.services import lifecycle, store
from exports.services.delivery_lifecycle import deliveries_cancel
from exports.services.incremental import incremental_order
from exports.services.producing import stylesheet_find
from exports.services.schedule_rows import schedules_write
from exports.services.secrets import secrets_open, secrets_seal
from exports.states import ACTIVE

#: How long a caller waits for a run to end that was asked to stop (`spec/v1.md §5.7`).
STOP_PATIENCE = 4.0
_STOP_POLL = 0.05
#: First key of the advisory locks by which the verbs on one export wait for each other.
_LOCK = 0x45585054


@dataclass(frozen=True)
class TransportSpec:
    """Where to; `packer` None stands for single files."""

    type: str
    packer: str | None
    options: dict[str, object]
    email: dict[str, object] | None
    #: Given now, "" for one that is taken away; what is absent stays as it was (see `_secrets`).
    secrets: dict[str, str] = field(default_factory=dict, repr=False)


class ExportChanges(TypedDict, total=False):
    """What an update changes; what is absent stays as it is. `definition` holds the changed attributes alone."""

    type: str
    name: str
    cells: list[str] | None
    definition: dict[str, object]
    transports: list[TransportSpec]
    schedules: list[dict[str, object]]


def export_create(
    *,
    owner: User,
    type: str,
    name: str,
    cells: list[str] | None,
    definition: dict[str, object],
    transports: list[TransportSpec],
    schedules: list[dict[str, object]],
) -> Export:
    """`name` "" is none given, `cells` None every cell the owner has when it runs."""
    _check_schedules(name, scheduled=bool(schedules))
    with transaction.atomic():
        _check_cells(owner, cells)
        _check_name(owner, name, except_id=None)
        _check_stylesheet(owner, definition)
        export = Export.objects.create(
            owner=owner,
            type=type,
            name=name,
            cells=cells,
            definition=definition,
            passkey_nonce=secrets.token_bytes(32),
        )
        _transports_write(export, transports)
        schedules_write(export=export, schedules=schedules)
        lifecycle.event_write(type="EXPORT_INSERT", export=export, user=owner, info={"state": "new"})
        if settings.EXPORT_AUTOSTART and not schedules:
            lifecycle.run_create(export=export, owner=owner, order=_order(export))
    return export


def export_update(*, export: Export, user: User, changes: ExportChanges, version: int | None = None) -> Export:
    """Whatever ran or was on offer is gone afterwards: the export is as new (`spec/v1.md §5.4`).

    `version` is the one that the caller expects to make: VersionMismatch unless it is the next.
    """
    with transaction.atomic():
        export = _locked(export)
        if version is not None and version != export.version + 1:
            raise VersionMismatch(provided=version, expected=export.version + 1)
        _apply(export, changes)
        _purge(export)
        export.current_run = export.published_run = None
        export.version += 1
        export.updated_at = timezone.now()
        export.save()
        lifecycle.event_write(type="EXPORT_UPDATE", export=export, user=user, info={"state": "new"})
    return export


def export_start(*, export: Export, scheduled: dict[str, object] | None = None) -> Run:
    """Queues a run with the owner's rights, whoever asks. AlreadyRunning while one is pending or processing.

    `scheduled`: {"due": …, "schedules": [ids]} when nobody asks, but schedules are due.
    """
    _wait_for_purged_run(export)
    with transaction.atomic():
        export = _locked(export)
        order = _order(export) | ({"scheduled": scheduled} if scheduled else {})
        return lifecycle.run_create(export=export, owner=export.owner, order=order)


def export_stop(*, export: Export) -> None:
    """Returns when the run has ended, or after STOP_PATIENCE seconds. ExportNotRunning when nothing runs."""
    with transaction.atomic():
        export = _locked(export)
        run = export.current_run
        if run is None or run.state not in ACTIVE:
            raise ExportNotRunning(id=export.pk)
        lifecycle.run_stop(run=run)
    _wait_for_end(run.pk)


def export_delete(*, export: Export) -> None:
    """Its runs go with it; a worker that still writes one finds it gone and cleans up after itself."""
    with transaction.atomic():
        export = _locked(export)
        _purge(export)
        runs = list(export.runs.values_list("pk", "pack_file"))
        export.delete()
    for run_id, pack_file in runs:
        store.remove(run_id=run_id, pack_file=pack_file)


def _apply(export: Export, changes: ExportChanges) -> None:
    export.type = changes.get("type", export.type)
    export.name = changes.get("name", export.name)
    export.definition = {**export.definition, **changes.get("definition", {})}
    _check_stylesheet(export.owner, changes.get("definition", {}))
    scheduled = bool(changes["schedules"]) if "schedules" in changes else export.schedules.exists()
    _check_schedules(export.name, scheduled=scheduled)
    if "cells" in changes:
        _check_cells(export.owner, changes["cells"])
        export.cells = changes["cells"]
    if "name" in changes:
        _check_name(export.owner, export.name, except_id=export.pk)
    if "transports" in changes:
        _transports_write(export, changes["transports"])
    if "schedules" in changes:
        schedules_write(export=export, schedules=changes["schedules"])


def export_try_lock(*, export_id: int) -> bool:
    """Take the lock by which the verbs on one export wait for each other, until the transaction ends, if it is free."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s, %s)", [_LOCK, export_id % 2**31])
        return cursor.fetchone()[0]


def _locked(export: Export) -> Export:
    """Its active run is locked first, as `lifecycle.publish` does: two orders would be a deadlock.

    The advisory lock comes before both: a run that another verb makes between the two would be locked after the export.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [_LOCK, export.pk % 2**31])
    list(Run.objects.select_for_update().filter(export_id=export.pk, state__in=ACTIVE).values_list("pk"))
    try:
        return (
            Export.objects.select_for_update(of=("self",))
            .select_related("owner", "current_run", "published_run")
            .get(pk=export.pk)
        )
    except Export.DoesNotExist:
        raise ExportNotFound(id=export.pk) from None


def _purge(export: Export) -> None:
    for run in export.runs.filter(state__in=ACTIVE):
        lifecycle.run_stop(run=run)
    deliveries_cancel(export=export)


def _order(export: Export) -> dict[str, object]:
    packed = export.transports.filter(packer__isnull=False)
    packers = packed.filter(type="download").values_list("packer", flat=True)
    delivered = packed.exclude(type="download").values_list("packer", flat=True)
    order = {
        "type": export.type,
        "name": export.display_name,
        "version": export.version,
        "cells": export.cells,
        "definition": export.definition,
        "packers": list(dict.fromkeys(packers)),
        "delivered": list(dict.fromkeys(delivered)),
    }
    return order | incremental_order(export=export, order=order)


def _transports_write(export: Export, specs: list[TransportSpec]) -> None:
    """A transport that keeps its position and type keeps its uuid, and its secrets (see `_secrets`)."""
    kept = {(transport.position, transport.type): transport for transport in export.transports.all()}
    export.transports.all().delete()
    Transport.objects.bulk_create(
        Transport(
            export=export,
            position=position,
            uuid=before.uuid if (before := kept.get((position, spec.type))) else uuid.uuid4(),
            type=spec.type,
            packer=spec.packer,
            options=spec.options,
            secrets=_secrets(spec, before),
            email=spec.email,
        )
        for position, spec in enumerate(specs)
    )


def _secrets(spec: TransportSpec, before: Transport | None) -> bytes:
    """Sealed. What is not given now is kept, unless it would travel to another server than the one it was given for."""
    carrier = TRANSPORTS.load(spec.type).CARRIER
    if before is None or not before.secrets or carrier.origin(before.options) != carrier.origin(spec.options):
        return secrets_seal(spec.secrets)
    if not spec.secrets:
        return bytes(before.secrets)
    return secrets_seal({**secrets_open(before.secrets), **spec.secrets})


def _check_schedules(name: str, *, scheduled: bool) -> None:
    if scheduled and not name:
        raise ExportNameRequired


def _check_cells(owner: User, names: list[str] | None) -> None:
    """One answer for a cell that is not there and a cell of somebody else."""
    if names is None:
        return
    owned = set(Cell.objects.filter(owner=owner, name__in=names).values_list("name", flat=True))
    for name in names:
        if name not in owned:
            raise DefinitionRefused(
                attribute="export.cells", reason=f"you have no cell called {name[:128]!r}", fault="invalid_value"
            )


def _check_stylesheet(owner: User, definition: dict[str, Any]) -> None:
    """One answer for a file that is not there, is somebody else's, or is no stylesheet."""
    given = definition.get("xslt_xml_post_processing")
    if given and stylesheet_find(owner_id=owner.pk, id=given["_id"]) is None:
        raise DefinitionRefused(
            attribute="export.xslt_xml_post_processing._id",
            reason=f"you have no stylesheet {given['_id']}",
            fault="invalid_value",
        )


def _check_name(owner: User, name: str, *, except_id: int | None) -> None:
    """The owner's row is the lock: two requests cannot take one name at the same time."""
    if not (settings.EXPORT_UNIQUE_NAMES and name):
        return
    User.objects.select_for_update(no_key=True).get(pk=owner.pk)
    if Export.objects.filter(owner=owner, name=name).exclude(pk=except_id).exists():
        raise ExportNameTaken(name=name)


def _wait_for_purged_run(export: Export) -> None:
    """An update leaves the run it purged a second to end; starting anew has to let it go first."""
    purged = export.runs.filter(state__in=ACTIVE, stop_requested=True).exclude(pk=export.current_run_id).first()
    if purged is not None:
        _wait_for_end(purged.pk)


def _wait_for_end(run_id: int) -> None:
    until = time.monotonic() + STOP_PATIENCE
    while time.monotonic() < until and Run.objects.filter(pk=run_id, state__in=ACTIVE).exists():
        time.sleep(_STOP_POLL)
