"""An export of real content, and reading what comes out of it."""

import io
import random
import tarfile
import zipfile

from tests.clients import content
from tests.spec.v1.asking import id_of

FILES = {
    "readme.txt": b"hello, world\n" * 1000,
    "photos/Füße 100%.jpg": random.Random(1).randbytes(70_000),
    "photos/2024/a+b #1?.txt": b"plus",
    "photos/2024/empty": b"",
    "holiday.zip": b"not really a zip",
    "page.html": b"<script>alert(1)</script>",
}


def path_to(export: dict, rest: str = "") -> str:
    return f"export/{id_of(export)}{rest}"


def url(export: dict, packer_end: str) -> str:
    """The download URL that ends so, below `export/<id>/download/`."""
    [found] = [
        file["url"] for item in export["_downloads"] for file in item["_files"] if file["url"].endswith(packer_end)
    ]
    return path_to(export, f"/download/{found}")


def unzipped(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist() if not name.endswith("/")}


def untarred(data: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return {member.name: archive.extractfile(member).read() for member in archive if member.isfile()}


def got(response) -> bytes:
    body = content(response)
    assert response.status_code == 200, body[:300]
    return body
