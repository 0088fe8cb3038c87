"""The two families of errors (`spec/move.md §2.2–§2.4`): plain ones, negotiated by `Accept`, and JSON:API ones."""

import logging
from http import HTTPStatus
from typing import Any, NamedTuple

import orjson
from django.core.exceptions import BadRequest, RequestDataTooBig, SuspiciousOperation
from django.http import Http404, HttpRequest, HttpResponse, UnreadablePostError
from rest_framework import exceptions
from rest_framework.request import Request

from cells.api.headers import RETRY
from cells.errors import CellHeld, CellMoved, DomainError, Kind
from exports.api.move.pages import page

log = logging.getLogger(__name__)

JSON_API = "application/vnd.api+json"
PLAIN, API = "plain", "jsonapi"
_BEARER = 'Bearer error="invalid_token"'


class MoveError(Exception):
    """What is answered: `status` and `message` in the words of §2.4."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        family: str = PLAIN,
        title: str = "",
        parameter: str = "",
        meta: dict[str, object] | None = None,
        code: str = "",
        links: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
        html: bool = False,
        advice: object = "",
        sign_in: str = "",
    ) -> None:
        self.status, self.message, self.family, self.title, self.code = status, message, family, title, code
        self.parameter, self.meta, self.links, self.headers = parameter, meta, links, headers or {}
        #: A page whatever `Accept` says: steps that a browser is sent through. What it tells people beside the message.
        self.html, self.advice, self.sign_in = html, advice, sign_in
        super().__init__(message)


def token_missing() -> MoveError:
    return MoveError(401, "No token in request")


def token_invalid() -> MoveError:
    return MoveError(400, "Invalid JWT token", headers={"WWW-Authenticate": _BEARER})


def token_expired() -> MoveError:
    told = f'{_BEARER} error_description="The access token expired"'
    return MoveError(400, "Expired token", headers={"WWW-Authenticate": told})


def forbidden() -> MoveError:
    return MoveError(403, "Forbidden")


def scope_malformed() -> MoveError:
    return MoveError(400, "Permission scope is empty or malformed")


def body_malformed() -> MoveError:
    """DEC-10: 400 for every body that cannot be used."""
    return MoveError(400, "JSON input is malformed or is missing mandatory fields", family=API)


class Shape(NamedTuple):
    """`detail` None is the message of the error itself."""

    status: int
    family: str
    detail: str | None = None


#: Domain errors by code; the rest by kind, in JSON:API.
DOMAIN: dict[str, Shape] = {
    "move_mac_invalid": Shape(401, PLAIN),
    "move_not_found": Shape(404, PLAIN),
    "move_expired": Shape(404, PLAIN),
    "cursor_invalid": Shape(400, PLAIN),
    "read_only": Shape(503, API),
    "cell_not_found": Shape(404, PLAIN, "Instance not found"),
    "not_authenticated": Shape(401, PLAIN, "You must be authenticated"),
    "access_denied": Shape(403, PLAIN, "Forbidden"),
}
KINDS: dict[Kind, int] = {
    Kind.INVALID: 400,
    Kind.FORBIDDEN: 403,
    Kind.NOT_FOUND: 404,
    Kind.CONFLICT: 409,
    Kind.PRECONDITION: 412,
    Kind.TOO_LARGE: 413,
    Kind.UNAVAILABLE: 500,
}


def move_error(error: Exception) -> MoveError:
    """As this dialect says it. Whatever nobody foresaw is logged, and told to nobody."""
    if isinstance(error, MoveError):
        return error
    if isinstance(error, CellMoved):
        url, title = str(error.params["url"]), "Cozy has been moved"
        return MoveError(410, str(error), family=API, title=title, code="moved", links={"related": url})
    if isinstance(error, CellHeld):  # §8
        return MoveError(503, str(error), headers=RETRY)
    if isinstance(error, DomainError) and error.kind is not Kind.UNAVAILABLE:
        shape = DOMAIN.get(error.code) or Shape(KINDS[error.kind], API)
        return MoveError(shape.status, shape.detail or str(error), family=shape.family)
    if isinstance(error, exceptions.MethodNotAllowed):
        return MoveError(405, "Method Not Allowed")
    if isinstance(error, Http404 | exceptions.NotFound):
        return MoveError(404, "Not Found")
    if isinstance(error, RequestDataTooBig):
        return MoveError(413, "Request Entity Too Large")
    if isinstance(error, SuspiciousOperation | BadRequest | UnreadablePostError | exceptions.ParseError):
        return MoveError(400, "Bad Request")
    log.error("move: %s", type(error).__name__, exc_info=error)
    return MoveError(500, "an internal error; the log knows more", family=API, title="Unqualified error")


def error_response(request: HttpRequest | Request, error: Exception) -> HttpResponse:
    found = move_error(error)
    if found.code == "moved" and "text/html" in request.META.get("HTTP_ACCEPT", ""):
        return page(request, "moved", {"moved_to": (found.links or {})["related"]}, found.status)
    response = _api(found) if found.family == API else _plain(request, found)
    for name, value in found.headers.items():
        response.headers[name] = value
    return response


def _api(error: MoveError) -> HttpResponse:
    told: dict[str, Any] = {"status": str(error.status), "title": error.title or HTTPStatus(error.status).phrase}
    if error.message:
        told["detail"] = error.message
    told["source"] = {"parameter": error.parameter} if error.parameter else {}
    more = {"code": error.code, "meta": error.meta, "links": error.links}
    told |= {name: value for name, value in more.items() if value}
    return HttpResponse(orjson.dumps({"errors": [told]}) + b"\n", content_type=JSON_API, status=error.status)


def _plain(request: HttpRequest | Request, error: MoveError) -> HttpResponse:
    """§2.3, in its order. `application/vnd.api+json` does not contain `application/json`."""
    accept = request.META.get("HTTP_ACCEPT", "")
    if request.method == "HEAD":
        return HttpResponse(status=error.status)
    if "application/json" in accept and not error.html:
        body = orjson.dumps({"error": error.message})
        return HttpResponse(body, content_type="application/json", status=error.status)
    if "text/html" in accept or error.html:
        told = {"message": error.message, "advice": error.advice, "sign_in": error.sign_in}
        return page(request, "error", told, error.status)
    return HttpResponse(error.message, content_type="text/plain; charset=UTF-8", status=error.status)
