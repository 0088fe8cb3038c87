"""What the API description says about the move API."""

import re
from typing import Any

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema

from exports.api.move.errors import JSON_API


class MoveSchema(AutoSchema):
    def get_operation_id(self) -> str:
        return "_".join([*re.findall(r"\w+", self.path), self.method.lower()])

    def get_description(self) -> str:
        return ""

    def _is_list_view(self, serializer: object = None) -> bool:
        return False


_ERROR = {"oneOf": [{"type": "string"}, {"type": "object", "additionalProperties": True}]}
_TOLD = {
    400: "Malformed, a bad token, or an unknown cursor",
    401: "No token, or an identifier that opens nothing",
    403: "The token has not the permission",
    404: "No such export, expired, or more than 5 calls in 24 h",
    409: "Something else is being done to the cell, or the move is over",
    410: "The cell has moved to another server: `links.related`",
    412: "There is no usable export at the URL",
    416: "The range begins behind the end",
    422: "It will not fit",
    500: "Internal error",
    503: "The cell is moving to another server; try again after `Retry-After` seconds",
}


def _errors(*statuses: int) -> dict[Any, OpenApiResponse]:
    return {(status, "*/*"): OpenApiResponse(_ERROR, description=_TOLD[status]) for status in statuses}


def _body(**attributes: dict[str, Any]) -> dict[str, Any]:
    inner = {"type": "object", "properties": attributes}
    data = {"type": "object", "properties": {"attributes": inner}}
    return {JSON_API: {"type": "object", "required": ["data"], "properties": {"data": data}}}


def _call(summary: str, responses: dict[Any, Any], *parameters: OpenApiParameter, **more: Any) -> Any:
    return extend_schema(tags=["move"], summary=summary, responses=responses, parameters=list(parameters), **more)


_OPAQUE = OpenApiParameter("opaque", str, OpenApiParameter.PATH, description="From the link in the mail")
_DOCUMENT = {"type": "object", "required": ["data"], "additionalProperties": True}
_NOTHING = OpenApiResponse(None, description="Accepted")

export_create = _call(
    "Ask for an export of the cell; a mail brings the link",
    {201: _NOTHING} | _errors(400, 401, 403, 404, 500),
    request=_body(
        parts_size={"type": "integer", "format": "int64", "nullable": True, "description": "Bytes of files a part"},
        max_age={"type": "integer", "format": "int64", "nullable": True, "description": "Nanoseconds; at most 7 days"},
        with_doctypes={"type": "array", "items": {"type": "string"}, "nullable": True},
        without_files={"type": "boolean", "nullable": True},
    ),
)
export_get = _call(
    "The manifest of an export", {(200, JSON_API): _DOCUMENT} | _errors(400, 401, 403, 404, 500), _OPAQUE
)
_BYTES = {
    (status, "application/zip"): OpenApiResponse(OpenApiTypes.BINARY, description=told)
    for status, told in ((200, "The part"), (206, "A range of it"))
}
part_get = _call(
    "A part of an export: the first without cursor, the others by the manifest's parts_cursors",
    _BYTES | _errors(400, 401, 403, 404, 416, 500),
    _OPAQUE,
    OpenApiParameter("cursor", str),
)

_LINK = _body(url={"type": "string", "description": "The link from the mail of the other server"})
import_check = _call(
    "Whether an import from a link could be", {204: _NOTHING} | _errors(400, 401, 403, 412, 422, 500), request=_LINK
)
_MOVING = _body(
    url={"type": "string", "description": "The link from the mail of the other server"},
    vault={"type": "boolean", "nullable": True, "description": "Whether there are passwords to be taken by hand"},
    move_from={
        "type": "object",
        "description": "Of a cell that moves here: its server, and a token for telling it how it ended",
        "properties": {"url": {"type": "string"}, "token": {"type": "string"}},
    },
    transfer={"type": "string", "description": "Of another exportsite: what it offers, instead of a link"},
)
import_start = _call(
    "Import from a link, or of a cell that moves here, in place of what the cell holds",
    {303: OpenApiResponse(None, description="To the page to wait on")} | _errors(400, 401, 403, 409, 410, 500, 503),
    request=_MOVING,
)
importing_get = _call("The page to wait on", {(200, "text/html"): OpenApiTypes.STR})
importing_post = _call(
    "Announce a cell that will move here; the answer tells what this server can do",
    {204: _NOTHING} | _errors(400, 401, 403, 409, 410, 503),
    OpenApiParameter("source", str, description="The domain that it comes from"),
    request=None,
)
_TO = {303: OpenApiResponse(None, description="On to the next page, or to the sign-in")}
_HTML = (200, "text/html")
authorize = _call(
    "Hand the browser of whoever is signed in back with a code that asks for a move",
    _TO | {_HTML: OpenApiTypes.STR} | _errors(400, 403, 404, 410),
    OpenApiParameter("redirect_uri", str, required=True),
    OpenApiParameter("state", str),
)
initialize = _call(
    "Hand the browser of whoever is signed in to the wizard, or to our own page",
    _TO | {307: OpenApiResponse(None, description="To the wizard")} | _errors(403, 404, 410),
    request=None,
)
_FORM = ("code", "client_id", "client_secret", "token", "target_url", "target_token", "target_client_id",
         "target_client_secret", "ignore_vault")  # fmt: skip
request = _call(
    "Ask the owner by mail whether the cell shall move",
    {_HTML: OpenApiTypes.STR} | _errors(400),
    request={
        "application/x-www-form-urlencoded": {
            "type": "object",
            "properties": {name: {"type": "string"} for name in _FORM},
        }
    },
)
go = _call(
    "The owner's word, by the link in the mail: the move begins",
    _TO | _errors(400, 401),
    OpenApiParameter("secret", str, required=True),
)
finalize = _call(
    "The other server has it all: the cell has moved",
    {204: _NOTHING} | _errors(400, 401, 403, 409),
    OpenApiParameter("subdomain", str, enum=["flat", "nested"]),
    request=None,
)
abort = _call("End the move; the cell is as it was", {204: _NOTHING} | _errors(400, 401, 403, 409, 410), request=None)
vault = _call("How to take passwords along", _TO | {_HTML: OpenApiTypes.STR})
_DOMAIN = OpenApiParameter("domain", str, OpenApiParameter.PATH, description="The name of a cell, or its own host")
admin_export = _call(
    "For superusers, while ADMIN_API is on: ask for an export of any cell",
    {(202, "application/json"): {"type": "object", "required": ["_id"], "additionalProperties": True}}
    | _errors(400, 401, 403, 404, 410, 500, 503),
    _DOMAIN,
    OpenApiParameter("admin-req", bool, description="Whether no mail tells how it ended"),
    request=None,
)
admin_data = _call(
    "For superusers, while ADMIN_API is on: a part of an export, by the id of the job that was asked for",
    _BYTES | _errors(400, 401, 403, 404, 410, 416, 500),
    _DOMAIN,
    OpenApiParameter("uid", str, OpenApiParameter.PATH, description="The job's `_id`"),
    OpenApiParameter("cursor", str),
)
admin_import = _call(
    "For superusers, while ADMIN_API is on: import from a manifest, in place of what the cell holds",
    {204: _NOTHING} | _errors(400, 401, 403, 404, 409, 410, 500, 503),
    _DOMAIN,
    OpenApiParameter("manifest_url", str, required=True, description="The manifest's own address, not the mail's link"),
    request=None,
)
