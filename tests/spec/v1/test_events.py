"""`/api/v1/event`: `spec/v1.md §12, §13`."""

import csv
import io
import json

import pytest
from django.contrib.auth.models import Group, User

from exports.models import Event, Run
from exports.services import lifecycle
from tests.clients import V1, content
from tests.spec.v1.asking import answer, created, id_of, refused

RIGHT = {"right": "system.api.event.get"}


@pytest.fixture
def failed(as_alice: V1) -> dict:
    """An export of Alice's that was made, started, and failed: three events."""
    export = created(as_alice)
    answer(as_alice.post(f"export/{id_of(export)}/start"))
    lifecycle.run_fail(lifecycle.claim(run_id=Run.objects.get().pk))
    return export


def types(events: list[dict]) -> list[str]:
    return [event["event"]["type"] for event in events]


def test_polling_gives_the_pollable_events_of_one_s_own_exports(as_alice: V1, as_bob: V1, as_root: V1, failed) -> None:
    """C20: EXPORT_START, FINISH, FAILED, STOPPED, filtered to the export's owner; ascending; an array."""
    events = answer(as_alice.get("event/poll/0"))
    assert types(events) == ["EXPORT_START", "EXPORT_FAILED"]
    assert {event["event"]["object_id"] for event in events} == {id_of(failed)}
    assert answer(as_bob.get("event/poll/0")) == answer(as_root.get("event/poll/0")) == []


def test_polling_goes_on_behind_the_last_id(as_alice: V1, failed) -> None:
    first, second = answer(as_alice.get("event/poll/0"))
    assert answer(as_alice.get(f"event/poll/{first['event']['_id']}")) == [second]
    assert answer(as_alice.get(f"event/poll/{second['event']['_id']}")) == []
    assert answer(as_alice.get("event/poll")) == []
    assert answer(as_alice.get("event/poll/0?limit=1")) == [first]
    assert len(answer(as_alice.get("event/poll/0?limit=0"))) == 2
    assert answer(as_alice.get(f"event/poll/{2**70}")) == []


def test_the_short_form_has_no_moments_and_infos(as_alice: V1, failed) -> None:
    """§12."""
    event = answer(as_alice.get("event/poll/0"))[0]
    assert {"timestamp", "info", "pollable", "ipv4_address"}.isdisjoint(event["event"])
    assert "_session" not in event
    assert "session_self" in event


def test_a_session_tells_the_last_event(as_alice: V1, failed) -> None:
    """§2.5."""
    session = answer(as_alice.get("session"))
    last = Event.objects.latest("id").pk
    assert session["current_max_event_id"] == session["current_max_message_id"] == last


def test_the_list_needs_the_right(as_alice: V1, as_nobody: V1, failed) -> None:
    """§12, §13: 400 `no_system_right`."""
    refused(as_alice.get("event/list"), 400, "error.user.no_system_right", **RIGHT)
    refused(as_alice.get(f"event/{Event.objects.first().pk}"), 400, "error.user.no_system_right", **RIGHT)
    refused(as_alice.get("event/999999"), 400, "error.user.no_system_right", **RIGHT)
    for path in ("event/list", "event/poll", "event/1"):
        refused(as_nobody.get(path), 403, "error.user.not_authenticated")


def test_the_list_is_newest_first_in_pages(as_root: V1, failed) -> None:
    listed = answer(as_root.get("event/list"))
    assert (listed["count"], listed["limit"], listed["offset"]) == (3, 1000, 0)
    assert types(listed["objects"]) == ["EXPORT_FAILED", "EXPORT_START", "EXPORT_INSERT"]
    page = answer(as_root.get("event/list?limit=1&offset=1&skip_count=1&sort=_id.ASC"))
    assert types(page["objects"]) == ["EXPORT_START"]
    assert "count" not in page


def test_filters_of_the_list(as_root: V1, alice, bob, failed) -> None:
    def found(query: str) -> list[str]:
        return types(answer(as_root.get(f"event/list?sort=_id.asc&{query}"))["objects"])

    every = ["EXPORT_INSERT", "EXPORT_START", "EXPORT_FAILED"]
    assert found("type=EXPORT_INSERT,EXPORT_FAILED") == ["EXPORT_INSERT", "EXPORT_FAILED"]
    assert found("type=a%00b") == []
    assert found("pollable=1") == ["EXPORT_START", "EXPORT_FAILED"]
    assert found("pollable=0") == ["EXPORT_INSERT"]
    assert found(f"user_id={alice.pk}") == every
    assert found(f"user_id={bob.pk}") == []
    assert found("base_type=export") == every
    assert found("basetype=asset") == []
    assert found("date_from=2000-01-01") == every
    assert found("date_from=2999-01-01T00:00:00Z") == []
    assert found("date_to=2000-01-01T00:00:00") == []
    for query in ("date_from=yesterday", "date_to=2000-13-01", "sort=type", "format=xml", "pollable=x", "user_id=-1"):
        refused(as_root.get(f"event/list?{query}"), 400, "error.api.invalid_value")
    for query in ("user_id=x", "group_id=press"):
        refused(as_root.get(f"event/list?{query}"), 400, "error.api.type_mismatch")


def test_filters_by_who_did_it(as_root: V1, alice, bob, done: dict) -> None:
    """`spec/v1.md §12`: "query … `user_id`, `group_id`, `user_type`"."""

    def found(query: str) -> set[str]:
        return set(types(answer(as_root.get(f"event/list?{query}"))["objects"]))

    url = done["_downloads"][0]["_files"][0]["url"]
    content(V1().get(f"export/{id_of(done)}/download/{url}"))
    group = Group.objects.create(name="press")
    mine = {"EXPORT_INSERT", "EXPORT_START", "EXPORT_FINISH"}
    group.user_set.add(bob)
    assert found(f"group_id={group.pk}") == set()
    group.user_set.add(alice)
    assert found(f"group_id={group.pk}") == found("user_type=easydb") == mine
    assert found(f"group_id={group.pk + 1}") == found("user_type=collection") == set()
    assert found("user_type=anonymous") == {"DOWNLOAD_EXPORT"}


def test_the_list_as_csv(as_root: V1, as_alice: V1, alice, failed) -> None:
    """`spec/v1.md §12`: "`format` `json|json_full|csv`"; issue 3, point 6: "CSV output of the list"."""
    User.objects.filter(pk=alice.pk).update(first_name='=HYPERLINK("x")', last_name="Ünï, X")
    response = as_root.get("event/list?format=csv&sort=_id.ASC")
    assert response.headers["Content-Type"].startswith("text/csv; charset=utf-8")
    text = content(response).decode()
    assert text.startswith('"_id","timestamp",') and text.count("\r\n") == 4
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    full = answer(as_root.get("event/list?format=json_full&sort=_id.ASC"))["objects"]
    for row, told in zip(rows, full, strict=True):
        event = told["event"]
        assert row["_id"] == str(event["_id"]) and row["type"] == event["type"]
        assert row["timestamp"] == event["timestamp"] and row["object_id"] == str(id_of(failed))
        assert row["pollable"] == str(event["pollable"]).lower()
        assert json.loads(row["info"]) == event["info"]
        assert row["_user._id"] == str(alice.pk)
        assert row["_user._generated_displayname"] == '\'=HYPERLINK("x") Ünï, X', "no formula for a spreadsheet"
    page = content(as_root.get("event/list?format=csv&sort=_id.ASC&limit=1&offset=1")).decode()
    assert [row["type"] for row in csv.DictReader(io.StringIO(page))] == ["EXPORT_START"]
    refused(as_alice.get("event/list?format=csv"), 400, "error.user.no_system_right", **RIGHT)


def test_the_full_form(as_root: V1, alice, failed) -> None:
    """§12."""
    full = answer(as_root.get("event/list?format=json_full"))["objects"][0]
    assert full["event"]["info"]["state"] == "failed"
    assert full["event"]["info"]["exception"]
    assert full["event"]["pollable"] is True
    assert full["_user"]["_id"] == alice.pk
    assert answer(as_root.get(f"event/{full['event']['_id']}")) == full


def test_an_unknown_event(as_root: V1) -> None:
    """§12: 400 event_not_found {id}."""
    refused(as_root.get("event/999999"), 400, "error.user.event_not_found", id="999999")
    refused(as_root.get(f"event/{2**70}"), 400, "error.user.event_not_found", id=str(2**70))
    refused(as_root.get("event/x"), 400, "error.api.type_mismatch")


@pytest.mark.parametrize("wanted", [False, True])
def test_events_tell_the_session_and_if_wanted_the_address(
    as_alice: V1, as_root: V1, alice: User, settings, wanted: bool
) -> None:
    """§12: "`ipv4_address`", "`_session`: {...}", short form "it has `session_self`"; §13: "Event logging of personal
    data can be switched"."""
    settings.EVENTS_WITH_ADDRESSES = wanted
    export = created(as_alice)
    answer(as_alice.post(f"export/{id_of(export)}/start"))
    run = lifecycle.claim(run_id=Run.objects.get().pk)
    [insert, start] = answer(as_root.get("event/list?format=json_full&sort=_id.ASC"))["objects"]
    assert insert["event"].get("ipv4_address") == ("127.0.0.1" if wanted else None)
    assert insert["_session"]["_id"] and insert["_session"]["_id"] not in as_alice.token
    assert (start["_session"], "ipv4_address" in start["event"]) == (None, False), "a worker has no session"
    created(as_root)
    own = {each["event"]["object_id"]: each["session_self"] for each in answer(as_root.get("event/list"))["objects"]}
    assert own.pop(id_of(export)) is False and set(own.values()) == {True}
    assert run is not None and [each["session_self"] for each in answer(as_alice.get("event/poll/0"))] == [False]


@pytest.mark.parametrize(("seen", "told"), [("fe80::1%eth0", "fe80::1"), ("unknown", None), ("", None)])
def test_what_is_no_address_is_none(as_alice: V1, settings, seen: str, told: str | None) -> None:
    settings.EVENTS_WITH_ADDRESSES = True
    answer(as_alice.put("export", {"export": {"search": {}}}, REMOTE_ADDR=seen))
    assert Event.objects.get().address == told


def test_a_worker_in_the_same_thread_is_not_taken_for_the_caller(as_alice: V1, failed) -> None:
    assert list(Event.objects.order_by("pk").values_list("type", "session")[1:]) == [
        ("EXPORT_START", ""), ("EXPORT_FAILED", ""),
    ]  # fmt: skip
