"""rsync to a daemon, over ssh, and into allowed folders of this machine."""

import getpass
from collections.abc import Iterator
from pathlib import Path

import pytest

from exports.errors import DefinitionRefused
from exports.transports import rsync
from exports.transports.base import Target, TransportError
from exports.transports.rsync import CARRIER
from exports.transports.rsync_program import Program
from tests.transports import servers
from tests.transports.contract import Contract
from tests.transports.parcels import Parcel, Reports, data
from tests.transports.servers import LOGIN, PASSWORD, SHOWN, Place, Proxy

COUNTER = iter(range(10_000))
NEEDS_RSYNC = pytest.mark.skipif(bool(servers.missing("rsync")), reason=servers.missing("rsync") or "-")
NEEDS_SSHD = pytest.mark.skipif(bool(servers.missing("rsync", "sshd")), reason=servers.missing("rsync", "sshd") or "-")


@pytest.fixture(autouse=True)
def _allowed(settings) -> None:
    settings.EGRESS_ALLOW = ["127.0.0.0/8"]


class Remote(Contract):
    """What rsync does of its own: it reads a file before it sends one, so connections break at their beginning."""

    def test_a_reset_in_the_middle_is_transient_and_leaves_no_half_file(
        self, place: Place, carrier, target: Target, monkeypatch
    ) -> None:
        """Two batches: the connection is cut after the first, and nothing of the second has arrived."""
        monkeypatch.setattr(rsync, "BATCH_FILES", 1)
        contents = {"press.1.zip": data(BIG := 400_000, "1"), "press.2.zip": data(BIG, "2")}
        halves = iter((lambda: None, place.proxy.cut))
        with pytest.raises(TransportError) as caught:
            carrier.deliver(target, Parcel(contents, halfway=lambda: next(halves)()), Reports())
        assert not caught.value.permanent
        assert self.arrived(place) == {"press.1.zip": contents["press.1.zip"]}
        place.proxy.heal()
        carrier.deliver(target, Parcel(contents), Reports())
        assert self.arrived(place) == contents

    @pytest.mark.parametrize("count", [1, 2, 7])
    def test_batches_of_any_length_carry_everything(
        self, place: Place, carrier, target: Target, monkeypatch, count: int, store: Path
    ) -> None:
        monkeypatch.setattr(rsync, "BATCH_FILES", count)
        contents = {f"{number % 3}/{number}": data(1000 + number) for number in range(6)}
        carrier.deliver(target, Parcel(contents, folder="press/"), Reports())
        assert self.arrived(place) == {f"press/{name}": body for name, body in contents.items()}
        assert list((store / "spool").iterdir()) == []

    def test_delete_makes_the_folder_equal_the_export_and_nothing_else(
        self, place: Place, carrier, monkeypatch
    ) -> None:
        monkeypatch.setattr(rsync, "BATCH_FILES", 1)
        target = Target(
            options=carrier.check("options", {**place.options, "options": {"delete": True}}), secrets=place.secrets
        )
        carrier.deliver(target, Parcel({"a": b"a", "b": b"b", "c/d": b"d"}, folder="press/"), Reports())
        (place.root / "theirs").write_bytes(b"theirs")
        carrier.deliver(target, Parcel({"a": b"A", "c/d": b"d"}, folder="press/"), Reports())
        assert self.arrived(place) == {"press/a": b"A", "press/c/d": b"d", "theirs": b"theirs"}


@NEEDS_RSYNC
class TestDaemon(Remote):
    @pytest.fixture(scope="class")
    @classmethod
    def server(cls, tmp_path_factory) -> Iterator[tuple[Path, int, Proxy]]:
        with servers.rsync_daemon(tmp_path_factory.mktemp("rsyncd")) as (root, port):
            proxy = Proxy([port])
            yield root, port, proxy
            proxy.close()

    @pytest.fixture
    def place(self, server: tuple[Path, int, Proxy]) -> Place:
        root, port, proxy = server
        name = f"t{next(COUNTER)}"
        (root / name).mkdir()

        def at(port: int) -> dict[str, object]:
            return {"destination": f"rsync://{LOGIN}@{SHOWN}:{port}/files/{name}"}

        return Place("rsync", root / name, at(port), {"password": PASSWORD}, proxy, at, {"password": "wrong-hunter3"})


@NEEDS_SSHD
class TestOverSSH(Remote):
    @pytest.fixture(scope="class")
    @classmethod
    def server(cls, tmp_path_factory) -> Iterator[tuple[Path, int, str, Path, Proxy]]:
        folder = tmp_path_factory.mktemp("ssh")
        (folder / "root").mkdir()
        with servers.sshd(folder) as (port, host_key, key):
            proxy = Proxy([port])
            yield folder / "root", port, host_key, key, proxy
            proxy.close()

    @pytest.fixture
    def place(self, server: tuple[Path, int, str, Path, Proxy]) -> Place:
        root, port, host_key, key, proxy = server
        name = f"t{next(COUNTER)} with blanks; $(id)"
        (root / name).mkdir()

        def at(port: int) -> dict[str, object]:
            return {"destination": f"ssh://{getpass.getuser()}@{SHOWN}:{port}{root}/{name}", "host_key": host_key}

        wrong = {"private_key": key.with_name("stranger").read_text()}
        return Place("rsync", root / name, at(port), {"private_key": key.read_text()}, proxy, at, wrong)

    def test_another_host_key_is_refused(self, place: Place, carrier, tmp_path: Path) -> None:
        servers.make_key(tmp_path / "stranger")
        options = carrier.check("options", {**place.options, "host_key": servers.public(tmp_path / "stranger")})
        with pytest.raises(TransportError, match="Host key verification failed") as caught:
            carrier.deliver(Target(options=options, secrets=place.secrets), Parcel({"press.zip": b"x"}), Reports())
        assert caught.value.permanent
        assert self.arrived(place) == {}


class TestLocalFolder:
    @pytest.fixture
    def root(self, tmp_path: Path, settings) -> Path:
        root = tmp_path / "allowed"
        root.mkdir()
        settings.EXPORT_LOCAL_FOLDERS = [root]
        return root

    def target(self, path: Path, **options: object) -> Target:
        return Target(options=CARRIER.check("options", {"destination": str(path), "options": options}))

    def test_archives_and_trees_arrive(self, root: Path) -> None:
        contents = {"press.zip": data(3_000_000), "empty": b""}
        CARRIER.deliver(self.target(root / "new" / "folder"), Parcel(contents), Reports())
        assert {path.name: path.read_bytes() for path in (root / "new" / "folder").iterdir()} == contents
        CARRIER.deliver(self.target(root), Parcel({"b/": b"", "a/x": b"x"}, folder="press/"), Reports())
        assert (root / "press" / "b").is_dir()
        assert (root / "press" / "a" / "x").read_bytes() == b"x"

    def test_only_with_delete_other_files_go(self, root: Path) -> None:
        (root / "press").mkdir()
        (root / "press" / "theirs").write_bytes(b"theirs")
        CARRIER.deliver(self.target(root), Parcel({"a": b"a"}, folder="press/"), Reports())
        assert (root / "press" / "theirs").exists()
        CARRIER.deliver(self.target(root, delete=True), Parcel({"a": b"a"}, folder="press/"), Reports())
        assert [path.name for path in (root / "press").iterdir()] == ["a"]

    @pytest.mark.parametrize("path", ["/etc", "{root}x", "{root}/link", "{root}/link/deeper", "/"])
    def test_a_folder_that_is_not_allowed_is_refused(self, root: Path, path: str, tmp_path: Path) -> None:
        """`spec/v1.md §9.5`: "keep an allow list of options and destinations"."""
        outside = tmp_path / "allowedx"
        outside.mkdir()
        (root / "link").symlink_to(outside)
        with pytest.raises(DefinitionRefused) as caught:
            CARRIER.check("options", {"destination": path.format(root=root)})
        assert caught.value.params["fault"] == "invalid_value"
        assert list(outside.iterdir()) == []

    def test_without_the_setting_there_is_none(self, tmp_path: Path) -> None:
        with pytest.raises(DefinitionRefused):
            CARRIER.check("options", {"destination": str(tmp_path)})

    def test_a_link_that_appears_later_is_not_followed(self, root: Path, tmp_path: Path) -> None:
        outside = tmp_path / "outside"
        outside.mkdir()
        (outside / "victim").write_bytes(b"theirs")
        target = self.target(root / "place")
        (root / "place").symlink_to(outside)
        with pytest.raises(TransportError) as caught:
            CARRIER.deliver(target, Parcel({"victim": b"ours"}), Reports())
        assert caught.value.permanent
        assert (outside / "victim").read_bytes() == b"theirs"

    def test_a_link_in_place_of_the_file_is_replaced_and_not_written_through(self, root: Path, tmp_path: Path) -> None:
        victim = tmp_path / "victim"
        victim.write_bytes(b"theirs")
        (root / "press.zip").symlink_to(victim)
        (root / "press.zip.partial").symlink_to(victim)
        CARRIER.deliver(self.target(root), Parcel({"press.zip": b"ours"}), Reports())
        assert victim.read_bytes() == b"theirs"
        assert (root / "press.zip").read_bytes() == b"ours"
        assert not (root / "press.zip").is_symlink()

    def test_the_canary_leaves_nothing(self, root: Path) -> None:
        CARRIER.canary(self.target(root), Reports())
        assert list(root.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("host::files/a b", ("daemon", "", "host", 873, "files/a b")),
        ("me@host::files", ("daemon", "me", "host", 873, "files")),
        ("rsync://me@host:8730/files/x/", ("daemon", "me", "host", 8730, "files/x")),
        ("me@host:some/where", ("ssh", "me", "host", 22, "some/where")),
        ("ssh://me@[::1]:2222/some/where", ("ssh", "me", "::1", 2222, "/some/where")),
        ("/srv/exports/", ("local", "", "", 0, "/srv/exports")),
    ],
)
def test_destinations_are_taken_apart_into_fields(text: str, expected: tuple[object, ...]) -> None:
    """`spec/v1.md §9.5`: "Over SSH, RSH or the rsync protocol, or a local directory. Never pass through a shell"."""
    assert tuple(rsync.parse("destination", text)) == expected


@NEEDS_RSYNC
def test_no_secret_is_in_a_command_line() -> None:
    target = Target(options={"host_key": "ssh-ed25519 AAAA"}, secrets={"password": "hunter2", "private_key": "hunter2"})
    for text in ("rsync://me@127.0.0.1/files", "me@127.0.0.1:where"):
        with Program(rsync.parse("destination", text), target) as program:
            for command in (program.push(Path("/spool"), "press/", []), program.pull("x", Path("/back"))):
                assert "hunter2" not in " ".join(command)
                assert "--" in command
