"""What a departure offers: a listing of all contents, and their stored bytes one behind the other (FORMAT.md).

Runs in the layout `transfer` have no archives; what is offered is their manifest and their bytes.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from time import monotonic
from typing import NamedTuple

import orjson
from django.db.models import F, Sum
from django.utils import timezone

from cells.models import Cell
from cells.quota import bytes_used
from cells.transfer_lines import FORMAT, KINDS, VERSION, content_digest
from exports.engine.contents import CHUNK, Contents
from exports.engine.entries import Body, Entry, Form
from exports.errors import MoveAborted, TransferNotFound, TransferNotReady
from exports.models import Departure, Run, RunEntry
from exports.services import planning
from exports.states import DEPARTURE_ACTIVE, DOWNLOADABLE, DepartureState

#: `Run.order["layout"]`.
TRANSFER = "transfer"
#: Contents that may be asked for at once.
MOST_WANTED = 20_000
#: Numbers that are read along rather than asked for apart.
_GAP = 200
#: While bytes are being sent the other server is heard, and people see how many there were.
_NOTED_EVERY = 1.0


class Facts(NamedTuple):
    digest: str
    #: Contents, chunks included, and their stored bytes.
    count: int
    bytes: int


def order(cell: Cell, *, proved: bool = True) -> dict[str, object]:
    """`proved`: every byte is looked at before it is offered."""
    order = {"layout": TRANSFER, "type": TRANSFER, "cell_id": cell.pk, "cells": [cell.name], "name": cell.name}
    return order if proved else {**order, "proved_elsewhere": True}


def is_transfer(run: Run) -> bool:
    return run.order.get("layout") == TRANSFER


def facts(run: Run) -> Facts:
    """Of a sealed run, whose last entry is its manifest's own text."""
    entries = RunEntry.objects.filter(run=run, ordinal__lt=run.entry_count - 1)
    chunks = entries.filter(pack_offset__isnull=False).order_by("ordinal").values_list("name", "sha256")
    digest = content_digest((name.partition("/")[0], sha256) for name, sha256 in chunks.iterator())
    size = entries.aggregate(sum=Sum("stored_size", default=0))["sum"]
    return Facts(digest, run.entry_count - 1, size)


def run_offered(departure: Departure) -> Run:
    """What the other server may fetch now. Raises TransferNotReady, MoveAborted."""
    _check(departure)
    run = departure.held_run if departure.digest else departure.run
    if run is None or run.state not in DOWNLOADABLE:
        raise TransferNotReady(state=departure.state)
    return run


def _check(departure: Departure) -> None:
    if departure.state == DepartureState.ABORTED:
        raise MoveAborted(reason=(departure.error or {}).get("message", ""))
    if departure.state not in DEPARTURE_ACTIVE:
        raise TransferNotReady(state=departure.state)


def status(departure: Departure) -> dict[str, object]:
    """`digest` once nothing changes any more."""
    return {"state": str(departure.state), "digest": departure.digest}


def listing(departure: Departure) -> Iterator[bytes]:
    """Lines: what it is; an object for each content, in the manifest's order; the end. Raises TransferNotReady."""
    run = run_offered(departure)
    told = facts(run)
    head = {"format": FORMAT, "version": VERSION, "seal": run.manifest_sha256, "digest": told.digest}
    source, used = planning.run_source(run, places=False), bytes_used(departure.cell)

    def lines() -> Iterator[bytes]:
        yield orjson.dumps({**head, "count": told.count, "bytes": told.bytes, "used": used}) + b"\n"
        held: list[bytes] = []
        for entry in source(0, told.count):
            held.append(_line(entry))
            if len(held) == 500:
                yield b"".join(held)
                held.clear()
        yield b"".join(held) + b'{"end":true}\n'

    return lines()


def _line(entry: Entry) -> bytes:
    kind = entry.name.partition("/")[0]
    told = {"n": entry.ordinal, "sha256": entry.sha256, "size": entry.size, "stored": entry.stored_size}
    if kind in KINDS:
        told["kind"] = kind
    if entry.encoding != "raw":
        told["encoding"] = entry.encoding
    return orjson.dumps(told) + b"\n"


class Opened(NamedTuple):
    length: int
    chunks: Callable[[], Iterator[bytes]]


def contents_open(departure: Departure, *, seal: str, want: Sequence[int], offset: int) -> Opened:
    """The stored bytes of the contents with these numbers in the listing of `seal`, one behind the other, from byte
    `offset` on. At most MOST_WANTED numbers, which ascend.

    Raises TransferNotFound, TransferNotReady, MoveAborted.
    """
    _check(departure)
    run = next((run for run in (departure.held_run, departure.run) if run and run.manifest_sha256 == seal), None)
    ascends = all(one < next for one, next in pairwise(want))
    if run is None or run.state not in DOWNLOADABLE or not 0 < len(want) <= MOST_WANTED or not ascends:
        raise TransferNotFound
    entries = RunEntry.objects.filter(run=run, ordinal__in=want, ordinal__lt=run.entry_count - 1, missing="")
    found = dict(entries.values_list("ordinal", "stored_size"))
    if len(found) != len(want):
        raise TransferNotFound
    length = sum(found[number] for number in want) - offset
    if length < 0:
        raise TransferNotFound
    return Opened(length, lambda: _noting(departure, _bytes(run, want, found, offset)))


def _bytes(run: Run, want: Sequence[int], sizes: dict[int, int], skip: int) -> Iterator[bytes]:
    """Neighbours of the manifest are looked up together."""
    source = planning.run_source(run)
    with Contents() as contents:
        for first, last in _spans(want):
            for entry in source(first, last):
                size = sizes.get(entry.ordinal, 0)
                if skip >= size:  # also those that nobody asked for, and empty ones
                    skip -= size
                    continue
                body = Body(entry, Form.STORED, size)
                if size <= CHUNK and not skip:
                    yield contents.short(body)
                else:
                    yield from contents.chunks(body, skip, size)
                skip = 0


def _spans(want: Sequence[int]) -> Iterator[tuple[int, int]]:
    first = last = want[0]
    for number in want[1:]:
        if number > last + _GAP:
            yield first, last + 1
            first = number
        last = number
    yield first, last + 1


def _noting(departure: Departure, pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Whoever reads is heard; ends when the transfer does."""
    noted, count = monotonic(), 0
    for piece in pieces:
        yield piece
        count += len(piece)
        if monotonic() - noted > _NOTED_EVERY:
            _note(departure, count)
            noted, count = monotonic(), 0
    _note(departure, count)


def _note(departure: Departure, count: int) -> None:
    """`count` more bytes were sent."""
    rows = Departure.objects.filter(pk=departure.pk, state__in=DEPARTURE_ACTIVE)
    if not rows.update(heard_at=timezone.now(), bytes_sent=F("bytes_sent") + count):
        raise TransferNotReady(state="over")
