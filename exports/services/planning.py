"""Volumes of a sealed run: planned once, kept as rows, and turned back into the engine's plans."""

from collections.abc import Iterable

from exports.engine.entries import Entry, Source
from exports.engine.formats import FORMATS
from exports.engine.plan import PACKERS, Packer, Planner, VolumePlan, marks_pack, marks_unpack, plan
from exports.models import Run, RunEntry, Volume
from exports.services import manifest, store

#: On offer for every run (`spec/v1.md §4.6`).
DEFAULT_PACKERS = ("zip", "tar")


def run_source(run: Run, *, places: bool = True) -> Source:
    return manifest.source(run_id=run.pk, pack=store.pack_path(run), places=places)


def volumes_plan(
    run: Run, entries: Iterable[Entry], *, closing: Entry, stored: Iterable[str], computed: Iterable[str] = ()
) -> None:
    """Plan the default archives and those of the packers in `stored` and `computed`, in one pass over `entries`.

    `closing`: the manifest's last entry, its own text, which is not among `entries`. What is `computed` is written
    to the store only if its format cannot be.
    """
    wanted = set(stored)
    packers = [PACKERS[name] for name in dict.fromkeys((*DEFAULT_PACKERS, *sorted(wanted), *sorted(computed)))]
    planners = [Planner(packer, seal=run.manifest_sha256, closing=closing) for packer in packers]
    plan(entries, planners)
    for planner in planners:
        volumes_store(run, planner.packer.name, planner.finish(), stored=planner.packer.name in wanted)


def volume_only(run: Run, packer: str) -> VolumePlan:
    """The whole run as one volume, for a caller who writes it himself."""
    source = run_source(run, places=False)
    planner = Planner(PACKERS[packer], seal=run.manifest_sha256, closing=closing_entry(run, source))
    plan(source(0, run.entry_count - 1), [planner])
    (only,) = planner.finish()
    return only


def selection_plan(run: Run, *, prefix: str, strip: int, packer: str, format: str) -> Volume:
    """A volume of the entries whose names begin with `prefix`, kept under the name `packer` for the next reader."""
    found = Volume.objects.filter(run=run, packer=packer).first()
    if found:
        return found
    source = run_source(run, places=False)
    planner = Planner(Packer(packer, format), seal=run.manifest_sha256, strip=strip)
    plan((entry for entry in _selected(run, source, prefix)), [planner])
    volumes_store(run, packer, planner.finish())
    return Volume.objects.get(run=run, packer=packer)


def _selected(run: Run, source: Source, prefix: str) -> Iterable[Entry]:
    first, last = selection_range(run, prefix)
    return source(first, last)


def selection_range(run: Run, prefix: str) -> tuple[int, int]:
    """Ordinals [first, last) of the names that begin with `prefix`: they stand together in every manifest."""
    rows = RunEntry.objects.filter(run=run, missing="")
    if not prefix:
        return 0, run.entry_count - 1
    if prefix.endswith("/"):
        rows = rows.filter(name__gte=prefix, name__lt=prefix[:-1] + "0")
        first = rows.order_by("ordinal").values_list("ordinal", flat=True).first()
        last = rows.order_by("-ordinal").values_list("ordinal", flat=True).first()
        return (0, 0) if first is None else (first, last + 1)
    ordinal = rows.filter(name=prefix).values_list("ordinal", flat=True).first()
    return (0, 0) if ordinal is None else (ordinal, ordinal + 1)


def closing_entry(run: Run, source: Source) -> Entry:
    """The run's manifest.json, always its last entry."""
    return next(source(run.entry_count - 1, run.entry_count))


def volumes_store(run: Run, packer: str, plans: list[VolumePlan], *, stored: bool = False) -> None:
    Volume.objects.bulk_create(
        [
            Volume(
                run=run,
                packer=packer,
                number=number,
                of=len(plans),
                first=each.first,
                last=each.last,
                strip=each.strip,
                has_manifest=each.closing is not None,
                length=each.length,
                etag=each.etag,
                checkpoints=marks_pack(each.marks),
                stored=stored or each.length is None,
            )
            for number, each in enumerate(plans, 1)
        ],
        ignore_conflicts=True,
        batch_size=500,
    )


def volume_format(volume: Volume) -> str:
    """The engine's format of a volume: selections carry it before a colon."""
    name = volume.packer.split(":")[0]
    return PACKERS[name].format if name in PACKERS else name


def volume_plan(run: Run, volume: Volume) -> VolumePlan:
    computed = FORMATS[volume_format(volume)].computed
    return VolumePlan(
        format=volume_format(volume),
        first=volume.first,
        last=volume.last,
        closing=run.entry_count - 1 if volume.has_manifest else None,
        strip=volume.strip,
        length=volume.length if computed else None,
        etag=volume.etag,
        marks=marks_unpack(volume.checkpoints),
    )
