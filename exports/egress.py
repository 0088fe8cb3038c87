"""The one guard of outgoing connections whose target a user can name (design §6).

A host is resolved once, every address found is judged, and what was judged is what is dialled: no second look-up could
give another answer. Whoever dials by other means must dial the address that `resolve` gave.
"""

import ipaddress
import re
import socket
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from django.conf import settings

from exports.errors import EgressRefused

IPAddress = IPv4Address | IPv6Address

#: Beside all that is not global: the metadata service of Azure stands on a public address; the others lead inside.
_REFUSED = [
    ipaddress.ip_network(network)
    for network in (
        "168.63.129.16/32",
        "192.0.0.0/24",
        "192.88.99.0/24",
        "198.18.0.0/15",
        "64:ff9b:1::/48",
        "fec0::/10",
    )
]
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
#: What a name or an address may be made of. No userinfo, no path, no blanks, no second port.
_HOST = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,252}[A-Za-z0-9_.])?")


@dataclass(frozen=True, slots=True)
class Place:
    """A host that may be reached: its name for certificates and headers, its addresses for dialling."""

    host: str
    port: int
    addresses: tuple[str, ...]

    @property
    def netloc(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def is_host(host: str) -> bool:
    """Whether `host` is written like a host name or an address; says nothing of where it leads."""
    if ":" in host:
        try:
            return bool(IPv6Address(host))
        except ValueError:
            return False
    return _HOST.fullmatch(host) is not None and ".." not in host


def resolve(host: str, port: int) -> Place:
    """Raises EgressRefused when any address of `host` is forbidden, OSError when it has none."""
    if not is_host(host):
        raise EgressRefused(host=host[:80], reason="it is not a host name")
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = tuple(dict.fromkeys(str(info[4][0]) for info in found))
    for address in addresses:
        if not is_allowed(address):
            raise EgressRefused(host=host[:80], reason=f"it leads to {address}, which is not for users to reach")
    return Place(host, port, addresses)


def connect(place: Place, *, timeout: float) -> socket.socket:
    """A connection to the first address of `place` that answers. OSError when none does."""
    failure: OSError | None = None
    for address in place.addresses:
        try:
            return socket.create_connection((address, place.port), timeout)
        except OSError as error:
            failure = error
    raise failure or OSError(f"{place.host} has no address")


def is_allowed(address: str) -> bool:
    """Whether users may have us connect to this address: a public one, or one in a network of EGRESS_ALLOW."""
    given = ipaddress.ip_address(address.partition("%")[0])
    inner = _embedded(given)
    networks = [ipaddress.ip_network(network) for network in settings.EGRESS_ALLOW]
    if any(each in network for each in (given, *inner) for network in networks if each.version == network.version):
        return True
    return _is_public(given, unwrapped=bool(inner)) and all(_is_public(each) for each in inner)


def _is_public(address: IPAddress, *, unwrapped: bool = False) -> bool:
    if any(address in network for network in _REFUSED if network.version == address.version):
        return False
    # A wrapped address is judged by what it wraps, and by not being special in another way.
    return not address.is_multicast and (unwrapped or address.is_global)


def _embedded(address: IPAddress) -> list[IPv4Address]:
    """The IPv4 addresses that an IPv6 one leads to: mapped, 6to4, Teredo, NAT64, and the old compatible form."""
    if isinstance(address, IPv4Address):
        return []
    found = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if address in _NAT64 or 1 < int(address) < 1 << 32:
        found.append(IPv4Address(int(address) & 0xFFFFFFFF))
    return [each for each in found if each is not None]
