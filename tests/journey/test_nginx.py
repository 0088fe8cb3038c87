"""`deploy/nginx.conf` with a real nginx before a real web process: stored volumes by X-Accel-Redirect (issue 2 §9)."""

import contextlib
import http.client
import shutil
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from django.contrib.auth.models import User

from cells import tokens
from cells.blobs import BlobStore
from cells.models import Cell, File
from exports.models import Export, ImportMode
from exports.services import downloads, import_lifecycle, lifecycle, running
from exportsite.management.commands.up import realtime_arguments, web_arguments
from exportsite.processes import Child
from tests.spec.move.asking import Move, exported
from tests.spec.move.sockets import PROTOCOL, call, ended, still_waits, subscribe, told

ROOT = Path(__file__).resolve().parents[2]
NGINX = shutil.which("nginx")

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(NGINX is None, reason="no nginx here (.ci/run installs it): its configuration was not tried"),
]


@dataclass
class Site:
    port: int
    web_port: int
    realtime_port: int
    folder: Path

    def ask(self, method: str, path: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
        """Through nginx; header names with _ for -."""
        return ask(self.port, method, path, None, {name.replace("_", "-"): value for name, value in headers.items()})

    def printed(self) -> str:
        return "".join((self.folder / f"{name}.log").read_text() for name in ("nginx", "web", "realtime"))


def ask(port: int, method: str, path: str, body: object, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    with contextlib.closing(connection):
        connection.request(method, path, body=body, headers=headers, encode_chunked=False)
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def await_port(port: int, child: Child) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until and child.poll() is None:
        with contextlib.suppress(OSError):
            if ask(port, "GET", "/healthz", None, {})[0] == 200:
                return
        time.sleep(0.05)
    raise AssertionError(f"{child.name} does not answer")


@pytest.fixture
def site(process_env: dict[str, str], store: Path, tmp_path: Path) -> Iterator[Site]:
    found = Site(free_port(), free_port(), free_port(), tmp_path)
    config = tmp_path / "nginx.conf"
    config.write_text(adapted((ROOT / "deploy" / "nginx.conf").read_text(), found, store))
    commands = {
        "web": [sys.executable, "-m", "granian", *web_arguments("127.0.0.1", found.web_port)],
        "realtime": [sys.executable, *realtime_arguments("127.0.0.1", found.realtime_port)],
        "nginx": [NGINX, "-c", config, "-p", tmp_path],
    }
    ports = {"web": found.web_port, "realtime": found.realtime_port, "nginx": found.port}
    env = {**process_env, "ACCEL_REDIRECT": "/stored/"}
    with contextlib.ExitStack() as stack:
        for name, command in commands.items():
            log = stack.enter_context((tmp_path / f"{name}.log").open("wb"))
            child = Child(name, command, cwd=ROOT, env=env, stdout=log, stderr=log)
            stack.callback(child.stop)
            await_port(ports[name], child)
        yield found


def adapted(config: str, site: Site, store: Path) -> str:
    """The file as it is, with this machine's addresses and folders in place of the containers'."""
    changes = {
        " /tmp/": f" {site.folder}/",
        "http://web:8000": f"http://127.0.0.1:{site.web_port}",
        "http://realtime:8001": f"http://127.0.0.1:{site.realtime_port}",
        "listen 8080": f"listen 127.0.0.1:{site.port}",
        "alias /store/": f"alias {store}/",
    }
    for there, here in changes.items():
        assert there in config
        config = config.replace(there, here)
    # the workers of a root nginx would be nobody, who may not enter pytest's folders
    return "user root;\n" + config if Path("/proc/self").stat().st_uid == 0 else config


@pytest.fixture
def export(alice: User, store: Path) -> Export:
    """Done, with one stored ZIP."""
    cell = Cell.objects.create(name="papers", owner=alice)
    for number in range(40):
        blob = BlobStore().put(f"page {number}\n".encode() * 5000)
        File.objects.create(
            cell=cell, generation=1, path=f"page {number}.txt", folder="", blob=blob, size=blob.size,
            mtime="2024-02-03T04:05:06Z",
        )  # fmt: skip
    export = Export.objects.create(owner=alice, name="papers", passkey_nonce=b"n" * 32)
    run = lifecycle.run_create(export=export, owner=alice, order={"version": 1, "packers": ["zip"]})
    assert running.run_export(run_id=run.pk).state == "done"
    export.refresh_from_db()
    return export


def test_nginx_sends_the_stored_volume_with_the_archives_own_etag_and_ranges(
    site: Site, export: Export, store: Path
) -> None:
    passkey = downloads.passkey(export=export)
    volume = export.published_run.volumes.get(packer="zip")
    whole = (store / "volumes" / volume.store_file).read_bytes()
    path = f"/api/v1/export/{export.pk}/download/{passkey}/papers.zip?disposition=attachment"

    status, headers, body = site.ask("GET", path)
    assert (status, body) == (200, whole)
    assert headers["etag"] == f'"{volume.etag}"'
    assert headers["content-length"] == str(len(whole))
    assert headers["accept-ranges"] == "bytes" and headers["server"] == "nginx"
    assert headers["content-disposition"] == 'attachment; filename="papers.zip"'
    assert headers["referrer-policy"] == "no-referrer" and "sandbox" in headers["content-security-policy"]
    assert "x-accel-redirect" not in headers

    direct = ask(site.web_port, "GET", path, None, {})
    assert direct[1]["x-accel-redirect"] == f"/stored/volumes/{volume.store_file}" and direct[2] == b""

    part = site.ask("GET", path, Range="bytes=100-299", If_Range=f'"{volume.etag}"')
    assert (part[0], part[2]) == (206, whole[100:300])
    changed = site.ask("GET", path, Range="bytes=100-299", If_Range='"another archive"')
    assert (changed[0], changed[2]) == (200, whole)
    head = site.ask("HEAD", path)
    assert (head[0], head[1]["content-length"], head[1]["etag"], head[2]) == (
        200, str(len(whole)), f'"{volume.etag}"', b"",
    )  # fmt: skip
    assert passkey not in site.printed() and "/download/" not in site.printed().replace("/download/…", "")


def test_nobody_reaches_a_volume_by_its_place(site: Site, export: Export) -> None:
    volume = export.published_run.volumes.get(packer="zip")
    for path in (f"/stored/volumes/{volume.store_file}", f"/stored/volumes/../volumes/{volume.store_file}"):
        status, _headers, body = site.ask("GET", path)
        assert status == 404 and not body.startswith(b"PK")
    wrong = site.ask("GET", f"/api/v1/export/{export.pk}/download/{'x' * 43}/papers.zip")
    assert wrong[0] == 302 and b"PK" not in wrong[2]


def test_websockets_reach_the_process_that_holds_them(site: Site, alice: User) -> None:
    """`spec/move.md §4.11, §6.10`."""
    cell = Cell.objects.create(name="papers", owner=alice)
    importing = "/papers/move/importing/realtime"
    row = import_lifecycle.import_create(
        cell=cell, owner=alice, source="file:/nowhere", mode=ImportMode.REPLACE, name="x", nudge=False
    )
    client = Move(alice, cell=cell, scopes=("io.cozy.exports",))
    with call(site.port, importing) as waiting, call(site.port, "/realtime/", subprotocols=[PROTOCOL]) as exports:
        assert exports.subprotocol == PROTOCOL
        still_waits(waiting)
        import_lifecycle.import_fail(import_lifecycle.claim(import_id=row.pk))
        assert told(waiting) == {"redirect": "http://localhost:8000/web/cells/papers/import"}
        assert ended(waiting) == (1000, "")
        subscribe(exports, client.token)
        exported(client)
        assert [told(exports)["event"], told(exports)["event"]] == ["CREATED", "UPDATED"]
    for path in (importing, "/realtime/", "/move/importing/realtime"):
        assert site.ask("GET", path)[0] == 426
        assert ask(site.web_port, "GET", path, None, {})[0] == 501
    for path in (f"{importing}/", "/x/papers/move/importing/realtime", "/realtime"):
        assert site.ask("GET", path)[0] == 404
    assert client.token not in site.printed()


def test_an_upload_flows_through_whole_or_is_refused(site: Site, alice: User, tmp_path: Path) -> None:
    """A chunked body must never arrive as 0 bytes (dependencies.md T11)."""
    Cell.objects.create(name="papers", owner=alice)
    bearer = {"Authorization": f"Bearer {tokens.token_create(user=alice, expires=timedelta(days=1))}"}
    content = b"0123456789abcdef" * 300_000
    address = "/api/v1/cell/papers/files/large.bin"
    assert ask(site.port, "PUT", address, content, bearer)[0] in (200, 201)
    assert ask(site.port, "GET", address, None, bearer)[2] == content

    pieces = (content[start : start + 70_000] for start in range(0, len(content), 70_000))
    status = chunked_put(site.port, "/api/v1/cell/papers/files/chunked.bin", pieces, bearer)
    stored = File.objects.filter(path="chunked.bin").values_list("size", flat=True).first()
    assert (status, stored) in ((411, None), (200, len(content)), (201, len(content)))


def chunked_put(port: int, path: str, pieces: Iterator[bytes], headers: dict[str, str]) -> int:
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # a refusal may come before the end
            connection.request("PUT", path, body=pieces, headers={**headers, "Transfer-Encoding": "chunked"},
                               encode_chunked=True)  # fmt: skip
        return connection.getresponse().status
