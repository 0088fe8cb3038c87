"""What the endpoint families of the move API share: errors, which cell, limits, CORS, compressed documents."""

import gzip
import re
from typing import Any
from urllib.parse import urlsplit

import orjson
from django.conf import settings
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import patch_vary_headers
from django.views.decorators.csrf import csrf_exempt
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.request import Request
from rest_framework.viewsets import ViewSet

from cells.api.sessions import client_address
from cells.errors import CellNotFound
from cells.models import Cell
from cells.readonly import read_only_check
from exports.api.move import permissions
from exports.api.move.errors import JSON_API, MoveError, error_response
from exports.api.move.openapi import MoveSchema
from exports.services.addresses import cell_of_host, cell_url

#: Calls that begin an export, or a move, in 24 h (`spec/move.md §4.1`).
LIMIT = 5
_WINDOW = 24 * 3600
#: Names that are no use in a mail.
_LOCAL = ("localhost", "127.0.0.1", "[::1]", "testserver")
#: What importers take away from a host: they look for `a` where the link is of `a-settings` (§4.12, §6.2).
_OF_SETTINGS = re.compile(r"(^|-)settings$")
_METHODS = "GET,HEAD,PUT,PATCH,POST,DELETE"


class _Anything(BaseContentNegotiation):
    """Neither Content-Type nor Accept is checked (§2.1)."""

    def select_parser(self, request: Request, parsers: list) -> Any:
        return parsers[0] if parsers else None

    def select_renderer(self, request: Request, renderers: list, suffix: str | None = None) -> tuple:
        return renderers[0], renderers[0].media_type


class MoveViews(ViewSet):
    """Base of all. `cell` in the URL is a keyword of every view below `/{cell}/move/`."""

    authentication_classes = ()
    permission_classes = ()
    content_negotiation_class = _Anything
    metadata_class = None
    #: Actions that the server takes while it is read-only.
    brings_nothing: tuple[str, ...] = ()
    schema = MoveSchema()

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if self.action not in self.brings_nothing:
            read_only_check(request.method)
        name = self.kwargs.get("cell") if request.method != "OPTIONS" else None
        self._named = permissions.cell_named(name) if name is not None else None

    def handle_exception(self, error: Exception) -> HttpResponseBase:
        return error_response(self.request, error)

    def finalize_response(self, request: Any, response: Any, *args: Any, **kwargs: Any) -> HttpResponseBase:
        return with_cors(request, super().finalize_response(request, response, *args, **kwargs))

    def options(self, request: Request, *_: object, **__: object) -> HttpResponseBase:
        return preflight(request)

    def named_cell(self) -> Cell | None:
        """The one in the URL, or of the host. One that is not there has no calls at all."""
        return self._named

    def address(self, request: Request, cell: Cell, path: str) -> str:
        """Of another call, for the same caller."""
        base = base_url(request, cell)
        below = f"/{cell.name}" if "cell" in self.kwargs and not cell_of_host(urlsplit(base).netloc) else ""
        return f"{base}{below}/move/{path}"

    def permitted(self, request: Request, doctype: str, verb: str) -> Cell:
        """The cell that the call is about. Raises what §2.4 says of tokens, and of cells that have moved."""
        cell = self.permitted_anywhere(request, doctype, verb)
        permissions.here_check(cell)
        return cell

    def permitted_anywhere(self, request: Request, doctype: str, verb: str) -> Cell:
        named = self.named_cell()
        token = permissions.token_of(request)
        permissions.permission_check(token, doctype, verb)
        return permissions.cell_anywhere(token, named)

    def permitted_limited(self, request: Request, doctype: str, verb: str) -> Cell:
        """The same, and counted first: every call counts, also one that is refused (§4.1).

        Refused ones count for the address that they come from alone. A stranger could otherwise use up what the
        owner may do.
        """
        try:
            cell, refusal = self.permitted(request, doctype, verb), None
        except Exception as error:
            cell, refusal = None, error
        key = f"move:{cell.pk}" if cell else f"move:refused:{client_address(request)}"
        if limit_count(key) > LIMIT:
            raise MoveError(404, "Not found")
        if refusal is not None:
            raise refusal
        assert cell is not None
        return cell


def limit_count(key: str) -> int:
    """Counts a call in the window of 24 h that the first one opened; gives how many there were."""
    cache.add(key, 0, _WINDOW)
    try:
        return cache.incr(key)
    except ValueError:  # the window ended between the two calls
        cache.set(key, 1, _WINDOW)
        return 1


def base_url(request: Request, cell: Cell) -> str:
    """Where the caller came by (§1, "contextual domain"): PUBLIC_URL, another of our names, or the cell's own host."""
    host = request._request.get_host()
    if cell_of_host(host) == cell.name:
        return home_url(cell)
    name = host.rpartition(":")[0] or host
    if name not in settings.ALLOWED_HOSTS or name in _LOCAL:
        return settings.PUBLIC_URL
    return f"{settings.PUBLIC_URL.partition('://')[0]}://{host}"


def home_url(cell: Cell) -> str:
    """The cell's own host, where it has one that is of use in a link; else PUBLIC_URL."""
    own = settings.UNIT_HOST and not _OF_SETTINGS.search(cell.name)
    return cell_url(cell).rstrip("/") if own else settings.PUBLIC_URL


def document_response(request: Request, data: dict[str, Any]) -> HttpResponse:
    """A JSON:API document, ending in a newline, compressed for whoever takes that."""
    body = orjson.dumps({"data": data}) + b"\n"
    headers = {}
    if "gzip" in request.META.get("HTTP_ACCEPT_ENCODING", ""):
        body, headers = gzip.compress(body, mtime=0), {"Content-Encoding": "gzip"}
    response = HttpResponse(body, content_type=JSON_API, headers=headers)
    patch_vary_headers(response, ["Accept-Encoding"])
    return response


def with_cors(request: HttpRequest | Request, response: HttpResponseBase) -> HttpResponseBase:
    """§9.3. Tokens travel in headers; the cookies that some steps of a move want come from no other site's script, and
    `*` lets it read no answer to them: every origin may ask."""
    if "HTTP_ORIGIN" in request.META:
        response.headers["Access-Control-Allow-Origin"] = "*"
        response.headers["Access-Control-Expose-Headers"] = "Content-Disposition, Content-Length, Content-Range, ETag"
    return response


def preflight(request: HttpRequest | Request) -> HttpResponse:
    headers = {
        "Access-Control-Allow-Methods": _METHODS,
        "Access-Control-Allow-Headers": "Authorization, Content-Type, Accept, Range, If-Range",
        "Access-Control-Max-Age": "43200",
    }
    return HttpResponse(status=204, headers=headers)


@csrf_exempt
def unknown_call(request: HttpRequest, *_: object, cell: str = "", **__: object) -> HttpResponseBase:
    """Mounted last below /move: what is no call answers in this dialect too."""
    if request.method == "OPTIONS":
        return with_cors(request, preflight(request))
    error: Exception = MoveError(404, "Not Found")
    if cell:
        try:
            permissions.cell_named(cell)
        except CellNotFound as unknown:
            error = unknown
    return with_cors(request, error_response(request, error))
