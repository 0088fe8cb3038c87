"""`/move/imports`: check a link, import from it, and the page to wait on (`spec/move.md §6`)."""

from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from rest_framework.request import Request

from exports.api.move import bodies, openapi
from exports.api.move.base import MoveViews
from exports.api.move.errors import API, MoveError
from exports.api.move.permissions import IMPORTS
from exports.errors import MoveNotFound, MoveTooLarge
from exports.services import cell_jobs, move_imports


class ImportViewSet(MoveViews):
    @openapi.import_check
    def precheck(self, request: Request, **_: str) -> HttpResponseBase:
        cell = self.permitted(request, IMPORTS, "POST")
        link = bodies.text(bodies.attributes(request), "url")
        try:
            move_imports.import_precheck(cell=cell, source=move_imports.link_source(cell=cell, link=link))
        except MoveNotFound as error:
            raise MoveError(412, f"code=404, message={error}", family=API, parameter="url") from error
        except MoveTooLarge as error:
            # DEC-8: 422, which is what clients know; how much is missing is ours.
            told = {name: error.params[name] for name in ("missing", "needed", "quota")}
            title, detail = "Request Entity Too Large", f"code=413, message={error}"
            raise MoveError(422, detail, family=API, title=title, parameter="url", meta=told) from error
        return HttpResponse(status=204)

    @openapi.import_start
    def create(self, request: Request, **_: str) -> HttpResponseBase:
        """303 to the page to wait on. Whether anything is behind the link is seen by the job."""
        cell = self.permitted(request, IMPORTS, "POST")
        link = bodies.text(bodies.attributes(request), "url")
        try:
            source = move_imports.link_source(cell=cell, link=link)
            move_imports.import_from_link(cell=cell, owner=cell.owner, source=source)
        except MoveNotFound as error:
            raise MoveError(500, str(error), html=True) from error
        return HttpResponse(status=303, headers={"Location": self.address(request, cell, "importing")})

    @openapi.importing_get
    def importing(self, request: Request, **_: str) -> HttpResponseBase:
        """Always 200 (§6.10). Below `/{cell}/` it tells how far an import of that cell is; elsewhere nobody's."""
        named = self.named_cell()
        running = cell_jobs.import_running(cell=named) if named else None
        percent = running.done * 100 // running.total if running and running.total else None
        context = {"running": running is not None, "percent": percent}
        return render(request._request, "exports/move/importing.html", context)

    def realtime(self, request: Request, **_: str) -> HttpResponseBase:
        """The web server speaks no websocket: the page asks again instead."""
        raise MoveError(501, "This server has no websocket; GET /move/importing tells the same", family=API)

    @openapi.importing_get
    def unbuilt(self, request: Request, **_: str) -> HttpResponseBase:
        """Steps of a move between two servers (§7). An export there and an import here do the same by hand."""
        told = "Moving between servers in one step is not offered; import from the link of an export instead"
        raise MoveError(501, told, family=API)
