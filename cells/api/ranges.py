"""Conditional and partial GET for any stream of known length (RFC 9110 §13, §14)."""

import re
from collections.abc import Callable, Iterator, Mapping

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from rest_framework.request import Request

Chunks = Callable[[int, int], Iterator[bytes]]
_RANGE = re.compile(r"bytes=[ \t]*(\d{0,18})-(\d{0,18})[ \t]*", re.ASCII | re.IGNORECASE)
_ETAG = re.compile(r'\s*(W/)?"([\x21\x23-\x7e\x80-\xff]*)"\s*(?:,|$)')


class Unsatisfiable(Exception):
    """The range begins behind the end."""


def ranged_response(
    request: HttpRequest | Request,
    *,
    length: int,
    etag: str,
    content_type: str,
    chunks: Chunks,
    headers: Mapping[str, str] | None = None,
) -> HttpResponseBase:
    """200, 206, 304, 412 or 416 for the bytes that `chunks(start, end)` gives.

    `etag` is strong and comes without quotes. HEAD answers as GET would, and `chunks` is not called. Several ranges in
    one request are answered with the whole. The first chunk is fetched at once, so what fails there is still an error.
    """
    shared = {**(headers or {}), "ETag": f'"{etag}"', "Accept-Ranges": "bytes"}
    match, none_match = etags(request, "HTTP_IF_MATCH"), etags(request, "HTTP_IF_NONE_MATCH", weak=True)
    if match is not None and not match & {"*", etag}:
        return _without_type(HttpResponse(status=412, headers=shared))
    if none_match is not None and none_match & {"*", etag}:
        return _without_type(HttpResponse(status=304, headers=shared))
    try:
        span = _wanted(request, length, etag)
    except Unsatisfiable:
        return _without_type(HttpResponse(status=416, headers={**shared, "Content-Range": f"bytes */{length}"}))
    start, end = span or (0, length)
    if span is not None:
        shared["Content-Range"] = f"bytes {start}-{end - 1}/{length}"
    shared["Content-Length"] = str(end - start)
    status = 206 if span is not None else 200
    if request.method == "HEAD" or start == end:
        return HttpResponse(status=status, content_type=content_type, headers=shared)
    body = begun(chunks(start, end))
    return StreamingHttpResponse(body, status=status, content_type=content_type, headers=shared)


def parse_range(header: str, length: int) -> tuple[int, int] | None:
    """[start, end) of a single byte range; None for what is to be ignored: other units, several ranges, nonsense."""
    found = _RANGE.fullmatch(header.strip())
    first, last = (found[1], found[2]) if found else ("", "")
    if not first and not last:
        return None
    if not first:
        if int(last) == 0 or length == 0:
            raise Unsatisfiable
        return max(0, length - int(last)), length
    if last and int(last) < int(first):
        return None
    if int(first) >= length:
        raise Unsatisfiable
    return int(first), min(int(last) + 1, length) if last else length


def etags(request: HttpRequest | Request, name: str, *, weak: bool = False) -> set[str] | None:
    """The entity tags of a header by its WSGI name, without quotes; {"*"} for any, None when the header is not there.

    Weak tags count only where weak comparison does (`If-None-Match`).
    """
    header = request.META.get(name)
    if header is None:
        return None
    if header.strip() == "*":
        return {"*"}
    return {tag for is_weak, tag in _ETAG.findall(header) if weak or not is_weak}


def begun(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The same chunks, the first of them fetched already: what fails there can still be answered with an error."""
    first = next(chunks, b"")

    def all_chunks() -> Iterator[bytes]:
        yield first
        yield from chunks

    return all_chunks()


def _wanted(request: HttpRequest | Request, length: int, etag: str) -> tuple[int, int] | None:
    header = request.META.get("HTTP_RANGE")
    if header is None:
        return None
    condition = request.META.get("HTTP_IF_RANGE")
    if condition is not None and condition.strip() != f'"{etag}"':
        return None
    return parse_range(header, length)


def _without_type(response: HttpResponse) -> HttpResponse:
    del response.headers["Content-Type"]
    return response
