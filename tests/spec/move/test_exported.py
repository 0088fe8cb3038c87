"""`spec/move.md §4.4–§4.10`: the manifest, the identifier, the parts and what is in them."""

import gzip
import json
import random
import time
from datetime import datetime, timedelta

import pytest
from django.test import Client
from django.utils import timezone

from cells import removing
from cells.models import Blob, Cell, File
from cells.writing import cell_delete, file_delete
from exports.errors import MoveMacInvalid
from exports.models import Import, MoveExport, Run
from exports.services import move_exports, retention, waiting
from exports.states import ImportState
from tests.clients import content
from tests.factories import MTIME, make_cell, put_documents, put_file
from tests.spec.move.asking import EMPTY, Move, exported, mailed, manifest, opaque_of, parts, plain, unzipped
from tests.spec.move.conftest import FILES

pytestmark = pytest.mark.django_db(transaction=True)
ALWAYS = {
    "domain", "parts_size", "parts_cursors", "parts_length", "with_doctypes", "without_files", "state", "created_at",
    "expires_at", "total_size", "creation_duration", "error",
}  # fmt: skip
KEY = b"2:" + bytes(range(64))
VECTOR = (
    "QUFBQUFHVlQ4UUE0Tm1SaVlqVTBObU5oTkRsbU1HVmtNV05sTUdFeFptWXdaREZpTVRWbE0zZkg5eE9uckhWX0ZOQmlGLXBRQUk4"
    "dzgycmYzYTFvdHVvcWVYaGo2VWZO"
)


def done(client: Move, **options) -> str:
    """The opaque identifier of a finished export."""
    exported(client, **options)
    return opaque_of(mailed())


def documents(part: bytes, doctype: str) -> dict[str, dict]:
    prefix = f"My Cozy/Data/{doctype}/"
    found = (json.loads(data) for info, data in unzipped(part) if info.filename.startswith(prefix))
    return {each["_id"]: each for each in found}


def test_the_manifest_of_a_finished_export(as_alice, as_nobody) -> None:
    """§4.5, DEC-4, DEC-5: "always emit"; §2.1: "`meta.rev` … A finished export has revision generation 2"."""
    opaque = done(as_alice, parts_size=10240, with_doctypes=[], without_files=False)
    response = as_nobody.get(f"move/exports/{opaque}")
    assert response.headers["Content-Type"] == "application/vnd.api+json"
    assert content(response).endswith(b"}\n") and response.headers["Vary"] == "Accept-Encoding"
    document = json.loads(content(response))
    assert document.keys() == {"data"} and document["data"].keys() == {"type", "id", "attributes", "meta"}
    data = document["data"]
    assert (data["type"], data["id"]) == ("io.cozy.exports", MoveExport.objects.get().uid)
    assert data["meta"]["rev"].startswith("2-")
    told = data["attributes"]
    assert told.keys() >= ALWAYS
    assert (told["parts_size"], told["with_doctypes"], told["without_files"]) == (10240, [], False)
    assert (told["state"], told["error"], told["domain"]) == ("done", "", "localhost:8000")
    assert told["parts_length"] == len(told["parts_cursors"]) + 1 > 1
    begun, ends = (datetime.fromisoformat(told[name]) for name in ("created_at", "expires_at"))
    assert ends - begun == timedelta(days=7) and begun.tzinfo
    assert told["creation_duration"] > 0


def test_the_manifest_is_compressed_for_whoever_takes_that(as_alice, as_nobody) -> None:
    response = as_nobody.get(f"move/exports/{done(as_alice)}", HTTP_ACCEPT_ENCODING="br, gzip")
    assert response.headers["Content-Encoding"] == "gzip"
    assert json.loads(gzip.decompress(content(response)))["data"]


def test_an_export_that_is_not_done_has_a_manifest_and_no_data(as_alice, as_nobody) -> None:
    """§4.4: "200 manifest, whatever the state"; DEC-15: "data of a non-done export: 404 before headers"."""
    as_alice.post("move/exports", EMPTY)
    opaque = move_exports.opaque(MoveExport.objects.select_related("run").get())
    told = manifest(as_nobody, opaque)
    assert told["meta"]["rev"].startswith("1-")
    told = told["attributes"]
    assert (told["state"], told["parts_cursors"], told["parts_length"]) == ("exporting", [], 0)
    assert (told["total_size"], told["creation_duration"], told["error"]) == (-1, 0, "")
    plain(as_nobody.get(f"move/exports/data/{opaque}"), 404, "exports: not found")


def test_the_identifier_is_made_as_the_old_server_makes_it() -> None:
    """§4.6: "Test vector"."""
    uid = "86dbb546ca49f0ed1ce0a1ff0d1b15e3"
    assert move_exports.opaque_make(uid, 1_700_000_000, KEY) == VECTOR
    assert move_exports.opaque_read(VECTOR, key=KEY, now=1_700_000_000) == uid
    assert move_exports.opaque_read(VECTOR, key=KEY, now=1_700_000_000 + 7 * 86400) == uid
    with pytest.raises(MoveMacInvalid):
        move_exports.opaque_read(VECTOR, key=KEY, now=1_700_000_001 + 7 * 86400)
    with pytest.raises(MoveMacInvalid):
        move_exports.opaque_read(VECTOR, key=KEY + b"x", now=1_700_000_000)


def test_an_identifier_that_was_touched_opens_nothing(as_alice, as_nobody) -> None:
    """§4.6: "outer layer undecodable → 400; everything else … → 401 `exports: invalid mac`"."""
    opaque = done(as_alice)
    chance = random.Random(3)
    for _ in range(60):
        at = chance.randrange(len(opaque))
        other = opaque[:at] + chance.choice("ABCxyz019-_".replace(opaque[at], "")) + opaque[at + 1 :]
        plain(as_nobody.get(f"move/exports/{other}"), 401, "exports: invalid mac")
    for other in (opaque[:8], opaque[:-4], opaque + "AAAA", "AAAA", "QQ=="):
        plain(as_nobody.get(f"move/exports/{other}"), 401, "exports: invalid mac")
    for other in (opaque[:-1], "$$$$", "a+b/", "AAA", "QR=="):
        response = as_nobody.get(f"move/exports/{other}")
        assert response.status_code in (400, 404), other
    plain(as_nobody.get(f"move/exports/{opaque[:-1]}"), 400, "illegal base64 data")


def test_an_identifier_opens_its_own_cell_only(as_alice, as_nobody, bob) -> None:
    make_cell(bob, "bobs")
    opaque = done(as_alice)
    assert as_nobody.get(f"alice/move/exports/{opaque}").status_code == 200
    plain(as_nobody.get(f"bobs/move/exports/{opaque}"), 401, "exports: invalid mac")
    MoveExport.objects.all().delete()
    plain(as_nobody.get(f"move/exports/{opaque}"), 404, "exports: not found")


def test_a_token_that_is_there_must_be_good(as_alice, as_nobody, alice, bob, cell, settings) -> None:
    """DEC-3: "if a token *is* presented it must be valid and carry GET on `io.cozy.exports`"."""
    opaque = done(as_alice)
    for path in (f"move/exports/{opaque}", f"move/exports/data/{opaque}"):
        assert as_alice.get(path).status_code == as_nobody.get(path).status_code == 200
        plain(as_nobody.get(path, HTTP_AUTHORIZATION="Bearer x"), 400, "Invalid JWT token")
        plain(Move(alice, cell=cell, scopes=("io.cozy.exports:POST",)).get(path), 403, "Forbidden")
        plain(Move(bob, cell=make_cell(bob, f"bob{len(path)}")).get(path), 403, "Forbidden")
        settings.MOVE_TOKEN_REQUIRED = True
        plain(as_nobody.get(path), 401, "No token in request")
        assert as_alice.get(path).status_code == 200
        settings.MOVE_TOKEN_REQUIRED = False


@pytest.mark.parametrize("max_age", [-1, 1, -(2**63)])
def test_an_export_may_expire_at_once(as_alice, as_nobody, max_age: int) -> None:
    """DEC-11: "accept, expires at once"; §4.4: `exports: has expired`."""
    opaque = done(as_alice, max_age=max_age)
    plain(as_nobody.get(f"move/exports/{opaque}"), 404, "exports: has expired")
    plain(as_nobody.get(f"move/exports/data/{opaque}"), 404, "exports: has expired")


@pytest.mark.parametrize(
    ("max_age", "seconds"), [(3600 * 10**9, 3600), (8 * 86400 * 10**9, 7 * 86400), (2**63 - 1, 7 * 86400)]
)
def test_an_export_is_kept_for_what_was_asked_and_a_week_at_most(as_alice, max_age: int, seconds: int) -> None:
    """§4.2.2."""
    export = exported(as_alice, max_age=max_age)
    assert move_exports.expires_at(export) - export.run.started_at == timedelta(seconds=seconds)
    assert export.run.expires_at == move_exports.expires_at(export)


def test_what_has_expired_is_removed(as_alice, as_nobody, store) -> None:
    """§4.10: "a periodic task deletes archives past `expires_at`"."""
    opaque = done(as_alice)
    run = Run.objects.get()
    assert list((store / "runs").iterdir())
    assert retention.expire(now=run.expires_at + timedelta(seconds=1)) == 1
    plain(as_nobody.get(f"move/exports/{opaque}"), 404, "exports: has expired")
    assert not list((store / "runs").iterdir())


def test_every_file_and_version_is_in_exactly_one_part_behind_its_document(as_alice, as_nobody, cell) -> None:
    """§0.2: "a file's bytes must be the entry **immediately after** its JSON document"; §4.8.2."""
    found = {}
    for number, part in enumerate(parts(as_nobody, done(as_alice, parts_size=6000))):
        entries = unzipped(part)
        if number:
            assert not any("instance.json" in info.filename for info, _ in entries)
        for (info, _), (before, document) in zip(entries[1:], entries, strict=False):
            if not info.filename.startswith("My Cozy/Files/"):
                continue
            told = json.loads(document)
            doctype = "io.cozy.files" if told.get("type") == "file" else "io.cozy.files.versions"
            assert before.filename == f"My Cozy/Data/{doctype}/{told['_id']}.json"
            data = {each.filename: held for each, held in entries}[info.filename]
            assert told["size"] == str(len(data))
            assert info.filename not in found
            found[info.filename] = data
            assert info.external_attr >> 16 == (0o100750 if told.get("executable") else 0o100640)
            assert info.date_time[:5] == MTIME.timetuple()[:5]
            assert info.compress_type in (0, 8) and not info.flag_bits & 1
        assert not any(info.is_dir() for info, _ in entries)
    versions = {name: data for name, data in found.items() if name.count("/") == 3 and "-" in name.rpartition("/")[2]}
    files = {name: data for name, data in found.items() if name not in versions}
    assert files == {f"My Cozy/Files/{path}": data for path, data in FILES.items()}
    assert sorted(versions.values()) == sorted([FILES["a.txt"], b"an older a\n"])


def test_documents_and_folders_are_in_the_first_part(as_alice, as_nobody) -> None:
    """§4.8.1: its order; "`total_size` = Σ of the byte lengths of exactly these JSON texts"."""
    opaque = done(as_alice, parts_size=1)
    first, *others = parts(as_nobody, opaque)
    names = [info.filename.removeprefix("My Cozy/Data/") for info, _ in unzipped(first)]
    assert names[:4] == ["instance.json", "io.cozy.apps/io.cozy.apps/drive.json", "io.cozy.contacts/c1.json",
                         "io.cozy.contacts/c2.json"]  # fmt: skip
    assert documents(first, "io.cozy.contacts")["c1"].items() >= {"_id": "c1", "name": "Zoë"}.items()
    folders = [each for each in documents(first, "io.cozy.files").values() if each["type"] == "directory"]
    assert [each["path"] for each in folders] == ["/", "/.cozy_trash", "/Documents", "/Documents/2024", "/Photos"]
    by_id = {each["_id"]: each for each in folders}
    assert {"io.cozy.files.root-dir", "io.cozy.files.trash-dir"} <= by_id.keys()
    for each in folders[1:]:
        above = by_id[each["dir_id"]]["path"].rstrip("/")
        assert each["path"] == f"{above}/{each['name']}"
    size = sum(
        len(data)
        for info, data in unzipped(first)
        if info.filename.startswith("My Cozy/Data/") and b'"type":"file"' not in data
    )
    assert manifest(as_nobody, opaque)["attributes"]["total_size"] == size
    assert not any("io.cozy.contacts" in info.filename for part in others for info, _ in unzipped(part))


def test_secrets_stay_unless_they_are_named(as_alice, as_nobody, alice) -> None:
    """DEC-6: "leave out … unless named in `with_doctypes`; never export `io.cozy.exports`"."""
    [part] = parts(as_nobody, done(as_alice))
    text = b"".join(data for _, data in unzipped(part))
    assert b"secret" not in text and b"e1.json" not in part
    instance = json.loads(unzipped(part)[0][1])
    assert instance.keys() <= {"_id", "domain", "locale", "password_defined", "disk_quota", "exportsite"}
    assert instance["exportsite"] == {"files": 4, "versions": 2}  # ours: nobody else tells that a part is missing
    [part] = parts(as_nobody, done(as_alice, with_doctypes=["io.cozy.sessions", "io.cozy.exports", "no.such"]))
    names = [info.filename.removeprefix("My Cozy/Data/") for info, _ in unzipped(part)]
    assert names == ["instance.json", "io.cozy.sessions/s1.json"]


def test_only_some_doctypes(as_alice, as_nobody) -> None:
    """§4.2.3: "not `io.cozy.files` … no splitting at all … if versions are selected they all go in part 0"."""
    [part] = parts(as_nobody, done(as_alice, with_doctypes=["io.cozy.contacts"], parts_size=1))
    assert documents(part, "io.cozy.contacts").keys() == {"c1", "c2"} and len(unzipped(part)) == 3
    [part] = parts(as_nobody, done(as_alice, with_doctypes=["io.cozy.files.versions"], parts_size=1))
    assert len(unzipped(part)) == 5


def test_without_files(as_alice, as_nobody) -> None:
    """§4.2.4: "no directory documents, no files, no versions, `parts_cursors: []`, `parts_length: 1`"; DEC-2."""
    opaque = done(as_alice, without_files=True)
    told = manifest(as_nobody, opaque)["attributes"]
    assert (told["without_files"], told["parts_cursors"], told["parts_length"]) == (True, [], 1)
    [part] = parts(as_nobody, opaque)
    assert not any("io.cozy.files" in info.filename for info, _ in unzipped(part))
    plain(as_nobody.get(f"move/exports/data/{opaque}?cursor=io.cozy.files/x"), 400, "export: cursor is invalid")


@pytest.mark.parametrize(
    "cursor",
    ["x", "io.cozy.files/", "io.cozy.contacts/c1", "instance", "../..", "%00", "io.cozy.files/io.cozy.files.root-dir"],
)
def test_an_unknown_cursor(as_alice, as_nobody, cursor: str) -> None:
    """§4.7: "Accepted only if it is exactly one of the document's `parts_cursors`"."""
    opaque = done(as_alice, parts_size=6000)
    plain(as_nobody.get(f"move/exports/data/{opaque}?cursor={cursor}"), 400, "export: cursor is invalid")


def test_the_download(as_alice, as_nobody) -> None:
    """§4.9, DEC-9: "quoted"; and what the old server could not: exact lengths, ranges, the same bytes at every time."""
    opaque = done(as_alice, parts_size=6000)
    cursors = manifest(as_nobody, opaque)["attributes"]["parts_cursors"]
    url = f"move/exports/data/{opaque}?cursor="
    for number, cursor in enumerate(["", *cursors]):
        response = as_nobody.get(url + cursor)
        whole = content(response)
        assert response.headers["Content-Type"] == "application/zip"
        assert response.headers["Content-Disposition"] == f'attachment; filename="My Cozy - part{number:03}.zip"'
        assert "frame-ancestors 'self'" in response.headers["Content-Security-Policy"]
        assert response.headers["X-Frame-Options"] == "SAMEORIGIN"
        assert int(response.headers["Content-Length"]) == len(whole)
        piece = as_nobody.get(url + cursor, HTTP_RANGE="bytes=100-299", HTTP_IF_RANGE=response.headers["ETag"])
        assert (piece.status_code, content(piece)) == (206, whole[100:300])
    assert content(as_nobody.get(f"{url}{cursors[0]}&cursor=nonsense")) == content(as_nobody.get(url + cursors[0]))
    single = as_nobody.get(f"move/exports/data/{done(as_alice)}")
    assert single.headers["Content-Disposition"] == 'attachment; filename="My Cozy.zip"'
    content(single)


def test_parts_that_are_fetched_later_show_the_same_moment(as_alice, as_nobody, cell: Cell) -> None:
    """DEC-13, and more; issue 5: "Frozen at export time: unlike the old server, parts downloaded days later show the
    same moment"."""
    opaque = done(as_alice, parts_size=6000)
    before = parts(as_nobody, opaque)
    put_file(cell, "a.txt", b"new")
    file_delete(cell=cell, path="Documents/b.bin")
    put_documents(cell, [("io.cozy.contacts", "c3", {})])
    assert parts(as_nobody, opaque) == before


def test_of_a_file_that_cannot_be_read_neither_document_nor_content_is_written(
    as_alice, as_nobody, cell, store
) -> None:
    """DEC-7; and the manifest and the mail say so, which the old server did not."""
    blob = Blob.objects.get(pk=File.objects.get(cell=cell, path="Photos/ü 100%.jpg").blob_id)
    with (store / "blobs" / blob.store_file).open("r+b") as file:
        file.seek(blob.offset)
        file.write(b"broken")
    exported(as_alice)
    text = mailed()
    assert "Not everything could be read" in text
    opaque = opaque_of(text)
    told = manifest(as_nobody, opaque)["attributes"]
    assert told["state"] == "done" and "2 of" in told["warnings"][0]
    [part] = parts(as_nobody, opaque)
    names = [info.filename for info, _ in unzipped(part)]
    files = [each for each in documents(part, "io.cozy.files").values() if each["type"] == "file"]
    assert sorted(each["name"] for each in files) == ["a.txt", "b.bin", "empty"]
    assert sum(name.startswith("My Cozy/Files/") for name in names) == 3 + 2
    for at, name in enumerate(names):
        if name.startswith("My Cozy/Files/"):
            assert names[at - 1].startswith("My Cozy/Data/io.cozy.files")


def test_hostile_ids_lead_nowhere_else_and_names_are_unique(as_alice, as_nobody, cell) -> None:
    ids = ["../../../etc/passwd", "a//b", ".", "x/../y", "A", "a", "é" * 200, "back\\slash", "a.json/b"]
    put_documents(cell, [("io.odd", each, {"n": number}) for number, each in enumerate(ids)])
    put_file(cell, "Documents/B.bin", b"twin")
    put_documents(cell, [("io.cozy.files", "mine", {"type": "nonsense"})])
    [part] = parts(as_nobody, done(as_alice))
    names = [info.filename for info, _ in unzipped(part)]
    assert len({name.casefold() for name in names}) == len(names)
    for name in names:
        assert not {"", ".", ".."} & set(name.split("/")) and "\\" not in name
        assert all(len(each.encode()) <= 255 for each in name.split("/"))
    assert documents(part, "io.odd").keys() == set(ids)
    assert documents(part, "exportsite.io.cozy.files").keys() == {"mine"}


def test_more_parts_than_a_manifest_can_list_are_refused(as_alice, as_nobody, monkeypatch) -> None:
    monkeypatch.setattr(move_exports, "MOST_PARTS", 3)
    export = exported(as_alice, parts_size=1)
    assert export.run.state == "failed" and "larger parts_size" in export.run.error["message"]
    assert "has failed" in mailed()
    told = manifest(as_nobody, move_exports.opaque(export))["attributes"]
    assert (told["state"], told["total_size"], told["parts_length"]) == ("error", -1, 0)
    assert told["error"] == export.run.error["message"]


def test_equal_content_gives_equal_parts(as_alice, as_nobody) -> None:
    """Design §2: an archive is a pure function of its plan."""
    first = parts(as_nobody, done(as_alice, parts_size=6000))
    assert parts(as_nobody, done(as_alice, parts_size=6000)) == first


def test_people_get_a_page_with_the_parts(as_alice, as_nobody) -> None:
    opaque = done(as_alice, parts_size=6000)
    page = as_nobody.get(f"move/downloads/{opaque}")
    assert page.status_code == 200 and page.headers["Referrer-Policy"] == "no-referrer"
    text = content(page).decode()
    for cursor in manifest(as_nobody, opaque)["attributes"]["parts_cursors"]:
        assert f"../exports/data/{opaque}?cursor={cursor}" in text
    assert "Part 1 of" in text
    assert as_nobody.get(f"move/downloads/{opaque}x").status_code == 400


def test_the_identifier_is_refused_after_a_week(as_alice, as_nobody, monkeypatch) -> None:
    """§4.6: "age at most 7 days from issue time"."""
    opaque = done(as_alice)
    later = time.time() + 7 * 86400 + 60
    monkeypatch.setattr(move_exports, "time", lambda: later)
    plain(as_nobody.get(f"move/exports/{opaque}"), 401, "exports: invalid mac")
    assert timezone.now() < MoveExport.objects.get().run.expires_at


def test_what_was_made_of_a_large_cell_goes_with_it_at_once(as_alice, as_nobody, alice, cell, monkeypatch) -> None:
    """Its rows go by and by; until then its links opened, and the page to wait on led to a cell called " 1"."""
    opaque = done(as_alice)
    Import.objects.create(cell=cell, owner=alice, source="file:x", state=ImportState.DONE, nudged_at=timezone.now())
    session, scope = Client(), waiting.Scope("", alice.pk, None)
    session.force_login(alice)
    assert [export.cell for export in waiting.exports_begun([scope])] == [cell.pk]
    monkeypatch.setattr(removing, "AT_ONCE", 1)
    cell_delete(cell=cell)
    assert MoveExport.objects.count() == 1
    for path in ("move/exports/{}", "move/exports/data/{}", "move/downloads/{}"):
        assert as_nobody.get(path.format(opaque)).status_code == 404
    assert waiting.exports_begun([scope]) == []
    page = session.get("/move/importing")
    assert page.status_code == 200 and f"/ {cell.pk}".encode() not in page.content
