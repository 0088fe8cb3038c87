"""`/move/imports`: check a link, import from it, and the page to wait on (`spec/move.md §6`)."""

from urllib.parse import urlsplit

from django.http import HttpResponse
from django.http.response import HttpResponseBase
from rest_framework.request import Request

from cells.models import Cell
from exports import broadcast
from exports.api.move import bodies, openapi
from exports.api.move.base import MoveViews, base_url
from exports.api.move.errors import API, MoveError
from exports.api.move.pages import page, person
from exports.api.move.permissions import IMPORTS
from exports.errors import MoveNotFound, MoveTooLarge
from exports.models import Import
from exports.services import arrivals, departures, move_imports, move_notes
from exports.services.addresses import cell_of_host, unit_url
from exports.states import IMPORT_ACTIVE, ImportState


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
        found = bodies.attributes(request)
        link, came_from = bodies.text(found, "url"), bodies.mapping(found, "move_from")
        try:
            if came_from:
                arrivals.arrival_start(
                    cell=cell,
                    owner=cell.owner,
                    source_url=bodies.text(came_from, "url"),
                    token=bodies.text(came_from, "token"),
                    link=link,
                    transfer=bodies.text(found, "transfer"),
                    vault=bodies.flag(found, "vault"),
                )
                move_notes.source_forget(cell=cell)
            else:
                source = move_imports.link_source(cell=cell, link=link)
                move_imports.import_from_link(cell=cell, owner=cell.owner, source=source)
        except MoveNotFound as error:
            raise MoveError(500, str(error), html=True) from error
        return HttpResponse(status=303, headers={"Location": self.address(request, cell, "importing")})

    @openapi.importing_post
    def announce(self, request: Request, **_: str) -> HttpResponseBase:
        """A cell will come (§7.7). Nobody is signed out and nothing is blocked before it does: what is announced may
        never come. The headers tell another exportsite what we can do, and what the cell is called here."""
        cell = self.permitted(request, IMPORTS, "POST")
        arrivals.arrival_check(cell=cell)
        move_notes.source_note(cell=cell, source=request.query_params.get("source", ""))
        told = {departures.TRANSFER_HEADER: departures.TRANSFER}
        if not cell_of_host(request._request.get_host()):
            told[departures.CELL_HEADER] = cell.name
        return HttpResponse(status=204, headers=told)

    @openapi.importing_get
    def importing(self, request: Request, **_: str) -> HttpResponseBase:
        """Always 200 (§6.10). Below `/{cell}/` it tells how far that cell is; elsewhere how far one's own is."""
        cell = self.named_cell() or self._awaited(request)
        context = _waiting(cell) if cell else {}
        context |= {"domain": f"{base_url(request, cell)}/{cell.name}" if cell else ""}
        waiting, was = context.get("waiting"), "waiting" in request.query_params
        following = f"{unit_url()}web/cells/{cell.name}/" + ("import" if context.get("failed") else "") if cell else "/"
        if cell and context.get("running") and broadcast.listener_alive():
            below = "" if cell_of_host(request._request.get_host()) else f"/{cell.name}"
            context["realtime"] = f"{below}/move/importing/realtime"
        if waiting or was:
            context["refresh"] = "5; url=?waiting" if waiting else f"0; url={following}"
        return page(request, "importing", {**context, "following": following})

    def _awaited(self, request: Request) -> Cell | None:
        """The cell of whoever is signed in into which something comes, or last came."""
        user = person(request)
        if user is None:
            return None
        rows = Import.objects.filter(cell__owner=user, cell__removed_at=None).select_related("cell")
        return row.cell if (row := rows.order_by("-pk").first()) else None

    def realtime(self, request: Request, **_: str) -> HttpResponseBase:
        """Of the addresses of `realtime.server`: a proxy leads there, and here only where there is none."""
        told = "The web server has no websockets, and no proxy leads to `manage.py realtime`: ask again instead"
        raise MoveError(501, told, family=API)


def _waiting(cell: Cell) -> dict[str, object]:
    """What the page to wait on tells."""
    row = Import.objects.filter(cell=cell).order_by("-pk").select_related("arrival").first()
    running = row is not None and row.state in IMPORT_ACTIVE
    arrival, announced = getattr(row, "arrival", None) if running else None, move_notes.source_of(cell=cell)
    source = urlsplit(arrival.source_url).netloc if arrival else "" if running else announced
    done, total = (row.done, row.total) if running and row is not None else (0, 0)
    return {
        "moving": bool(source),
        "source": source,
        "running": running,
        "waiting": running or bool(source),
        "failed": row is not None and row.state == ImportState.FAILED,
        "percent": min(done * 100 // total, 100) if total else None,
    }
