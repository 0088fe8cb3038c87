"""A cell's content comes into another by the cell API, as its clients do it: HTTP alone, a real server and worker."""

import json
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import Any, NamedTuple

from tests.journey.test_journey import FILES, Person, person  # noqa: F401 (a fixture)
from tests.journey.test_up import PATIENCE, data  # noqa: F401 (a fixture)

BEFORE = b"what was here before"


class Answer(NamedTuple):
    status: int
    headers: Any
    body: bytes


class Client:
    """Calls one cell, with the token that it gave for the password."""

    def __init__(self, base: str, cell: str, login: str, password: str) -> None:
        self.root, self.token = f"{base}/{cell}/", ""
        form = {"grant_type": "password", "username": login, "password": password}
        given = self.call("POST", "__token", urllib.parse.urlencode(form).encode())
        self.token = json.loads(given.body)["access_token"]

    def call(self, method: str, path: str, body: bytes | dict[str, Any] | None = None) -> Answer:
        content = json.dumps(body).encode() if isinstance(body, dict) else body
        request = urllib.request.Request(self.root + path, content, method=method)
        if self.token:
            request.add_header("Authorization", f"Bearer {self.token}")
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return Answer(answer.status, answer.headers, answer.read())
        except urllib.error.HTTPError as error:
            return Answer(error.code, error.headers, error.read())

    def until_ready(self, path: str, **running: str) -> list[int]:
        """The percentages that were told meanwhile."""
        seen, until = [], time.monotonic() + PATIENCE
        while (told := json.loads(self.call("GET", path).body)) != {"status": "ready"}:
            assert running.items() <= told.items() and time.monotonic() < until, told
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", told["started_at"])
            seen.append(int(told["progress"].removesuffix("%")))
            time.sleep(0.02)
        return seen


def held(person: Person, cell: str) -> dict[str, Any]:  # noqa: F811
    """What v1 shows of it; not the times of folders, which do not travel (FORMAT.md)."""
    listed = person.call("GET", f"cell/{cell}/files?recursive=true")["objects"]
    for each in listed:
        del each["mtime" if each["type"] == "folder" else "version"]
    request = urllib.request.Request(f"{person.base}/api/v1/cell/{cell}/documents")
    request.add_header("X-Easydb-Token", person.token)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return {"files": listed, "documents": answer.read().splitlines()}


def test_export_fetch_lay_down_import_undo(person: Person, data) -> None:  # noqa: F811
    """Seeds 000, 001, 002: "export", "status", "import" between two cells of one server."""
    password = (data / "admin-password").read_text().strip()
    person.fill("haus")
    person.call("POST", "cell", b'{"name": "neu"}', **{"Content-Type": "application/json"})
    person.call("PUT", "cell/neu/files/old/own.txt", BEFORE)
    whole, before = held(person, "haus"), held(person, "neu")
    assert len(whole["documents"]) == 300 and {*FILES} < {each["path"] for each in whole["files"]}
    source, target = (Client(person.base, cell, "admin", password) for cell in ("haus", "neu"))

    accepted = source.call("POST", "__export", {"Name": "umzug"})
    assert (accepted.status, accepted.body) == (202, b"")
    assert accepted.headers["Location"].endswith("/haus/__export")
    seen = source.until_ready("__export", status="exportation in progress", exportation_name="umzug")
    assert seen == sorted(seen)
    archive = source.call("GET", "__snapshot/umzug.zip")
    assert (archive.status, archive.headers["Content-Length"]) == (200, str(len(archive.body)))

    assert target.call("POST", "__import", {"Name": "kam"}).status == 404
    assert held(person, "neu") == before
    assert target.call("PUT", "__snapshot/kam.zip", archive.body).status == 201
    accepted = target.call("POST", "__import", {"Name": "kam"})
    assert (accepted.status, accepted.body) == (202, b"")
    seen = target.until_ready("__import", status="importation in progress", importation_name="kam")
    assert seen == sorted(seen)
    assert held(person, "neu") == whole
    for path, content in FILES.items():
        assert person.call("GET", f"cell/neu/files/{urllib.parse.quote(path)}") == content

    assert target.call("POST", "__import/undo").status == 204
    assert held(person, "neu") == before
    assert person.call("GET", "cell/neu/files/old/own.txt") == BEFORE
    assert held(person, "haus") == whole
