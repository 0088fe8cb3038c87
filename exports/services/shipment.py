"""What one delivery takes along, of a published run."""

from collections.abc import Iterable, Iterator
from functools import partial

from django.conf import settings
from django.db.models import QuerySet, Sum

from exports.engine.contents import Contents
from exports.engine.entries import Body, Entry, Form
from exports.models import Run, RunEntry, Volume
from exports.models.export import ExportType
from exports.services import downloads, filenames, planning, store
from exports.services.placed import Placed, placed_by, stale_names
from exports.transports.base import Item

#: Single files that a mail links one by one; above, it links the archives.
MOST_LINKS = 50


class RunShipment:
    """A run's archives of one packer, or all its files when there is none; see `transports.base.Shipment`."""

    def __init__(self, run: Run, packer: str | None, before: list[Placed] | None = None) -> None:
        """`before`: what an earlier delivery has put to the same place."""
        self._run, self._packer, self._before = run, packer, before or []
        self._cleaned: bool | None = None
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

    def stale(self) -> Iterator[str]:
        """Changes since the last run do not replace what came before them."""
        self._cleaned = False
        if self._packer and self.complete:
            yield from stale_names(self._run, self._before)
        self._cleaned = True

    def placed(self) -> list[Placed]:
        """What is at the target after this delivery: also what was stale and could not be deleted."""
        if not self._packer or self._cleaned is None:
            return []
        ours = placed_by(self._run, self._packer)
        return ours if self._cleaned else [*ours, *(each for each in self._before if each not in ours)]

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

    def _volumes(self) -> QuerySet[Volume]:
        return self._run.volumes.filter(packer=self._packer)

    def _entries(self) -> QuerySet[RunEntry]:
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
