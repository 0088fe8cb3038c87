"""Links of exports on other servers, and what is behind them (`spec/move.md §6.2–§6.4`). Nothing of it is trusted.

Every address that is dialled, redirects included, was allowed by `exports.egress`. Whoever pasted the link is told that
nothing usable is there, and not why: the reason would tell what is in our network. The log tells.
"""

import ipaddress
import json
import logging
import re
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic
from typing import Any
from urllib.parse import SplitResult, quote, urljoin, urlsplit

import httpx
from django.conf import settings

from exports import egress
from exports.egress import Place
from exports.errors import MoveNotFound
from exports.transports import http
from exports.transports.base import TransportError

log = logging.getLogger(__name__)

REDIRECTS = 5
#: A manifest of 10,000 cursors has less.
LARGEST_MANIFEST = 4 << 20
MANIFEST_SECONDS = 30.0
#: Parts that an import takes: each is a file that is held open.
MOST_PARTS = 400
_LONGEST = 2000
#: Kinds of documents that are told to people.
_DOCTYPES = 50
_PORTS = (80, 443)
#: Of a manifest, at a host or below a cell.
_MANIFEST = re.compile(r"(?:/[A-Za-z0-9._~-]+)?/move/exports/[A-Za-z0-9_=%-]{1,400}")
_FRAGMENT = re.compile(r"/exports/([A-Za-z0-9_=-]{1,400})")
_INT64 = range(2**63)


@dataclass(frozen=True)
class Manifest:
    """What an import needs of an export document (§4.5)."""

    url: str
    uid: str
    cursors: list[str]
    #: Bytes of documents, and of contents where the server tells them.
    size: int
    #: For people, as far as the server tells it: bytes of contents, when it was made, until when it is there.
    contents: int = 0
    created: datetime | None = None
    expires: datetime | None = None
    #: The kinds of documents that are in it alone; none is all.
    doctypes: tuple[str, ...] = ()
    without_files: bool = False

    def part_url(self, number: int) -> str:
        """§6.2: replace the first `/move/exports/`; a cursor is encoded."""
        url = self.url.replace("/move/exports/", "/move/exports/data/", 1)
        return f"{url}?cursor={quote(self.cursors[number - 1], safe='')}" if number else url


def manifest_url(link: str) -> str:
    """§6.2: from the settings link of a mail to the manifest. Raises MoveNotFound for what is no such link.

    Userinfo, which the old server kept, is refused: it hides which host is meant.
    """
    link = link.strip()
    parts = checked(link)
    found = _FRAGMENT.fullmatch(parts.fragment)
    if found is None:
        raise MoveNotFound
    host = str(parts.hostname)
    first, dot, rest = host.partition(".")
    host = rest if host.startswith("settings.") else first.removesuffix("-settings") + dot + rest
    port = f":{parts.port}" if parts.port else ""
    address = f"[{host}]" if ":" in host else host
    return checked(f"{parts.scheme}://{address}{port}/move/exports/{found[1]}").geturl()


def manifest_checked(url: str) -> str:
    """The manifest's own address, for who has that instead of a link (§9.4). Raises MoveNotFound for what is none."""
    parts = checked(url)
    if not _MANIFEST.fullmatch(parts.path) or "?" in url or "#" in url:
        raise MoveNotFound
    return url


def checked(url: str) -> SplitResult:
    """An http(s) address without userinfo. Raises MoveNotFound."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise MoveNotFound from None
    plain = len(url) <= _LONGEST and url.isascii() and url.isprintable() and not set(" \\") & set(url)
    if not plain or parts.scheme not in ("http", "https") or "@" in parts.netloc or port == 0:
        raise MoveNotFound
    if not parts.hostname or not egress.is_host(parts.hostname):
        raise MoveNotFound
    return parts


@contextmanager
def fetched(url: str, headers: dict[str, str] | None = None, *, seconds: float) -> Iterator[httpx.Response]:
    """The streamed answer to a GET without credentials; redirects are followed by hand, each address is judged.

    Headers have to be there within `seconds`. Raises MoveNotFound for an address that may not be dialled,
    TransportError for all that goes wrong on the way.
    """
    try:
        for _ in range(REDIRECTS + 1):
            parts = checked(url)
            with (
                http.client(parts, ssl.create_default_context(), check=port_check) as client,
                http.faults("read the export"),
                ExitStack() as opened,
            ):
                address = parts._replace(fragment="").geturl()
                with http.ended_after(seconds) as trace:
                    request = client.stream("GET", address, headers=headers, extensions={"trace": trace})
                    response = opened.enter_context(request)
                if not response.is_redirect:
                    yield response
                    return
                url = urljoin(url, response.headers.get("Location", ""))
    except httpx.InvalidURL as error:  # of a redirect, which httpx reads before we do
        raise TransportError("The export is behind something that is no URL.", permanent=True) from error
    raise TransportError("The export is behind too many redirects.", permanent=True)


def port_check(place: Place) -> None:
    """§6.3: 80 and 443 alone, but for networks that the administrator allows."""
    if place.port in _PORTS:
        return
    networks = [ipaddress.ip_network(network) for network in settings.EGRESS_ALLOW]
    for address in map(ipaddress.ip_address, place.addresses):
        if not any(address in network for network in networks if network.version == address.version):
            raise MoveNotFound


def manifest_fetch(url: str) -> Manifest:
    """Raises MoveNotFound for everything but a finished export; the log knows the reason."""
    try:
        with fetched(url, seconds=MANIFEST_SECONDS) as response:
            if response.status_code != 200:
                raise ValueError(f"status {response.status_code}")
            return _manifest(url, _bounded(response))
    except (TransportError, ValueError, RecursionError) as error:
        log.warning("an export to be imported cannot be used: %s", type(error).__name__)
        raise MoveNotFound from error


def _bounded(response: httpx.Response) -> bytes:
    """In size and in time: whoever asked waits for it, and so does a worker of the web server."""
    body, until = b"", monotonic() + MANIFEST_SECONDS
    for chunk in response.iter_raw():
        body += chunk
        if len(body) > LARGEST_MANIFEST or monotonic() > until:
            raise ValueError("longer than a manifest may be")
    return body


def _manifest(url: str, body: bytes) -> Manifest:
    document = json.loads(body)
    data = document.get("data") if isinstance(document, dict) else None
    told: Any = data.get("attributes") if isinstance(data, dict) else None
    if not isinstance(told, dict) or told.get("state") != "done":
        raise ValueError("it is not done")
    cursors = told.get("parts_cursors") or []
    if not isinstance(cursors, list) or not all(isinstance(each, str) and len(each) < 1000 for each in cursors):
        raise ValueError("its cursors are none")
    if len(cursors) >= MOST_PARTS:
        raise ValueError("it has too many parts")
    sizes = [told.get(name, 0) for name in ("total_size", "contents_size")]
    documents, contents = (each if type(each) is int and each in _INT64 else 0 for each in sizes)
    uid, doctypes = data.get("id"), told.get("with_doctypes")
    return Manifest(
        url,
        uid if isinstance(uid, str) else "",
        cursors,
        documents + contents,
        contents=contents,
        created=_moment(told.get("created_at")),
        expires=_moment(told.get("expires_at")),
        doctypes=tuple(str(each)[:128] for each in doctypes[:_DOCTYPES]) if isinstance(doctypes, list) else (),
        without_files=told.get("without_files") is True,
    )


def _moment(given: object) -> datetime | None:
    try:
        moment = datetime.fromisoformat(str(given))
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
