"""The other server of an arrival, as a worker speaks with it. It is not trusted: addresses are judged, answers bounded.

Raises SourceAway for all that may be otherwise later, MoveSourceRefused when the other server has understood and will
not, TransferRefused for answers that are none.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import httpx
import orjson
from django.conf import settings
from django.utils import timezone

from cells.transfer_lines import FORMAT, KINDS, VERSION
from exports.errors import MoveNotFound, MoveSourceRefused, TransferRefused
from exports.models import Arrival
from exports.services import arrivals, move_calls
from exports.services.move_calls import Answer
from exports.services.offered import Content
from exports.transports.base import TransportError

#: Codes by which the other server says that there is nothing to go on with. Any other refusal (of a proxy before it,
#: of a server that starts) decides nothing.
OVER = frozenset({"move_aborted", "transfer_not_found"})
#: By which it says that the move was not decided for. One that knows of no such move may have forgotten that it was:
#: a backup was laid back, an account deleted. What is here may be all there is.
AGAINST = frozenset({"move_aborted"})
_LONGEST_LINE = 500
_INT = range(2**62)
_HEX = frozenset("0123456789abcdef")


class SourceAway(Exception):
    """The other server cannot be spoken with now."""


class Head(NamedTuple):
    seal: str
    digest: str
    count: int
    #: Bytes that the cell fills there, for its quota here.
    used: int


class SourceServer:
    def __init__(self, arrival: Arrival) -> None:
        self._arrival = arrival
        self._token = arrivals.token_of(arrival)

    def status(self) -> dict[str, Any]:
        """{"state", "digest"}."""
        found = self._ask("GET", "").attributes()
        if type(found.get("state")) is not str or type(found.get("digest")) is not str:
            raise SourceAway("the answer is no transfer's state")
        return found

    def hold(self) -> None:
        self._ask("POST", "hold")

    def finalize(self, digest: str) -> None:
        """Returns once the other server has decided for the move."""
        if self._ask("POST", "finalize", {"digest": digest}, over=AGAINST).status != 204:
            raise SourceAway("the answer is no decision")

    def _ask(
        self, method: str, step: str, attributes: dict[str, object] | None = None, over: frozenset[str] = OVER
    ) -> Answer:
        document = None if attributes is None else {"data": {"attributes": attributes}}
        try:
            answer = move_calls.ask(method, self._url(step), token=self._token, document=document, doing="go on moving")
        except (MoveNotFound, TransportError) as error:
            raise SourceAway(str(error)) from error
        self._judge(answer, over)
        return answer

    def _judge(self, answer: Answer, over: frozenset[str] = OVER) -> None:
        if answer.status in (200, 202, 204):
            Arrival.objects.filter(pk=self._arrival.pk).update(heard_at=timezone.now())
            return
        if answer.code() in over:
            raise MoveSourceRefused(reason=answer.reason())
        raise SourceAway(answer.reason())

    def _url(self, step: str) -> str:
        return arrivals.url_of(self._arrival, step).rstrip("/")

    @contextmanager
    def listing(
        self, tick: Callable[[int], object]
    ) -> Iterator[tuple[Head, Iterator[tuple[int, str, str, int, int, str]]]]:
        """The head, and rows for `offered_stage`: all of them, or an exception. `tick` hears of bytes that come."""
        with self._stream("GET", "listing") as response:
            lines = _lines(response.iter_raw(), tick)
            head = _head(next(lines, b""))
            yield head, _rows(lines, head)

    @contextmanager
    def contents(self, seal: str, batch: list[Content], offset: int) -> Iterator[Iterator[bytes]]:
        """The stored bytes of a batch, one behind the other, from `offset` on."""
        want = [content.n for content in batch]
        announced = sum(content.stored for content in batch) - offset
        attributes = {"seal": seal, "want": want, "offset": offset}
        with self._stream("POST", "contents", {"data": {"attributes": attributes}}) as response:
            if response.headers.get("Content-Length", str(announced)) != str(announced):
                raise TransferRefused(reason="contents have another length than was listed")
            yield response.iter_raw()

    @contextmanager
    def _stream(self, method: str, step: str, document: object = None) -> Iterator[httpx.Response]:
        try:
            with move_calls.opened(
                method, self._url(step), token=self._token, document=document, doing="fetch the cell"
            ) as response:
                if response.status_code != 200:
                    self._judge(Answer(response.status_code, response.headers, _short(response)))
                    raise SourceAway(str(response.status_code))
                yield response
        except (MoveNotFound, TransportError) as error:
            raise SourceAway(str(error)) from error


def _short(response: httpx.Response) -> bytes:
    body = b""
    for chunk in response.iter_raw():
        body += chunk
        if len(body) > move_calls.LARGEST_ANSWER:
            break
    return body


def _lines(pieces: Iterable[bytes], tick: Callable[[int], object]) -> Iterator[bytes]:
    held = b""
    for piece in pieces:
        tick(len(piece))
        *whole, held = (held + piece).split(b"\n")
        if len(held) > _LONGEST_LINE or any(len(line) > _LONGEST_LINE for line in whole):
            raise TransferRefused(reason="a line of the listing is longer than it may be")
        yield from whole


def _object(line: bytes) -> dict[str, Any]:
    try:
        found = orjson.loads(line)
    except orjson.JSONDecodeError:
        found = None
    if type(found) is not dict:
        raise TransferRefused(reason="the listing is not JSON")
    return found


def _head(line: bytes) -> Head:
    if not line:
        raise SourceAway("the listing is empty")
    found = _object(line)
    if (found.get("format"), found.get("version")) != (FORMAT, VERSION):
        raise TransferRefused(reason="its listing is of another format")
    head = Head(_hex(found, "seal"), _hex(found, "digest"), _number(found, "count"), _number(found, "used"))
    if head.count > settings.IMPORT_MAX_ENTRIES:
        raise TransferRefused(reason=f"{head.count} contents; {settings.IMPORT_MAX_ENTRIES} are allowed")
    return head


def _rows(lines: Iterator[bytes], head: Head) -> Iterator[tuple[int, str, str, int, int, str]]:
    size, last = 0, -1
    for seen, line in enumerate(lines):
        found = _object(line)
        if found.get("end") is True and seen == head.count:
            return
        row = _row(found)
        size += max(row[3], row[4])
        if row[0] <= last or seen >= head.count:
            raise TransferRefused(reason="the listing is longer than it says, or out of order")
        if size > settings.IMPORT_MAX_SIZE:
            raise TransferRefused(reason=f"more than {settings.IMPORT_MAX_SIZE} bytes")
        last = row[0]
        yield row
    raise SourceAway("the listing was cut")


def _row(found: dict[str, Any]) -> tuple[int, str, str, int, int, str]:
    kind, encoding = found.get("kind", ""), found.get("encoding", "raw")
    if kind not in ("", *KINDS) or encoding not in ("raw", "deflate"):
        raise TransferRefused(reason="a content of unknown kind")
    size, stored = _number(found, "size"), _number(found, "stored")
    if encoding == "raw" and size != stored:
        raise TransferRefused(reason="a content of two sizes")
    return _number(found, "n"), kind, _hex(found, "sha256"), size, stored, encoding


def _number(found: dict[str, Any], name: str) -> int:
    value = found.get(name)
    if type(value) is not int or value not in _INT:
        raise TransferRefused(reason=f"{name} in the listing is no number")
    return value


def _hex(found: dict[str, Any], name: str) -> str:
    value = found.get(name)
    if type(value) is not str or len(value) != 64 or not set(value) <= _HEX:
        raise TransferRefused(reason=f"{name} in the listing is no SHA-256")
    return value
