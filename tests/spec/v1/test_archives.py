"""`zip[/<path>]` and `tar_gz[/<path>]`: `spec/v1.md §5.9, §5.10`; seed 003."""

from urllib.parse import quote

import pytest

from tests.clients import V1
from tests.spec.v1.asking import refused
from tests.spec.v1.packed import FILES, got, path_to, untarred, unzipped

pytestmark = pytest.mark.django_db(transaction=True)


def test_zip_of_everything(as_alice: V1, done: dict) -> None:
    """§5.9: without path the whole export; ours has a Content-Length."""
    for rest in ["", "/"]:
        response = as_alice.get(path_to(done, f"/zip{rest}"))
        assert response.headers["Content-Type"] == "application/zip"
        body = got(response)
        assert len(body) == int(response.headers["Content-Length"])
        assert {name: data for name, data in unzipped(body).items() if name in FILES} == FILES


@pytest.mark.parametrize(("archive", "unpack"), [("zip", unzipped), ("tar_gz", untarred)])
@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("photos", {"photos/Füße 100%.jpg", "photos/2024/a+b #1?.txt", "photos/2024/empty"}),
        ("photos/", {"photos/Füße 100%.jpg", "photos/2024/a+b #1?.txt", "photos/2024/empty"}),
        ("photos/2024", {"2024/a+b #1?.txt", "2024/empty"}),
        ("photos/2024/empty", {"empty"}),
        ("readme.txt", {"readme.txt"}),
    ],
)
def test_archives_of_a_folder_or_a_file(as_alice: V1, done: dict, archive: str, unpack, path: str, expected) -> None:
    """§5.9: for a folder what is below it, prefixed by its leaf name; for a file its leaf name. §5.10 the same."""
    found = unpack(got(as_alice.get(path_to(done, f"/{archive}/{quote(path)}"))))
    assert set(found) == expected
    folder = path.strip("/").rpartition("/")[0]
    for name, data in found.items():
        assert data == FILES[f"{folder}/{name}" if folder else name]


def test_names_of_archives(as_alice: V1, done: dict) -> None:
    """§5.9: export name, leaf of the path, always the extension."""
    for rest, name in [
        ("/zip?disposition=attachment", "press.zip"),
        ("/zip/photos?disposition=attachment", "press-photos.zip"),
        ("/zip/photos/2024?disposition=attachment", "press-2024.zip"),
        ("/zip/photos?filename=mine", "mine.zip"),
        ("/tar_gz?disposition=attachment", "press.tar.gz"),
        ("/tar_gz?filename=mine.tar.gz", "mine.tar.gz"),
    ]:
        response = as_alice.head(path_to(done, rest))
        assert response.headers["Content-Disposition"] == f'attachment; filename="{name}"'


def test_an_archive_of_what_is_not_there(as_alice: V1, done: dict) -> None:
    refused(as_alice.get(path_to(done, "/zip/absent")), 400, "error.api.generic")
    response = as_alice.get(path_to(done, "/zip/absent?disposition=attachment"))
    assert (response.status_code, response.headers["Location"]) == (302, "/#server_error:export.file.not.found")
