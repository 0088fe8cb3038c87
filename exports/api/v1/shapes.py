"""JSON schemas of what v1's export families take and give (`spec/v1.md §3.1, §4, §7, §9, §10, §12`)."""

from collections.abc import Iterable

from exports.api.v1.definition import MERGE, NOTIFY, TYPES
from exports.api.v1.file_rules import CLASSES
from exports.api.v1.transports import MOST_SCHEDULES, MOST_TRANSPORTS, PACKERS
from exports.registry import TRANSPORTS
from exports.services.filenames import EXTENSIONS

Schema = dict[str, object]

TEXT: Schema = {"type": "string"}
NUMBER: Schema = {"type": "integer"}
FLAG: Schema = {"type": "boolean"}
MOMENT: Schema = {"type": "string", "format": "date-time"}
OPEN: Schema = {"type": "object", "additionalProperties": True}


def each(item: Schema, **more: object) -> Schema:
    return {"type": "array", "items": item, **more}


def one_of(words: Iterable[str]) -> Schema:
    return {"type": "string", "enum": [*words]}


def nullable(schema: Schema) -> Schema:
    more = {"enum": [*schema["enum"], None]} if "enum" in schema else {}
    return {**schema, "nullable": True, **more}


def least(number: int, most: int | None = None) -> Schema:
    return {**NUMBER, "minimum": number, **({} if most is None else {"maximum": most})}


def thing(*required: str, **properties: object) -> Schema:
    return {"type": "object", "properties": properties, **({"required": list(required)} if required else {})}


#: `false` or an object of options, as `csv` and `xlsx` are.
TABLE: Schema = {"oneOf": [{"type": "boolean", "enum": [False]}, OPEN]}
ERROR_BODY = thing(
    "realm", "code",
    realm=one_of(("api", "user", "server")), code=TEXT, description=TEXT, uuid=TEXT,
    parameters={"type": "object", "additionalProperties": TEXT},
)  # fmt: skip
_STATE = one_of(("new", "pending", "processing", "done", "done_with_warnings", "failed", "expired"))
_FILE = thing("path", "size", path=TEXT, size=NUMBER, eas_id=NUMBER, eas_version=TEXT, eas_fileclass=one_of(CLASSES))
_DOWNLOAD = thing("_files", _files=each(thing("url", url=TEXT, size=NUMBER)))
_PROGRESS = thing(phase=TEXT, bytes_done=NUMBER, bytes_planned=NUMBER)
_SCHEDULE = thing(
    weekdays=each(TEXT), days_of_month=each(least(1, 31)), hours=each(least(0, 23)), minutes=each(least(0, 59)),
    timezone=TEXT,
)  # fmt: skip
_EMAIL = thing(recipients=nullable(each(OPEN)), message=nullable(TEXT))
EVENT = thing(
    "event", "_user",
    event=thing(
        "_id", "type", "schema", "basetype",
        _id=NUMBER, type=TEXT, schema=one_of(("BASE", "USER")), basetype=TEXT, objecttype=TEXT,
        object_id=nullable(NUMBER), object_version=nullable(NUMBER), timestamp=MOMENT, pollable=FLAG, info=OPEN,
        ipv4_address=TEXT,
    ),
    _user=nullable(thing("_id", _id=NUMBER, _generated_displayname=TEXT)), session_self=FLAG,
    _session=nullable(thing("_id", _id=TEXT)),
)  # fmt: skip
_TRANSPORT = thing(
    "uuid", "type", "packer", "options", "_state",
    uuid={"type": "string", "format": "uuid"}, type=TEXT, packer=nullable(one_of(EXTENSIONS)), options=OPEN,
    email=_EMAIL, _state=_STATE, _download=_DOWNLOAD, _transport_log=TEXT, _error=TEXT, _progress=_PROGRESS,
)  # fmt: skip
_SEARCH = thing(
    type=nullable(one_of(("object", ""))), objecttypes=nullable(each(TEXT)), offset=nullable(least(0)),
    limit=nullable(least(0)), sort=nullable(each(thing("field", field=TEXT, order=one_of(("ASC", "DESC"))))),
    search=nullable(each(
        thing("type", type=one_of(("in", "match", "text", "range", "changelog_range", "nested", "complex")),
              bool=one_of(("must", "should", "must_not")), fields=each(TEXT), string=TEXT, field=TEXT, path=TEXT,
              mode=one_of(("fulltext", "token", "wildcard")), search=each(OPEN),
              **{"in": each({}), "from": {}, "to": {}})
    )),
)  # fmt: skip
_DEFINITION: dict[str, Schema] = {
    "type": one_of(TYPES),
    "name": {"type": "string", "maxLength": 255},
    "search": _SEARCH,
    "cells": nullable(each(TEXT, minItems=1, uniqueItems=True)),
    "notify": nullable(one_of(NOTIFY)),
    "fields": nullable({"type": "object", "additionalProperties": thing(display_name=nullable(TEXT))}),
    "eas_fields": nullable(OPEN),
    "classes": OPEN,
    "assets": OPEN,
    "csv": TABLE,
    "xlsx": TABLE,
    "xml": FLAG,
    "xml_one_file_per_object": FLAG,
    "json": FLAG,
    "json_one_file_per_object": FLAG,
    "merge_linked_objects": one_of(MERGE),
    "merge_max_depth": least(1, 9),
    "xslt_xml_post_processing": nullable(thing("_id", _id=least(1))),
    "mapping": nullable(one_of(("easydb", "easydb_flat"))),
    "all_languages": FLAG,
    "batch_size": nullable(least(0, 2**53)),
    "filename_original": FLAG,
    "filename_template": nullable(TEXT),
    "produce_options": OPEN,
    "flat": FLAG,
    "include_parents": FLAG,
    "file_metadata": FLAG,
    "no_inheritance": FLAG,
    "file_url_expire_days": nullable(least(0)),
    "documents": nullable(one_of(("lines",))),
}
LISTED = thing(
    "_basetype", "_date_created", "_last_updated_date", "_next_run_at", "_last_run_at", "_state", "export",
    _basetype=one_of(("export",)), _date_created=MOMENT, _last_updated_date=MOMENT, _next_run_at=nullable(MOMENT),
    _last_run_at=nullable(MOMENT), _state=_STATE,
    export=thing("_id", "_version", "type", "name", "search", "cells",
                 **{**_DEFINITION, "_id": NUMBER, "_version": NUMBER, "search": OPEN}),
)  # fmt: skip
_WHOLE_PARTS = {
    "_schedules": nullable(each(_SCHEDULE)),
    "_transports": each(_TRANSPORT),
    "_downloads": each(_DOWNLOAD),
    "_files": each(_FILE),
}
WHOLE: Schema = {
    **LISTED,
    "required": [*LISTED["required"], *_WHOLE_PARTS],
    "properties": {
        **LISTED["properties"],
        **_WHOLE_PARTS,
        "_log": each(EVENT),
        "_progress": _PROGRESS,
        "_missing": each(thing("path", "reason", path=TEXT, reason=TEXT)),
    },
}
_GIVEN_TRANSPORT = thing(
    "type",
    type=one_of(TRANSPORTS.names()),
    packer=nullable(one_of(PACKERS)),
    options=nullable(OPEN),
    email=nullable(_EMAIL),
)
_TOP = {
    "_schedules": nullable(each(_SCHEDULE, maxItems=MOST_SCHEDULES)),
    "_transports": each(_GIVEN_TRANSPORT, maxItems=MOST_TRANSPORTS),
}
BODY = thing("export", export=thing(**_DEFINITION), **_TOP)
CREATE_BODY = thing("export", export=thing("search", **_DEFINITION), **_TOP)
