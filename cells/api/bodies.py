"""Reading request bodies of any length, and saying no to those that would be read wrongly."""

from collections.abc import Iterator
from typing import BinaryIO

from rest_framework.request import Request

from cells.api.errors import ApiError
from cells.errors import BodyIncomplete
from cells.lines import LONGEST_LINE

_CHUNK = 256 * 1024


def content_length(request: Request) -> int:
    """The length that the request announces.

    411 without one: Django reads a chunked body as empty. 400 for a coded or partial body, which would be stored as
    something else than what was meant.
    """
    length = request.META.get("CONTENT_LENGTH") or ""
    if "HTTP_TRANSFER_ENCODING" in request.META or not (length.isascii() and length.isdigit()):
        raise ApiError("invalid_content", "The body needs a Content-Length.", status=411)
    if request.META.get("HTTP_CONTENT_ENCODING", "identity").strip().lower() not in ("", "identity"):
        raise ApiError("invalid_content", "The body must come without Content-Encoding.")
    if "HTTP_CONTENT_RANGE" in request.META:
        raise ApiError("invalid_content", "The body must be whole: Content-Range is not accepted.")
    return int(length)


def body_stream(request: Request) -> BinaryIO:
    """The body as it arrives: nothing of it is kept in memory or on disk."""
    return request._request


def body_lines(request: Request) -> Iterator[bytes]:
    """The lines of the body without their newline; of longer ones than 16 MiB only so much that it shows."""
    length, received = content_length(request), 0
    stream, rest = body_stream(request), b""
    while received < length:
        chunk = stream.read(min(_CHUNK, length - received))
        if not chunk:
            raise BodyIncomplete(received=received, expected=length)
        received += len(chunk)
        *lines, last = chunk.split(b"\n")
        if lines:
            yield rest + lines[0]
            yield from lines[1:]
            rest = last
        elif len(rest) <= LONGEST_LINE:
            rest += last
    if rest:
        yield rest


def gathered(lines: Iterator[bytes], size: int = 64 * 1024) -> Iterator[bytes]:
    """The same bytes in fewer pieces."""
    waiting: list[bytes] = []
    held = 0
    for line in lines:
        waiting.append(line)
        held += len(line)
        if held >= size:
            yield b"".join(waiting)
            waiting, held = [], 0
    if waiting:
        yield b"".join(waiting)
