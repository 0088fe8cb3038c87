"""What the API description says about v1's export families: parameters, bodies and every status there can be."""

import re

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema

from exports.api.v1.shapes import BODY, CREATE_BODY, ERROR_BODY, EVENT, LISTED, OPEN, WHOLE, each


class V1Schema(AutoSchema):
    """Names each operation after its whole path: `zip` and `zip/{path}` are two."""

    def get_operation_id(self) -> str:
        return "_".join([*re.findall(r"\w+", self.path)[1:], self.method.lower()])

    def get_description(self) -> str:
        """Summaries say it; docstrings are for those who read the code."""
        return ""

    def _is_list_view(self, serializer: object = None) -> bool:
        """Never: our lists are objects that hold an array."""
        return False


def _page(item: dict[str, object], *required: str) -> dict[str, object]:
    return {
        "type": "object",
        "required": ["offset", "objects", *required],
        "properties": {
            "limit": {"type": "integer", "nullable": True},
            "offset": {"type": "integer"},
            "count": {"type": "integer"},
            "objects": {"type": "array", "items": item},
        },
    }


def _errors(*statuses: int) -> dict[int, OpenApiResponse]:
    told = {
        400: "Something is malformed, or the export's state forbids it",
        403: "The session is not authenticated",
        404: "Unknown to the caller (or, for stop, not running)",
        411: "The body has no length",
        500: "Internal error",
    }
    return {status: OpenApiResponse(ERROR_BODY, description=told[status]) for status in statuses}


_CRUD = _errors(400, 403, 500)
_ONE = _CRUD | _errors(404)
_ID = OpenApiParameter("id", int, OpenApiParameter.PATH, description="Export id")
_LIMIT = OpenApiParameter("limit", int)
_OFFSET = OpenApiParameter("offset", int)


def _call(summary: str, responses: dict, *parameters: OpenApiParameter, **more: object):
    return extend_schema(tags=["v1 export"], summary=summary, responses=responses, parameters=list(parameters), **more)


exports_list = _call(
    "List one's exports, newest first",
    {200: _page(LISTED, "count")} | _CRUD,
    _LIMIT,
    _OFFSET,
    OpenApiParameter("filter", str, description="type:download|export+status:failed,type:export_incremental"),
)
export_get = _call(
    "Get an export", {200: WHOLE} | _ONE, _ID, OpenApiParameter("format", str, enum=["short", "standard", "long"])
)
export_create = _call(
    "Create an export (POST is another word for PUT)",
    {200: WHOLE} | _CRUD | _errors(411),
    request={"application/json": CREATE_BODY},
)
export_update = _call(
    "Update an export; it is new again", {200: WHOLE} | _ONE | _errors(411), _ID, request={"application/json": BODY}
)
export_delete = _call("Delete an export with its runs and archives", {200: OPEN} | _ONE, _ID)
export_start = _call("Queue a run", {200: WHOLE} | _ONE, _ID, request=None)
export_stop = _call("Stop the run", {200: WHOLE} | _ONE, _ID, request=None)

_UUID = OpenApiParameter("uuid", OpenApiTypes.UUID, OpenApiParameter.PATH, description="The transport's `uuid`")
transport_retry = _call(
    "Deliver by this transport alone once more, after it failed", {200: WHOLE} | _ONE, _ID, _UUID, request=None
)
transport_test = _call(
    "Write a small file to where this transport leads, read it back, delete it; 400 says why it cannot",
    {200: {"type": "object", "required": ["_transport_log"], "properties": {"_transport_log": {"type": "string"}}}}
    | _ONE,
    _ID,
    _UUID,
    request=None,
)

_DISPOSITION = OpenApiParameter("disposition", str, enum=["inline", "attachment"])
_FILENAME = OpenApiParameter("filename", str, description="Another name; the extension is added")
_PATH = OpenApiParameter("path", str, OpenApiParameter.PATH)
_BYTES = {
    200: OpenApiResponse(OpenApiTypes.BINARY, description="The bytes"),
    206: OpenApiResponse(OpenApiTypes.BINARY, description="A range of them"),
    302: OpenApiResponse(None, description="To an error page, when a disposition was asked for"),
    304: OpenApiResponse(None, description="Not modified"),
    412: OpenApiResponse(None, description="Precondition failed"),
    416: OpenApiResponse(None, description="The range begins behind the end"),
}


def _sending(summary: str, *parameters: OpenApiParameter, statuses: tuple[int, ...] = (400, 403, 500)):
    responses = {(status, "*/*"): response for status, response in (_BYTES | _errors(*statuses)).items()}
    return _call(summary, responses, _ID, *parameters, _DISPOSITION, _FILENAME)


file_get = _sending("Get one file of an export", _PATH)
archive_get = _sending("Get an export, or a folder or file of it, as an archive made on the fly")
download_get = _sending(
    "Get an archive by passkey",
    OpenApiParameter("passkey", str, OpenApiParameter.PATH),
    OpenApiParameter("file", str, OpenApiParameter.PATH, description="<name>[.<n>].zip, .tar, .tar.gz or .tar.bz2"),
    statuses=(400, 500),
)

_EVENTS = _errors(400, 403, 500)
event_poll = _call("Events of one's exports after one's last", {200: each(EVENT)} | _EVENTS, _LIMIT)
event_list = _call(
    "List events (needs system.api.event.get)",
    {(200, "application/json"): _page(EVENT), (200, "text/csv"): OpenApiTypes.STR} | _EVENTS,
    _LIMIT,
    _OFFSET,
    OpenApiParameter("type", str, description="Types, separated by commas"),
    OpenApiParameter("base_type", str, description="`export`, `asset` or `object`; also `basetype`"),
    OpenApiParameter("user_id", int),
    OpenApiParameter("group_id", int),
    OpenApiParameter("user_type", str, description="`easydb`, or `anonymous` for who came with a passkey"),
    OpenApiParameter("pollable", str, enum=["0", "1", "false", "true"]),
    OpenApiParameter("date_from", str),
    OpenApiParameter("date_to", str),
    OpenApiParameter("sort", str, enum=["_id.ASC", "_id.DESC"]),
    OpenApiParameter("format", str, enum=["json", "json_full", "csv"]),
    OpenApiParameter("skip_count", str, enum=["0", "1", "false", "true"]),
)
event_get = _call("Get an event (needs system.api.event.get)", {200: EVENT} | _EVENTS, _ID)
