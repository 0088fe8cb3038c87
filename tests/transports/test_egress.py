"""The egress guard: hostile forms of forbidden addresses, and what is dialled after all (design §6)."""

import socket
import threading
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest

from exports import egress
from exports.errors import DefinitionRefused, EgressRefused
from exports.transports import http
from exports.transports.base import TransportError

#: What glibc's resolver, IPv6 and history make of loopback, private and metadata addresses.
FORBIDDEN = """
127.0.0.1 127.1 127.0.1 127.255.255.254 2130706433 017700000001 0x7f000001 0x7f.1 0177.0.0.1 0x7f.0x0.0x0.0x1 0 0.0.0.0
10.0.0.1 10.255.255.255 172.16.0.1 172.31.255.255 192.168.0.1 192.168.1 3232235521 100.64.0.1 100.127.255.255
169.254.169.254 169.254.0.1 2852039166 0xa9fea9fe 0251.0376.0251.0376 0xa9.0xfe.0xa9.0xfe 168.63.129.16 192.0.0.192
100.100.100.200 198.18.0.1 192.0.2.1 198.51.100.1 203.0.113.1 224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255
192.88.99.1 :: ::1 ::ffff:127.0.0.1 ::ffff:7f00:1 ::ffff:10.0.0.1 ::ffff:169.254.169.254 ::127.0.0.1 ::7f00:1
fe80::1 fec0::1 fc00::1 fd00::1 fd00:ec2::254 ff02::1 2001:db8::1 100::1 64:ff9b::7f00:1 64:ff9b::10.0.0.1
64:ff9b:1::1 2002:7f00:1:: 2002:a00:1:: 2002:a9fe:a9fe:: 2001:0:7f00:1::1 localhost
""".split()
ALLOWED = "1.1.1.1 8.8.8.8 93.184.216.34 134744072 0x08080808 2606:4700:4700::1111 2a00:1450:4001:81b::200e".split()


@pytest.mark.parametrize("host", FORBIDDEN)
def test_a_forbidden_address_is_refused_however_it_is_written(host: str) -> None:
    with pytest.raises(EgressRefused):
        egress.resolve(host, 80)


@pytest.mark.parametrize("host", ALLOWED)
def test_a_public_address_is_not(host: str) -> None:
    assert len(egress.resolve(host, 80).addresses) == 1


@pytest.mark.parametrize(
    "host",
    [
        "",
        " ",
        "a b",
        "a@b",
        "a/b",
        "a\\b",
        "a\r\nb",
        "a\0b",
        "[::1]",
        "a..b",
        "a:b",
        "-a",
        "１２７.0.0.1",
        "ⓛocalhost",
        "a%2eb",
    ],
)
def test_what_is_no_host_name_is_not_even_looked_up(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: pytest.fail("looked up"))
    with pytest.raises(EgressRefused, match="not a host name"):
        egress.resolve(host, 80)


def test_one_forbidden_address_among_good_ones_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [(2, 1, 6, "", ("93.184.216.34", 80)), (2, 1, 6, "", ("127.0.0.1", 80))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    with pytest.raises(EgressRefused):
        egress.resolve("rebind.example.org", 80)


def test_the_setting_opens_the_networks_it_names_and_no_others(settings) -> None:
    settings.EGRESS_ALLOW = ["10.1.0.0/16", "fd00:1::/32"]
    for host in ("10.1.2.3", "::ffff:10.1.2.3", "fd00:1::5"):
        egress.resolve(host, 80)
    for host in ("10.2.0.1", "127.0.0.1", "fd00:2::5"):
        with pytest.raises(EgressRefused):
            egress.resolve(host, 80)


@pytest.fixture
def listener() -> Iterator[tuple[int, list[bytes]]]:
    """(port, what requests said): answers each with a redirect to a forbidden place."""
    heard: list[bytes] = []
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                heard.append(connection.recv(65536))
                connection.sendall(
                    b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n"
                    b"Connection: close\r\n\r\n"
                )

    threading.Thread(target=serve, daemon=True).start()
    yield server.getsockname()[1], heard
    server.shutdown(socket.SHUT_RDWR)
    server.close()


def test_the_address_judged_is_the_address_dialled(listener, settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name server that answers differently the second time (DNS rebinding) is not asked a second time."""
    settings.EGRESS_ALLOW = ["127.0.0.0/8"]
    port, heard = listener
    answers = iter([[(2, 1, 6, "", ("127.0.0.1", port))]])
    real = socket.getaddrinfo

    def once(host: str, *rest: object, **more: object) -> object:
        return next(answers) if host == "rebind.example.org" else real(host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", once)
    client = http.client(urlsplit(f"http://rebind.example.org:{port}/"), http.ssl.create_default_context())
    for _ in range(2):
        assert client.get(f"http://rebind.example.org:{port}/x").status_code == 302
    assert all(f"Host: rebind.example.org:{port}".encode() in request for request in heard) and len(heard) == 2


def test_a_redirect_is_not_followed_and_says_so(listener, settings) -> None:
    settings.EGRESS_ALLOW = ["127.0.0.0/8"]
    port, heard = listener
    client = http.client(urlsplit(f"http://127.0.0.1:{port}/"), http.ssl.create_default_context())
    with pytest.raises(TransportError, match="redirects are not followed") as caught:
        http.ask(client, "PUT", f"http://127.0.0.1:{port}/x", "write x", content=b"secret")
    assert caught.value.permanent
    assert len(heard) == 1


def test_a_client_speaks_to_no_other_host_than_its_own(settings) -> None:
    settings.EGRESS_ALLOW = ["127.0.0.0/8"]
    client = http.client(urlsplit("http://127.0.0.1:9/"), http.ssl.create_default_context())
    with pytest.raises(TransportError, match="not the host of this transport"):
        client.get("http://127.0.0.2:9/")


def test_a_proxy_of_the_environment_is_not_used(listener, settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.EGRESS_ALLOW = ["127.0.0.0/8"]
    port, heard = listener
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{port}")
    client = http.client(urlsplit("http://127.0.0.1:9/"), http.ssl.create_default_context())
    with pytest.raises(httpx.ConnectError):
        client.get("http://127.0.0.1:9/")
    assert heard == []


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1@example.org/",
        "http://example.org@127.0.0.1/",
        "http://example.org:80@127.0.0.1/",
        "http://example.org\\@127.0.0.1/",
        "http://[::1/",
        "http://example.org:99999/",
        "gopher://example.org/",
        "file:///etc/passwd",
        "//example.org/",
        "http:///x",
        "http://example.org /",
    ],
)
def test_urls_that_mean_two_things_are_refused(url: str) -> None:
    with pytest.raises(DefinitionRefused):
        http.url_option("options", {"server": url}, "server")
