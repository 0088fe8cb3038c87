"""Create, get, update, delete: `spec/v1.md §4, §5.2-5.5`; seed 003."""

import pytest

from cells.models import Cell
from exports.models import Event, Export, Run
from exports.services import lifecycle
from exports.states import RunState
from tests.clients import V1
from tests.spec.v1.asking import answer, created, id_of, refused

NOT_FOUND = "error.user.export_not_found"


def test_put_creates_a_new_export_of_the_caller(as_alice: V1, alice) -> None:
    """§5.3: 200 (not 201), `_id`, `_version` 1, state new, full form; C3: nothing is started."""
    export = created(as_alice, name="press")
    row = Export.objects.get(pk=id_of(export))
    assert row.owner == alice
    assert export["_basetype"] == "export"
    assert export["_state"] == "new"
    assert export["export"]["_version"] == 1
    assert export["export"]["name"] == "press"
    assert export["_files"] == export["_downloads"] == export["_transports"] == []
    assert export["_schedules"] is None
    assert not Run.objects.exists()


def test_post_on_the_collection_is_another_word_for_put(as_alice: V1) -> None:
    """C22."""
    assert answer(as_alice.post("export", {"export": {"search": {}}}))["_state"] == "new"


def test_the_default_name_tells_type_and_id(as_alice: V1) -> None:
    """§4.4; an empty string counts as not given (§4.2)."""
    export = created(as_alice, name="", type="download")
    assert export["export"]["name"] == f"easydb-download-{id_of(export)}"


def test_creation_is_logged(as_alice: V1, alice) -> None:
    """§5.3: event EXPORT_INSERT; §6.4: full event form in `_log`."""
    export = created(as_alice)
    [event] = export["_log"]
    assert event["event"]["type"] == "EXPORT_INSERT"
    assert event["event"]["object_id"] == id_of(export)
    assert event["event"]["info"] == {"state": "new"}
    assert event["event"]["basetype"] == "export"
    assert event["event"]["timestamp"].endswith("Z")
    assert event["_user"] == {"_id": alice.pk, "_generated_displayname": "alice"}


def test_times_are_utc_with_a_z(as_alice: V1) -> None:
    """§1.8."""
    export = created(as_alice)
    assert export["_date_created"].endswith("Z")
    assert export["_last_updated_date"].endswith("Z")


def test_a_body_without_content_type_is_json(as_alice: V1) -> None:
    """§1.3, §17: `requests.put(url, data=json.dumps(...))` sends none."""
    body = b'{"export": {"_version": 1, "type": "export", "name": "etl", "search": {"search": [], "limit": null}}}'
    assert answer(as_alice.call("PUT", "export", body, ""))["export"]["name"] == "etl"
    assert answer(as_alice.call("PUT", "export", body, "text/plain"))


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"", "application/json"),
        (b"{", "application/json"),
        (b'{"export": NaN}', "application/json"),
        (b"export=1", "application/x-www-form-urlencoded"),
        (b"--x--", "multipart/form-data; boundary=x"),
        (b"[" * 100_000, "application/json"),
    ],
)
def test_a_body_that_is_not_json_is_invalid_content(as_alice: V1, body: bytes, content_type: str) -> None:
    """§1.3, §3.2."""
    refused(as_alice.call("PUT", "export", body, content_type), 400, "error.api.invalid_content")
    assert not Export.objects.exists()


def test_a_refused_definition_leaves_nothing_behind(as_alice: V1) -> None:
    told = refused(as_alice.put("export", {"export": {"search": {}, "xml": 1}}), 400, "error.api.type_mismatch")
    assert "export.xml" in told["description"]
    assert not Export.objects.exists()
    assert not Event.objects.exists()


def test_the_definition_comes_back_as_it_went_in(as_alice: V1) -> None:
    sent = {"search": {"objecttypes": ["book"], "search": []}, "json": True, "all_languages": True, "batch_size": 0}
    got = answer(as_alice.get(f"export/{id_of(created(as_alice, **sent))}"))["export"]
    assert {name: got[name] for name in sent} == sent


def test_cells_can_be_chosen_among_one_s_own(as_alice: V1, alice, bob) -> None:
    """Our extension; a stranger's cell and an unknown one are refused in the same words."""
    Cell.objects.create(name="mine", owner=alice)
    Cell.objects.create(name="theirs", owner=bob)
    assert created(as_alice, cells=["mine"])["export"]["cells"] == ["mine"]
    answers = [
        refused(as_alice.put("export", {"export": {"search": {}, "cells": [name]}}), 400, "error.api.invalid_value")
        for name in ("theirs", "absent")
    ]
    assert answers[0]["description"].replace("theirs", "absent") == answers[1]["description"]
    assert Export.objects.count() == 1


def test_a_schedule_needs_an_explicit_name(as_alice: V1) -> None:
    """§4.4, seed "requires an explicitly set name"."""
    body = {"export": {"search": {}}, "_schedules": [{"hours": [3]}]}
    refused(as_alice.put("export", body), 400, "error.user.export_name_required")
    assert not Export.objects.exists()
    body["export"]["name"] = "nightly"
    assert answer(as_alice.put("export", body))["_schedules"] == [{"hours": [3]}]


def test_a_download_transport_is_shown_with_state_and_uuid(as_alice: V1) -> None:
    """§9.1, §4.6: before the export is done `_download` is empty."""
    [transport] = created(as_alice, _transports=[{"type": "download", "packer": "tar.gz"}])["_transports"]
    assert transport["uuid"]
    expected = {"type": "download", "packer": "tar_gz", "_state": "new", "_download": {"_files": []}, "options": {}}
    assert {name: transport[name] for name in expected} == expected


def test_an_unknown_transport_says_what_there_is(as_alice: V1) -> None:
    body = {"export": {"search": {}}, "_transports": [{"type": "pigeon", "options": {"destination": "x"}}]}
    told = refused(as_alice.put("export", body), 400, "error.api.invalid_value")
    assert "not available in this version" in told["description"]
    assert "download" in told["description"] and "rsync" in told["description"]
    assert not Export.objects.exists()


def test_get_gives_everything(as_alice: V1) -> None:
    """§5.2: full export with all attributes."""
    export = created(as_alice)
    got = answer(as_alice.get(f"export/{id_of(export)}"))
    assert got == export
    assert {"_files", "_downloads", "_schedules", "_transports", "_log", "_state", "export"} <= got.keys()


def test_format_chooses_the_log(as_alice: V1) -> None:
    """§5.2: short has no `_log`, standard the events of the last run, long all."""
    path = f"export/{id_of(created(as_alice))}"
    assert "_log" not in answer(as_alice.get(f"{path}?format=short"))
    assert answer(as_alice.get(f"{path}?format=standard"))["_log"] == []
    assert len(answer(as_alice.get(f"{path}?format=long"))["_log"]) == 1
    refused(as_alice.get(f"{path}?format=tall"), 400, "error.api.invalid_value")


@pytest.mark.parametrize("id", ["0", "-1", "x", "1.5", "１"])
def test_an_id_is_a_decimal_integer(as_alice: V1, id: str) -> None:
    """§1.10."""
    refused(as_alice.get(f"export/{id}"), 400, "error.api.type_mismatch")


@pytest.mark.parametrize("id", ["999999", str(2**63), "9" * 40])
def test_an_unknown_id_is_not_found(as_alice: V1, id: str) -> None:
    """§3.2: 404 with parameters.id as a string."""
    refused(as_alice.get(f"export/{id}"), 404, NOT_FOUND, id=id)


def test_a_trailing_slash_changes_nothing(as_alice: V1) -> None:
    """§1.9."""
    path = f"export/{id_of(created(as_alice))}"
    assert answer(as_alice.get(f"{path}/")) == answer(as_alice.get(path))
    assert answer(as_alice.get("export/"))["count"] == 1


def test_an_update_changes_what_it_says_and_nothing_else(as_alice: V1) -> None:
    """§5.4: partial, whole attributes, `_version` + 1, event EXPORT_UPDATE, state new."""
    export = created(as_alice, name="press", json=True, batch_size=5, _transports=[{"type": "download"}])
    updated = answer(as_alice.post(f"export/{id_of(export)}", {"export": {"name": "week"}}))
    assert updated["export"] == {**export["export"], "name": "week", "_version": 2}
    assert updated["_transports"] == export["_transports"]
    assert updated["_state"] == "new"
    assert [event["event"]["type"] for event in updated["_log"]] == ["EXPORT_INSERT", "EXPORT_UPDATE"]


def test_an_update_sent_back_as_it_was_fetched_is_accepted(as_alice: V1) -> None:
    """§4.2: read-only attributes are ignored on input; C23: `_version` is the one to make."""
    export = created(as_alice, _transports=[{"type": "download", "packer": "zip"}])
    export["export"]["_version"] += 1
    updated = answer(as_alice.post(f"export/{id_of(export)}", export))
    assert updated["export"] == export["export"]
    assert updated["_transports"] == export["_transports"]
    assert Export.objects.get().name == ""


def test_a_stale_version_is_refused_and_nothing_changes(as_alice: V1) -> None:
    """C23, §3.2 `version_mismatch` with strings."""
    export = created(as_alice, name="press")
    response = as_alice.post(f"export/{id_of(export)}", {"export": {"_version": 99, "name": "other"}})
    refused(response, 400, "error.user.version_mismatch", provided="99", expected="2")
    assert answer(as_alice.get(f"export/{id_of(export)}")) == export


def test_a_refused_update_changes_nothing(as_alice: V1) -> None:
    export = created(as_alice, name="press", _transports=[{"type": "download"}])
    path = f"export/{id_of(export)}"
    for body in (
        {"export": {"name": "other", "json": "yes"}},
        {"export": {"name": "other"}, "_transports": [{"type": "download"}, {"type": "pigeon"}]},
        {"export": {"name": "other", "cells": ["absent"]}},
        {"export": {"name": ""}, "_schedules": [{}]},
        {"export": {"name": "other", "_id": id_of(export) + 1}},
        {"export": {"search": None}},
    ):
        assert as_alice.post(path, body).status_code == 400
    assert answer(as_alice.get(path)) == export


def test_transports_are_replaced_as_a_whole_and_keep_their_uuid_by_place_and_type(as_alice: V1) -> None:
    """§5.4 granularity, §9.1 stable uuid."""
    export = created(as_alice, _transports=[{"type": "download", "packer": "zip"}, {"type": "download"}])
    updated = answer(as_alice.post(f"export/{id_of(export)}", {"_transports": [{"type": "download", "packer": "tar"}]}))
    [transport] = updated["_transports"]
    assert transport["packer"] == "tar"
    assert transport["uuid"] == export["_transports"][0]["uuid"]


def test_an_update_purges_the_run_in_progress(as_alice: V1) -> None:
    """§5.4: the active run is purged, and the export is new."""
    export = created(as_alice)
    answer(as_alice.post(f"export/{id_of(export)}/start"))
    updated = answer(as_alice.post(f"export/{id_of(export)}", {"export": {"json": True}}))
    assert updated["_state"] == "new"
    assert Run.objects.get().state == RunState.STOPPED
    assert answer(as_alice.post(f"export/{id_of(export)}/start"))["_state"] == "pending"


def test_delete_takes_everything_along(as_alice: V1) -> None:
    """§5.5: 200, `{}`; the export is unknown from then on."""
    export = created(as_alice)
    path = f"export/{id_of(export)}"
    answer(as_alice.post(f"{path}/start"))
    assert answer(as_alice.delete(path)) == {}
    refused(as_alice.get(path), 404, NOT_FOUND, id=str(id_of(export)))
    refused(as_alice.delete(path), 404, NOT_FOUND, id=str(id_of(export)))
    assert not Run.objects.exists()


def test_duplicate_names_are_allowed_unless_the_setting_forbids(as_alice: V1, as_bob: V1, settings) -> None:
    """C15."""
    created(as_alice, name="press")
    created(as_alice, name="press")
    settings.EXPORT_UNIQUE_NAMES = True
    response = as_alice.put("export", {"export": {"search": {}, "name": "press"}})
    refused(response, 400, "error.user.integrity_constraint_violation", constraint="export_name_unique")
    assert Export.objects.count() == 2
    created(as_bob, name="press")
    created(as_alice, name="")
    created(as_alice, name="")
    other = created(as_alice, name="other")
    response = as_alice.post(f"export/{id_of(other)}", {"export": {"name": "press"}})
    refused(response, 400, "error.user.integrity_constraint_violation", constraint="export_name_unique")
    assert answer(as_alice.post(f"export/{id_of(other)}", {"export": {"name": "other"}}))["export"]["_version"] == 2


def test_autostart_queues_the_export_at_once(as_alice: V1, settings) -> None:
    """C3: EXPORT_AUTOSTART may enqueue right after PUT; the start that follows is told so."""
    settings.EXPORT_AUTOSTART = True
    export = created(as_alice)
    assert Run.objects.get().state == RunState.PENDING
    refused(as_alice.post(f"export/{id_of(export)}/start"), 400, "error.user.export_already_running")


def test_start_queues_and_answers_with_the_export(as_alice: V1) -> None:
    """§5.6: 200, JSON, pending; while it runs: already running."""
    export = created(as_alice, name="press", _transports=[{"type": "download", "packer": "zip_10mb"}] * 2)
    started = answer(as_alice.post(f"export/{id_of(export)}/start"))
    assert started["_state"] == "pending"
    assert {transport["_state"] for transport in started["_transports"]} == {"pending"}
    run = Run.objects.get()
    assert run.order["name"] == "press"
    assert run.order["packers"] == ["zip_10mb"]
    assert run.order["definition"]["search"] == {}
    refused(as_alice.post(f"export/{id_of(export)}/start"), 400, "error.user.export_already_running")
    assert Run.objects.count() == 1


def test_the_token_may_come_in_a_form_where_no_body_is_expected(as_alice: V1, as_nobody: V1) -> None:
    """§1.4."""
    path = f"export/{id_of(created(as_alice))}"
    form = f"token={as_alice.token}".encode()
    kind = "application/x-www-form-urlencoded"
    assert answer(as_nobody.call("POST", f"{path}/start", form, kind))["_state"] == "pending"
    assert answer(as_nobody.call("POST", f"{path}/stop", form, kind))["_state"] == "failed"


def test_stop_ends_a_pending_run(as_alice: V1) -> None:
    """§5.7: failed, event EXPORT_STOPPED (C19), 200 with the export."""
    export = created(as_alice)
    answer(as_alice.post(f"export/{id_of(export)}/start"))
    stopped = answer(as_alice.post(f"export/{id_of(export)}/stop"))
    assert stopped["_state"] == "failed"
    last = stopped["_log"][-1]["event"]
    assert last["type"] == "EXPORT_STOPPED"
    assert last["info"]["state"] == "failed"


@pytest.mark.parametrize("state", [None, RunState.DONE, RunState.FAILED, RunState.STOPPED, RunState.EXPIRED])
def test_stop_of_what_does_not_run_is_not_found(as_alice: V1, state: RunState | None) -> None:
    """C6, seed: "not found or not running"."""
    id = id_of(created(as_alice))
    if state is not None:
        answer(as_alice.post(f"export/{id}/start"))
        Run.objects.update(state=state)
    refused(as_alice.post(f"export/{id}/stop"), 404, NOT_FOUND, id=str(id))


@pytest.mark.parametrize(
    ("state", "word"),
    [
        (RunState.PENDING, "pending"),
        (RunState.PROCESSING, "processing"),
        (RunState.DONE, "done"),
        (RunState.DONE_WITH_WARNINGS, "done_with_warnings"),
        (RunState.FAILED, "failed"),
        (RunState.STOPPED, "failed"),
        (RunState.EXPIRED, "expired"),
    ],
)
def test_each_state_has_its_word(as_alice: V1, state: RunState, word: str) -> None:
    """§6.1."""
    path = f"export/{id_of(created(as_alice))}"
    answer(as_alice.post(f"{path}/start"))
    Run.objects.update(state=state)
    assert answer(as_alice.get(path))["_state"] == word
    assert answer(as_alice.get("export"))["objects"][0]["_state"] == word


def test_strict_states_say_done(as_alice: V1, settings) -> None:
    """C11."""
    settings.EXPORT_STRICT_EASYDB_STATES = True
    path = f"export/{id_of(created(as_alice))}"
    answer(as_alice.post(f"{path}/start"))
    Run.objects.update(state=RunState.DONE_WITH_WARNINGS)
    assert answer(as_alice.get(path))["_state"] == "done"
    assert answer(as_alice.get("export?filter=status:done"))["count"] == 1


def test_standard_log_is_that_of_the_last_run(as_alice: V1) -> None:
    """§5.2."""
    path = f"export/{id_of(created(as_alice))}"
    for _ in range(2):
        answer(as_alice.post(f"{path}/start"))
        lifecycle.run_fail(lifecycle.claim(run_id=Run.objects.latest("id").pk))
    log = answer(as_alice.get(f"{path}?format=standard"))["_log"]
    assert [event["event"]["type"] for event in log] == ["EXPORT_START", "EXPORT_FAILED"]
    assert len(answer(as_alice.get(path))["_log"]) == 5
