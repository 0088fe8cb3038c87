"""Issue 5: "120 hostile URLs … on every URL-taking field: 0 reach a forbidden listener" (`spec/move.md §6.3`)."""

import socket
import threading
from base64 import b64encode
from collections.abc import Iterator

import pytest

from exports.errors import ArchiveUnreadable
from exports.models import Import
from exports.services import move_fetching, move_imports, move_links
from exports.services.secrets import secrets_seal
from tests.spec.move.asking import api_error, attributes
from tests.spec.move.other import OPAQUE, other_server
from tests.transports.test_egress import FORBIDDEN

pytestmark = pytest.mark.django_db(transaction=True)
REFUSED = "code=404, message=exports: not found"
#: {port} is that of the forbidden listener.
ODD = """
http://user@127.0.0.1:{port} http://user:word@127.0.0.1:{port} http://example.org@127.0.0.1:{port}
http://127.0.0.1:{port}@example.org http://example.org#@127.0.0.1:{port} http://127.0.0.1:{port}\\@example.org
http:\\\\127.0.0.1:{port} //127.0.0.1:{port} 127.0.0.1:{port} http:127.0.0.1:{port} http:///127.0.0.1:{port}
ftp://127.0.0.1:{port} gopher://127.0.0.1:{port} file:///etc/passwd dict://127.0.0.1:{port} ldap://127.0.0.1:{port}
ws://127.0.0.1:{port} javascript:alert(1) data:text/plain,x HTTP+UNIX://%2Ftmp%2Fx http+unix://127.0.0.1:{port}
http://[::ffff:127.0.0.1]:{port} http://[::1%25lo]:{port} http://[::1]%25lo:{port} http://[127.0.0.1]:{port}
http://127.0.0.1.:{port} http://localhost.:{port} http://LOCALHOST:{port} http://127。0。0。1:{port} http://①②⑦.⓪.⓪.①:{port}
http://127.0.0.1%00.example.org:{port} http://127.0.0.1%2eexample.org:{port} http://%31%32%37.0.0.1:{port}
http://settings.127.0.0.1:{port} http://127-settings.0.0.1:{port} http://settings.localhost:{port}
http://localhost-settings:{port} http://[settings.::1]:{port} http://127.0.0.1:0{port} http://127.0.0.1:+{port}
http://127.0.0.1:{port}0000 http://127.0.0.1: http://:{port} http://127.0.0.1:-1 http://inside.example:{port}
https://inside.example http://settings.inside.example:{port} http://inside-settings.example:{port}
""".split()
_HOSTS = [f"[{host}]" if ":" in host else host for host in FORBIDDEN]
URLS = [*(f"http://{host}:{{port}}" for host in _HOSTS), *(f"https://{host}:{{port}}" for host in _HOSTS[:12]), *ODD]


class Listener:
    """Counts connections to 127.0.0.1 and ::1 at one port."""

    def __init__(self) -> None:
        self.count = 0
        self._four = socket.create_server(("127.0.0.1", 0))
        self.port = self._four.getsockname()[1]
        self._servers = [self._four]
        if socket.has_ipv6:
            self._servers.append(socket.create_server(("::1", self.port), family=socket.AF_INET6))
        for server in self._servers:
            threading.Thread(target=self._serve, args=[server], daemon=True).start()

    def _serve(self, server: socket.socket) -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            self.count += 1
            connection.close()

    def close(self) -> None:
        for server in self._servers:
            server.shutdown(socket.SHUT_RDWR)
            server.close()


@pytest.fixture
def listener(monkeypatch) -> Iterator[Listener]:
    """Forbidden. Its port is one that is allowed, so that the address alone decides."""
    found = Listener()
    monkeypatch.setattr(move_links, "_PORTS", (80, 443, found.port))
    monkeypatch.setattr(move_fetching, "_PAUSES", (0.0,) * move_fetching.TRIES)
    asked = socket.getaddrinfo

    def names(host: str, *rest: object, **more: object) -> list:
        return asked("127.0.0.1" if host.endswith("inside.example") else host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", names)
    yield found
    found.close()


def sealed(url: str) -> str:
    return b64encode(secrets_seal({"url": url, "cell": "1"})).decode()


def test_there_are_enough_of_them(listener: Listener) -> None:
    """And the listener hears whoever reaches it."""
    assert len(set(URLS)) >= 120
    with socket.create_connection(("127.0.0.1", listener.port)) as connection:
        assert connection.recv(1) == b""
    assert listener.count == 1


def test_no_hostile_link_reaches_anything(as_bob, listener: Listener) -> None:
    """The two calls read a link alike; the job behind the second one is given addresses that no call let in."""
    for url in URLS:
        base = url.replace("{port}", str(listener.port))
        checked = as_bob.post("move/imports/precheck", attributes(url=f"{base}/#/exports/{OPAQUE}"))
        api_error(checked, 412, "Precondition Failed", REFUSED, parameter="url")
        try:
            move_imports.link_fetch(sealed(f"{base}/move/exports/{OPAQUE}"), lambda count: None)
        except ArchiveUnreadable:
            pass
        else:
            pytest.fail(f"{base} was fetched")
    assert listener.count == 0
    assert not Import.objects.exists()


def test_no_redirect_reaches_anything(as_bob, listener: Listener, settings) -> None:
    settings.EGRESS_ALLOW = ["127.0.0.2/32"]
    with other_server({"": b""}, host="127.0.0.2") as other:
        assert as_bob.post("move/imports/precheck", attributes(url=other.link)).status_code == 204
        for url in URLS:
            other.redirect = url.replace("{port}", str(listener.port)).encode("ascii", "ignore").decode() + "/x"
            before = len(other.asked)
            checked = as_bob.post("move/imports/precheck", attributes(url=other.link))
            assert checked.status_code == 412, other.redirect
            assert len(other.asked) > before
    assert listener.count == 0


def test_a_name_is_looked_up_once(as_bob, listener: Listener, settings, monkeypatch) -> None:
    """A name server that gives another address the second time (DNS rebinding)."""
    settings.EGRESS_ALLOW = ["127.0.0.2/32"]
    with other_server({"": b""}, host="127.0.0.2") as other:
        port = int(other.url.rpartition(":")[2])
        answers: list[str] = []
        asked = socket.getaddrinfo

        def names(host: str, *rest: object, **more: object) -> list:
            if host != "rebind.example":
                return asked(host, *rest, **more)
            answers.append(host)
            address = "127.0.0.2" if len(answers) % 2 else "127.0.0.1"
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

        monkeypatch.setattr(socket, "getaddrinfo", names)
        link = f"http://rebind.example:{port}/#/exports/{OPAQUE}"
        assert as_bob.post("move/imports/precheck", attributes(url=link)).status_code == 204
        assert answers == ["rebind.example"]
        assert as_bob.post("move/imports/precheck", attributes(url=link)).status_code == 412


def test_other_ports_need_to_be_allowed(as_bob, settings, monkeypatch) -> None:
    """§6.3: "any port other than 80/443" is refused, unless an allowed network is meant."""
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("93.184.216.34", 8080))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    monkeypatch.setattr(socket, "create_connection", lambda *_, **__: pytest.fail("dialled"))
    link = f"http://example.org:8080/#/exports/{OPAQUE}"
    checked = as_bob.post("move/imports/precheck", attributes(url=link))
    api_error(checked, 412, "Precondition Failed", REFUSED, parameter="url")
