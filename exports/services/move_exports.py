"""Exports of the move API: ordered, planned into parts, found again by their opaque identifier (`spec/move.md §4`)."""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Collection, Iterator
from datetime import datetime, timedelta
from math import isqrt
from time import time
from urllib.parse import urlsplit

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet, Sum
from django.utils import timezone

from cells.models import Cell
from cells.quota import bytes_used
from exports.engine.entries import Entry
from exports.engine.freeze import Layout
from exports.engine.layouts import move as layout
from exports.engine.parts import PartPlanner
from exports.engine.plan import Packer, plan
from exports.errors import CursorInvalid, MoveExpired, MoveMacInvalid, MoveNotFound, MoveRunning, TooManyParts
from exports.models import MoveExport, Notify, Run, RunEntry, Volume
from exports.services import downloads, lifecycle, planning
from exports.states import ACTIVE, DOWNLOADABLE, RunState

#: `Run.order["layout"]`.
MOVE = "move"
#: Name of the packer, behind the format: no selection of another run is called so.
PACKER = "zip:My Cozy"
GIB = 1 << 30
WEEK = timedelta(days=7)
WEEK_NS = 7 * 24 * 3600 * 10**9
#: An export that has been running for longer is dead and blocks no other (§4.3).
CONFLICT = timedelta(hours=24)
#: The list of cursors stands in every manifest. A cell of 1 TB has a hundred at the default size.
MOST_PARTS = 10_000
_ENDLESS = 1 << 63
_MAC = 32
_LONGEST_INNER = 256


def is_move(run: Run) -> bool:
    """Whether its archives are in the move API's layout."""
    return run.order.get("layout") == MOVE


def is_ordered(run: Run) -> bool:
    """Whether the move API ordered it, and will hand it out in parts."""
    return is_move(run) and MoveExport.objects.filter(run=run).exists()


@transaction.atomic
def move_export_create(
    *,
    cell: Cell,
    parts_size: int = 0,
    max_age: int = 0,
    with_doctypes: Collection[str] = (),
    without_files: bool = False,
    base_url: str,
    quiet: bool = False,
) -> MoveExport:
    """Queues an export. One that comes while another of the cell is running fails at once, and says so by mail only
    (DEC-14). `parts_size` in bytes, `max_age` in ns; 0 is the default of both. `quiet`: no mail tells how it ended."""
    Cell.objects.select_for_update(no_key=True).get(pk=cell.pk)
    running = MoveExport.objects.filter(cell=cell, run__state__in=ACTIVE, created_at__gt=timezone.now() - CONFLICT)
    conflict = running.exists()
    order = {"layout": MOVE, "type": MOVE, "cells": [cell.name], "name": cell.name}
    if quiet:
        order["notify"] = Notify.NONE
    run = lifecycle.run_create(export=None, owner=cell.owner, order=order, nudge=not conflict)
    found = MoveExport.objects.create(
        cell=cell,
        run=run,
        parts_size=parts_size_effective(parts_size, cell),
        max_age=max_age if max_age and max_age <= WEEK_NS else WEEK_NS,
        with_doctypes=list(dict.fromkeys(with_doctypes)),
        without_files=without_files,
        base_url=base_url,
    )
    if conflict:
        lifecycle.run_fail(run, MoveRunning())
    return found


def parts_size_effective(given: int, cell: Cell) -> int:
    """§4.2.1, DEC-1: what is given, if it is enough; else 1 GiB, or the root of the bytes used, in GiB."""
    if given >= max(settings.MOVE_MIN_PARTS_SIZE, 1):
        return given
    used = bytes_used(cell)
    return GIB if used <= GIB else isqrt(used * GIB)  # floor(sqrt(u / m) * m)


def move_layout(run: Run, cell_id: int) -> Layout:
    """Of a run that the move API ordered, or `cell_export` (which asks for everything)."""
    export = MoveExport.objects.filter(run=run).first()
    cell = Cell.objects.get(pk=cell_id)
    base = urlsplit(export.base_url if export else settings.PUBLIC_URL)
    instance = {"_id": cell.name, "domain": base.netloc, "locale": "en", "password_defined": True}
    if cell.quota is not None:
        instance["disk_quota"] = str(cell.quota)
    doctypes = export.with_doctypes if export else ()
    return layout.move(layout.MoveFacts(doctypes, not (export and export.without_files), instance))


def parts_plan(run: Run, entries: Iterator[Entry]) -> None:
    """Cut the sealed run into parts. Raises TooManyParts."""
    doctypes = run.move.with_doctypes
    whole = bool(doctypes) and layout.FILES not in doctypes  # then versions are not split either (§4.2.3)
    planner = PartPlanner(Packer(PACKER, "zip", _ENDLESS if whole else run.move.parts_size), seal=run.manifest_sha256)
    plan(_bounded(entries, planner), [planner])
    planning.volumes_store(run, PACKER, planner.finish())


def _bounded(entries: Iterator[Entry], planner: PartPlanner) -> Iterator[Entry]:
    for entry in entries:
        if len(planner.volumes) >= MOST_PARTS:
            raise TooManyParts(limit=MOST_PARTS)
        yield entry


def pairs_damaged(run: Run, damaged: dict[int, str]) -> dict[int, str]:
    """With the other half of each pair: neither document nor content is written when one is lost (DEC-7)."""
    around = {near for ordinal in damaged for near in (ordinal, ordinal + 1)}
    contents = RunEntry.objects.filter(run=run, ordinal__in=around, name__startswith=layout.CONTENTS)
    for ordinal in contents.values_list("ordinal", flat=True):
        reason = damaged.get(ordinal) or damaged[ordinal - 1]
        damaged = {**damaged, ordinal: reason, ordinal - 1: reason}
    return damaged


def published(run: Run) -> None:
    """Notes what only a finished export knows: how much it holds, and when it expires."""
    Run.objects.filter(pk=run.pk).update(expires_at=expires_at(run.move))
    entries = RunEntry.objects.filter(run=run, ordinal__lt=run.entry_count - 1)
    contents = entries.filter(name__startswith=layout.CONTENTS)
    first = contents.order_by("ordinal").values_list("ordinal", flat=True).first()
    # Documents of no content stand before the first pair.
    documents = entries if first is None else entries.filter(ordinal__lt=first - 1)
    MoveExport.objects.filter(run=run).update(total_size=_bytes(documents), contents_size=_bytes(contents))


def _bytes(entries: QuerySet[RunEntry]) -> int:
    return entries.filter(missing="").aggregate(sum=Sum("size", default=0))["sum"]


def expires_at(export: MoveExport) -> datetime:
    """`created_at` of the document is when the worker began, not when it was asked for (§4.2.2)."""
    return created_at(export) + timedelta(microseconds=export.max_age / 1000)


def created_at(export: MoveExport) -> datetime:
    return export.run.started_at or export.created_at


def cursors(export: MoveExport) -> list[str]:
    """Of all parts but the first: `<doctype>/<id>` of the document that begins it (§4.7). At most MOST_PARTS."""
    firsts = export.run.volumes.filter(packer=PACKER, number__gt=1).values("first")
    names = RunEntry.objects.filter(run=export.run, ordinal__in=firsts).order_by("ordinal")
    return [name.removeprefix(layout.DATA).removesuffix(".json") for name in names.values_list("name", flat=True)]


def opaque(export: MoveExport) -> str:
    """The identifier that is itself the credential (§4.6): the same whenever it is asked for, of a finished export."""
    issued = int((export.run.finished_at or created_at(export)).timestamp())
    return opaque_make(export.uid, issued, _key())


def opaque_make(uid: str, issued: int, key: bytes) -> str:
    message = issued.to_bytes(8, "big") + uid.encode()
    inner = urlsafe_b64encode(message + _mac(message, key)).rstrip(b"=")
    return urlsafe_b64encode(inner).decode()


def opaque_read(given: str, *, key: bytes, now: int) -> str:
    """The export's id. Raises ValueError when the outer layer cannot be decoded, MoveMacInvalid for the rest."""
    inner = _decoded(given)
    if len(inner) > _LONGEST_INNER:
        raise MoveMacInvalid
    try:
        message = _decoded((inner + b"=" * (-len(inner) % 4)).decode())
        signed, mac = message[:-_MAC], message[-_MAC:]
        issued, uid = int.from_bytes(signed[:8], "big"), signed[8:].decode()
    except ValueError:
        raise MoveMacInvalid from None
    if len(message) < 8 + _MAC or not hmac.compare_digest(mac, _mac(signed, key)):
        raise MoveMacInvalid
    if issued < now - WEEK.total_seconds():
        raise MoveMacInvalid
    return uid


def _decoded(text: str) -> bytes:
    """Strict about alphabet, padding, and bits that would be lost: one identifier has one spelling."""
    data = urlsafe_b64decode(text.encode("ascii"))
    if urlsafe_b64encode(data).decode() != text:
        raise ValueError("illegal base64 data")
    return data


def _mac(message: bytes, key: bytes) -> bytes:
    return hmac.digest(key, b"exports" + message, "sha256")


def _key() -> bytes:
    if not settings.SECRET_KEY:
        raise MoveMacInvalid
    return b"2:" + hmac.digest(settings.SECRET_KEY.encode(), b"move exports", "sha256")


def move_export_open(*, opaque: str, cell: Cell | None = None) -> MoveExport:
    """The export that somebody holds the identifier of; `cell` when the URL names one, which must be its own.

    Raises ValueError, MoveMacInvalid, MoveNotFound, MoveExpired, in the order of §4.4.
    """
    uid = opaque_read(opaque, key=_key(), now=int(time()))
    export = MoveExport.objects.select_related("run", "cell").filter(uid=uid, cell__removed_at=None).first()
    if export is None:
        raise MoveNotFound
    if cell is not None and export.cell_id != cell.pk:
        raise MoveMacInvalid
    _there_check(export)
    return export


def move_export_find(*, uid: str, cell: Cell) -> MoveExport:
    """The same by its id alone, for who may do anything with the cell (§9.4). Raises MoveNotFound, MoveExpired."""
    rows = MoveExport.objects.select_related("run", "cell").filter(cell=cell)
    export = rows.filter(uid=uid).first() if uid.isalnum() else None
    if export is None:
        raise MoveNotFound
    _there_check(export)
    return export


def _there_check(export: MoveExport) -> None:
    if export.run.state == RunState.EXPIRED or expires_at(export) <= timezone.now():
        raise MoveExpired


def part_open(*, export: MoveExport, cursor: str, called: str) -> downloads.Opened:
    """`called`: what its file's name begins with. Raises MoveNotFound unless the export is done (DEC-15),
    CursorInvalid."""
    if export.run.state not in DOWNLOADABLE:
        raise MoveNotFound
    volume = _part(export, cursor)
    name = f"{called} - part{volume.number - 1:03}.zip" if volume.of > 1 else f"{called}.zip"
    return downloads.open_volume(volume=volume, name=name)


def parts(export: MoveExport) -> list[Volume]:
    return list(export.run.volumes.filter(packer=PACKER).order_by("number").defer("checkpoints"))


def _part(export: MoveExport, cursor: str) -> Volume:
    volumes = export.run.volumes.filter(packer=PACKER)
    if not cursor:
        volume = volumes.filter(number=1).first()
    elif "\0" in cursor:
        volume = None
    else:
        entry = RunEntry.objects.filter(run=export.run, name=f"{layout.DATA}{cursor}.json").values("ordinal")
        volume = volumes.filter(number__gt=1, first__in=entry).first()
    if volume is None:
        raise CursorInvalid
    return volume
