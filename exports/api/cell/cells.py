"""`/{cell}`: what it is, its properties, and its end (`spec/cell.md §12.1, §13.1`)."""

from django.conf import settings
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from rest_framework.request import Request

from cells import writing
from exports.api.cell import access, openapi
from exports.api.cell.addresses import cell_url, unit_url
from exports.api.cell.base import CellViews, DialectViews, answer
from exports.api.cell.errors import CellError
from exports.api.cell.snapshots import cell_etag, cell_resource, multistatus_response
from exports.api.cell.xml import depth_of, propfind_check
from exports.services.snapshot_layout import cell_id


class UnitViews(DialectViews):
    """`/`, for programs."""

    def read(self, request: Request) -> HttpResponseBase:
        return answer({"unit": _unit()})


class RootViews(CellViews):
    allow = "OPTIONS, POST, PROPFIND"
    #: DELETE is the way out; the others ask for themselves.
    survives_failure = True

    def admit(self, request: Request) -> None:
        if request.method in ("GET", "HEAD"):  # needs no privilege
            self.refuse_moved()
            self.refuse_failed()
        elif request.method == "DELETE":
            if request.META.get("HTTP_X_PERSONIUM_RECURSIVE") != "true":
                raise CellError("PR412-MC-0001", "X-Personium-Recursive")
            access.unit_owner_check(access.caller(request, cell_url(self.cell)), self.cell)
        else:
            super().admit(request)

    @openapi.root_get
    def read(self, request: Request, cell: str) -> HttpResponseBase:
        url = cell_url(self.cell)
        if "xml" in request.META.get("HTTP_ACCEPT", "").lower():
            inner = f"<uuid>{cell_id(self.cell.pk)}</uuid><ctl>{url}__ctl/</ctl>"
            text = f'<cell xmlns="urn:x-personium:xmlns">{inner}</cell>'
            return HttpResponse(text.encode(), content_type="application/xml")
        return answer({"cell": {"name": self.cell.name, "url": url}, "unit": _unit()})

    def propfind(self, request: Request, cell: str) -> HttpResponseBase:
        self.refuse_failed()
        propfind_check(request)
        depth_of(request, "0")
        resource = cell_resource(self.cell, cell_url(self.cell).removesuffix("/"))
        return multistatus_response(self.cell, [resource], cell_etag(self.cell))

    @openapi.root_delete
    def destroy(self, request: Request, cell: str) -> HttpResponseBase:
        writing.cell_delete(cell=self.cell)
        return HttpResponse(status=204)


def _unit() -> dict[str, object]:
    return {"url": unit_url(), "path_based_cellurl_enabled": not settings.UNIT_HOST}
