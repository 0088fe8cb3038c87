"""`/instances`: what an administrator asks of any cell (`spec/move.md §9.4`). It has no listener of its own: it
is for tokens of superusers alone, and only while ADMIN_API is on (`urls`)."""

import logging
from urllib.parse import urlsplit

import orjson
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from rest_framework.request import Request

from cells import tokens
from cells.models import Cell
from exports.api.move import openapi, permissions
from exports.api.move.base import MoveViews, home_url
from exports.api.move.errors import API, MoveError, forbidden
from exports.api.move.exports import manifest, part_response
from exports.errors import MoveNotFound
from exports.models import MoveExport
from exports.services import move_exports, move_imports
from exports.services.addresses import cell_of_host

log = logging.getLogger(__name__)

#: All values of a parameter → what it means. The old server answers 500 to whatever is not among them, and to none.
_FLAG: dict[tuple[str, ...], bool] = {(): False, ("false",): False, ("true",): True}


class AdminViewSet(MoveViews):
    """How often is not limited: who may call here is trusted with every cell."""

    @openapi.admin_export
    def export(self, request: Request, domain: str) -> HttpResponseBase:
        """202 with the job. Its id is the export's: whoever has no mail asks for the data until it is there."""
        cell = self.administered(request, domain)
        quiet = _FLAG.get(tuple(request.query_params.getlist("admin-req")))
        if quiet is None:
            raise MoveError(400, "admin-req is neither true nor false")
        found = move_exports.move_export_create(cell=cell, base_url=home_url(cell), quiet=quiet)
        body = orjson.dumps(_job(found, quiet)) + b"\n"
        return HttpResponse(body, content_type="application/json", status=202)

    @openapi.admin_data
    def data(self, request: Request, domain: str, uid: str) -> HttpResponseBase:
        cell = self.administered(request, domain)
        return part_response(request, move_exports.move_export_find(uid=uid, cell=cell), _domain(cell))

    @openapi.admin_import
    def bring(self, request: Request, domain: str) -> HttpResponseBase:
        """Whether anything is behind the address is seen by the job, as of every link."""
        cell = self.administered(request, domain)
        try:
            [url] = request.query_params.getlist("manifest_url")
            source = move_imports.manifest_source(cell=cell, url=url)
        except (ValueError, MoveNotFound):
            raise MoveError(400, str(MoveNotFound()), family=API, parameter="manifest_url") from None
        move_imports.import_from_link(cell=cell, owner=cell.owner, source=source)
        return HttpResponse(status=204)

    def administered(self, request: Request, domain: str) -> Cell:
        """The cell of this name, or of this host. Raises CellNotFound, CellMoved, and to everybody but superusers that
        they may not ask, whether there is such a cell or not."""
        token = permissions.token_of(request)
        if not token.user.is_superuser or tokens.SESSION not in token.scopes or token.cell_id is not None:
            raise forbidden()
        cell = permissions.cell_named(cell_of_host(domain) or domain)
        permissions.here_check(cell)
        log.info("%s asks for the %s of the cell %s", token.user.get_username(), self.action, cell.name)
        return cell


def _domain(cell: Cell) -> str:
    host = urlsplit(home_url(cell)).hostname or ""
    return host if cell_of_host(host) else cell.name


def _job(export: MoveExport, quiet: bool) -> dict[str, object]:
    """As it was queued, or was refused because another export of the cell is running."""
    run = export.run
    run.refresh_from_db()
    failed = run.error is not None
    told = {
        "_id": export.uid,
        "_rev": manifest(export)["meta"]["rev"],
        "domain": _domain(export.cell),
        "prefix": export.cell.name,
        "worker": "export",
        "message": {
            "parts_size": export.parts_size,
            "max_age": export.max_age,
            "contextual_domain": urlsplit(export.base_url).netloc,
            "admin_req": quiet,
        },
        "event": None,
        "state": "errored" if failed else "queued",
        "queued_at": export.created_at.isoformat(),
        "started_at": None,
        "finished_at": run.finished_at.isoformat() if failed else None,
    }
    return told | ({"error": run.error["message"]} if failed else {})
