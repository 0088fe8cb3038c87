"""Cells with hosts of their own: at `{cell}.{UNIT_HOST}`, `/__export` is `/{cell}/__export` (`spec/cell.md §1`)."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from exports.api.cell.addresses import cell_of_host


class CellHostMiddleware:
    """Nothing but the cell's own URLs can be asked at its host."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if cell := cell_of_host(request):
            request.path_info = f"/{cell}{request.path_info}"
        return self.get_response(request)
