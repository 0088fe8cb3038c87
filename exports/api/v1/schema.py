"""A request's JSON -> the arguments of one service (`spec/v1.md §4.2, §4.3, §5.3, §5.4`)."""

import copy

from exports.api.v1 import checks
from exports.api.v1.definition import ATTRIBUTES, TYPES, refuse_contradictions
from exports.api.v1.transports import schedules, transports
from exports.errors import VersionMismatch
from exports.models import Export
from exports.services.exports import ExportChanges

MAX_NAME = 255
_KNOWN_AT_TOP = ("_schedules", "_transports")


def create_arguments(body: object) -> ExportChanges:
    """Every key of `ExportChanges`, with the defaults of §4.2."""
    whole = _whole(body)
    given = _export(whole)
    if _version(given) not in (None, 1):
        raise VersionMismatch(provided=_version(given), expected=1)
    if given.get("search") is None:
        raise checks.attribute_expected("export.search")
    definition = {name: copy.deepcopy(attribute.default) for name, attribute in ATTRIBUTES.items()}
    definition.update(_definition(given))
    refuse_contradictions(definition)
    changes: ExportChanges = {
        "type": "export",
        "name": "",
        "cells": None,
        "transports": [],
        "schedules": [],
        **_common(whole, given),
        "definition": definition,
    }
    return changes


def update_arguments(body: object, export: Export) -> tuple[ExportChanges, int | None]:
    """What is in the body and nothing else, and the `_version` that it claims to make."""
    whole = _whole(body)
    given = _export(whole) if "export" in whole or "search" in whole or not _is_partial(whole) else {}
    if "_id" in given and checks.integer("export._id", given["_id"], least=1) != export.pk:
        raise checks.invalid_value("export._id", f"this is export {export.pk}")
    if "search" in given and given["search"] is None:
        raise checks.attribute_expected("export.search")
    changed = _definition(given)
    refuse_contradictions({**export.definition, **changed})
    changes = _common(whole, given)
    if not export.name and changes.get("name") == export.display_name:
        del changes["name"]  # the generated name, sent back as it was fetched: still none given
    if changed:
        changes["definition"] = changed
    return changes, _version(given)


def _whole(body: object) -> dict[str, object]:
    if not isinstance(body, dict):
        raise checks.type_mismatch("body", "an object")
    checks.storable("body", body)
    if body.get("_basetype", "export") != "export":
        raise checks.invalid_value("_basetype", "must be export")
    return body


def _is_partial(whole: dict[str, object]) -> bool:
    """An update may speak of transports or schedules alone."""
    return any(key in whole for key in _KNOWN_AT_TOP)


def _export(whole: dict[str, object]) -> dict[str, object]:
    """The `export` object; without one, a body with a `search` is itself the export (§4.3)."""
    if "export" not in whole:
        if "search" not in whole:
            raise checks.attribute_expected("export")
        given = whole
    else:
        given = checks.mapping("export", whole["export"])
    table = given.get("csv")
    if isinstance(table, dict) and "all_languages" in table:
        table = dict(table)
        given = {"all_languages": table.pop("all_languages"), **given, "csv": table}
    return given


def _definition(given: dict[str, object]) -> dict[str, object]:
    """The attributes of §4.2 that were given, each in its one form. Unknown keys are no attributes: dropped."""
    result: dict[str, object] = {}
    for name, attribute in ATTRIBUTES.items():
        if name not in given:
            continue
        if given[name] is None and attribute.nullable:
            result[name] = copy.deepcopy(attribute.default)
        else:
            result[name] = attribute.check(f"export.{name}", given[name])
    return result


def _common(whole: dict[str, object], given: dict[str, object]) -> ExportChanges:
    changes: ExportChanges = {}
    if "type" in given:
        changes["type"] = checks.one_of("export.type", given["type"], TYPES)
    if "name" in given:
        changes["name"] = checks.string("export.name", given["name"], longest=MAX_NAME)
    if "cells" in given:
        changes["cells"] = _cells(given["cells"])
    if "_transports" in whole:
        changes["transports"] = transports("_transports", whole["_transports"])
    if "_schedules" in whole:
        changes["schedules"] = schedules("_schedules", whole["_schedules"])
    return changes


def _cells(value: object) -> list[str] | None:
    """Our extension: names of cells; null is all that the owner has."""
    if value is None:
        return None
    names = checks.strings("export.cells", value)
    if not names:
        raise checks.invalid_value("export.cells", "names no cell; null stands for all")
    if len(set(names)) < len(names):
        raise checks.invalid_value("export.cells", "names a cell twice")
    return names


def _version(given: dict[str, object]) -> int | None:
    return checks.integer("export._version", given["_version"], least=1) if given.get("_version") is not None else None
