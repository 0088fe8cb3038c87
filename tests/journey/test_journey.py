"""The whole, as a new person would: one command, then nothing but HTTP and foreign programs."""

import json
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.engine.judges import JUDGES, Judge
from tests.journey.test_up import PATIENCE, Up, data  # noqa: F401 (a fixture)

dice = Random(5)
START = datetime(2019, 5, 4, 3, 2, 1, tzinfo=UTC)
FILES = {
    "Lies mich.txt": b"Willkommen\n" * 500,
    "Bilder/Ostsee/Möwe.jpg": dice.randbytes(900_000),
    "Bilder/leer.bin": b"",
    "写真/東京.txt": "こんにちは".encode() * 5000,
    "tief/" * 12 + "unten.csv": b"a;b;c\n" * 40_000,
    "groß.bin": dice.randbytes(12_000_000) + bytes(3_000_000),
}


class Person:
    """Somebody with an account and an HTTP client."""

    def __init__(self, base: str, login: str, password: str) -> None:
        self.base = base
        token = self.call("GET", "session")["token"]
        query = urllib.parse.urlencode({"login": login, "password": password})
        self.call("POST", f"session/authenticate?token={token}&{query}")
        self.token = token

    def call(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Any:
        url = f"{self.base}/api/v1/{path}"
        request = urllib.request.Request(url, body, headers, method=method)
        if hasattr(self, "token"):
            request.add_header("X-Easydb-Token", self.token)
        with urllib.request.urlopen(request, timeout=60) as answer:
            content = answer.read()
            return json.loads(content) if "json" in answer.headers.get("Content-Type", "") else content

    def fill(self, cell: str) -> None:
        self.call("POST", "cell", json.dumps({"name": cell}).encode(), **{"Content-Type": "application/json"})
        for number, (path, content) in enumerate(FILES.items()):
            when = (START + timedelta(days=number * 37)).isoformat()
            self.call("PUT", f"cell/{cell}/files/{urllib.parse.quote(path)}", content, **{"X-Mtime": when})
        lines = b"".join(
            b'{"doctype": "letter", "id": "l%d", "body": {"text": "Brief %d"}}\n' % (n, n) for n in range(300)
        )
        report = self.call("POST", f"cell/{cell}/documents", lines, **{"Content-Type": "application/x-ndjson"})
        assert report["created"] == 300

    def export(self, **more: Any) -> dict[str, Any]:
        body = json.dumps({"export": {"name": "Umzug", "search": {}, "json": True}, **more}).encode()
        made = self.call("PUT", "export", body, **{"Content-Type": "application/json"})
        number = made["export"]["_id"]
        self.call("POST", f"export/{number}/start")
        until = time.monotonic() + PATIENCE
        while (found := self.call("GET", f"export/{number}"))["_state"] in ("pending", "processing"):
            assert time.monotonic() < until, found["_state"]
            time.sleep(0.1)
        return found


@pytest.fixture
def person(data: Path) -> Iterator[Person]:  # noqa: F811
    system = Up(data, "--no-demo").await_ready()
    password = (data / "admin-password").read_text().strip()
    yield Person(f"http://127.0.0.1:{system.port}", "admin", password)
    system.process.terminate()
    system.process.wait(PATIENCE)


def curl(url: str, target: Path, *options: str) -> None:
    subprocess.run(["curl", "-fsS", *options, "-o", target, url], check=True, timeout=PATIENCE)


def test_a_person_takes_everything_along(person: Person, tmp_path: Path) -> None:
    person.fill("haus")
    packers = ("zip", "tar", "tar_gz", "tar_bz2")
    transports = [{"type": "download", "packer": packer} for packer in packers]
    found = person.export(_transports=transports)
    assert found["_state"] == "done"
    assert {each["path"] for each in found["_files"]} == {*FILES, "documents/letter.json"}

    offered = {urllib.parse.unquote(file["url"]): file for each in found["_downloads"] for file in each["_files"]}
    archives = {}
    for url, file in offered.items():
        link = f"{person.base}/api/v1/export/{found['export']['_id']}/download/{urllib.parse.quote(url)}"
        whole = tmp_path / url.rpartition("/")[2]
        curl(link, whole)
        assert whole.stat().st_size == file["size"]
        resumed = tmp_path / f"resumed {whole.name}"
        resumed.write_bytes(whole.read_bytes()[: file["size"] // 3])
        curl(link, resumed, "-C", "-")
        assert resumed.read_bytes() == whole.read_bytes()
        in_parts = ["aria2c", "-q", "-x4", "-s4", "-k1M", "--no-conf", "-d", tmp_path / "parts", "-o", whole.name, link]
        subprocess.run(in_parts, check=True, timeout=PATIENCE)
        assert (tmp_path / "parts" / whole.name).read_bytes() == whole.read_bytes()
        archives[whole.name.partition(".")[2]] = whole

    assert set(archives) == {"zip", "tar", "tar.gz", "tar.bz2"}
    for extension, archive in archives.items():
        for judge in (judge for judge in JUDGES if extension.replace(".", "_") in judge.formats):
            folder = tmp_path / "unpacked" / extension / judge.name
            folder.mkdir(parents=True)
            judge.called().extract(archive, folder)
            compare(folder, judge)


def compare(folder: Path, judge: Judge) -> None:
    for number, (path, content) in enumerate(FILES.items()):
        found = folder / path
        assert found.read_bytes() == content, (judge.name, path)
        if judge.name == "python" and folder.parent.name == "zip":
            continue  # zipfile restores no times; `tests/engine` reads them from its directory
        assert int(found.stat().st_mtime) == int((START + timedelta(days=number * 37)).timestamp()), (judge.name, path)
    assert json.loads((folder / "documents/letter.json").read_bytes())["count"] == 300
    listed = json.loads((folder / "manifest.json").read_bytes())
    assert {each["name"] for each in listed["entries"]} == {*FILES, "documents/letter.json"}
    assert listed["missing"] == []
