"""One suite for all transports that write files somewhere: a subclass in `test_*.py` brings a `place`.

Whatever happens, a final name holds the whole file, or what it held before, or nothing.
"""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from exports.registry import TRANSPORTS
from exports.transports.base import Carrier, Target, TransportError
from tests.transports.parcels import Parcel, Reports, data
from tests.transports.servers import Place, free_ports, is_root

BIG = 3_000_000
#: Names that mean something to somebody: shells, globs, URLs, options, FTP commands, printf, other alphabets.
HOSTILE = [
    "#hash?.txt",
    "%2e%2e",
    "%s%n",
    "-rf",
    "--delete",
    "a;b&c|d",
    "a b  c",
    "$HOME `id` $(id)",
    "'single' \"double\"",
    "*[a-z]?.txt",
    "~root",
    "+plus=equal@at,comma",
    "ünï/grüße 日本語 🙂.txt",
    "deep/" * 20 + "file",
    ".hidden",
    "x" * 200,
]


class Contract:
    """`self.prefix`: the folder below `place.root` in which this test's target lies."""

    #: Whether a half file may stay behind under another name when the connection broke.
    keeps_partial = True
    #: Whether a folder in the way of a file is an obstacle.
    has_folders = True

    @pytest.fixture(autouse=True)
    def _allowed(self, settings) -> None:
        settings.EGRESS_ALLOW = ["127.0.0.0/8"]

    @pytest.fixture
    def carrier(self, place: Place) -> Carrier:
        return TRANSPORTS.load(place.type).CARRIER

    @pytest.fixture
    def target(self, place: Place, carrier: Carrier) -> Target:
        return Target(options=carrier.check("options", place.options), secrets=place.secrets)

    @pytest.fixture(autouse=True)
    def _healed(self, place: Place) -> Iterator[None]:
        yield
        place.proxy.heal()

    def arrived(self, place: Place) -> dict[str, bytes]:
        """Files by path, without what is on its way."""
        found = (path for path in place.root.rglob("*") if path.is_file())
        return {str(path.relative_to(place.root)): path.read_bytes() for path in found if not is_partial(path)}

    def test_archives_arrive_whole_under_their_names(self, place: Place, carrier: Carrier, target: Target) -> None:
        contents = {"press.1.zip": data(BIG), "press.2.zip": data(70_000), "press.3.zip": b""}
        reports = Reports()
        carrier.deliver(target, Parcel(contents), reports)
        assert self.arrived(place) == contents
        assert reports.bytes >= BIG
        assert not any(is_partial(path) for path in place.root.rglob("*"))

    def test_a_folder_of_files_arrives_as_a_tree(self, place: Place, carrier: Carrier, target: Target) -> None:
        contents = {"a.txt": b"alpha", "b/": b"", "c/d/e.bin": data(100_000), "c/f": b""}
        carrier.deliver(target, Parcel(contents, folder="press/"), Reports())
        files = {f"press/{name}": body for name, body in contents.items() if not name.endswith("/")}
        assert self.arrived(place) == files

    def test_a_second_delivery_overwrites_cleanly(self, place: Place, carrier: Carrier, target: Target) -> None:
        carrier.deliver(target, Parcel({"press.zip": data(BIG, "old")}), Reports())
        carrier.deliver(target, Parcel({"press.zip": data(100_000, "new")}), Reports())
        assert self.arrived(place) == {"press.zip": data(100_000, "new")}

    def test_archives_that_are_no_longer_part_of_it_go_and_nothing_else(
        self, place: Place, carrier: Carrier, target: Target
    ) -> None:
        """Issue 3, point 5, and `spec/v1.md §9.2`: a receiver must not take an old `press.3.zip` for a new one."""
        contents = {"press [x].1.zip": b"1", "press [x].2.zip": b"2"}
        theirs = {"press [x].4.zip": b"4", "press x.3.zip": b"theirs", "press.3.zip": b"theirs"}
        carrier.deliver(target, Parcel({**contents, "press [x].3.zip": b"3", **theirs}), Reports())
        reports = Reports()
        carrier.deliver(target, Parcel(contents, old=("press [x].3.zip", "press [x].9.zip")), reports)
        assert self.arrived(place) == {**contents, **theirs}
        assert "not part of the export any more were deleted" in reports.lines[-1]

    def test_hostile_names_are_names_and_nothing_else(self, place: Place, carrier: Carrier, target: Target) -> None:
        contents = {name: name.encode() for name in sorted(HOSTILE)}
        carrier.deliver(target, Parcel(contents, folder="press/"), Reports())
        assert self.arrived(place) == {f"press/{name}": body for name, body in contents.items()}

    def test_a_name_cannot_leave_its_folder(self, place: Place, carrier: Carrier, target: Target) -> None:
        contents = {"../../evil": b"1", "a/../../b": b"2", "line\r\nDELE x": b"3", "nul\0": b"4", "/abs": b"5"}
        carrier.deliver(target, Parcel(contents, folder="press/"), Reports())
        arrived = self.arrived(place)
        assert sorted(arrived.values()) == [b"1", b"2", b"3", b"4", b"5"]
        assert all(name.startswith("press/") for name in arrived)

    def test_a_reset_in_the_middle_is_transient_and_leaves_no_half_file(
        self, place: Place, carrier: Carrier, target: Target
    ) -> None:
        carrier.deliver(target, Parcel({"press.zip": b"yesterday's"}), Reports())
        with pytest.raises(TransportError) as caught:
            carrier.deliver(target, Parcel({"press.zip": data(BIG)}, halfway=place.proxy.cut), Reports())
        assert not caught.value.permanent
        assert self.arrived(place) == {"press.zip": b"yesterday's"}
        place.proxy.heal()
        carrier.deliver(target, Parcel({"press.zip": data(BIG)}), Reports())
        assert self.arrived(place) == {"press.zip": data(BIG)}

    def test_a_server_that_falls_silent_is_given_up(
        self, place: Place, carrier: Carrier, target: Target, settings
    ) -> None:
        from datetime import timedelta

        settings.EXPORT_TRANSPORT_TIMEOUT = timedelta(seconds=1)
        with pytest.raises(TransportError) as caught:
            carrier.deliver(target, Parcel({"press.zip": data(BIG)}, halfway=place.proxy.stall), Reports())
        assert not caught.value.permanent
        assert self.arrived(place) == {}

    def test_a_port_where_nobody_listens_is_transient(self, place: Place, carrier: Carrier, target: Target) -> None:
        options = carrier.check("options", place.at_port(free_ports()[0]))
        with pytest.raises(TransportError) as caught:
            carrier.deliver(Target(options=options, secrets=place.secrets), Parcel({"press.zip": b"x"}), Reports())
        assert not caught.value.permanent
        assert self.arrived(place) == {}

    def test_wrong_credentials_are_permanent_and_not_repeated_in_the_message(
        self, place: Place, carrier: Carrier, target: Target
    ) -> None:
        wrong = Target(options=target.options, secrets=place.wrong)
        reports = Reports()
        with pytest.raises(TransportError) as caught:
            carrier.deliver(wrong, Parcel({"press.zip": data(BIG)}), reports)
        assert caught.value.permanent
        told = f"{caught.value} {caught.value!r} {wrong!r} {reports.lines}"
        assert not any(secret.strip() in told for secret in place.wrong.values())
        assert self.arrived(place) == {}

    def test_a_forbidden_address_is_not_dialled(self, place: Place, carrier: Carrier, target: Target, settings) -> None:
        settings.EGRESS_ALLOW = []
        before = place.proxy.connections
        with pytest.raises(TransportError, match="not for users to reach") as caught:
            carrier.deliver(target, Parcel({"press.zip": b"x"}), Reports())
        assert caught.value.permanent
        assert place.proxy.connections == before

    def test_a_stream_that_ends_early_is_no_delivery(self, place: Place, carrier: Carrier, target: Target) -> None:
        class Short(Parcel):
            def items(self):
                for item in super().items():
                    yield type(item)(item.name, item.length + 1, item.chunks)

        with pytest.raises(TransportError):
            carrier.deliver(target, Short({"press.zip": data(100_000)}), Reports())
        assert self.arrived(place) == {}

    def test_whoever_lost_the_delivery_stops_at_once(self, place: Place, carrier: Carrier, target: Target) -> None:
        class Lost(Exception):
            pass

        class Losing(Reports):
            def tick(self, count: int) -> None:
                super().tick(count)
                if self.bytes > BIG // 3:
                    raise Lost

        with pytest.raises(Lost):
            carrier.deliver(target, Parcel({"press.zip": data(BIG)}), Losing())
        assert self.arrived(place) == {}

    def test_a_folder_in_the_way_is_left_as_it_is(self, place: Place, carrier: Carrier, target: Target) -> None:
        if not self.has_folders:
            pytest.skip("there are no folders on this kind of server")
        (place.root / "press.zip").mkdir(parents=True)
        (place.root / "press.zip" / "theirs").write_bytes(b"theirs")
        with pytest.raises(TransportError) as caught:
            carrier.deliver(target, Parcel({"press.zip": b"ours"}), Reports())
        assert caught.value.permanent
        assert self.arrived(place) == {"press.zip/theirs": b"theirs"}

    def test_a_full_disk_leaves_what_was_there(
        self, place: Place, carrier: Carrier, target: Target, tmp_path: Path
    ) -> None:
        if not is_root():
            pytest.skip("only root can make a file system of 1 MB")
        carrier.deliver(target, Parcel({"first.zip": b"first"}), Reports())
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", place.root], capture_output=True)
        if mounted.returncode:
            pytest.skip(f"cannot mount here: {mounted.stderr.decode()}")
        try:
            carrier.deliver(target, Parcel({"press.zip": b"yesterday's"}), Reports())
            with pytest.raises(TransportError):
                carrier.deliver(target, Parcel({"press.zip": data(BIG)}), Reports())
            assert self.arrived(place) == {"press.zip": b"yesterday's"}
        finally:
            subprocess.run(["umount", "-l", place.root], check=True)

    def test_the_canary_leaves_nothing(self, place: Place, carrier: Carrier, target: Target) -> None:
        reports = Reports()
        carrier.canary(target, reports)
        assert "read back" in reports.lines[-1]
        assert [path for path in place.root.rglob("*") if path.is_file()] == []

    def test_the_canary_says_why_it_cannot(self, place: Place, carrier: Carrier, target: Target) -> None:
        with pytest.raises(TransportError) as caught:
            carrier.canary(Target(options=target.options, secrets=place.wrong), Reports())
        assert caught.value.permanent


def is_partial(path: Path) -> bool:
    """Ours, or one that rsync or a server makes while it writes."""
    return path.name.endswith(".partial") or path.name.startswith(".press.zip.")


class Mirrors:
    """For transports that make the export's folder equal the export (`spec/v1.md §9.6`)."""

    def test_what_is_no_longer_in_the_export_is_deleted_and_the_rest_of_the_target_is_not(
        self, place: Place, carrier: Carrier, target: Target
    ) -> None:
        first = {"a.txt": b"a", "gone.txt": b"g", "gone/deep/file": b"d", "kept/": b"", "n\u0303/x": b"x"}
        carrier.deliver(target, Parcel(first, folder="press/"), Reports())
        (place.root / "beside.txt").write_bytes(b"theirs")
        second = {"a.txt": b"A", "kept/": b"", "n\u0303/x": b"x"}
        carrier.deliver(target, Parcel(second, folder="press/"), Reports())
        found = {str(path.relative_to(place.root)) for path in place.root.rglob("*") if path.is_file()}
        assert found == {"beside.txt", "press/a.txt", "press/n\u0303/x"}
        assert not (place.root / "press" / "gone").exists()

    def test_changes_alone_delete_nothing(self, place: Place, carrier: Carrier, target: Target) -> None:
        carrier.deliver(target, Parcel({"a.txt": b"a"}, folder="press/"), Reports())
        carrier.deliver(target, Parcel({"b.txt": b"b"}, folder="press/", complete=False), Reports())
        assert sorted(path.name for path in (place.root / "press").iterdir()) == ["a.txt", "b.txt"]
