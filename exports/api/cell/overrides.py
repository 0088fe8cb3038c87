"""Headers that change the request: another method, other headers (`spec/cell.md §3.1`)."""

import re

from django.http import HttpRequest

#: A server may join repeated headers with commas: a new one begins at a name and a colon, which no address has.
_NEXT = re.compile(r",\s*(?=[!#$%&'*+.^_`|~0-9A-Za-z-]+:(?!//))")
_KEY = re.compile(r"[A-Za-z0-9_-]{0,128}")
#: What the body's length and the connection depend on is no client's to say twice; nor where he comes from, which the
#: proxy says: his failed passwords are counted by that.
_FIXED = {"CONTENT_LENGTH", "HTTP_TRANSFER_ENCODING", "HTTP_HOST", "HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_PROTO"}


def override(request: HttpRequest) -> None:
    """Method first, so that `X-Override` cannot name another one."""
    method = request.META.get("HTTP_X_HTTP_METHOD_OVERRIDE")
    if method and (request.method or "").upper() == "POST":
        request.method = request.META["REQUEST_METHOD"] = method
    for header in _NEXT.split(request.META.get("HTTP_X_OVERRIDE", "")):
        name, colon, value = header.partition(":")
        key = name.strip().upper().replace("-", "_")
        key = key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"
        if colon and name.strip() and key not in _FIXED:
            request.META[key] = value.strip()
    request.__dict__.pop("headers", None)  # Django keeps what it made of META before


def key_is_good(request: HttpRequest) -> bool:
    return _KEY.fullmatch(request.META.get("HTTP_X_PERSONIUM_REQUESTKEY", "")) is not None
