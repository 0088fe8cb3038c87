"""`spec/cell.md §5–§7`: accepting an export, its status, its result."""

import re
from datetime import UTC, datetime

import pytest
import time_machine
from django.contrib.auth.models import User

from cells.models import Cell, SnapshotFile
from exports.models import Run
from exports.services import lifecycle, retention, running, snapshots
from exports.states import RunState
from tests.factories import make_cell, put_documents, put_file, put_files
from tests.spec.cell.asking import CellClient, answer, content, empty, exported, refused

pytestmark = pytest.mark.django_db
#: For those that run an export, which reads through a connection of its own.
committed = pytest.mark.django_db(transaction=True)
FIELD = "Field [Name] format error. Must be [^[a-zA-Z0-9-_]{1,192}$]."


def test_202_no_body_no_content_type_and_where_to_ask(cell: Cell, as_alice: CellClient) -> None:
    """§5.3: "`202 Accepted`, **no body, no Content-Type**", `Location: {CellURL}__export`."""
    response = empty(as_alice.post("/cell1/__export", {"Name": "backup-1"}), 202)
    assert response.headers["Location"] == "https://unit.example/cell1/__export"


def test_in_progress_and_0_percent_are_persisted_before_the_202(cell: Cell, as_alice: CellClient) -> None:
    """§6 [R]: "persist "exportation in progress / 0%" before sending the 202"."""
    as_alice.post("/cell1/__export", {"Name": "backup-1"})
    told = answer(as_alice.get("/cell1/__export"))
    assert list(told) == ["status", "started_at", "progress", "exportation_name"]
    assert told | {"started_at": ""} == {
        "status": "exportation in progress", "started_at": "", "progress": "0%", "exportation_name": "backup-1",
    }  # fmt: skip
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", told["started_at"])


def test_started_at_always_has_exactly_three_digits(cell: Cell, as_alice: CellClient) -> None:
    with time_machine.travel(datetime(2021, 2, 3, 4, 5, 6, 7999, tzinfo=UTC), tick=False):
        snapshots.snapshot_start(cell=cell, name="x")
    assert answer(as_alice.get("/cell1/__export"))["started_at"] == "2021-02-03T04:05:06.007Z"


def test_the_progress_is_floor_of_done_over_total(cell: Cell, as_alice: CellClient) -> None:
    """§6: "`floor(done*100/total)`, (0 when total is 0)"."""
    as_alice.post("/cell1/__export", {"Name": "x"})
    Run.objects.update(bytes_done=819, bytes_planned=1000)
    assert answer(as_alice.get("/cell1/__export"))["progress"] == "81%"


@committed
def test_the_progress_moves_while_the_cell_is_read(alice: User, as_alice: CellClient, monkeypatch) -> None:
    """§6: "`total` for export = number of all stored OData documents of the cell […] + number of regular files"; issue
    4 point 7: "Progress moves honestly"."""
    monkeypatch.setattr("exports.services.progress.BEAT_SECONDS", 0)
    monkeypatch.setattr("exports.services.running.TICK_ENTRIES", 1)
    monkeypatch.setattr("cells.frozen.PIECE_BYTES", 1)
    cell = make_cell(alice, "many")
    put_documents(cell, [("note", str(n), {"n": n}) for n in range(30)])
    put_files(cell, {f"{n}.txt": b"x" for n in range(10)})
    run, told = snapshots.snapshot_start(cell=cell, name="x"), []
    running.run_export(
        run_id=run.pk,
        watch=lambda phase, done, planned: told.append((phase, answer(as_alice.get("/many/__export"))["progress"])),
    )
    shown = [int(percent.removesuffix("%")) for _, percent in told]
    assert shown == sorted(shown)
    read = {percent for (phase, _), percent in zip(told, shown, strict=True) if phase == "freeze"}
    assert len(read) >= 40 and max(read) == 50


@committed
def test_ready_before_and_after(cell: Cell, as_alice: CellClient) -> None:
    """§6: "idle, never exported, or last export finished: `{"status":"ready"}` — no other members"."""
    assert answer(as_alice.get("/cell1/__export")) == {"status": "ready"}
    exported(as_alice, cell, "backup-1")
    assert answer(as_alice.get("/cell1/__export")) == {"status": "ready"}
    assert [file.name for file in SnapshotFile.objects.all()] == ["backup-1.zip"]


@pytest.mark.parametrize("body", [None, b"", {}, {"Name": None}, {"name": "x", "other": [1]}])
def test_without_a_name_it_tells_the_second_in_utc(body, cell: Cell, alice) -> None:
    """§5.1: default `{CellName}_yyyyMMdd_HHmmss`, UTC; unknown keys are ignored."""
    with time_machine.travel(datetime(2024, 3, 5, 1, 2, 3, tzinfo=UTC), tick=False):
        empty(CellClient(alice).post("/cell1/__export", body), 202)
    assert Run.objects.get().order["name"] == "cell1_20240305_010203"


@pytest.mark.parametrize("kind", ["", "application/x-www-form-urlencoded", "text/xml", "application/json; charset=x"])
def test_every_content_type_is_json(kind: str, cell: Cell, as_alice: CellClient) -> None:
    """§3.1: "*always treated as application/json whatever the header says*"."""
    empty(as_alice.call("POST", "/cell1/__export", b'{"Name":"CellExport_2017_01"}', kind), 202)
    assert Run.objects.get().order["name"] == "CellExport_2017_01"


@pytest.mark.parametrize("body", [b"{", b" ", b"\n\n", b"[]", b'"x"', b"1", b"null", b"\xff\xfe", b"{'Name':'x'}"])
def test_what_is_no_json_object_is_400(body: bytes, cell: Cell, as_alice: CellClient) -> None:
    """§5.1: 400 `PR400-CM-0004` "JSON parse error. [{raw body}]."; [R] for what is no object."""
    told = refused(as_alice.call("POST", "/cell1/__export", body), "PR400-CM-0004")
    shown = body.decode(errors="replace").replace("\n", "\\u000a")
    assert told["message"]["value"] == f"JSON parse error. [{shown}]."
    nothing_changed()


@pytest.mark.parametrize("name", ["", "x" * 193, "a b", "a.zip", "a/b", "ä", "a\n", 1, True, {}, [], 1.5])
def test_bad_names_are_400(name, cell: Cell, as_alice: CellClient) -> None:
    """§5.1: 1–192 characters, each `[A-Za-z0-9_-]`; [R] 400 for what is no string."""
    refused(as_alice.post("/cell1/__export", {"Name": name}), "PR400-CM-0002", FIELD)
    nothing_changed()


@pytest.mark.parametrize("name", ["x", "-", "_a", "x" * 192])
def test_good_names(name: str, cell: Cell, as_alice: CellClient) -> None:
    empty(as_alice.post("/cell1/__export", {"Name": name}), 202)


def nothing_changed() -> None:
    assert not Run.objects.exists() and not SnapshotFile.objects.exists()


@committed
def test_a_name_that_is_there_already_is_409_and_its_error_file_does_not_block(
    cell: Cell, as_alice: CellClient
) -> None:
    """§5.2: 409 `PR409-DV-0002`; "A file `{Name}.error` does **not** block"; it goes when the export is accepted."""
    exported(as_alice, cell, "twice")
    empty(as_alice.call("PUT", "/cell1/__snapshot/other.error", b"{}"), 201)
    before = list(Run.objects.values())
    refused(as_alice.post("/cell1/__export", {"Name": "twice"}), "PR409-DV-0002", "File [twice.zip] already exists.")
    assert list(Run.objects.values()) == before
    empty(as_alice.post("/cell1/__export", {"Name": "other"}), 202)
    refused(as_alice.get("/cell1/__snapshot/other.error"), "PR404-DV-0001")


def test_a_second_export_is_409_whatever_its_name_and_other_cells_are_independent(
    cell: Cell, as_alice: CellClient, alice
) -> None:
    """§5.2: `PR409-CM-0002` "Because [cell export] is being executed, …", whatever the name."""
    make_cell(alice, "cell2")
    empty(as_alice.post("/cell1/__export", {"Name": "one"}), 202)
    for body in ({"Name": "two"}, {"Name": "one"}, b"{"):
        refused(
            as_alice.post("/cell1/__export", body), "PR409-CM-0002",
            "Because [cell export] is being executed, writing to cell can not be done.",
        )  # fmt: skip
    assert Run.objects.count() == 1
    empty(as_alice.post("/cell2/__export"), 202)


def test_writes_of_the_cell_are_not_blocked_by_an_export(cell: Cell, as_alice: CellClient) -> None:
    """Issue 4 point 2 beats §10: the freeze needs no lock."""
    as_alice.post("/cell1/__export", {"Name": "one"})
    put_file(cell, "new.txt")
    empty(as_alice.call("PUT", "/cell1/__snapshot/other.zip", b"x"), 201)
    empty(as_alice.delete("/cell1/__snapshot/other.zip"), 204)


@committed
def test_the_reserved_file_cannot_be_seen_nor_taken(cell: Cell, as_alice: CellClient) -> None:
    """§7: "the reserved `{Name}.zip` must not be visible: GET/PROPFIND on it → 404; it is absent from depth 1"."""
    as_alice.post("/cell1/__export", {"Name": "one"})
    for method in ("GET", "PROPFIND", "DELETE"):
        refused(as_alice.call(method, "/cell1/__snapshot/one.zip", depth="0"), "PR404-DV-0001")
    assert b"one.zip" not in content(as_alice.propfind("/cell1/__snapshot", depth="1"))
    refused(as_alice.call("PUT", "/cell1/__snapshot/one.zip", b"mine"), "PR409-DV-0002")
    running.run_export(run_id=Run.objects.get().pk)
    assert content(as_alice.get("/cell1/__snapshot/one.zip")).startswith(b"PK")


@committed
def test_a_failed_export_leaves_an_error_file_in_the_seed_s_format(cell: Cell, as_alice: CellClient) -> None:
    """§7, seed 000: `.error` with code and message {lang, value}, application/json; no archive; status ready."""
    as_alice.post("/cell1/__export", {"Name": "one"})
    run = lifecycle.claim(run_id=Run.objects.get().pk)
    assert run is not None and lifecycle.run_fail(run)
    assert answer(as_alice.get("/cell1/__export")) == {"status": "ready"}
    response = as_alice.get("/cell1/__snapshot/one.error")
    assert answer(response) == {"code": "PR500-SV-0000", "message": {"lang": "en", "value": "Internal error."}}
    refused(as_alice.get("/cell1/__snapshot/one.zip"), "PR404-DV-0001")
    listed = content(as_alice.propfind("/cell1/__snapshot", depth="1")).decode()
    assert "one.error" in listed and "one.zip" not in listed
    assert f"<getcontentlength>{response.headers['Content-Length']}</getcontentlength>" in listed
    exported(as_alice, cell, "one")
    refused(as_alice.get("/cell1/__snapshot/one.error"), "PR404-DV-0001")


def test_an_error_file_is_overwritten_by_the_next_failure(cell: Cell, as_alice: CellClient) -> None:
    """§7 [R]: "overwrite the `.error`"."""
    for _ in range(2):
        as_alice.post("/cell1/__export", {"Name": "one"})
        lifecycle.run_stop(run=Run.objects.latest("pk"))
        assert answer(as_alice.get("/cell1/__snapshot/one.error"))["code"] == "PR500-SV-0000"
    assert SnapshotFile.objects.count() == 1


@committed
def test_the_snapshot_area_is_excluded_from_the_export(cell: Cell, as_alice: CellClient) -> None:
    """§7: "The snapshot area itself is **excluded** from the export [S0]"."""
    first = exported(as_alice, cell, "one")
    as_alice.call("PUT", "/cell1/__snapshot/large.zip", b"x" * 10_000)
    second = exported(as_alice, cell, "two")
    assert first.manifest_sha256 == second.manifest_sha256
    assert content(as_alice.get("/cell1/__snapshot/one.zip")) == content(as_alice.get("/cell1/__snapshot/two.zip"))


@committed
def test_a_snapshot_stays_until_it_is_deleted_from_the_area(cell: Cell, as_alice: CellClient) -> None:
    run = exported(as_alice, cell, "one")
    with time_machine.travel(datetime(2099, 1, 1, tzinfo=UTC)):
        assert retention.expire() == 0
        retention.sweep()
        assert Run.objects.get().state == RunState.DONE
    assert content(as_alice.get("/cell1/__snapshot/one.zip")).startswith(b"PK")
    Run.objects.update(last_read_at=None)
    empty(as_alice.delete("/cell1/__snapshot/one.zip"), 204)
    assert retention.expire() == 1
    run.refresh_from_db()
    assert run.state == RunState.EXPIRED and not run.volumes.exists()


@committed
def test_a_cell_renamed_before_its_export_begins_is_exported_all_the_same(cell: Cell, as_alice: CellClient) -> None:
    as_alice.post("/cell1/__export", {"Name": "one"})
    empty(as_alice.put("/__ctl/Cell('cell1')", {"Name": "renamed"}), 204)
    run = running.run_export(run_id=Run.objects.get().pk)
    assert run is not None and run.state == RunState.DONE
    assert answer(as_alice.get("/renamed/__export")) == {"status": "ready"}
    assert content(as_alice.get("/renamed/__snapshot/one.zip")).startswith(b"PK")
