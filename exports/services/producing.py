"""Which layout a v1 definition asks for, and how its data files are to be (`spec/v1.md §8`, FORMAT.md)."""

from tempfile import TemporaryFile
from typing import Any

from django.conf import settings
from django.db.models import F

from cells.blobs import BlobStore
from cells.errors import BlobDamaged
from cells.frozen import Snapshot
from cells.models import File
from cells.search import Condition
from exports.engine.freeze import Layout, Noting, noted_by_nobody
from exports.engine.images.pictures import Pictures
from exports.engine.layouts.ahead import Wanted, look_ahead
from exports.engine.layouts.assets import AssetsMaker, Place
from exports.engine.layouts.filenames import Naming
from exports.engine.layouts.packages import packages
from exports.engine.layouts.ruled import ruled_files
from exports.engine.layouts.rules import Rules
from exports.engine.layouts.search import search
from exports.engine.layouts.shipping import all_files, no_files
from exports.engine.names import Names
from exports.engine.notes import Notes
from exports.engine.pack import Pack
from exports.engine.produce.options import Csv, Data, Json, Merge, Table, Xml
from exports.engine.volumes import named
from exports.models import Run
from exports.services import store
from exports.services.definitions import is_documented, is_on, is_packaged
from exports.services.deletions import listing_deletions
from exports.services.filenames import base_name
from exports.services.incremental import since_of
from exports.services.progress import pulse
from exports.services.renditions import watermark_digest
from exports.services.searching import search_condition

_SHEET_TYPES = ("text/xsl", "text/xslt", "application/xslt+xml")
_SHEET_NAMES = (".xsl", ".xslt")
Definition = dict[str, Any]


@listing_deletions
def search_layout(run: Run, notes: Notes, pictures: Pictures, note: Noting = noted_by_nobody) -> Layout:
    definition = run.order.get("definition", {})
    condition = search_condition(definition.get("search") or {})
    since = since_of(run.order)
    if definition.get("documents") or not is_packaged(definition):
        documents = definition.get("documents") or ("json" if definition.get("json") else None)
        whole = {"instance": settings.INSTANCE_NAME, "since": since, "note": note}
        return search(documents=documents, condition=condition, **whole)
    if not (is_documented(definition) or _rules(definition).fields):
        condition = Condition("false", {})  # nothing would be made of what it finds
    return packages(
        data=_data(run, definition, notes),
        assets=_assets(run, definition, pictures),
        condition=condition,
        instance=settings.INSTANCE_NAME,
        notes=notes,
        since=since,
        file_fields=_rules(definition).fields.keys(),
        note=note if is_documented(definition) else noted_by_nobody,
    )


def _assets(run: Run, definition: Definition, pictures: Pictures) -> AssetsMaker:
    if definition.get("eas_fields") is None:
        return all_files(since_of(run.order))
    rules = _rules(definition)
    if not rules.fields:
        return no_files
    search = definition.get("search") or {}
    naming = Naming(
        original=bool(definition.get("filename_original")),
        template=definition.get("filename_template"),
        export=base_name(run.order.get("name") or ""),
        system=settings.INSTANCE_NAME,
        language=next(iter(_languages(search) or ()), ""),
    )
    measured = bool(definition.get("file_metadata"))
    return ruled_files(rules, naming, pictures, base_url=settings.PUBLIC_URL, measured=measured)


def _rules(definition: Definition) -> Rules:
    given = (definition.get(name) or {} for name in ("eas_fields", "classes", "assets"))
    return Rules.of(*given, watermark=watermark_digest())


def pictures_make(run: Run, cells: list[tuple[int, str]], pack: Pack, pictures: Pictures) -> None:
    """Make what the run's files will want, before its snapshot is taken (`exports.engine.layouts.ahead`)."""
    definition = run.order.get("definition", {})
    rules = _rules(definition)
    if not (rules.fields and (rules.has_recipes or definition.get("file_metadata"))):
        return
    ids, since = [cell_id for cell_id, _ in cells], since_of(run.order)
    condition = search_condition(definition.get("search") or {})
    folder = store.folder("runs")
    try:
        with TemporaryFile(dir=folder) as file:
            wanted = Wanted(file)
            with Snapshot() as snapshot, pulse(run, snapshot.cancel):
                place = Place(snapshot, cells, Names(), pack, Notes(), flat=True)
                selection = snapshot.selection(condition, ids, since, rules.fields.keys())
                rows = snapshot.objects(ids, settings.INSTANCE_NAME, selection)
                look_ahead(place, _assets(run, definition, wanted), rows, lambda: pack.tick(0))
            wanted.make(pictures)
    except OSError as error:
        raise named(error, str(folder / "wanted")) from error


def _data(run: Run, definition: Definition, notes: Notes) -> Data:
    search = definition.get("search") or {}
    given = definition.get("batch_size")
    merge = Merge(
        policy=definition.get("merge_linked_objects") or "none",
        depth=definition.get("merge_max_depth") or 1,
        main=None if search.get("objecttypes") is None else frozenset(search["objecttypes"]),
    )
    return Data(
        folder=base_name(run.order.get("name") or ""),
        csv=_csv(definition["csv"]) if is_on(definition.get("csv")) else None,
        xml=_xml(run, definition, notes) if definition.get("xml") else None,
        json=Json(bool(definition.get("json_one_file_per_object"))) if definition.get("json") else None,
        xlsx=_table(definition["xlsx"]) if is_on(definition.get("xlsx")) else None,
        merge=merge,
        fields=definition.get("fields"),
        parents=bool(definition.get("include_parents")),
        languages=None if definition.get("all_languages") else _languages(search),
        batch_size=settings.EXPORT_BATCH_SIZE if given is None else given,
        flat=bool(definition.get("flat")),
    )


def _languages(search: Definition) -> tuple[str, ...] | None:
    """Those that the search was made in; without any, all that the data has."""
    given = search.get("languages") or ([search["language"]] if search.get("language") else None)
    return tuple(given) if given else None


def _table(options: Definition) -> Table:
    return Table(
        separator=options.get("subfield_separator", "#"),
        hierarchy=options.get("hierarchy") or None,
        changelog=is_on(options.get("include_changelog")),
        empty_columns=bool(options.get("empty_columns")),
        localized=bool(options.get("localized_column_names")),
    )


def _csv(options: Definition) -> Csv:
    return Csv(
        table=_table(options),
        delimiter=options.get("delimiter", ","),
        quote=options.get("quote", '"'),
        escape=options.get("escape", '"'),
        bom=bool(options.get("use_bom")),
        formula_safe=bool(options.get("formula_safe")),
    )


def _xml(run: Run, definition: Definition, notes: Notes) -> Xml:
    stylesheet = definition.get("xslt_xml_post_processing")
    return Xml(
        one_per_object=bool(definition.get("xml_one_file_per_object")),
        stylesheet=_stylesheet(run, stylesheet["_id"], notes) if stylesheet else None,
        stylesheet_limit=settings.EXPORT_XSLT_LIMIT,
    )


def stylesheet_find(*, owner_id: int, id: int) -> File | None:
    """A stylesheet among the files that the owner has now."""
    files = File.objects.filter(cell__owner_id=owner_id, generation=F("cell__generation"), is_folder=False)
    file = files.select_related("blob").filter(pk=id).first() if id < 2**63 else None
    if file and (file.content_type in _SHEET_TYPES or file.path.lower().endswith(_SHEET_NAMES)):
        return file
    return None


def _stylesheet(run: Run, id: int, notes: Notes) -> bytes | None:
    """Its text, if it is still there."""
    file = stylesheet_find(owner_id=run.owner_id, id=id)
    if file is None or file.blob is None or file.size > settings.EXPORT_XSLT_LIMIT:
        notes.warn(f"The stylesheet {id} was not applied: {'it is gone' if file is None else 'it is too large'}.")
        return None
    try:
        return b"".join(BlobStore().open(file.blob))
    except BlobDamaged as error:
        notes.warn(f"The stylesheet {id} was not applied: {error}")
        return None
