"""HTTP for webdav and s3: one client that dials what the guard allowed, and follows nothing."""

import logging
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import SplitResult, urlsplit
from xml.etree import ElementTree

import httpx

from exports import egress
from exports.egress import Place
from exports.transports.base import TransportError, option_text, refused
from exports.transports.servers import place, reason, timeout

logging.getLogger("httpx").setLevel(logging.WARNING)  # it has a line for every request

#: More of an answer in XML than this is not read.
LARGEST_ANSWER = 32 * 1024 * 1024
#: Answers that another try may change.
_TRANSIENT = frozenset({408, 409, 423, 425, 429, 507})


def url_option(attribute: str, options: Mapping[str, object], name: str) -> SplitResult:
    """An http(s) URL without userinfo, query and fragment."""
    where, text = f"{attribute}.{name}", option_text(attribute, options, name, required=True)
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError:
        raise refused(where, "is not a URL") from None
    if url.scheme not in ("http", "https") or not url.hostname or "\\" in text or " " in text or port == 0:
        raise refused(where, "is not a URL like https://files.example.org/folder")
    if "@" in url.netloc or url.query or url.fragment:
        raise refused(where, "must not hold a login, a query or a fragment")
    if not egress.is_host(url.hostname):
        raise refused(where, "has no host that could be reached")
    return url


class Pinned(httpx.BaseTransport):
    """Resolves the host once and dials the address found, with the name in the Host header and the TLS handshake."""

    def __init__(self, url: SplitResult, context: ssl.SSLContext, check: Callable[[Place], object]) -> None:
        port = url.port or (443 if url.scheme == "https" else 80)
        self._place = place(str(url.hostname), port)
        check(self._place)
        self._inner = httpx.HTTPTransport(verify=context, trust_env=False, retries=0)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.host != self._place.host:
            raise TransportError(f"{request.url.host} is not the host of this transport", permanent=True)
        request.extensions = {**request.extensions, "sni_hostname": self._place.host}
        request.url = request.url.copy_with(host=self._place.addresses[0])
        return self._inner.handle_request(request)

    def close(self) -> None:
        self._inner.close()


def client(
    url: SplitResult,
    context: ssl.SSLContext,
    auth: tuple[str, str] | None = None,
    check: Callable[[Place], object] = lambda place: None,
) -> httpx.Client:
    """`check` sees the addresses that will be dialled, and may raise."""
    return httpx.Client(
        transport=Pinned(url, context, check),
        auth=httpx.BasicAuth(*auth) if auth else None,
        timeout=timeout(),
        follow_redirects=False,
        trust_env=False,
        headers={"User-Agent": "exportsite", "Accept-Encoding": "identity"},  # lengths are those of the files
    )


@contextmanager
def ended_after(seconds: float) -> Iterator[Callable[[str, dict[str, Any]], None]]:
    """Gives what httpx tells of its connections to. The newest is cut when time is up: a time-out counts from byte to
    byte only, and a server that sends its headers drop by drop would be listened to for weeks."""
    sockets: list[socket.socket] = []
    over = threading.Event()

    def cut() -> None:
        over.set()
        for each in sockets[-1:]:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def trace(event: str, told: dict[str, Any]) -> None:
        if event in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
            sockets.append(told["return_value"].get_extra_info("socket"))
            if over.is_set():
                cut()

    timer = threading.Timer(seconds, cut)
    timer.daemon = True
    timer.start()
    try:
        yield trace
    finally:
        timer.cancel()


@contextmanager
def faults(doing: str) -> Iterator[None]:
    try:
        yield
    except httpx.TransportError as error:
        inner = error.__cause__ or error
        while inner.__cause__ is not None:
            inner = inner.__cause__
        wrong = isinstance(inner, ssl.SSLCertVerificationError)
        text = inner.verify_message if wrong else reason(error)
        raise TransportError(f"Cannot {doing}: {text}", permanent=wrong) from error


def ask(
    client: httpx.Client, method: str, url: str, doing: str, *also: int, **request: Any
) -> tuple[httpx.Response, bytes]:
    """The answer and its body, both as `require` and `short` have it."""
    with faults(doing), client.stream(method, url, **request) as response:
        return require(response, doing, *also), short(response)


def require(response: httpx.Response, doing: str, *also: int) -> httpx.Response:
    """`response` when it is 2xx or one of `also`; else a TransportError that says why."""
    if response.is_success or response.status_code in also:
        return response
    code = response.status_code
    reasons = {401: "login or password is wrong", 403: "it is forbidden", 507: "there is no space left"}
    text = reasons.get(code, response.reason_phrase or "no reason given")
    if 300 <= code < 400:
        text = "the server wants to send us elsewhere, and redirects are not followed"
    raise TransportError(f"Cannot {doing}: {code}, {text}", permanent=code < 500 and code not in _TRANSIENT)


def parsed(body: bytes, doing: str) -> ElementTree.Element:
    try:
        return ElementTree.fromstring(body)  # noqa: S314 - `short` bounds it, and lets no document type through
    except ElementTree.ParseError as error:
        raise TransportError(f"Cannot {doing}: the answer is not XML", permanent=True) from error


def short(response: httpx.Response) -> bytes:
    """The body of a streamed answer in XML, bounded, and without a document type (which could name entities)."""
    body = b""
    for chunk in response.iter_bytes():
        body += chunk
        if len(body) > LARGEST_ANSWER:
            raise TransportError("The server's answer is longer than it may be.", permanent=True)
    if b"<!DOCTYPE" in body or b"<!ENTITY" in body:
        raise TransportError("The server's answer holds a document type.", permanent=True)
    return body
