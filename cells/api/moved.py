"""Cells that are on another server now: where the same thing is there."""

from urllib.parse import parse_qsl, urlencode, urlsplit

from django.http import HttpRequest
from django.utils.encoding import escape_uri_path
from rest_framework.request import Request

from cells.errors import CellMoved

#: Of a query: what opens something here opens nothing there, and is nobody's business there.
_SECRET = ("token", "bearer_token", "p_cookie_peer")


def moved_url(request: HttpRequest | Request, error: CellMoved, prefix: str) -> str:
    """The same call at the cell's new address; "" where there is none: the other server has other calls, or this one
    names no cell. `prefix`: what stands before the cell's name, here and there."""
    place = urlsplit(str(error.params["url"]))
    name, slash, rest = request.path_info.removeprefix(prefix).partition("/")
    if not place.path.strip("/") or name != error.params["name"]:
        return ""
    query = parse_qsl(request.META.get("QUERY_STRING", ""), keep_blank_values=True)
    kept = urlencode([(name, value) for name, value in query if name not in _SECRET])
    path = f"{prefix}{place.path.strip('/')}{slash}{escape_uri_path(rest)}"
    return place._replace(path=path, query=kept, fragment="").geturl()
