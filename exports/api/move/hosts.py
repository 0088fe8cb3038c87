"""Hosts that are nobody's (`spec/move.md §2.4`): below `/move` they answer in this dialect."""

import re
from collections.abc import Callable

from django.core.exceptions import DisallowedHost
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from cells.errors import CellNotFound
from exports.api.move.base import with_cors
from exports.api.move.errors import error_response

_BELOW = re.compile(r"/(?:[^/]+/)?move(?:/|\Z)")


class MoveHostMiddleware:
    """Elsewhere Django's own 400 stays."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if _BELOW.match(request.path_info):
            try:
                request.get_host()
            except DisallowedHost:
                return with_cors(request, error_response(request, CellNotFound(name="")))
        return self.get_response(request)
