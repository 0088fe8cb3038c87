"""The attributes of v1's `export` object, one line each (`spec/v1.md §4.2`)."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from exports.api.v1 import checks, file_rules
from exports.api.v1.search import search
from exports.services.definitions import is_documented

TYPES = ("export", "export_incremental", "download")
MERGE = (
    "none",
    "in_main_search",
    "not_in_main_search",
    "not_in_main_search_and_reverse",
    "not_in_main_search_unless_reverse",
    "all",
)
NOTIFY = ("all", "problems", "none")
_CSV_CHARACTERS = ("delimiter", "quote", "escape", "subfield_separator")
_CSV_FLAGS = ("use_bom", "empty_columns", "localized_column_names", "formula_safe")
_HIERARCHIES = ("", "column", "/", ">")

Check = Callable[[str, object], object]


@dataclass(frozen=True)
class Attribute:
    """What an attribute is when nobody says, and how a value is checked and brought to its one form."""

    default: object
    check: Check
    #: Null puts the default back (§5.4).
    nullable: bool = False


def _fields(attribute: str, value: object) -> object:
    fields = checks.mapping(attribute, value)
    for field, rule in fields.items():
        display_name = checks.mapping(f"{attribute}.{field}", rule).get("display_name")
        if display_name is not None:
            checks.string(f"{attribute}.{field}.display_name", display_name)
        names = checks.mapping(f"{attribute}.{field}.display_names", rule.get("display_names") or {})
        for language, name in names.items():
            checks.string(f"{attribute}.{field}.display_names.{language}"[:200], name)
    return fields


def _table(attribute: str, value: object, characters: tuple[str, ...], flags: tuple[str, ...]) -> object:
    """`csv` and `xlsx`: false, or an object of options."""
    if value is False:
        return False
    if not isinstance(value, dict):
        raise checks.type_mismatch(attribute, "false or an object")
    for key in characters:
        if key not in value:
            continue
        if len(checks.string(f"{attribute}.{key}", value[key])) != 1:
            raise checks.invalid_value(f"{attribute}.{key}", "must be exactly one character")
        if value[key] in "\r\n":
            raise checks.invalid_value(f"{attribute}.{key}", "must not be what ends a line")
    for key in flags:
        if key in value:
            checks.boolean(f"{attribute}.{key}", value[key])
    if value.get("hierarchy") is not None:
        checks.one_of(f"{attribute}.hierarchy", value["hierarchy"], _HIERARCHIES)
    _changelog(f"{attribute}.include_changelog", value.get("include_changelog"))
    if value.get("include_thumbnail"):
        raise checks.invalid_value(f"{attribute}.include_thumbnail", "is not available in this version")
    delimiter = value.get("delimiter", ",")
    if characters and delimiter in (value.get("quote", '"'), value.get("escape", '"')):
        raise checks.invalid_value(f"{attribute}.delimiter", "must differ from quote and escape")
    if value.get("formula_safe") and (value.get("quote", '"'), value.get("escape", '"')) != ('"', '"'):
        # Spreadsheets know no other way to write a quote: a text could end its own cell and begin the next one.
        raise checks.invalid_value(f"{attribute}.formula_safe", 'needs " as quote and as escape')
    return value


def _changelog(attribute: str, value: object) -> None:
    """true, false, or an object that may ask for users (fylr)."""
    with_user = value.get("with_user", False) if isinstance(value, dict) else False
    if value is not None and not isinstance(value, dict):
        checks.boolean(attribute, value)
    if checks.boolean(f"{attribute}.with_user", with_user):
        raise checks.invalid_value(f"{attribute}.with_user", "is not available: who wrote a document is not recorded")


def _merge_max_depth(attribute: str, value: object) -> int:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10:
        value = int(value)
    return checks.integer(attribute, value, least=1, most=9)


def _mapping(attribute: str, value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        raise checks.invalid_value(attribute, f"there is no mapping profile {value}")
    return checks.one_of(attribute, value, ("easydb", "easydb_flat"))


def _produce_options(attribute: str, value: object) -> dict[str, object]:
    options = checks.mapping(attribute, value)
    plugin = checks.string(f"{attribute}.plugin", options.get("plugin", "easydb"))
    if ":" in plugin:
        raise checks.invalid_value(f"{attribute}.plugin", "names an export plugin that is not loaded")
    return {**options, "plugin": plugin}


def _stylesheet(attribute: str, value: object) -> object:
    asset = checks.mapping(attribute, value)
    if "_id" not in asset:
        raise checks.attribute_expected(f"{attribute}._id")
    checks.integer(f"{attribute}._id", asset["_id"], least=1)
    return asset


_xlsx = partial(_table, characters=(), flags=("localized_column_names", "include_thumbnail", "empty_columns"))
_csv = partial(_table, characters=_CSV_CHARACTERS, flags=_CSV_FLAGS)
_flag = Attribute(False, checks.boolean)

ATTRIBUTES: dict[str, Attribute] = {
    "search": Attribute(None, search),
    "fields": Attribute(None, _fields, nullable=True),
    "eas_fields": Attribute(None, file_rules.eas_fields, nullable=True),
    "classes": Attribute({}, file_rules.classes),
    "assets": Attribute({}, file_rules.assets),
    "csv": Attribute(False, _csv),
    "xml": _flag,
    "xml_one_file_per_object": _flag,
    "json": _flag,
    "json_one_file_per_object": _flag,
    "merge_linked_objects": Attribute("none", partial(checks.one_of, allowed=MERGE)),
    "merge_max_depth": Attribute(1, _merge_max_depth),
    "xslt_xml_post_processing": Attribute(None, _stylesheet, nullable=True),
    "mapping": Attribute("easydb", _mapping, nullable=True),
    "all_languages": _flag,
    "batch_size": Attribute(None, partial(checks.integer, least=0, most=2**53), nullable=True),
    "filename_original": _flag,
    "filename_template": Attribute(None, checks.string, nullable=True),
    "produce_options": Attribute({"plugin": "easydb"}, _produce_options),
    "flat": _flag,
    "xlsx": Attribute(False, _xlsx),
    "include_parents": _flag,
    "file_metadata": _flag,
    "no_inheritance": _flag,
    "file_url_expire_days": Attribute(None, partial(checks.integer, least=0), nullable=True),
    # Our extension: documents as an import takes them, in place of all that is for other programs.
    "documents": Attribute(None, partial(checks.one_of, allowed=("lines",)), nullable=True),
    # Our extension: which mails the owner gets; null is what he prefers.
    "notify": Attribute(None, partial(checks.one_of, allowed=NOTIFY), nullable=True),
}


def refuse_contradictions(definition: dict[str, object]) -> None:
    """Options that exclude each other; `definition` is whole, as it will be stored."""
    if definition.get("filename_original") and definition.get("filename_template"):
        raise checks.invalid_value("export.filename_template", "excludes filename_original")
    if definition.get("documents") and is_documented(definition):
        raise checks.invalid_value("export.documents", "excludes csv, xml, json and xlsx")
