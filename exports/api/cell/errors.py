"""Errors of the cell dialect: a code whose digits are the status, and a sentence (`spec/cell.md §3.2, §14`)."""

import logging
import random
import re
from collections.abc import Callable
from typing import Any

import orjson
from django.core.exceptions import RequestDataTooBig
from django.http import HttpResponse, UnreadablePostError
from rest_framework import exceptions
from rest_framework.views import set_rollback

from cells.api.headers import RETRY
from cells.api.moved import moved_url
from cells.errors import CellHeld, CellMoved, DomainError, Kind

log = logging.getLogger(__name__)

#: §14; `{0}` and `{1}` are filled in literally.
TEMPLATES = {
    "PR400-CM-0001": "Required key [{0}] missing.",
    "PR400-CM-0002": "Field [{0}] format error. Must be [{1}].",
    "PR400-CM-0004": "JSON parse error. [{0}].",
    "PR400-DV-0001": "XML parse error.",
    "PR400-DV-0003": "Invalid depth header value:[{0}].",
    "PR400-DV-0007": "Cannot add any more child resources.",
    "PR400-EV-0002": "Request header is invalid [X-Personium-RequestKey].",
    "PR400-MC-0001": "[{0}] does not exist in the snapshot file.",
    "PR400-MC-0003": "Version of the snapshot file is invalid. Expected [{0}] but was [{1}].",
    "PR400-MC-0004": "The specified snapshot file is not zip file.",
    "PR400-OD-0001": "JSON parse error.",
    "PR400-OD-0004": "OData EntityKey Parse error.",
    "PR400-OD-0006": "request body format error. field [{0}]",
    "PR400-OD-0007": "Unknown property [{0}] was specified.",
    "PR400-OD-0009": "[{0}] is required.",
    "PR400-OD-0041": "Request header {0} value is invalid [{1}].",
    "PR401-AU-0001": "Authorization required.",
    "PR401-AU-0002": "Access token expired.",
    "PR401-AU-0003": "Invalid authentication scheme.",
    "PR401-AU-0004": "Basic auth format error.",
    "PR401-AU-0006": "Token parse error.",
    "PR401-AU-0007": "Can not access with refresh token.",
    "PR401-AU-0008": "Token dsig error.",
    "PR401-AU-0009": "Authentication failed.",
    "PR401-AU-0010": "Authentication failed.",
    "PR401-AU-0011": "Authentication failed.",
    "PR403-AU-0001": "Unit user access required.",
    "PR403-AU-0002": "Necessary privilege is lacking.",
    "PR403-AU-0003": ("This resource can not be accessed by the Unit User specified in authorization header."),
    "PR403-AU-0007": "Insufficient scope is granted for the access token. [{0}] Privilege is required.",
    "PR403-DV-0001": "Infinite depth is not supported.",
    "PR403-DV-0004": "Resource name is invalid [{0}].",
    "PR404-DV-0001": "Resource not found. [{0}].",
    "PR404-DV-0003": "Cell not found.",
    "PR404-MC-0001": "URI is not recognized.",
    "PR404-OD-0002": "No such entity.",
    "PR405-MC-0001": "Method not allowed.",
    "PR308-MC-0001": "The cell has moved. [{0}].",
    "PR409-CM-0001": (
        "Cell status is [import failed]. Only Unit Level's APIs, CellImport and GetToken are executable."
    ),
    "PR409-CM-0002": "Because [{0}] is being executed, writing to cell can not be done.",
    "PR409-DV-0002": "File [{0}] already exists.",
    "PR409-OD-0001": "This entity has related data.",
    "PR409-OD-0003": "The entity already exists.",
    "PR410-MC-0001": "The cell has moved. [{0}].",
    "PR411-MC-0001": "The body needs a Content-Length.",
    "PR412-DV-0001": "ETag does not match.",
    "PR412-MC-0001": "Precondition failed [Header: {0}].",
    "PR412-OD-0002": "ETag does not match.",
    "PR416-DV-0001": "Requested range not satisfiable.",
    "PR500-CM-0001": "Failed to load the request body for some reason.",
    "PR500-CM-0002": "Files I/O error caused [{0}] to fail.",
    "PR501-MC-0001": "Method not implemented.",
    "PR501-MC-0002": "Not implemented. [{0}].",
    "PR503-SV-0001": "Too many concurrent requests.",
    "PR503-SV-0005": "The server has no room left for this; reading and deleting are possible.",
}
#: What is none of the catalogue has the domain's own sentence.
UNKNOWN = "PR500-SV-0000"
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
#: Our errors by their codes: (code of the dialect, the parameters that fill its template). Others go by kind, and say
#: their own sentence.
DOMAIN: dict[str, tuple[str, tuple[str, ...]]] = {
    "cell_not_found": ("PR404-DV-0003", ()),
    "cell_busy": ("PR409-CM-0002", ("job",)),
    "cell_held": ("PR409-CM-0002", ()),
    "cell_moved": ("PR410-MC-0001", ("url",)),
    "cell_not_empty": ("PR409-OD-0001", ()),
    "name_taken": ("PR409-OD-0003", ()),
    "snapshot_taken": ("PR409-DV-0002", ("name",)),
    "snapshots_full": ("PR400-DV-0007", ()),
    "name_refused": ("PR403-DV-0004", ("name",)),
    "precondition_failed": ("PR412-DV-0001", ()),
    "file_not_found": ("PR404-DV-0001", ("path",)),
    "body_incomplete": ("PR500-CM-0001", ()),
    "blob_damaged": ("PR500-CM-0002", ()),
    "entries_damaged": ("PR500-CM-0002", ()),
    "quota_exceeded": ("PR503-SV-0005", ()),
    "read_only": ("PR503-SV-0005", ()),
    "no_space": ("PR503-SV-0005", ()),
    "login_blocked": ("PR401-AU-0010", ()),
    "login_failed": ("PR401-AU-0011", ()),
    "login_disabled": ("PR401-AU-0011", ()),
    "credentials_missing": ("PR401-AU-0011", ()),
    "not_authenticated": ("PR401-AU-0001", ()),
    "access_denied": ("PR403-AU-0002", ()),
    "session_invalid": ("PR401-AU-0002", ()),
    "session_not_found": ("PR401-AU-0008", ()),
    "archive_entry_missing": ("PR400-MC-0001", ("path",)),
    "archive_version_unknown": ("PR400-MC-0003", ("expected", "found")),
    "archive_manifest_refused": ("PR400-CM-0004", ("text",)),
    "no_archive": ("PR400-MC-0004", ()),
}
#: What is named where the error names nothing: what failed, in the words of §14, or a job like those of §10.
_DOING = {
    "blob_damaged": "read snapshot file",
    "entries_damaged": "add webdav data to snapshot file",
    "cell_held": "cell move",
}
KINDS = {
    Kind.INVALID: "PR400-MC-0005",
    Kind.FORBIDDEN: "PR403-AU-0002",
    Kind.NOT_FOUND: "PR404-DV-0001",
    Kind.CONFLICT: "PR409-MC-0003",
    Kind.PRECONDITION: "PR412-DV-0001",
    Kind.TOO_LARGE: "PR400-MC-0005",
    Kind.UNAVAILABLE: UNKNOWN,
}


class CellError(Exception):
    """An answer of this dialect: a code of TEMPLATES, and what its template wants."""

    def __init__(self, code: str, *values: object, headers: dict[str, str] | None = None) -> None:
        self.code, self.values, self.headers = code, values, headers or {}
        super().__init__(code, *values)


def code_of(error: CellError | DomainError | Exception) -> tuple[str, str]:
    """(code, sentence) of anything that can be raised. What nobody foresaw is logged."""
    if isinstance(error, CellError):
        return error.code, _filled(error.code, error.values)
    if isinstance(error, DomainError):
        return _domain(error)
    if isinstance(error, exceptions.MethodNotAllowed):
        return "PR405-MC-0001", TEMPLATES["PR405-MC-0001"]
    if isinstance(error, UnreadablePostError | RequestDataTooBig):
        return "PR500-CM-0001", TEMPLATES["PR500-CM-0001"]
    number = random.randrange(100_000)  # noqa: S311
    log.error("unknown exception %d: %s", number, type(error).__name__, exc_info=error)
    return "PR500-SV-9999", f"Unknown Exception [{number}]"


def _domain(error: DomainError) -> tuple[str, str]:
    code, names = DOMAIN.get(error.code) or (KINDS[error.kind], ())
    if error.code in _DOING:
        return code, _filled(code, (_DOING[error.code],))
    if code in TEMPLATES and (names or "{0}" not in TEMPLATES[code]):
        return code, _filled(code, [error.params.get(name, error) for name in names])
    return code, str(error)


def told_error(error: dict[str, str] | None) -> dict[str, Any]:
    """The error body of a run or an import that failed: {"code", "message"} as its row keeps it."""
    ours, sentence = (error or {}).get("code", ""), (error or {}).get("message", "")
    code, _ = DOMAIN.get(ours, (UNKNOWN, ()))
    return body(code, sentence)


def body(code: str, sentence: str) -> dict[str, Any]:
    return {"code": code, "message": {"lang": "en_US" if code == "PR500-SV-9999" else "en", "value": sentence}}


def error_response(error: Exception) -> HttpResponse:
    """For every way out of this dialect."""
    code, sentence = code_of(error)
    headers = error.headers if isinstance(error, CellError) else RETRY if isinstance(error, CellHeld) else {}
    content = orjson.dumps(body(code, sentence))
    return HttpResponse(content, status=int(code[2:5]), content_type="application/json", headers=headers)


class CellErrorMixin:
    """For DRF views: every exception becomes this dialect's answer."""

    def get_exception_handler(self) -> Callable[[Exception, dict[str, Any]], HttpResponse]:
        def handle(error: Exception, context: dict[str, Any]) -> HttpResponse:
            set_rollback()
            if isinstance(error, CellMoved) and (url := moved_url(context["request"], error, "/")):
                return error_response(CellError("PR308-MC-0001", error.params["url"], headers={"Location": url}))
            return error_response(error)

        return handle


def _filled(code: str, values: Any) -> str:
    text = TEMPLATES[code]
    for number, value in enumerate(values):
        shown = _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", str(value))
        text = text.replace(f"{{{number}}}", shown.encode(errors="replace").decode(), 1)
    return text
