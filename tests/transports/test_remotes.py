"""ftp, ftps, sftp, webdav and s3 against real servers (rclone, OpenSSH)."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from exports.errors import DefinitionRefused
from exports.registry import TRANSPORTS
from exports.transports.base import Target, TransportError
from tests.transports import servers
from tests.transports.contract import Contract, Mirrors
from tests.transports.parcels import Parcel, Reports, data
from tests.transports.servers import ACCESS_KEY, LOGIN, PASSWORD, SECRET_KEY, SHOWN, Place, Proxy

COUNTER = iter(range(10_000))


def own(place: Place) -> Place:
    """The same server with a folder of the test's own."""
    name = f"t{next(COUNTER)}"
    root = place.root / name
    options = {**place.options, "directory": f"{place.options.get('directory') or ''}{name}"}
    (root).mkdir()
    return Place(
        place.type,
        root,
        options,
        place.secrets,
        place.proxy,
        lambda port: {**options, **{k: v for k, v in place.at_port(port).items() if k != "directory"}},
        place.wrong,
    )


class Shared:
    @pytest.fixture
    def place(self, server: Place) -> Place:
        return own(server)


def with_server(scheme: str, options: dict[str, object]):
    return lambda port: {**options, "server": f"{scheme}://{SHOWN}:{port}"}


class TestFTP(Shared, Contract, Mirrors):
    @pytest.fixture(scope="class")
    @classmethod
    def server(cls, tmp_path_factory) -> Iterator[Place]:
        folder = tmp_path_factory.mktemp("ftp")
        with servers.ftp(folder) as (root, port, breaker):
            options: dict[str, object] = {"server": f"ftp://{SHOWN}:{port}/", "login": LOGIN}
            yield Place(
                "ftp",
                root,
                options,
                {"password": PASSWORD},
                breaker,
                with_server("ftp", options),
                {"password": "wrong-hunter3"},
            )


class TestFTPS(Shared, Contract, Mirrors):
    @pytest.fixture(scope="class")
    @classmethod
    def server(cls, tmp_path_factory) -> Iterator[Place]:
        folder = tmp_path_factory.mktemp("ftps")
        cert, key = servers.certificate(folder / "tls")
        with servers.ftps(folder, cert, key) as (root, port, breaker):
            options: dict[str, object] = {
                "server": f"ftps://{SHOWN}:{port}",
                "login": LOGIN,
                "certificate": cert.read_text(),
            }
            yield Place(
                "ftps",
                root,
                options,
                {"password": PASSWORD},
                breaker,
                with_server("ftps", options),
                {"password": "wrong-hunter3"},
            )

    def test_a_certificate_that_nobody_vouches_for_is_refused(self, place: Place, carrier) -> None:
        options = carrier.check("options", {**place.options, "certificate": ""})
        with pytest.raises(TransportError, match="self-signed certificate") as caught:
            carrier.deliver(Target(options=options, secrets=place.secrets), Parcel({"press.zip": b"x"}), Reports())
        assert caught.value.permanent
        assert self.arrived(place) == {}


class TestSFTPWithPassword(Shared, Contract, Mirrors):
    @pytest.fixture(scope="class")
    @classmethod
    def server(cls, tmp_path_factory) -> Iterator[Place]:
        folder = tmp_path_factory.mktemp("sftp")
        servers.make_key(folder / "host")
        arguments = ("--user", LOGIN, "--pass", PASSWORD, "--key", folder / "host")
        with servers.rclone("sftp", folder / "served", *arguments) as (root, ports):
            proxy = Proxy(ports)
            options: dict[str, object] = {
                "server": f"sftp://{SHOWN}:{ports[0]}",
                "login": LOGIN,
                "host_key": servers.public(folder / "host"),
            }
            yield Place(
                "ftp",
                root,
                options,
                {"password": PASSWORD},
                proxy,
                with_server("sftp", options),
                {"password": "wrong-hunter3"},
            )
            proxy.close()


@pytest.mark.skipif(bool(servers.missing("sshd", "ssh-keygen")), reason=servers.missing("sshd", "ssh-keygen"))
class TestSFTPOfOpenSSH(Shared, Contract, Mirrors):
    @pytest.fixture(scope="class")
    @classmethod
    def server(cls, tmp_path_factory) -> Iterator[Place]:
        import getpass

        folder = tmp_path_factory.mktemp("sshd")
        root = folder / "root"
        root.mkdir()
        with servers.sshd(folder) as (port, host_key, key):
            proxy = Proxy([port])
            options: dict[str, object] = {
                "server": f"{SHOWN}:{port}",
                "login": getpass.getuser(),
                "host_key": host_key,
                "directory": f"{root}/",
            }
            yield Place(
                "sftp",
                root,
                options,
                {"private_key": key.read_text()},
                proxy,
                lambda port: {**options, "server": f"{SHOWN}:{port}"},
                {"private_key": key.with_name("stranger").read_text()},
            )
            proxy.close()

    @pytest.mark.parametrize("key", ["", "SHA256:" + "A" * 43, "stranger"])
    def test_another_host_key_is_refused_before_any_credential_leaves(
        self, place: Place, carrier, key: str, tmp_path: Path
    ) -> None:
        if key == "stranger":
            servers.make_key(tmp_path / "stranger")
            key = servers.public(tmp_path / "stranger")
        options = carrier.check("options", {**place.options, "host_key": key})
        with pytest.raises(TransportError, match="host key") as caught:
            carrier.deliver(Target(options=options, secrets=place.secrets), Parcel({"press.zip": b"x"}), Reports())
        assert caught.value.permanent
        assert "SHA256:" in str(caught.value)
        assert self.arrived(place) == {}

    def test_the_fingerprint_that_a_refusal_shows_is_accepted(self, place: Place, carrier) -> None:
        options = carrier.check("options", {**place.options, "host_key": ""})
        with pytest.raises(TransportError) as caught:
            carrier.deliver(Target(options=options, secrets=place.secrets), Parcel({"press.zip": b"x"}), Reports())
        shown = next(word for word in str(caught.value).split() if word.startswith("SHA256:")).rstrip(":.")
        options = carrier.check("options", {**place.options, "host_key": shown})
        carrier.deliver(Target(options=options, secrets=place.secrets), Parcel({"press.zip": b"x"}), Reports())
        assert self.arrived(place) == {"press.zip": b"x"}


class TestWebDAV(Shared, Contract, Mirrors):
    """`spec/v1.md §9.7`: "Same naming as FTP; needed verbs MKCOL (tolerate 405), PUT"."""

    @pytest.fixture(scope="class")
    @classmethod
    def server(cls, tmp_path_factory) -> Iterator[Place]:
        folder = tmp_path_factory.mktemp("webdav")
        with servers.rclone("webdav", folder, "--user", LOGIN, "--pass", PASSWORD) as (root, ports):
            proxy = Proxy(ports)
            options: dict[str, object] = {"server": f"http://{SHOWN}:{ports[0]}", "login": LOGIN}
            yield Place(
                "webdav",
                root,
                options,
                {"password": PASSWORD},
                proxy,
                with_server("http", options),
                {"password": "wrong-hunter3"},
            )
            proxy.close()

    def test_easydb_s_other_names_for_the_credentials_are_understood(self, place: Place, carrier) -> None:
        """`spec/v1.md` C24."""
        rest = {name: value for name, value in place.options.items() if name != "login"}
        options = carrier.check("options", {**rest, "webdav_user": LOGIN})
        target = Target(options=options, secrets={"webdav_pass": PASSWORD})
        carrier.deliver(target, Parcel({"press.zip": b"x"}), Reports())
        assert self.arrived(place) == {"press.zip": b"x"}


class TestWebDAVOverTLS(Shared, Contract):
    @pytest.fixture(scope="class")
    @classmethod
    def server(cls, tmp_path_factory) -> Iterator[Place]:
        folder = tmp_path_factory.mktemp("webdavs")
        cert, key = servers.certificate(folder / "tls")
        arguments = ("--user", LOGIN, "--pass", PASSWORD, "--cert", cert, "--key", key)
        with servers.rclone("webdav", folder, *arguments) as (root, ports):
            proxy = Proxy(ports)
            options: dict[str, object] = {
                "server": f"https://{SHOWN}:{ports[0]}",
                "login": LOGIN,
                "certificate": cert.read_text(),
            }
            yield Place(
                "webdav",
                root,
                options,
                {"password": PASSWORD},
                proxy,
                with_server("https", options),
                {"password": "wrong-hunter3"},
            )
            proxy.close()


class TestS3(Shared, Contract, Mirrors):
    has_folders = False

    @pytest.fixture(scope="class")
    @classmethod
    def server(cls, tmp_path_factory) -> Iterator[Place]:
        folder = tmp_path_factory.mktemp("s3")
        with servers.rclone("s3", folder, "--auth-key", f"{ACCESS_KEY},{SECRET_KEY}") as (root, ports):
            (root / "bucket").mkdir()
            proxy = Proxy(ports)
            options: dict[str, object] = {
                "server": f"http://{SHOWN}:{ports[0]}",
                "bucket": "bucket",
                "access_key": ACCESS_KEY,
            }
            yield Place(
                "s3",
                root / "bucket",
                options,
                {"secret_key": SECRET_KEY},
                proxy,
                with_server("http", options),
                {"secret_key": "wrong-hunter3"},
            )
            proxy.close()

    def test_a_large_object_goes_in_parts(self, place: Place, carrier, target: Target, monkeypatch) -> None:
        from exports.transports import s3

        monkeypatch.setattr(s3, "PART", 5 * 1024 * 1024)
        contents = {"press.zip": data(12_345_678), "exact.zip": data(10 * 1024 * 1024)}
        carrier.deliver(target, Parcel(contents), Reports())
        assert self.arrived(place) == contents


@pytest.mark.parametrize(
    ("type", "options", "fault"),
    [
        ("ftp", {}, "attribute_expected"),
        ("ftp", {"server": 5}, "type_mismatch"),
        ("ftp", {"server": "ftp://"}, "invalid_value"),
        ("ftp", {"server": "gopher://host"}, "invalid_value"),
        ("ftp", {"server": "ftp://host:1:2"}, "invalid_value"),
        ("ftp", {"server": "ftp://host/path"}, "invalid_value"),
        ("ftp", {"server": "ftp://user@host"}, "invalid_value"),
        ("ftp", {"server": "ftp://host:0"}, "invalid_value"),
        ("ftp", {"server": "host\r\nDELE x"}, "invalid_value"),
        ("ftp", {"server": "host", "directory": "../up"}, "invalid_value"),
        ("ftps", {"server": "ftp://host"}, "invalid_value"),
        ("ftps", {"server": "host", "certificate": "nonsense"}, "invalid_value"),
        ("sftp", {"server": "host", "host_key": "nonsense"}, "invalid_value"),
        ("webdav", {"server": "host"}, "invalid_value"),
        ("webdav", {"server": "http://user:pass@host/"}, "invalid_value"),
        ("webdav", {"server": "file:///etc/passwd"}, "invalid_value"),
        ("webdav", {"server": "http://host/?q=1"}, "invalid_value"),
        ("webdav", {"server": "http://ho\\st/"}, "invalid_value"),
        ("s3", {"server": "https://host"}, "attribute_expected"),
        ("s3", {"server": "https://host", "bucket": "a/b", "access_key": "k"}, "invalid_value"),
        ("rsync", {}, "attribute_expected"),
        ("rsync", {"destination": "-e sh host::x"}, "invalid_value"),
        ("rsync", {"destination": "host::-x"}, "invalid_value"),
        ("rsync", {"destination": "host:path"}, "attribute_expected"),
        ("rsync", {"destination": "/etc"}, "invalid_value"),
        ("rsync", {"destination": "host::module/../x"}, "invalid_value"),
        ("rsync", {"destination": "host::m", "options": {"rsh": "sh"}}, "attribute_not_accepted"),
        ("rsync", {"destination": "host::m", "options": {"bwlimit": "1; id"}}, "type_mismatch"),
    ],
)
def test_options_that_cannot_be_are_refused(type: str, options: dict[str, object], fault: str) -> None:
    with pytest.raises(DefinitionRefused) as caught:
        TRANSPORTS.load(type).CARRIER.check("_transports[0].options", options)
    assert caught.value.params["fault"] == fault
    assert str(caught.value.params["attribute"]).startswith("_transports[0].options.")


@pytest.mark.parametrize(
    ("given", "scheme", "port"),
    [
        ("host", "ftp", 21),
        ("FTP://host//", "ftp", 21),
        ("ftps://host", "ftps", 21),
        ("sftp://host/", "sftp", 22),
        ("host:2121", "ftp", 2121),
        ("ftp://[::1]:2121", "ftp", 2121),
    ],
)
def test_the_server_grammar(given: str, scheme: str, port: int) -> None:
    """`spec/v1.md §9.6`: optional scheme, host, optional port, optional trailing slashes; missing scheme = ftp."""
    from exports.transports.servers import parse

    found = parse("server", given, ("ftp", "ftps", "sftp"))
    assert (found.scheme, found.host, found.port) == (scheme, "::1" if "[" in given else "host", port)
