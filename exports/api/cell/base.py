"""What all views of the cell dialect share: the order in which errors win, headers, bodies (`spec/cell.md §2, §3`)."""

from typing import Any

import orjson
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from rest_framework.exceptions import MethodNotAllowed
from rest_framework.request import Request
from rest_framework.viewsets import ViewSet

from cells.errors import CellMoved
from cells.models import Cell
from cells.readonly import read_only_check
from exports.api.cell import access
from exports.api.cell.addresses import cell_url
from exports.api.cell.errors import CellError, CellErrorMixin
from exports.api.cell.openapi import CellSchema
from exports.api.cell.overrides import key_is_good, override
from exports.services.cell_jobs import cell_job, import_failed

VERSION = "1.7.18"
#: A body of JSON, XML or a form is held in memory.
MAX_BODY = 64 * 1024
#: Of a body that is no JSON so much is told back.
_TOLD = 1024
EVERYBODY = "OPTIONS, GET, POST, PUT, DELETE, HEAD, MERGE, MKCOL, MOVE, PROPFIND, PROPPATCH, ACL"


class DialectViews(CellErrorMixin, ViewSet):
    """Authentication comes before everything that tells of a cell's state ([R] of §2)."""

    authentication_classes = ()
    permission_classes = ()
    #: What OPTIONS tells whoever has the privilege.
    allow = ""
    #: Whether POST, too, is taken while the server is read-only (§2.5).
    brings_nothing = False
    schema = CellSchema()
    default_response_headers: dict[str, str] = {}

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        self.key_is_good = key_is_good(request)
        self.open_options = request.method == "OPTIONS"
        override(request)
        self.open_options &= "HTTP_AUTHORIZATION" not in request.META
        self.http_method_names = [(request.method or "").lower()]  # what has no handler is refused in `initial`
        return super().dispatch(request, *args, **kwargs)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        if not self.key_is_good:
            raise CellError("PR400-EV-0002")
        if self.open_options:
            return
        accept = request.META.get("HTTP_ACCEPT", "")
        if not accept.isascii():
            raise CellError("PR400-OD-0041", "Accept", accept)
        if not self.brings_nothing:
            read_only_check(request.method)
        self.find(**kwargs)
        # DRF finds handlers whatever the case; a method's name is what it is.
        if request.method != "OPTIONS" and (self.action is None or request.method != request.method.upper()):
            self.refuse_method(request)
        self.admit(request)

    def find(self, **kwargs: str) -> None:
        """What the URL names must be there."""

    def admit(self, request: Request) -> None:
        """Who calls must be allowed to."""

    def refuse_method(self, request: Request) -> None:
        raise MethodNotAllowed(request.method)

    def options(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponseBase:
        allow = EVERYBODY if self.open_options else self.allow
        return HttpResponse(headers={"Allow": allow, "Access-Control-Allow-Methods": allow})

    def finalize_response(self, request: Any, response: Any, *args: Any, **kwargs: Any) -> HttpResponseBase:
        response = super().finalize_response(request, response, *args, **kwargs)
        response.headers["Access-Control-Allow-Origin"] = "*"
        response.headers["X-Personium-Version"] = VERSION
        asked = request.META.get("HTTP_ACCESS_CONTROL_REQUEST_HEADERS")
        if asked and asked.isprintable():
            response.headers["Access-Control-Allow-Headers"] = asked
        if _has_no_body(response):
            response.headers.pop("Content-Type", None)
        return response


def _has_no_body(response: HttpResponseBase) -> bool:
    return not response.streaming and not response.content and response.status_code != 206 and (
        "Content-Length" not in response.headers
    )  # fmt: skip


class CellViews(DialectViews):
    """Everything of one cell that needs the `root` privilege."""

    #: Whether it works while the cell is "import failed" (§9).
    survives_failure = False
    #: Whether it is at the cell's new address once the cell has moved.
    moves = True

    def find(self, **kwargs: str) -> None:
        self.cell = cell_named(kwargs["cell"])

    def admit(self, request: Request) -> None:
        access.root_check(access.caller(request, cell_url(self.cell)), self.cell)
        if self.moves:
            self.refuse_moved()
        if not self.survives_failure:
            self.refuse_failed()

    def refuse_moved(self) -> None:
        if self.cell.moved_to:
            raise CellMoved(name=self.cell.name, url=self.cell.moved_to)

    def refuse_failed(self) -> None:
        """Also while the next import runs: only its success makes the cell normal."""
        if import_failed(cell=self.cell):
            raise CellError("PR409-CM-0001")

    def refuse_job(self) -> None:
        """No second export or import (§10); what is checked here first is checked again where it counts."""
        if job := cell_job(cell=self.cell):
            raise CellError("PR409-CM-0002", job)


class UnknownViews(DialectViews):
    """What is no URL of this dialect."""

    def find(self, cell: str = "", **kwargs: str) -> None:
        if cell:
            cell_named(cell)
        raise CellError("PR404-MC-0001")


def cell_named(name: str) -> Cell:
    found = Cell.objects.select_related("owner").filter(name=name).first() if "\0" not in name else None
    if found is None:
        raise CellError("PR404-DV-0003")
    return found


def content_length(request: Request) -> int | None:
    """Of the body; None of a chunked one."""
    length = request.META.get("CONTENT_LENGTH") or ""
    if "HTTP_TRANSFER_ENCODING" in request.META and not length:
        return None
    return int(length) if length.isascii() and length.isdigit() else 0


def raw_body(request: Request) -> bytes:
    """At most MAX_BODY; what is longer is no body of this dialect."""
    length = content_length(request)
    # Django takes a chunked body for empty: an export that names its snapshot would be one that names none.
    stream = request._request.environ["wsgi.input"] if length is None else request._request
    raw = stream.read(MAX_BODY + 1)
    if len(raw) > MAX_BODY:
        raise CellError("PR400-CM-0004", raw[:_TOLD].decode(errors="replace") + "…")
    return raw


def json_object(request: Request) -> dict[str, Any] | None:
    """The body, whatever its type is said to be; None when there is none."""
    raw = raw_body(request)
    if not raw:
        return None
    try:
        told = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise CellError("PR400-CM-0004", raw[:_TOLD].decode(errors="replace")) from error
    if not isinstance(told, dict):
        raise CellError("PR400-CM-0004", raw[:_TOLD].decode(errors="replace"))
    return told


def answer(value: object, status: int = 200, **headers: str) -> HttpResponse:
    told = {name.replace("_", "-"): value for name, value in headers.items()}
    return HttpResponse(orjson.dumps(value), status=status, content_type="application/json", headers=told)


def etag_matches(given: str | None, etag: str) -> bool:
    """§12: equal to it or to its weak form; `*` and nothing are no condition. `etag` comes with its quotes."""
    return given is None or given.strip() == "*" or given in (etag, f"W/{etag}")
