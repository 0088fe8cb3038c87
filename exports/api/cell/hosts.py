"""Cells with hosts of their own: at `{cell}.{UNIT_HOST}`, `/__export` is `/{cell}/__export` (`spec/cell.md §1`)."""

from collections.abc import Callable
from urllib.parse import unquote

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from cells.validators import RESERVED_CELL_NAMES
from exports.services.addresses import cell_of_host, unit_url

#: No cell can be called so.
_NOBODY = "-"


class CellHostMiddleware:
    """Nothing but the cell's own URLs can be asked at its host."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if settings.TRUSTED_PROXY_URL:
            _forwarded(request)
        if cell := cell_of_host(request.META.get("HTTP_HOST", "")):
            if request.path_info == "/" and "text/html" in request.META.get("HTTP_ACCEPT", ""):
                # A browser, mostly behind a link `/#/exports/…`: it takes what follows the "#" along.
                return HttpResponse(status=303, headers={"Location": unit_url()})
            request.path_info = f"/{_NOBODY if cell in RESERVED_CELL_NAMES else cell}{request.path_info}"
        return self.get_response(request)


def _forwarded(request: HttpRequest) -> None:
    """The URL that was asked for, as the proxy in front of us tells it (`spec/cell.md §3.1`); without its query."""
    if host := request.META.get("HTTP_X_FORWARDED_HOST", "").rpartition(",")[2].strip():
        request.META["HTTP_HOST"] = host
    path = unquote(request.META.get("HTTP_X_FORWARDED_PATH", "").partition("?")[0])
    if path.startswith("/"):
        request.path = request.path_info = path
