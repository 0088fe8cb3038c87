"""`spec/cell.md §8, §9`: accepting an import, its status, "import failed", and what we added."""

import io
import json
import re
import zipfile

import pytest

from cells.models import Cell, Document, SnapshotFile
from cells.reading import file_get, files_of
from exports.models import Import, ImportCheck, Run
from exports.services import import_checks, import_lifecycle, imports
from tests.factories import put_file
from tests.spec.cell.asking import CellClient, answer, content, empty, exported, refused

pytestmark = pytest.mark.django_db(transaction=True)
FAILED = "Cell status is [import failed]. Only Unit Level's APIs, CellImport and GetToken are executable."


@pytest.fixture
def snapshot(cell: Cell, as_alice: CellClient) -> bytes:
    exported(as_alice, cell, "backup-1")
    return content(as_alice.get("/cell1/__snapshot/backup-1.zip"))


def upload(client: CellClient, body: bytes, name: str = "up") -> None:
    assert client.call("PUT", f"/cell1/__snapshot/{name}.zip", body).status_code in (201, 204)


def changed(archive: bytes, **entries: bytes | None) -> bytes:
    """The archive with other contents for these stems of names, or without them."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(archive)) as old, zipfile.ZipFile(out, "w") as new:
        for info in old.infolist():
            stem = info.filename.rpartition("/")[2].partition(".")[0]
            if stem in entries and entries[stem] is None:
                continue
            new.writestr(info.filename, entries.get(stem, old.read(info)))
    return out.getvalue()


def imported(client: CellClient, name: str = "backup-1", **more: object) -> Import:
    empty(client.post("/cell1/__import", {"Name": name, **more}), 202)
    row = imports.run_import(import_id=Import.objects.latest("pk").pk)
    assert row is not None
    return row


def failed(client: CellClient, snapshot: bytes) -> None:
    upload(client, changed(snapshot, **{"70_userdata": b"{no json}\n"}), "bad")
    assert imported(client, "bad").state == "failed"


def test_202_and_where_to_ask(snapshot: bytes, as_alice: CellClient) -> None:
    """§8.1: "`202 Accepted`, no body, `Location: {CellURL}__import`"; seed 002."""
    response = empty(as_alice.post("/cell1/__import", {"Name": "backup-1"}), 202)
    assert response.headers["Location"] == "https://unit.example/cell1/__import"


def test_running_then_ready(cell: Cell, snapshot: bytes, as_alice: CellClient) -> None:
    """§8.2: the running document at once; `ready` when idle, "also after a successful import"."""
    assert answer(as_alice.get("/cell1/__import")) == {"status": "ready"}
    as_alice.post("/cell1/__import", {"Name": "backup-1"})
    told = answer(as_alice.get("/cell1/__import"))
    assert list(told) == ["status", "started_at", "progress", "importation_name"]
    assert told["status"] == "importation in progress" and told["importation_name"] == "backup-1"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", told["started_at"])
    assert told["progress"] == "0%"
    assert answer(as_alice.get("/cell1/__export")) == {"status": "ready"}
    row = imports.run_import(import_id=Import.objects.get().pk)
    assert row is not None and row.state == "done", row and row.error
    assert answer(as_alice.get("/cell1/__import")) == {"status": "ready"}


def test_the_cell_is_as_it_was_exported(cell: Cell, snapshot: bytes, as_alice: CellClient) -> None:
    put_file(cell, "box/a.txt", b"changed")
    put_file(cell, "new.txt")
    assert imported(as_alice).state == "done"
    cell.refresh_from_db()
    assert sorted(files_of(cell).values_list("path", flat=True)) == ["box", "box/a.txt"]
    assert file_get(cell=cell, path="box/a.txt").size == 3000
    assert Document.objects.get(cell=cell, generation=cell.generation).body == {"text": "hello"}


def test_export_import_export_is_the_identical_archive(cell: Cell, snapshot: bytes, as_alice: CellClient) -> None:
    """Issue 4: "Export → import → export gives the identical archive"; ours and an uploaded copy of it."""
    upload(as_alice, snapshot)
    for name in ("backup-1", "up"):
        assert imported(as_alice, name).state == "done"
        exported(as_alice, cell, f"again-{name}")
        assert content(as_alice.get(f"/cell1/__snapshot/again-{name}.zip")) == snapshot


@pytest.mark.parametrize("body", [None, b"", b"{", b"[]", b"1", b"null", b'"x"'])
def test_what_is_no_json_object_is_400(body, cell: Cell, as_alice: CellClient) -> None:
    """§8.1: "empty body → `[]` inside the brackets is empty"; [R] for what is no object."""
    shown = (body or b"").decode()
    refused(as_alice.call("POST", "/cell1/__import", body), "PR400-CM-0004", f"JSON parse error. [{shown}].")
    assert not Import.objects.exists()


@pytest.mark.parametrize(
    ("body", "code", "value"),
    [
        ({}, "PR400-CM-0001", "Required key [Name] missing."),
        ({"Name": None}, "PR400-CM-0001", "Required key [Name] missing."),
        ({"Name": 1}, "PR400-CM-0002", "Field [Name] format error. Must be [^[a-zA-Z0-9-_]{1,192}$]."),
        ({"Name": "a.zip"}, "PR400-CM-0002", "Field [Name] format error. Must be [^[a-zA-Z0-9-_]{1,192}$]."),
        ({"Name": "none"}, "PR404-DV-0001", "Resource not found. [none.zip]."),
        ({"Name": "only-error"}, "PR404-DV-0001", "Resource not found. [only-error.zip]."),
        ({"Name": "none", "Mode": "all"}, "PR400-CM-0002", None),
    ],
)
def test_bad_names(body, code: str, value: str | None, cell: Cell, as_alice: CellClient) -> None:
    """§8.1: "a `{Name}.error` does not count"."""
    as_alice.call("PUT", "/cell1/__snapshot/only-error.error", b"{}")
    refused(as_alice.post("/cell1/__import", body), code, value)
    assert not Import.objects.exists()


@pytest.mark.parametrize("cut", [None, 0, 100, -30])
def test_what_is_no_zip(cut: int | None, snapshot: bytes, as_alice: CellClient) -> None:
    """§8.1: "not a ZIP (random bytes, empty file, truncated)": 400 `PR400-MC-0004`, not the old server's 500."""
    upload(as_alice, b"garbage" * 99 if cut is None else snapshot[:cut])
    refused(
        as_alice.post("/cell1/__import", {"Name": "up"}), "PR400-MC-0004",
        "The specified snapshot file is not zip file.",
    )  # fmt: skip
    assert not Import.objects.exists()


@pytest.mark.parametrize(
    ("manifest", "code", "value"),
    [
        (None, "PR400-MC-0001", "[00_manifest.json] does not exist in the snapshot file."),
        (b"no json", "PR400-CM-0004", "JSON parse error. [no json]."),
        (b"{}", "PR400-MC-0003", "Version of the snapshot file is invalid. Expected [2] but was [null]."),
        (
            b'{"export_version":1}',
            "PR400-MC-0003",
            "Version of the snapshot file is invalid. Expected [2] but was [1].",
        ),
        (b'{"export_version":"2"}', "PR400-MC-0003", None),
        (b"[]", "PR400-MC-0003", None),
    ],
)
def test_the_manifest(manifest, code: str, value: str | None, snapshot: bytes, as_alice: CellClient) -> None:
    """§8.1, with its [R]."""
    upload(as_alice, changed(snapshot, **{"00_manifest": manifest}))
    refused(as_alice.post("/cell1/__import", {"Name": "up"}), code, value)
    assert not Import.objects.exists()
    assert answer(as_alice.get("/cell1/__export")) == {"status": "ready"}  # "they do not change the cell status"


@pytest.mark.parametrize("stem", ["00_cell", "10_box", "80_link", "70_userdata"])
def test_every_required_path(stem: str, snapshot: bytes, as_alice: CellClient) -> None:
    """§8.1: 400 `PR400-MC-0001`, "path like `10_odata/10_box.pjson` (no leading slash)"."""
    upload(as_alice, changed(snapshot, **{stem: None}))
    ending = "json" if stem == "00_cell" else "pjson"
    refused(
        as_alice.post("/cell1/__import", {"Name": "up"}), "PR400-MC-0001",
        f"[10_odata/{stem}.{ending}] does not exist in the snapshot file.",
    )  # fmt: skip
    assert not Import.objects.exists()


def test_a_failed_import_leaves_the_cell_and_gates_it(cell: Cell, snapshot: bytes, as_alice: CellClient) -> None:
    """§8.2, §9: the failed document; only unit level, `__token`, `__import` and DELETE on the root work."""
    failed(as_alice, snapshot)
    told = answer(as_alice.get("/cell1/__import"))
    assert list(told) == ["status", "started_at", "progress", "importation_name", "message"]
    assert told["status"] == "import failed" and told["importation_name"] == "bad"
    assert told["message"].keys() == {"code", "message"} and told["message"]["message"]["value"]
    cell.refresh_from_db()
    assert file_get(cell=cell, path="box/a.txt").size == 3000  # the old content is untouched
    for method, path in [
        ("GET", "/cell1"), ("PROPFIND", "/cell1"), ("GET", "/cell1/__export"), ("POST", "/cell1/__export"),
        ("PROPFIND", "/cell1/__snapshot"), ("GET", "/cell1/__snapshot/backup-1.zip"),
        ("PUT", "/cell1/__snapshot/x.zip"), ("DELETE", "/cell1/__snapshot/backup-1.zip"),
    ]:  # fmt: skip
        refused(as_alice.call(method, path, depth="0"), "PR409-CM-0001", FAILED)
    assert SnapshotFile.objects.filter(name="backup-1.zip").exists()
    assert CellClient().options("/cell1/__export").status_code == 200
    assert answer(as_alice.get("/__ctl/Cell('cell1')"))["d"]["results"]["Name"] == "cell1"
    form = b"grant_type=password&username=alice&password=alice's+password"
    assert answer(CellClient().call("POST", "/cell1/__token", form))["access_token"]


def test_the_gate_opens_with_the_next_successful_import(cell: Cell, snapshot: bytes, as_alice: CellClient) -> None:
    """§8.1: "Importing is permitted when … "import failed" (that is the way out)"; §8.2 [R]: running first."""
    failed(as_alice, snapshot)
    empty(as_alice.post("/cell1/__import", {"Name": "backup-1"}), 202)
    assert answer(as_alice.get("/cell1/__import"))["status"] == "importation in progress"
    refused(as_alice.get("/cell1/__export"), "PR409-CM-0001", FAILED)
    imports.run_import(import_id=Import.objects.latest("pk").pk)
    assert answer(as_alice.get("/cell1/__import")) == {"status": "ready"}
    assert answer(as_alice.get("/cell1/__export")) == {"status": "ready"}


def test_the_owner_dismisses_a_failure(snapshot: bytes, as_alice: CellClient) -> None:
    """Issue 4 point 4: `DELETE /{cell}/__import`, our extension."""
    refused(as_alice.delete("/cell1/__import"), "PR409-MC-0003")
    failed(as_alice, snapshot)
    empty(as_alice.delete("/cell1/__import"), 204)
    assert answer(as_alice.get("/cell1/__import")) == {"status": "ready"}
    assert answer(as_alice.get("/cell1/__export")) == {"status": "ready"}


def test_a_failed_cell_can_be_deleted(cell: Cell, snapshot: bytes, as_alice: CellClient) -> None:
    """§9: "4. DELETE on the cell root (recursive delete)"."""
    failed(as_alice, snapshot)
    empty(as_alice.delete("/cell1", x_personium_recursive="true"), 204)
    assert not Cell.objects.exists() and not Import.objects.exists()


def test_while_an_import_runs(cell: Cell, snapshot: bytes, as_alice: CellClient) -> None:
    """§10 and issue 4 point 2: a second job and writes of the area 409 `PR409-CM-0002` [cell import]; reads work."""
    as_alice.post("/cell1/__import", {"Name": "backup-1"})
    sentence = "Because [cell import] is being executed, writing to cell can not be done."
    for method, path, body in [
        ("POST", "/cell1/__export", {"Name": "x"}),
        ("POST", "/cell1/__import", {"Name": "backup-1"}),
        ("PUT", "/cell1/__snapshot/x.zip", b"x"),
        ("DELETE", "/cell1/__snapshot/backup-1.zip", None),
        ("PUT", "/__ctl/Cell('cell1')", {"Name": "y"}),
        ("DELETE", "/__ctl/Cell('cell1')", None),
    ]:
        refused(as_alice.call(method, path, body), "PR409-CM-0002", sentence)
    assert (Import.objects.count(), Run.objects.count(), SnapshotFile.objects.count()) == (1, 1, 1)
    assert content(as_alice.get("/cell1/__snapshot/backup-1.zip")) == snapshot
    put_file(cell, "new.txt")


def test_while_an_export_runs_no_import_begins(cell: Cell, snapshot: bytes, as_alice: CellClient) -> None:
    as_alice.post("/cell1/__export", {"Name": "second"})
    refused(
        as_alice.post("/cell1/__import", {"Name": "backup-1"}), "PR409-CM-0002",
        "Because [cell export] is being executed, writing to cell can not be done.",
    )  # fmt: skip
    assert not Import.objects.exists()


def test_check_tells_what_would_change_and_changes_nothing(cell: Cell, snapshot: bytes, as_alice: CellClient) -> None:
    """Issue 4 point 4: `?check=true` answers added, changed, removed, refused."""
    put_file(cell, "box/a.txt", b"changed")
    put_file(cell, "new.txt")
    told = answer(as_alice.post("/cell1/__import?check=true", {"Name": "backup-1"}))
    assert told["changed"]["paths"] == ["box/a.txt"] and told["removed"]["paths"] == ["new.txt"]
    assert told["added"]["count"] == told["refused"]["count"] == 0
    assert not Import.objects.exists()
    assert file_get(cell=cell, path="box/a.txt").size == 7
    refused(as_alice.post("/cell1/__import?check=maybe", {"Name": "backup-1"}), "PR400-CM-0002")


def test_a_check_of_a_large_archive_is_a_job(cell: Cell, snapshot: bytes, as_alice: CellClient, monkeypatch) -> None:
    """Issue 4 point 4, beyond what is read while somebody waits: 202, then the words of an import, then the report."""
    put_file(cell, "new.txt")
    wanted = answer(as_alice.post("/cell1/__import?check=true", {"Name": "backup-1"}))
    monkeypatch.setattr("exports.api.cell.imports.CHECKED_AT_ONCE", 10)
    assert answer(as_alice.get("/cell1/__import?check=true")) == {"status": "ready"}
    accepted = empty(as_alice.post("/cell1/__import?check=true", {"Name": "backup-1"}), 202)
    assert accepted.headers["Location"] == "https://unit.example/cell1/__import?check=true"
    told = answer(as_alice.get("/cell1/__import?check=true"))
    assert (told["status"], told["progress"], told["importation_name"]) == ("check in progress", "0%", "backup-1")
    assert answer(as_alice.get("/cell1/__import")) == {"status": "ready"}
    import_checks.run_check(check_id=ImportCheck.objects.get().pk)
    assert answer(as_alice.get("/cell1/__import?check=true")) == wanted
    assert not Import.objects.exists()


def test_undo_brings_the_former_content_back(cell: Cell, snapshot: bytes, as_alice: CellClient) -> None:
    """Issue 4 point 4: `POST /{cell}/__import/undo`."""
    refused(as_alice.post("/cell1/__import/undo"), "PR409-MC-0003")
    put_file(cell, "new.txt", b"mine")
    assert imported(as_alice).state == "done"
    cell.refresh_from_db()
    assert not files_of(cell).filter(path="new.txt").exists()
    empty(as_alice.post("/cell1/__import/undo"), 204)
    cell.refresh_from_db()
    assert files_of(cell).filter(path="new.txt").exists()


@pytest.mark.parametrize(("mode", "size"), [("replace", 3000), ("merge", 3000), ("skip", 7), ("keep_both", 7)])
def test_modes(mode: str, size: int, cell: Cell, snapshot: bytes, as_alice: CellClient) -> None:
    """Issue 4 point 4: "`merge`, `skip`, `keep_both`, chosen in the body (`"Mode"`)"."""
    put_file(cell, "box/a.txt", b"changed")
    put_file(cell, "new.txt")
    assert imported(as_alice, Mode=mode).state == "done"
    cell.refresh_from_db()
    assert file_get(cell=cell, path="box/a.txt").size == size
    assert files_of(cell).filter(path="new.txt").exists() == (mode != "replace")
    assert files_of(cell).filter(is_folder=False).count() == {"replace": 1, "keep_both": 3}.get(mode, 2)


def test_what_a_foreign_archive_holds_survives_the_round_trip(
    cell: Cell, snapshot: bytes, as_alice: CellClient
) -> None:
    """Issue 4 point 3: kept and written back; "Old password hashes are neither exported nor trusted"."""
    account = {
        "_index": "u0_ad", "_type": "Account", "_id": "ACCOUNT", "_source": {
            "c": "oldcell", "s": {"Name": "me", "Type": "basic"}, "p": 1, "u": 2,
            "h": {"HashedCredential": "secret", "HashAlgorithm": "scrypt", "HashAttributes": "n=1", "other": 1},
        },
    }  # fmt: skip
    upload(as_alice, changed(snapshot, **{"11_account": json.dumps(account).encode() + b"\n"}))
    row = imported(as_alice, "up")
    assert row.state == "done", row.error
    exported(as_alice, cell, "again")
    with zipfile.ZipFile(io.BytesIO(content(as_alice.get("/cell1/__snapshot/again.zip")))) as archive:
        (line,) = archive.read("10_odata/11_account.pjson").splitlines()
        own = json.loads(archive.read("10_odata/00_cell.json"))["_id"]
    told = json.loads(line)
    assert told["_id"] == "ACCOUNT" and told["_type"] == "Account"
    assert told["_source"]["s"] == {"Name": "me", "Type": "basic"} and told["_source"]["c"] == own
    assert told["_source"]["h"] == {"other": 1}


def test_a_lost_import_is_told_in_this_dialect(snapshot: bytes, as_alice: CellClient) -> None:
    empty(as_alice.post("/cell1/__import", {"Name": "backup-1"}), 202)
    row = import_lifecycle.claim(import_id=Import.objects.get().pk)
    assert row is not None and import_lifecycle.import_fail(row)
    told = answer(as_alice.get("/cell1/__import"))["message"]
    assert told == {"code": "PR500-SV-0000", "message": {"lang": "en", "value": "Internal error."}}


def test_the_importing_cell_keeps_its_own_id_name_owner_and_snapshot_area(
    snapshot: bytes, as_alice: CellClient, cell: Cell
) -> None:
    """§11.5: not in the snapshot: "the snapshot area, locks/progress, the cell id and name as identity (the importing
    cell keeps its own id, name, owner)"; "event logs"."""
    other = Cell.objects.create(name="cell2", owner=cell.owner)
    for name in ("up", "kept"):
        assert as_alice.call("PUT", f"/cell2/__snapshot/{name}.zip", snapshot).status_code == 201
    empty(as_alice.post("/cell2/__import", {"Name": "up"}), 202)
    assert imports.run_import(import_id=Import.objects.get().pk).state == "done"
    now = Cell.objects.get(name="cell2")
    assert (now.pk, now.owner) == (other.pk, cell.owner)
    assert set(files_of(now).values_list("path", flat=True)) == set(files_of(cell).values_list("path", flat=True))
    assert set(SnapshotFile.objects.filter(cell=now).values_list("name", flat=True)) == {"up.zip", "kept.zip"}
    with zipfile.ZipFile(io.BytesIO(snapshot)) as archive:
        names = archive.namelist()
        assert not [name for name in names if name.endswith((".pkeys", ".pauthhistory")) or "__snapshot" in name]
        assert b"EXPORT_" not in b"".join(map(archive.read, names))
