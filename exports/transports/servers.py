"""`server` of ftp, ftps and sftp, as `spec/v1.md §9.6` writes it: [scheme://]host[:port], slashes at the end."""

import re
import socket
from collections.abc import Mapping
from typing import NamedTuple

from django.conf import settings

from exports import egress
from exports.errors import EgressRefused
from exports.transports.base import TransportError, option_text, refused

PORTS = {"ftp": 21, "ftps": 21, "sftp": 22}
_SERVER = re.compile(r"(?:(?P<scheme>[^:/]*)://)?(?P<host>[^:/\[\]]+|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{1,5}))?/*")


class Server(NamedTuple):
    scheme: str
    host: str
    port: int


def server_option(attribute: str, options: Mapping[str, object], schemes: tuple[str, ...]) -> Server:
    """The first of `schemes` is meant when none is given."""
    return parse(f"{attribute}.server", option_text(attribute, options, "server", required=True), schemes)


def parse(attribute: str, text: str, schemes: tuple[str, ...]) -> Server:
    match = _SERVER.fullmatch(text)
    if match is None:
        raise refused(attribute, "is not a server like ftp://files.example.org:21")
    scheme = schemes[0] if match["scheme"] is None else match["scheme"].lower()
    if scheme not in schemes:
        raise refused(attribute, f"must begin with {' or '.join(f'{each}://' for each in schemes)}")
    host = match["host"].strip("[]")
    port = int(match["port"] or PORTS[scheme])
    if not egress.is_host(host) or not 0 < port < 65536:
        raise refused(attribute, "has no host or a port that cannot be")
    return Server(scheme, host, port)


def timeout() -> float:
    """Seconds that the other side may be silent."""
    return settings.EXPORT_TRANSPORT_TIMEOUT.total_seconds()


def place(host: str, port: int) -> egress.Place:
    """The one look-up of a delivery's host. Raises TransportError."""
    try:
        return egress.resolve(host, port)
    except EgressRefused as error:
        raise TransportError(str(error), permanent=True) from error
    except OSError as error:
        raise TransportError(f"{host} cannot be found: {error.strerror or error}", permanent=False) from error


def dial(host: str, port: int) -> socket.socket:
    try:
        return egress.connect(place(host, port), timeout=timeout())
    except OSError as error:
        raise TransportError(f"{host}:{port} cannot be reached: {reason(error)}", permanent=False) from error


def reason(error: BaseException) -> str:
    """One line of what an exception says; its kind when it says nothing."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(str(text).split())[:300]
