"""What the API description says about the cell API (`spec/cell.md`). WebDAV's methods are none that OpenAPI knows."""

import re
from typing import Any

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema


class CellSchema(AutoSchema):
    def get_operation_id(self) -> str:
        return "_".join([*re.findall(r"[A-Za-z]+", self.path), self.method.lower()])

    def get_description(self) -> str:
        return ""

    def get_auth(self) -> list[dict[str, Any]]:
        """The cell's own page, and the way in, are open."""
        is_open = self.path.endswith("/__token") or (self.path, self.method) == ("/{cell}", "GET")
        return [] if is_open else [{"bearer": []}]

    def _is_list_view(self, serializer: object = None) -> bool:
        return False


_TEXT, _NUMBER = {"type": "string"}, {"type": "integer"}


def _object(*needed: str, **properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, **({"required": list(needed)} if needed else {})}


_ERROR = _object("code", "message", code=_TEXT, message=_object("lang", "value", lang=_TEXT, value=_TEXT))
_TOLD = {
    400: "A header, the body or the archive is not as it should be",
    401: "No token, or one that is good for nothing; Basic is not taken",
    403: "The token lacks the root privilege, or its scope",
    404: "No such cell, or no such file in the snapshot area",
    409: "Another export or import runs, the last import has failed, or the name is taken",
    412: "A condition does not hold",
    416: "The range begins behind the end",
    503: "Read-only, or no room is left",
}


def _errors(*statuses: int) -> dict[Any, OpenApiResponse]:
    return {(status, "application/json"): OpenApiResponse(_ERROR, description=_TOLD[status]) for status in statuses}


def _call(summary: str, responses: dict[Any, Any], *parameters: OpenApiParameter, **more: Any) -> Any:
    return extend_schema(tags=["cell"], summary=summary, responses=responses, parameters=list(parameters), **more)


def _json(**properties: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": _object(**properties)}


_NAME = {"type": "string", "pattern": "^[a-zA-Z0-9-_]{1,192}$", "description": "Of the snapshot, without its ending"}
_ACCEPTED = OpenApiResponse(None, description="Accepted; `Location` tells where to ask how far it is")
_DONE = OpenApiResponse(None, description="Done")
_CHECK = OpenApiParameter("check", bool, description="Ours: only tell what would change")
_COMMON = 401, 403, 404, 409


def _status(word: str, *words: str, **more: dict[str, Any]) -> dict[Any, Any]:
    shown = {"status": {"type": "string", "enum": list(words)}, "started_at": _TEXT, "progress": _TEXT}
    return {(200, "application/json"): _object("status", **shown, **{word: _TEXT}, **more)}


_RUNNING = "exportation in progress", "importation in progress"
export_get = _call(
    "How far the export of the cell is",
    _status("exportation_name", "ready", _RUNNING[0]) | _errors(*_COMMON),
)
export_post = _call(
    "Export the cell into its snapshot area",
    {202: _ACCEPTED} | _errors(400, *_COMMON, 503),
    request=_json(Name=_NAME),
)
import_get = _call(
    "How far the import is, or why the last one failed; with check, what it would change",
    _status("importation_name", "ready", _RUNNING[1], "import failed", message=_ERROR) | _errors(*_COMMON),
    _CHECK,
)
_MODE = {"type": "string", "enum": ["replace", "merge", "skip", "keep_both"], "description": "Ours"}
import_post = _call(
    "Import a file of the snapshot area, wholly or not at all",
    {202: _ACCEPTED, (200, "application/json"): OpenApiTypes.OBJECT} | _errors(400, *_COMMON, 503),
    _CHECK,
    request=_json(Name=_NAME, Mode=_MODE),
)
import_delete = _call("Ours: take note of a failed import", {204: _DONE} | _errors(*_COMMON))
undo_post = _call("Ours: back to what the cell held before", {204: _DONE} | _errors(*_COMMON, 503), request=None)
_RANGE = OpenApiParameter("Range", str, OpenApiParameter.HEADER)
snapshot_get = _call(
    "A file of the snapshot area; PROPFIND lists it",
    {
        (status, "application/zip"): OpenApiResponse(OpenApiTypes.BINARY, description=told)
        for status, told in ((200, "The file"), (206, "A range of it"))
    }
    | _errors(*_COMMON, 416),
    _RANGE,
)
_MATCH = OpenApiParameter("If-Match", str, OpenApiParameter.HEADER)
snapshot_put = _call(
    "Put a file into the snapshot area",
    {201: _DONE, 204: _DONE} | _errors(400, *_COMMON, 412, 503),
    _MATCH,
    request={"application/zip": OpenApiTypes.BINARY},
)
snapshot_delete = _call("Delete a file of the snapshot area", {204: _DONE} | _errors(*_COMMON, 412), _MATCH)
root_get = _call("What the cell is called", {(200, "application/json"): OpenApiTypes.OBJECT} | _errors(404, 409))
_RECURSIVE = OpenApiParameter("X-Personium-Recursive", str, OpenApiParameter.HEADER, required=True, enum=["true"])
root_delete = _call("Delete the cell with all that is in it", {204: _DONE} | _errors(*_COMMON, 412), _RECURSIVE)
_FORM = _object(
    "grant_type",
    grant_type={"type": "string", "enum": ["password", "refresh_token"]},
    username=_TEXT,
    password=_TEXT,
    refresh_token=_TEXT,
    scope=_TEXT,
    expires_in=_NUMBER,
    refresh_token_expires_in=_NUMBER,
    p_cookie=_TEXT,
)
_TOKEN = _object(
    access_token=_TEXT,
    refresh_token=_TEXT,
    token_type=_TEXT,
    expires_in=_NUMBER,
    refresh_token_expires_in=_NUMBER,
    scope=_TEXT,
    last_authenticated={"type": "integer", "nullable": True},
    failed_count=_NUMBER,
    p_cookie_peer=_TEXT,
)
token_post = _call(
    "A token for a login, or for a refresh token",
    {
        (200, "application/json"): _TOKEN,
        (400, "application/json"): _object("error", "error_description", error=_TEXT, error_description=_TEXT),
    },
    request={"application/x-www-form-urlencoded": _FORM},
)
