"""`/move/transfers/<uid>`, ours: what one exportsite asks of another while a cell moves (FORMAT.md, docs/moving.md).

The token of `move_from` opens it, and nothing else does: for as long as the departure is known, so that whoever was
away can still hear what was decided. Errors are JSON:API, and have a code: only those with one decide anything.
"""

from http import HTTPStatus

import orjson
from django.http import HttpResponse, JsonResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from rest_framework.request import Request

from cells.errors import DomainError, Kind
from exports.api.move import bodies, permissions
from exports.api.move.base import MoveViews
from exports.api.move.errors import JSON_API, KINDS, token_missing
from exports.errors import MoveAborted, TransferNotFound
from exports.models import Departure
from exports.services import departures, transfers


class TransferViewSet(MoveViews):
    schema = None
    #: A server whose disks are full gives its cells away.
    brings_nothing = ("contents", "hold", "finalize", "abort")

    def handle_exception(self, error: Exception) -> HttpResponseBase:
        if not isinstance(error, DomainError) or error.kind is Kind.UNAVAILABLE:
            return super().handle_exception(error)
        status = KINDS[error.kind]
        told = {"status": str(status), "code": error.code, "title": HTTPStatus(status).phrase, "detail": str(error)}
        return HttpResponse(orjson.dumps({"errors": [{**told, "source": {}}]}), content_type=JSON_API, status=status)

    def departure(self, request: Request, uid: str) -> Departure:
        token = permissions.raw_token(request)
        if not token:
            raise token_missing()
        if not uid.isalnum():
            raise TransferNotFound
        return departures.departure_of(uid=uid, token=token)

    def retrieve(self, request: Request, uid: str, **_: str) -> HttpResponseBase:
        return JsonResponse(transfers.status(self.departure(request, uid)))

    def listing(self, request: Request, uid: str, **_: str) -> HttpResponseBase:
        lines = transfers.listing(self.departure(request, uid))
        return StreamingHttpResponse(lines, content_type="application/x-ndjson")

    def contents(self, request: Request, uid: str, **_: str) -> HttpResponseBase:
        departure, found = self.departure(request, uid), bodies.attributes(request)
        opened = transfers.contents_open(
            departure,
            seal=bodies.text(found, "seal"),
            want=bodies.integers(found, "want"),
            offset=bodies.integer(found, "offset"),
        )
        headers = {"Content-Length": str(opened.length)}
        return StreamingHttpResponse(opened.chunks(), content_type="application/octet-stream", headers=headers)

    def hold(self, request: Request, uid: str, **_: str) -> HttpResponseBase:
        departures.departure_hold(self.departure(request, uid))
        return HttpResponse(status=202)

    def finalize(self, request: Request, uid: str, **_: str) -> HttpResponseBase:
        departure = self.departure(request, uid)
        departures.departure_finalize(departure, digest=bodies.text(bodies.attributes(request), "digest") or "none")
        return HttpResponse(status=204)

    def abort(self, request: Request, uid: str, **_: str) -> HttpResponseBase:
        """The other server knows already."""
        departures.departure_abort(
            self.departure(request, uid), MoveAborted(reason="the other server ended it"), tell=False
        )
        return HttpResponse(status=204)
