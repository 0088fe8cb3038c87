"""Cells with hosts of their own: at `{cell}.{UNIT_HOST}`, `/__export` is `/{cell}/__export` (`spec/cell.md §1`)."""

from collections.abc import Callable
from functools import partial

from django.http import HttpRequest, HttpResponse

from cells.validators import RESERVED_CELL_NAMES
from exports.services.addresses import asked_url, cell_of_host, unit_url

#: No cell can be called so.
_NOBODY = "-"


class CellHostMiddleware:
    """Nothing but the cell's own URLs can be asked at its host."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        host, path = asked_url(request.META.get("HTTP_HOST", ""), request.path_info, partial(_header, request))
        if path != request.path_info:
            request.path = request.path_info = path
        if host:
            request.META["HTTP_HOST"] = host
        if cell := cell_of_host(host):
            if request.path_info == "/" and "text/html" in request.META.get("HTTP_ACCEPT", ""):
                # A browser, mostly behind a link `/#/exports/…`: it takes what follows the "#" along.
                return HttpResponse(status=303, headers={"Location": unit_url()})
            request.path_info = f"/{_NOBODY if cell in RESERVED_CELL_NAMES else cell}{request.path_info}"
        return self.get_response(request)


def _header(request: HttpRequest, name: str) -> str:
    """Not of `request.headers`, which would keep what is overridden later."""
    return request.META.get(f"HTTP_{name.upper().replace('-', '_')}", "")
