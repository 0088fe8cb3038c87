"""Taking a published run's archives to one place: claim, carry, compare, tell. The run itself is never at risk."""

import logging
import threading
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from time import monotonic

from django.conf import settings
from django.db import OperationalError, connection
from django.db.models import Sum
from django.utils import timezone

from cells.errors import DomainError
from exports.engine.contents import Contents
from exports.engine.entries import Body, Entry, Form
from exports.errors import LeaseLost
from exports.models import Delivery, Run, RunEntry, Transport, Volume
from exports.models.export import ExportType
from exports.registry import TRANSPORTS
from exports.services import delivery_lifecycle, downloads, filenames, planning, store
from exports.services.delivery_lifecycle import LOG_LINES, deliveries_cancel, delivery_retry
from exports.services.progress import BEAT_SECONDS
from exports.services.secrets import secrets_open
from exports.transports.base import Item, Target, TransportError

__all__ = ["deliver", "deliveries_cancel", "delivery_retry", "delivery_test"]

log = logging.getLogger(__name__)

#: Single files that a mail links one by one; above, it links the archives.
MOST_LINKS = 50


def deliver(*, delivery_id: int) -> Delivery | None:
    """One try of a due delivery. Harmless when called twice, at once, or for one that is over: then None."""
    delivery = delivery_lifecycle.claim(delivery_id=delivery_id)
    if delivery is None:
        return None
    progress = DeliveryProgress(delivery)
    try:
        with progress.pulse():
            _carry(delivery, progress)
        delivery_lifecycle.finish(delivery, log=progress.log, bytes_done=progress.done)
    except LeaseLost:
        log.warning("delivery %s: it is another worker's, or not wanted any more", delivery.pk)
    except TransportError as error:
        _fail(delivery, progress, str(error), permanent=error.permanent)
    except DomainError as error:
        _fail(delivery, progress, str(error), permanent=True)
    except OperationalError:
        raise  # the database went away: the lease ends, and somebody goes on
    except OSError as error:
        _fail(delivery, progress, error.strerror or type(error).__name__, permanent=False)
    except Exception as error:
        # Not the traceback: a library's message may hold what the other side was told.
        log.error("delivery %s failed: %s", delivery.pk, type(error).__name__)
        _fail(delivery, progress, "Internal error.", permanent=True)
    return Delivery.objects.filter(pk=delivery.pk).first()


def _carry(delivery: Delivery, progress: "DeliveryProgress") -> None:
    carrier = TRANSPORTS.load(delivery.type).CARRIER
    shipment = RunShipment(delivery.run, delivery.packer)
    delivery.bytes_planned = shipment.size()
    delivery_lifecycle.heartbeat(delivery, bytes_planned=delivery.bytes_planned)
    progress.note(f"Try {delivery.attempts}.")
    carrier.deliver(_target(delivery), shipment, progress)


def _fail(delivery: Delivery, progress: "DeliveryProgress", message: str, *, permanent: bool) -> None:
    progress.log.append(f"{timezone.now():%Y-%m-%d %H:%M:%S} {message}")
    try:
        delivery_lifecycle.fail(delivery, message=message, permanent=permanent, log=progress.log)
    except LeaseLost:
        log.warning("delivery %s: failed after its lease was lost", delivery.pk)


def delivery_test(*, transport: Transport) -> list[str]:
    """Write a small file to where the transport leads, read it back, compare, delete it: what was done, in lines.

    Raises TransportError, SecretsUnreadable. Nothing of the export's runs is touched.
    """
    notes = Notes()
    TRANSPORTS.load(transport.type).CARRIER.canary(_target(transport), notes)
    return notes.log


def _target(row: Delivery | Transport) -> Target:
    return Target(options=row.options, secrets=secrets_open(row.secrets), email=row.email)


@dataclass
class Notes:
    """A Progress of the kind that transports report to, for a test: nobody holds a lease, nothing is kept."""

    log: list[str] = field(default_factory=list)

    def tick(self, count: int) -> None:
        pass

    def note(self, line: str) -> None:
        self.log.append(line)

    def finished(self, key: str) -> bool:
        return False

    def finish(self, key: str) -> None:
        pass


class DeliveryProgress:
    """Publishes progress, and finds out that the delivery is not ours any more (LeaseLost).

    A thread keeps the lease while the other side keeps us waiting; the carrier's own calls notice when it was lost.
    """

    def __init__(self, delivery: Delivery) -> None:
        self._delivery = delivery
        self.log: list[str] = list(delivery.log)
        self.done = 0
        self._next = 0.0
        self._over, self._lost = threading.Event(), threading.Event()

    def tick(self, count: int) -> None:
        self.done += count
        if self._lost.is_set():
            raise LeaseLost(run_id=self._delivery.run_id)
        if monotonic() >= self._next:
            self._beat()

    def note(self, line: str) -> None:
        self.log = [*self.log, f"{timezone.now():%Y-%m-%d %H:%M:%S} {line[:1000]}"][-LOG_LINES:]
        self._beat()

    def finished(self, key: str) -> bool:
        return key in (self._delivery.email or {}).get("sent", ())

    def finish(self, key: str) -> None:
        email = self._delivery.email or {}
        self._delivery.email = {**email, "sent": [*email.get("sent", ()), key]}
        delivery_lifecycle.heartbeat(self._delivery, email=self._delivery.email)

    def pulse(self) -> "closing[_Pulse]":
        return closing(_Pulse(self._delivery, self._over, self._lost))

    def _beat(self) -> None:
        self._next = monotonic() + BEAT_SECONDS
        delivery_lifecycle.heartbeat(self._delivery, bytes_done=self.done, log=self.log)


class _Pulse:
    def __init__(self, delivery: Delivery, over: threading.Event, lost: threading.Event) -> None:
        self._delivery, self._over, self._lost = delivery, over, lost
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            while not self._over.wait(settings.EXPORT_LEASE.total_seconds() / 3):
                delivery_lifecycle.heartbeat(self._delivery)
        except LeaseLost:
            self._lost.set()
        except OperationalError:
            log.warning("delivery %s: the database does not answer", self._delivery.pk)
        finally:
            connection.close()


class RunShipment:
    """A run's archives of one packer, or all its files when there is none; see `transports.base.Shipment`."""

    def __init__(self, run: Run, packer: str | None) -> None:
        self._run, self._packer = run, packer
        self.name = filenames.base_name(str(run.order.get("name") or ""))
        self.folder = "" if packer else self.name + "/"
        self.complete = run.order.get("type") != ExportType.INCREMENTAL

    def items(self) -> Iterator[Item]:
        return self._archives() if self._packer else self._files()

    def size(self) -> int:
        """Bytes of all items."""
        if self._packer:
            return self._volumes().aggregate(sum=Sum("length", default=0))["sum"]
        return self._entries().aggregate(sum=Sum("size", default=0))["sum"]

    def names_among(self, names: Iterable[str]) -> set[str]:
        return set(self._entries().filter(name__in=list(names)).values_list("name", flat=True))

    def links(self) -> list[tuple[str, str, int | None]]:
        export = self._run.export
        url = f"{settings.PUBLIC_URL}/api/v1/export/{export.pk}/download/{downloads.passkey(export=export)}/"
        single = not self._packer and export.transports.filter(type="download", packer=None).exists()
        if single and self._entries().count() <= MOST_LINKS:
            files = self._entries().exclude(name__endswith="/").order_by("ordinal").values_list("name", "size")
            return [(name, f"{url}{filenames.quoted(name)}?file=1", size) for name, size in files]
        volumes = self._volumes() if self._packer else self._run.volumes.filter(packer="zip")
        named = [(self._volume_name(volume), volume.length) for volume in volumes.order_by("number")]
        return [(name, url + filenames.quoted(name), length) for name, length in named]

    def _volumes(self):
        return self._run.volumes.filter(packer=self._packer)

    def _entries(self):
        """As `_files` of v1 has them: without the text of the manifest, which closes it."""
        return RunEntry.objects.filter(run=self._run, ordinal__lt=self._run.entry_count - 1, missing="")

    def _volume_name(self, volume: Volume) -> str:
        order = self._run.order
        return filenames.volume_name(self.name, volume, {*order.get("packers", ()), *order.get("delivered", ())})

    def _archives(self) -> Iterator[Item]:
        for volume in self._volumes().order_by("number").iterator(chunk_size=100):
            opened = downloads.open_volume(volume=volume, name=self._volume_name(volume))
            file = store.volume_path(volume) if volume.store_file else ""
            yield Item(opened.name, opened.length, opened.chunks, mtime=_micros(self._run), file=file)

    def _files(self) -> Iterator[Item]:
        source = planning.run_source(self._run)
        for entry in source(0, self._run.entry_count - 1):
            yield Item(entry.name, entry.size, partial(_read, entry), mtime=entry.mtime)


def _read(entry: Entry, start: int, end: int) -> Iterator[bytes]:
    """Every stored byte is checked on the way. Raises BlobDamaged."""
    with Contents() as contents:
        yield from contents.chunks(Body(entry, Form.PLAIN, entry.size), start, end)


def _micros(run: Run) -> int:
    return int(run.frozen_at.timestamp() * 1_000_000) if run.frozen_at else 0
