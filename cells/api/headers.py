"""The headers that every answer of v1 carries (`spec/v1.md §1.6, §1.7`)."""

import time
from typing import TypeVar

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.http import http_date
from rest_framework.request import Request

VERSIONS = {
    "X-Easydb-API-Version": "1",
    "X-Easydb-Base-Schema-Version": "1",
    "X-Easydb-User-Schema-Version": "1",
}
#: Of a refusal that passes by itself: a cell that moves to another server is held for seconds, mostly.
RETRY = {"Retry-After": "30"}
_A_YEAR = 365 * 86400
AnyResponse = TypeVar("AnyResponse", bound=HttpResponseBase)


def dress(request: HttpRequest | Request, response: AnyResponse) -> AnyResponse:
    for name, value in VERSIONS.items():
        response.headers.setdefault(name, value)
    if request.method not in ("GET", "HEAD") or "Cache-Control" in response.headers:
        return response
    seconds = _cache_seconds(request) if response.status_code < 300 else 0
    if seconds:
        response.headers["Cache-Control"] = f"private, max-age={seconds}"
        response.headers["Expires"] = http_date(time.time() + seconds)
    else:
        response.headers["Cache-Control"] = "no-cache"
        response.headers["Pragma"] = "no-cache"
    return response


def _cache_seconds(request: HttpRequest | Request) -> int:
    text = request.GET.get("cache_seconds", "")
    return min(int(text[:10]), _A_YEAR) if text.isascii() and text.isdigit() else 0
