"""`_schedules` and incremental exports, over HTTP: `spec/v1.md §4.4, §5.4, §10, §11`, C12, C26."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cells.models import Cell
from exports.models import Event, Export, Run, Schedule
from exports.services import lifecycle, running, schedules
from exports.services.schedule_rows import FAILURES
from tests.clients import V1
from tests.factories import put_file
from tests.spec.v1.asking import answer, created, id_of, refused, run
from tests.spec.v1.packed import FILES

DAILY = {"hours": [3], "minutes": [0]}


def path_to(export: dict) -> str:
    return f"export/{id_of(export)}"


def fetched(client: V1, export: dict) -> dict:
    return answer(client.get(path_to(export)))


def tick(export: dict) -> datetime:
    """The moment of the export's next run, made now, and a tick at it."""
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    Schedule.objects.filter(export_id=id_of(export)).update(next_run_at=now)
    assert schedules.dispatch_due(now=now) == 1
    return now


def test_both_spellings_are_taken_and_the_table_s_is_given(as_alice: V1) -> None:
    """C12: "accept both spellings on input, output the table spelling"; C26: "accept both, any case; echo"."""
    given = [
        {"weekdays": ["Sunday", "MON"], "day_of_month": [1, 2], "hour": [3], "minute": [30], "timezone": "Asia/Tokyo"},
        {"days_of_month": [31], "hours": [0], "minutes": [59]},
        {},
    ]
    export = created(as_alice, name="nightly", _schedules=given)
    assert export["_schedules"] == [
        {
            "weekdays": ["Sunday", "MON"],
            "days_of_month": [1, 2],
            "hours": [3],
            "minutes": [30],
            "timezone": "Asia/Tokyo",
        },
        {"days_of_month": [31], "hours": [0], "minutes": [59]},
        {},
    ]
    assert fetched(as_alice, export) == export
    assert answer(as_alice.post(path_to(export), export | {"export": {}}))["_schedules"] == export["_schedules"]


@pytest.mark.parametrize("nothing", [None, []])
def test_null_and_an_empty_array_unschedule(as_alice: V1, nothing: Any) -> None:
    """§10: "Setting `_schedules` to null or `[]` unschedules"; §4.2: null by default."""
    export = created(as_alice, name="nightly", _schedules=[DAILY])
    assert export["_next_run_at"]
    updated = answer(as_alice.post(path_to(export), {"_schedules": nothing}))
    assert (updated["_schedules"], updated["_next_run_at"]) == (None, None)
    assert not Schedule.objects.exists()


def test_an_update_that_says_nothing_of_schedules_leaves_them(as_alice: V1) -> None:
    """§5.4: "only attributes present in the body change"."""
    export = created(as_alice, name="nightly", _schedules=[DAILY])
    updated = answer(as_alice.post(path_to(export), {"export": {"json": True}}))
    assert {key: updated[key] for key in ("_schedules", "_next_run_at")} == {
        key: export[key] for key in ("_schedules", "_next_run_at")
    }


def test_a_schedule_needs_a_name_that_was_given(as_alice: V1) -> None:
    """§5.4: "If, after applying the change, `_schedules` is non-empty and no explicit name exists → 400
    `error.user.export_name_required`, nothing saved"."""
    unnamed = created(as_alice)
    named = created(as_alice, name="nightly", _schedules=[DAILY])
    before = list(Export.objects.order_by("pk").values()), list(Schedule.objects.values())
    for method, path, body in (
        (as_alice.put, "export", {"export": {"search": {}}, "_schedules": [DAILY]}),
        (as_alice.put, "export", {"export": {"search": {}, "name": ""}, "_schedules": [{}]}),
        (as_alice.post, path_to(unnamed), {"_schedules": [DAILY]}),
        (as_alice.post, path_to(unnamed), {"export": {"name": unnamed["export"]["name"]}, "_schedules": [DAILY]}),
        (as_alice.post, path_to(named), {"export": {"name": ""}}),
    ):
        refused(method(path, body), 400, "error.user.export_name_required")
    assert (list(Export.objects.order_by("pk").values()), list(Schedule.objects.values())) == before
    answer(as_alice.post(path_to(unnamed), {"export": {"name": "now it has one"}, "_schedules": [DAILY]}))


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({}, "type_mismatch"),
        ("daily", "type_mismatch"),
        ([3], "type_mismatch"),
        ([{"hours": 3}], "type_mismatch"),
        ([{"hour": ["3"]}], "type_mismatch"),
        ([{"minutes": [True]}], "type_mismatch"),
        ([{"minute": [1.5]}], "type_mismatch"),
        ([{"weekdays": [1]}], "type_mismatch"),
        ([{"timezone": 1}], "type_mismatch"),
        ([{"hours": [24]}], "invalid_value"),
        ([{"minutes": [-1]}], "invalid_value"),
        ([{"day_of_month": [32]}], "invalid_value"),
        ([{"days_of_month": [0]}], "invalid_value"),
        ([{"weekdays": ["Montag"]}], "invalid_value"),
        ([{"weekdays": ["mo"]}], "invalid_value"),
        ([{"timezone": "Mars/Olympus"}], "invalid_value"),
        ([{"timezone": "../../etc/passwd"}], "invalid_value"),
        ([DAILY] * 101, "invalid_value"),
    ],
)
def test_a_bad_schedule_is_refused_and_nothing_is_saved(as_alice: V1, given: Any, fault: str) -> None:
    """§10: "Wrong type → `type_mismatch`; out of range or unknown weekday → `invalid_value`"."""
    body = {"export": {"search": {}, "name": "nightly"}, "_schedules": given}
    refused(as_alice.put("export", body), 400, f"error.api.{fault}")
    assert not Export.objects.exists()
    export = created(as_alice, name="nightly", _schedules=[DAILY])
    refused(as_alice.post(path_to(export), {"export": {"name": "x"}, "_schedules": given}), 400, f"error.api.{fault}")
    assert fetched(as_alice, export) == export


def test_the_next_and_the_last_run_are_told(as_alice: V1) -> None:
    """§4.2: "fylr read-only extras worth emitting: `_last_run_at`, …, `_next_run_at`"."""
    plain = created(as_alice)
    assert (plain["_next_run_at"], plain["_last_run_at"]) == (None, None)
    late, soon = {"hours": [23], "minutes": [59]}, {"hours": list(range(24)), "minutes": list(range(60))}
    export = created(as_alice, name="often", _schedules=[late, soon])
    following = datetime.fromisoformat(export["_next_run_at"])
    assert timedelta(0) < following - datetime.now(UTC) + timedelta(minutes=1) <= timedelta(minutes=2)
    now = tick(export)
    told = fetched(as_alice, export)
    assert told["_state"] == "pending"
    assert told["_last_run_at"] == now.isoformat().replace("+00:00", "Z")
    assert datetime.fromisoformat(told["_next_run_at"]) == now + timedelta(minutes=1)
    moments = ("_next_run_at", "_last_run_at")
    listed = answer(as_alice.get("export"))["objects"]
    assert [[each[name] for name in moments] for each in listed] == [[told[name] for name in moments], [None, None]]


@pytest.mark.django_db(transaction=True)
def test_a_scheduled_run_keeps_version_passkey_and_urls(as_alice: V1, cell: Cell) -> None:
    """§10: "A scheduled run is a normal run: new search, … `_files` replaced, `_version` unchanged, same passkey and
    URLs"."""
    export = run(as_alice, created(as_alice, name="nightly", _schedules=[DAILY]))
    urls = [file["url"] for each in export["_downloads"] for file in each["_files"]]
    assert {file["path"] for file in export["_files"]} == set(FILES)
    put_file(cell, "later.txt")
    as_alice.post(f"session/deauthenticate?token={as_alice.token}")
    tick(export)
    assert running.run_export(run_id=Run.objects.latest("pk").pk).state == "done"
    again = fetched(V1(cell.owner), export)
    assert {file["path"] for file in again["_files"]} == {*FILES, "later.txt"}
    assert [file["url"] for each in again["_downloads"] for file in each["_files"]] == urls
    assert again["export"] == export["export"]


def test_five_failures_switch_the_schedule_off_where_the_owner_sees_it(as_alice: V1) -> None:
    """Issue 3, 4: "five failures in a row switch the schedule off and tell the owner"."""
    export = created(as_alice, name="nightly", _schedules=[DAILY])
    for _ in range(FAILURES):
        tick(export)
        lifecycle.run_fail(lifecycle.claim(run_id=Run.objects.latest("pk").pk))
    told = fetched(as_alice, export)
    assert (told["_state"], told["_next_run_at"]) == ("failed", None)
    assert told["_schedules"][0].pop("_switched_off")
    assert told["_schedules"] == [DAILY]
    assert told["_log"][-1]["event"]["type"] == "EXPORT_SCHEDULE_OFF"
    again = answer(as_alice.post(path_to(export), {"_schedules": told["_schedules"]}))
    assert again["_schedules"] == [DAILY] and again["_next_run_at"]


def test_nobody_else_schedules_my_export(as_alice: V1, as_bob: V1) -> None:
    export = created(as_alice, name="nightly")
    refused(
        as_bob.post(path_to(export), {"_schedules": [DAILY]}), 404, "error.user.export_not_found", id=str(id_of(export))
    )
    assert not Schedule.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_an_incremental_export_lists_what_is_new(as_alice: V1, cell: Cell) -> None:
    """§11: "First run: all objects found. Every later run, manual or scheduled: only objects new or modified since the
    last successful run"; "Nothing new → run ends `done`, `_files` empty"."""
    export = run(as_alice, created(as_alice, name="changes", type="export_incremental", _schedules=[DAILY]))
    assert {file["path"] for file in export["_files"]} == set(FILES)
    put_file(cell, "new.txt", b"new")
    export = run(as_alice, export)
    assert [file["path"] for file in export["_files"]] == ["new.txt"]
    tick(export)
    running.run_export(run_id=Run.objects.latest("pk").pk)
    export = fetched(as_alice, export)
    assert (export["_state"], export["_files"]) == ("done", [])
    assert Event.objects.filter(type="EXPORT_FINISH").count() == 2
