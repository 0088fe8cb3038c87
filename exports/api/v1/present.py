"""Rows -> v1's JSON (`spec/v1.md §4.1, §4.5, §4.6, §6.4`). Long lists come as iterators, for `streaming`."""

from collections.abc import Collection, Iterator
from datetime import UTC, datetime

from exports import selectors
from exports.api.v1 import names
from exports.api.v1.definition import ATTRIBUTES
from exports.api.v1.words import DELIVERY_WORDS, export_word, state_word
from exports.errors import NothingPublished
from exports.models import Delivery, Event, Export, Run, Schedule, Transport, Volume
from exports.services import downloads, manifest
from exports.states import DELIVERY_ACTIVE, DeliveryState, RunState

LOG_FORMATS = ("short", "standard", "long")
#: Events that are an export's `_log` (§6.4).
LOG_TYPES = (
    "EXPORT_INSERT",
    "EXPORT_UPDATE",
    "EXPORT_START",
    "EXPORT_REQUEUED",
    "EXPORT_FINISH",
    "EXPORT_FAILED",
    "EXPORT_STOPPED",
    "EXPORT_EXPIRED",
    "EXPORT_SCHEDULE_OFF",
    "EXPORT_TRANSPORT_FINISH",
    "EXPORT_TRANSPORT_FAILED",
)
#: Events that `event/poll` tells the owner of (§0.2 C20).
POLLABLE = ("EXPORT_START", "EXPORT_FINISH", "EXPORT_FAILED", "EXPORT_STOPPED")
#: How events begin that speak of a file and not of the export, and the one that does so under another name.
ASSET_EVENTS, ASSET_EVENT = "ASSET_", "EXPORT_ASSET"
OBJECT_EVENT = "EXPORT_OBJECT"
#: Archives that every published run has, whatever its transports say (§4.6).
_DEFAULT_PACKERS = ("zip", "tar")
#: Attributes that are absent rather than null (§4.2).
_ABSENT_WHEN_NULL = ("xslt_xml_post_processing", "file_url_expire_days", "notify", "documents")


def timestamp(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def export_listed(export: Export) -> dict[str, object]:
    """An export in a list: without `_files`, `_downloads`, `_schedules`, `_transports` and `_log` (§5.1)."""
    return {
        "_basetype": "export",
        "_date_created": timestamp(export.created_at),
        "_last_updated_date": timestamp(export.updated_at),
        "_state": export_word(export),
        **_moments(export),
        "export": _definition(export),
    }


def export_whole(export: Export, *, log: str = "long") -> dict[str, object]:
    """`log` is one of LOG_FORMATS: none, of the last run, all. `_files` and `_log` are iterators."""
    try:
        run = selectors.published_run(export=export)
    except NothingPublished:
        run = None
    transports = list(export.transports.all())
    deliveries = selectors.deliveries_newest(export=export)
    passkey = downloads.passkey(export=export)
    archives = _archives(export, run, transports, passkey) if run else {}
    whole: dict[str, object] = {
        **export_listed(export),
        "_schedules": [_schedule(row) for row in export.schedules.all()] or None,
        "_transports": [
            _transport(export, transport, archives, run, passkey) | _delivered(deliveries.get(transport.position))
            for transport in transports
        ],
        "_downloads": [{"_files": files} for files in archives.values()],
        "_files": _files(run),
        **_progress(export.current_run),
    }
    if run is not None and run.state == RunState.DONE_WITH_WARNINGS:
        whole["_missing"] = _missing(run)
    if log != "short":
        whole["_log"] = _log(export, of_last_run=log == "standard")
    return whole


def event_whole(event: Event) -> dict[str, object]:
    """The full form of §12."""
    user = event.user
    return {
        "event": {
            **_event_short(event),
            "timestamp": timestamp(event.at),
            "pollable": event.type in POLLABLE,
            "info": _event_info(event.info),
            **({"ipv4_address": event.address} if event.address else {}),
        },
        "_session": {"_id": event.session} if event.session else None,
        "_user": user and {"_id": user.pk, "_generated_displayname": user.get_full_name() or user.get_username()},
    }


def event_listed(event: Event, session: str = "") -> dict[str, object]:
    """The short form of §12, without moments, infos and sessions. `session`: whose `session_self` it is."""
    is_own = session != "" and event.session == session
    return {"event": _event_short(event), "_user": event.user_id and {"_id": event.user_id}, "session_self": is_own}


def _definition(export: Export) -> dict[str, object]:
    stored = {**{name: attribute.default for name, attribute in ATTRIBUTES.items()}, **export.definition}
    rest = {name: value for name, value in stored.items() if value is not None or _shown(name)}
    identity = {"_id": export.pk, "_version": export.version, "type": export.type, "name": export.display_name}
    return {**identity, **rest, "cells": export.cells}


def _shown(name: str) -> bool:
    return name not in _ABSENT_WHEN_NULL


def _progress(run: Run | None) -> dict[str, object]:
    """Our extension: how far a run is, while there is one."""
    if run is None or run.state not in (RunState.PENDING, RunState.PROCESSING):
        return {}
    return {"_progress": {"phase": run.phase, "bytes_done": run.bytes_done, "bytes_planned": run.bytes_planned}}


def _moments(export: Export) -> dict[str, object]:
    """fylr's two (§4.2)."""
    rows = list(export.schedules.all())
    following = [row.next_run_at for row in rows if row.next_run_at]
    past = [row.last_run_at for row in rows if row.last_run_at]
    return {
        "_next_run_at": timestamp(min(following)) if following else None,
        "_last_run_at": timestamp(max(past)) if past else None,
    }


def _schedule(schedule: Schedule) -> dict[str, object]:
    """`_switched_off` is our extension; sent back, it is not looked at."""
    shown = dict(schedule.definition)
    if schedule.timezone:
        shown["timezone"] = schedule.timezone
    if schedule.switched_off_at:
        shown["_switched_off"] = timestamp(schedule.switched_off_at)
    return shown


def _files(run: Run | None) -> Iterator[dict[str, object]]:
    """Regular files alone (§4.5)."""
    if run is not None:
        for _, name, size, _, asset, version, file_class in manifest.entries_iter(run_id=run.pk):
            if not name.endswith("/"):
                of = {} if asset is None else {"eas_id": asset, "eas_version": version, "eas_fileclass": file_class}
                yield {"path": name, "size": size, **of}


def _missing(run: Run) -> Iterator[dict[str, object]]:
    """Our extension: exactly what should be in the archives and is not, by its path in the cell."""
    for path, reason in manifest.missing_iter(run_id=run.pk):
        yield {"path": path, "reason": reason}


def _archives(
    export: Export, run: Run, transports: list[Transport], passkey: str
) -> dict[str, list[dict[str, object]]]:
    """Packer -> its download files; the defaults first, then what the transports add."""
    wanted = dict.fromkeys(
        (*_DEFAULT_PACKERS, *(item.packer for item in transports if item.type == "download" and item.packer))
    )
    volumes: dict[str, list[Volume]] = {packer: [] for packer in wanted}
    for volume in run.volumes.filter(packer__in=wanted).defer("checkpoints").order_by("number"):
        volumes[volume.packer].append(volume)
    return {
        packer: [_archive(export, volume, wanted.keys(), passkey) for volume in found]
        for packer, found in volumes.items()
        if found
    }


def _archive(export: Export, volume: Volume, packers: Collection[str], passkey: str) -> dict[str, object]:
    name = names.volume_name(export.display_name, volume, packers)
    size = {} if volume.length is None else {"size": volume.length}
    return {"url": f"{passkey}/{names.quoted(name)}", **size}


def _transport(
    export: Export, transport: Transport, archives: dict[str, list[dict[str, object]]], run: Run | None, passkey: str
) -> dict[str, object]:
    shown: dict[str, object] = {
        "uuid": str(transport.uuid),
        "type": transport.type,
        "packer": transport.packer,
        "options": transport.options,
        "_state": _transport_word(export),
    }
    if transport.email is not None:
        shown["email"] = transport.email
    if transport.type == "download":
        files = archives.get(transport.packer, []) if transport.packer else _single_files(run, passkey)
        shown["_download"] = {"_files": files}
    return shown


def _delivered(delivery: Delivery | None) -> dict[str, object]:
    """State and log of what is sent (§9.1); a download is there whether or not its mail has gone out."""
    if delivery is None:
        return {}
    shown: dict[str, object] = {"_transport_log": "\n".join(delivery.log)}
    if delivery.type != "download":
        shown["_state"] = DELIVERY_WORDS[DeliveryState(delivery.state)]
    if delivery.state in DELIVERY_ACTIVE:
        shown["_progress"] = {"bytes_done": delivery.bytes_done, "bytes_planned": delivery.bytes_planned}
    if delivery.error is not None:
        shown["_error"] = delivery.error["message"]
    return shown


def _single_files(run: Run | None, passkey: str) -> Iterator[dict[str, object]]:
    for file in _files(run):
        yield {"url": f"{passkey}/{names.single_file_url(str(file['path']))}", "size": file["size"]}


def _transport_word(export: Export) -> str:
    """A download is delivered by being there: its state follows the run (§9.1)."""
    word = export_word(export)
    return "done" if word in ("done_with_warnings", "expired") else word


def _log(export: Export, *, of_last_run: bool) -> Iterator[dict[str, object]]:
    events = selectors.export_events(export=export, types=LOG_TYPES)
    if of_last_run:
        events = events.filter(run_id=export.current_run_id, run_id__isnull=False)
    return map(event_whole, events.iterator())


def _event_short(event: Event) -> dict[str, object]:
    if event.type == OBJECT_EVENT:
        of_object = {name: event.info.get(name) for name in ("objecttype", "object_id", "object_version")}
        return {"_id": event.pk, "type": event.type, "schema": "USER", "basetype": "object", **of_object}
    of_asset = event.type.startswith(ASSET_EVENTS) or event.type == ASSET_EVENT
    return {
        "_id": event.pk,
        "type": event.type,
        "schema": "BASE",
        "basetype": "asset" if of_asset else "export",
        "object_id": event.info.get("asset_id") if of_asset else event.export_id,
        "object_version": None if of_asset else event.export_version,
    }


def _event_info(info: dict[str, object]) -> dict[str, object]:
    state = info.get("state")
    return {**info, "state": state_word(RunState(state))} if state in list(RunState) else info
