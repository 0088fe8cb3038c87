"""Archives by passkey: `spec/v1.md §4.6, §5.11, §9.2`; seed 003 "Download files from an Export"."""

import random
import re
import zipfile
from urllib.parse import unquote

import pytest

from cells.models import Cell
from exports.models import Event, Run
from exports.services import retention
from tests.clients import V1, content
from tests.factories import put_files
from tests.spec.v1.asking import answer, created, id_of, refused, run
from tests.spec.v1.packed import FILES, got, path_to, untarred, unzipped, url

pytestmark = pytest.mark.django_db(transaction=True)


def test_the_default_archives_are_offered_by_passkey_to_anybody(as_nobody: V1, done: dict) -> None:
    """§4.6: default zip and tar; §5.11: anonymous; URLs relative, beginning with the passkey; true sizes."""
    assert len(done["_downloads"]) == 2
    for item, ending, unpack in zip(done["_downloads"], (".zip", ".tar"), (unzipped, untarred), strict=True):
        [file] = item["_files"]
        passkey, _, name = file["url"].partition("/")
        assert re.fullmatch(r"[\w-]{22,}", passkey)
        assert name == f"press{ending}"
        response = as_nobody.get(path_to(done, f"/download/{file['url']}"))
        assert int(response.headers["Content-Length"]) == file["size"]
        found = unpack(got(response))
        assert {path: data for path, data in found.items() if path in FILES} == FILES


def test_a_token_is_ignored_on_downloads(as_nobody: V1, done: dict) -> None:
    """§5.11: even a wrong one."""
    assert got(as_nobody.get(f"{url(done, '.zip')}?token=wrong", HTTP_AUTHORIZATION="Bearer wrong"))


def test_a_download_survives_renaming_and_running_again(as_alice: V1, as_nobody: V1, done: dict, cell: Cell) -> None:
    """Seed: "The URL for a downloadable file will be persistent over the lifetime of an export"; §5.11."""
    old = url(done, ".zip")
    answer(as_alice.post(path_to(done), {"export": {"name": "week"}}))
    refused(as_nobody.get(old), 400, "error.api.generic")
    response = as_nobody.get(f"{old}?disposition=attachment")
    assert (response.status_code, response.headers["Location"]) == (302, "/#server_error:export.not.done")
    put_files(cell, {"new.txt": b"new"})
    again = run(as_alice, done)
    assert url(again, ".zip") == old.replace("press", "week")
    assert unzipped(got(as_nobody.get(old)))["new.txt"] == b"new"


def test_a_run_that_fails_takes_nothing_away(as_alice: V1, as_nobody: V1, done: dict) -> None:
    """Design decision 2: a failed night never takes yesterday's archive away."""
    answer(as_alice.post(path_to(done, "/start")))
    failed = answer(as_alice.post(path_to(done, "/stop")))
    assert failed["_state"] == "failed"
    assert failed["_files"] == done["_files"]
    assert failed["_downloads"] == done["_downloads"]
    assert got(as_nobody.get(url(done, ".zip")))


def test_an_expired_export_offers_nothing(as_alice: V1, as_nobody: V1, done: dict) -> None:
    """§6.2: files deleted, `_files` empty."""
    retention.run_expire(Run.objects.get())
    expired = answer(as_alice.get(path_to(done)))
    assert expired["_state"] == "expired"
    assert expired["_files"] == expired["_downloads"] == []
    refused(as_alice.get(path_to(done, "/zip")), 400, "error.api.generic")
    refused(as_nobody.get(url(done, ".zip")), 400, "error.api.generic")
    assert run(as_alice, done)["_state"] == "done"
    assert got(as_nobody.get(url(done, ".zip")))


@pytest.mark.parametrize("query", ["", "?disposition=attachment", "?disposition=nonsense"])
def test_an_invalid_passkey_always_redirects_and_says_nothing_more(as_alice: V1, done: dict, query: str) -> None:
    """C8, C9: whether or not the export exists, is done, or belongs to the caller."""
    right = url(done, ".zip")
    passkey = right.split("/")[3]
    other = created(as_alice)
    for path in (
        right.replace(passkey, "wrong"),
        right.replace(passkey, passkey[:-1]),
        right.replace(passkey, "p%C3%A4sskey"),
        right.replace(f"export/{id_of(done)}/", f"export/{id_of(other)}/"),
        right.replace(f"export/{id_of(done)}/", "export/999999/"),
        right.replace(f"export/{id_of(done)}/", f"export/{2**63}/"),
        right.replace(f"export/{id_of(done)}/", "export/x/"),
    ):
        response = as_alice.get(path + query)
        assert (response.status_code, response.headers["Location"]) == (302, "/#server_error:export.invalid.passkey")
        assert content(response) == b""


def test_a_deleted_export_has_an_invalid_passkey(as_alice: V1, as_nobody: V1, done: dict) -> None:
    """§5.5."""
    answer(as_alice.delete(path_to(done)))
    response = as_nobody.get(url(done, ".zip"))
    assert response.headers["Location"] == "/#server_error:export.invalid.passkey"


def test_an_archive_that_is_not_offered(as_nobody: V1, done: dict) -> None:
    """§5.11: a part number beyond the existing ones, an unknown pattern: 400, or 302 `export.file.not.found`."""
    for name in ["press.2.zip", "press.rar", "press", "readme.txt", "press.tar.bz2", "press.1.tar"]:
        path = url(done, "/press.zip").replace("press.zip", name)
        refused(as_nobody.get(path), 400, "error.api.generic")
        response = as_nobody.get(f"{path}?disposition=attachment")
        assert response.headers["Location"] == "/#server_error:export.file.not.found"


@pytest.mark.parametrize(
    ("packer", "name", "unpack"),
    [
        ("zip", "press.zip", unzipped),
        ("tar", "press.tar", untarred),
        ("tar_gz", "press.tar.gz", untarred),
        ("tar_bz2", "press.tar.bz2", untarred),
        ("zip_2gb", "press.zip", unzipped),
    ],
)
def test_each_packer_of_a_download_transport(as_alice: V1, as_nobody: V1, cell, packer: str, name: str, unpack) -> None:
    """§9.2, §9.3: builds the archives and fills `_download._files`."""
    export = run(as_alice, created(as_alice, name="press", _transports=[{"type": "download", "packer": packer}]))
    [transport] = export["_transports"]
    assert transport["_state"] == "done"
    [file] = transport["_download"]["_files"]
    assert file["url"].endswith(f"/{name}")
    response = as_nobody.get(path_to(export, f"/download/{file['url']}?disposition=attachment"))
    assert response.headers["Content-Disposition"] == f'attachment; filename="{name}"'
    body = got(response)
    assert len(body) == file["size"]
    assert {path: data for path, data in unpack(body).items() if path in FILES} == FILES
    assert {"_files": [file]} in export["_downloads"]


def test_parts_are_numbered_from_one_and_hold_everything(as_alice: V1, as_nobody: V1, cell: Cell) -> None:
    """§9.2: more than one part `<name>.<k>.zip`; 10 MB of input each."""
    big = {f"big/{number}": random.Random(number).randbytes(6_000_000) for number in range(3)}
    put_files(cell, big)
    transports = [{"type": "download", "packer": packer} for packer in ("zip_10mb", "zip", "zip_2gb")]
    export = run(as_alice, created(as_alice, name="press", _transports=transports))
    split, whole, _ = export["_transports"]
    found: dict[str, bytes] = {}
    for number, file in enumerate(split["_download"]["_files"], 1):
        assert re.search(rf"/press(\.zip_10mb)?\.{number}\.zip$", file["url"])
        found |= unzipped(got(as_nobody.get(path_to(export, f"/download/{file['url']}"))))
    assert number >= 3
    expected = FILES | big
    assert {path: data for path, data in found.items() if path in expected} == expected
    [file] = whole["_download"]["_files"]
    everything = unzipped(got(as_nobody.get(path_to(export, f"/download/{file['url']}"))))
    assert {path: data for path, data in everything.items() if path in expected} == expected


def test_a_transport_without_packer_lists_single_files(as_alice: V1, as_nobody: V1, cell: Cell) -> None:
    """§9.2 packer null; §5.11: "for transports without packer a relative file path"."""
    export = run(as_alice, created(as_alice, name="press", _transports=[{"type": "download", "packer": None}]))
    [transport] = export["_transports"]
    files = transport["_download"]["_files"]
    assert len(files) == len(export["_files"])
    found = {}
    for file in files:
        path = unquote(file["url"].partition("/")[2].partition("?")[0])
        found[path] = got(as_nobody.get(path_to(export, f"/download/{file['url']}")))
        assert len(found[path]) == file["size"]
    assert {path: data for path, data in found.items() if path in FILES} == FILES


def test_a_stored_archive_is_left_to_the_proxy(as_alice: V1, as_nobody: V1, cell: Cell, settings, store) -> None:
    """Design §4.10: an empty body with X-Accel-Redirect for what is stored; computed archives are sent by us."""
    settings.ACCEL_REDIRECT = "/stored/"
    export = run(as_alice, created(as_alice, name="press", _transports=[{"type": "download", "packer": "zip"}]))
    response = as_nobody.get(f"{url(export, '.zip')}?disposition=attachment")
    assert content(response) == b""
    where = response.headers["X-Accel-Redirect"]
    assert where.startswith("/stored/volumes/")
    assert zipfile.is_zipfile(store / unquote(where.removeprefix("/stored/")))
    assert response.headers["Content-Disposition"] == 'attachment; filename="press.zip"'
    assert response.headers["Content-Type"] == "application/zip"
    assert untarred(got(as_nobody.get(url(export, ".tar"))))
    assert "X-Accel-Redirect" not in as_alice.get(path_to(export, "/file/readme.txt")).headers


def test_a_nul_in_the_name_of_a_download_is_no_error_of_ours(as_nobody: V1, done: dict) -> None:
    """§5.11: an unknown file name is 400, or 302 with a disposition; and nothing was fetched."""
    passkey = url(done, ".zip").rpartition("/")[0]
    for name in ("%00.zip", "press.zip%00", "a%00.tar"):
        refused(as_nobody.get(f"{passkey}/{name}"), 400, "error.api.generic")
        redirected = as_nobody.get(f"{passkey}/{name}?disposition=attachment")
        assert (redirected.status_code, redirected.headers["Location"]) == (302, "/#server_error:export.file.not.found")
    assert not Event.objects.filter(type="DOWNLOAD_EXPORT").exists()


def test_fylrs_uuid_is_our_passkey(as_nobody: V1, as_bob: V1, done: dict) -> None:
    """§5.10: "`/export/<id>/uuid/<uuid>/(zip|tar_gz|file)/...` where `<uuid>` … grants anonymous access"; "alias:
    `uuid` = our passkey"."""
    passkey = url(done, ".zip").split("/download/")[1].partition("/")[0]
    by_uuid = path_to(done, f"/uuid/{passkey}")
    assert got(as_nobody.get(f"{by_uuid}/file/readme.txt")) == FILES["readme.txt"]
    assert unzipped(got(as_bob.get(f"{by_uuid}/zip"))) == FILES
    assert untarred(got(as_nobody.get(f"{by_uuid}/tar_gz/photos/2024/"))) == {
        "2024/a+b #1?.txt": b"plus", "2024/empty": b"",
    }  # fmt: skip
    assert Event.objects.filter(type="DOWNLOAD_EXPORT", user=None).count() == 3  # a token is ignored
    before = Event.objects.count()
    for wrong in (f"/uuid/{passkey[:-1]}/zip", f"/uuid/x{passkey}/file/readme.txt", "/uuid/0/tar_gz/"):
        response = as_nobody.get(path_to(done, wrong))
        assert (response.status_code, response.headers["Location"]) == (302, "/#server_error:export.invalid.passkey")
    assert Event.objects.count() == before
