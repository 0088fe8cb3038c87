"""v1's error envelope (`spec/v1.md §3`), for every view of v1 and for whatever goes wrong outside the views.

`exports.api.v1` extends it: `class ExportErrors(V1Errors): domain = V1Errors.domain | {...}`, and
`errors = ExportErrors()` on its views.
"""

import logging
import sys
import uuid
from collections.abc import Callable
from typing import Any, NamedTuple

from django.core.exceptions import RequestDataTooBig, SuspiciousOperation
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse, UnreadablePostError
from django.views import defaults
from django.views.decorators.csrf import csrf_exempt
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import set_rollback

from cells.api.headers import RETRY, dress
from cells.api.moved import moved_url
from cells.errors import CellHeld, CellMoved, DomainError, Kind

log = logging.getLogger(__name__)


class Shape(NamedTuple):
    """How one kind of error looks. `parameters` are templates over the domain error's params: {"id": "{name}"}."""

    status: int
    realm: str
    code: str
    parameters: dict[str, str] = {}
    #: What a server error tells; the rest is in the log.
    description: str = "An internal error; the log knows more."


class ApiError(Exception):
    """The request is malformed: `error.api.<code>`; 400 but for the few cases HTTP has a word for (411, 416)."""

    def __init__(self, code: str, description: str, status: int = 400) -> None:
        self.code, self.description, self.status = code, description, status
        super().__init__(description)


class UserError(Exception):
    """`error.user.<code>` with v1's parameters, where no domain error stands behind it."""

    def __init__(self, code: str, status: int = 400, **parameters: object) -> None:
        self.code, self.status, self.parameters = code, status, parameters
        super().__init__(code)


class V1Errors:
    """From an exception to (status, envelope). Domain errors by `domain[code]`, else by `kinds[kind]`."""

    kinds: dict[Kind, Shape] = {
        Kind.INVALID: Shape(400, "api", "error.api.invalid_value"),
        Kind.FORBIDDEN: Shape(403, "user", "error.user.insufficient_rights"),
        Kind.NOT_FOUND: Shape(404, "user", "error.user.not_found"),
        Kind.CONFLICT: Shape(409, "user", "error.user.conflict"),
        Kind.PRECONDITION: Shape(412, "user", "error.user.version_mismatch"),
        Kind.TOO_LARGE: Shape(413, "user", "error.user.quota_exceeded"),
        Kind.UNAVAILABLE: Shape(500, "server", "error.server.generic"),
    }
    domain: dict[str, Shape] = {
        "not_authenticated": Shape(403, "user", "error.user.not_authenticated"),
        "session_not_found": Shape(400, "user", "error.user.session_not_found", {"id": "{id}"}),
        "session_invalid": Shape(400, "user", "error.user.session_invalid"),
        "language_not_found": Shape(400, "user", "error.user.language_not_found", {"id": "{id}"}),
        "credentials_missing": Shape(400, "user", "error.user.username_or_password_empty"),
        "login_failed": Shape(400, "user", "error.user.login_failed"),
        "login_disabled": Shape(400, "user", "error.user.login_disabled"),
        "login_blocked": Shape(400, "user", "error.user.login_blocked"),
        "login_method_refused": Shape(
            400, "user", "error.user.authentication_method_not_allowed", {"method": "{method}"}
        ),
        "cell_not_found": Shape(404, "user", "error.user.cell_not_found", {"id": "{name}"}),
        "name_taken": Shape(
            400, "user", "error.user.integrity_constraint_violation", {"constraint": "cell_name_unique"}
        ),
        "read_only": Shape(503, "user", "error.user.read_only"),
        "cell_held": Shape(503, "user", "error.user.cell_held", {"id": "{name}"}),
        "cell_moved": Shape(410, "user", "error.user.cell_moved", {"id": "{name}", "url": "{url}"}),
        "document_not_found": Shape(
            404, "user", "error.user.document_not_found", {"id": "{doc_id}", "doctype": "{doctype}"}
        ),
        "document_refused": Shape(400, "api", "error.api.invalid_content"),
        "file_not_found": Shape(404, "user", "error.user.file_not_found", {"path": "{path}"}),
        "path_taken": Shape(409, "user", "error.user.path_taken", {"path": "{path}", "reason": "{reason}"}),
        "precondition_failed": Shape(
            412, "user", "error.user.version_mismatch", {"provided": "{expected}", "expected": "{actual}"}
        ),
        "quota_exceeded": Shape(
            413, "user", "error.user.quota_exceeded", {"quota": "{quota}", "used": "{used}", "needed": "{needed}"}
        ),
        "digest_mismatch": Shape(400, "api", "error.api.invalid_content"),
        "body_incomplete": Shape(400, "api", "error.api.invalid_content"),
        "no_space": Shape(
            507, "server", "error.server.no_space", description="The server's disk is full; nothing was stored."
        ),
        "blob_damaged": Shape(500, "server", "error.server.internal_file_error"),
    }

    def answer(self, error: Exception) -> tuple[int, dict[str, Any]]:
        """Status and envelope. Whatever nobody foresaw is logged with the uuid that the envelope carries."""
        if isinstance(error, DomainError):
            return self._domain(error)
        if isinstance(error, UserError):
            return error.status, _envelope("user", f"error.user.{error.code}", error.parameters)
        if isinstance(error, ApiError):
            return error.status, _api(error.code, error.description)
        if isinstance(error, exceptions.NotAuthenticated | exceptions.AuthenticationFailed):
            return 403, _envelope("user", "error.user.not_authenticated")
        if isinstance(error, exceptions.PermissionDenied):
            return 403, _envelope("user", "error.user.insufficient_rights")
        foreseen = _malformed(error)
        return (
            (400, foreseen)
            if foreseen
            else (500, _server(error, "error.server.generic", Shape._field_defaults["description"]))
        )

    def _domain(self, error: DomainError) -> tuple[int, dict[str, Any]]:
        shape = self.domain.get(error.code) or self.kinds[error.kind]
        if shape.realm == "server":
            return shape.status, _server(error, shape.code, shape.description)
        if shape.realm == "api":
            return shape.status, {"realm": "api", "code": shape.code, "description": str(error)}
        parameters = {name: template.format(**error.params) for name, template in shape.parameters.items()}
        return shape.status, _envelope("user", shape.code, parameters)

    def handle(self, error: Exception, context: dict[str, Any]) -> Response:
        """The signature of a DRF exception handler. Whatever a cell has at its new address, it is led to."""
        set_rollback()
        status, envelope = self.answer(error)
        if isinstance(error, CellMoved) and (url := moved_url(context["request"], error, "/api/v1/cell/")):
            return Response(envelope, status=308, headers={"Location": url})
        return Response(envelope, status=status, headers=RETRY if isinstance(error, CellHeld) else None)


class V1ErrorMixin:
    """For DRF views: every exception becomes v1's envelope, as `errors` says."""

    errors: V1Errors = V1Errors()

    def get_exception_handler(self) -> Callable[[Exception, dict[str, Any]], Response]:
        return self.errors.handle


def _envelope(realm: str, code: str, parameters: dict[str, Any] | None = None) -> dict[str, Any]:
    envelope: dict[str, Any] = {"realm": realm, "code": code}
    if parameters:
        envelope["parameters"] = {name: str(value) for name, value in parameters.items()}
    return envelope


def _api(code: str, description: str) -> dict[str, Any]:
    return {"realm": "api", "code": f"error.api.{code}", "description": description}


def _server(error: Exception, code: str, description: str) -> dict[str, Any]:
    number = str(uuid.uuid4())
    log.error("%s %s: %s", code, number, type(error).__name__, exc_info=error)
    return {"realm": "server", "code": code, "description": description, "uuid": number}


def _malformed(error: Exception) -> dict[str, Any] | None:
    if isinstance(error, exceptions.MethodNotAllowed):
        return _api("invalid_request_method", "This call does not know this method.")
    if isinstance(error, exceptions.NotFound | Http404):
        return _api("invalid_api", "There is no such call.")
    if isinstance(error, exceptions.UnsupportedMediaType):
        return _api("invalid_content", "The body has a content type that this call does not read.")
    if isinstance(error, exceptions.ParseError | RequestDataTooBig):
        return _api("invalid_content", "The body cannot be read.")
    if isinstance(error, UnreadablePostError):
        return _api("invalid_content", "The body ended early.")
    if isinstance(error, SuspiciousOperation | exceptions.APIException):
        return _api("generic", "The request cannot be understood.")
    return None


def error_response(request: HttpRequest, error: Exception, errors: V1Errors | None = None) -> JsonResponse:
    """The same answers where no view of ours is in charge."""
    status, envelope = (errors or V1Errors()).answer(error)
    return dress(request, JsonResponse(envelope, status=status))


@csrf_exempt
def unknown_call(request: HttpRequest, *_: object, **__: object) -> JsonResponse:
    """Mounted last under /api: what is no call answers in v1's shape too."""
    return error_response(request, ApiError("invalid_api", "There is no such call."))


def handler400(request: HttpRequest, exception: Exception) -> HttpResponse:
    return error_response(request, exception) if _is_ours(request) else defaults.bad_request(request, exception)


def handler404(request: HttpRequest, exception: Exception) -> HttpResponse:
    return error_response(request, exception) if _is_ours(request) else defaults.page_not_found(request, exception)


def handler500(request: HttpRequest) -> HttpResponse:
    error = sys.exc_info()[1]
    if _is_ours(request) and isinstance(error, Exception):
        return error_response(request, error)
    return defaults.server_error(request)


def _is_ours(request: HttpRequest) -> bool:
    return request.path_info.startswith("/api/")
