"""`GET /api/v1/export`: `spec/v1.md §5.1`; seed "Get exports"."""

from urllib.parse import quote

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from exports.models import Run
from exports.states import RunState
from tests.clients import V1
from tests.spec.v1.asking import answer, created, id_of, refused


def ids(client: V1, query: str = "") -> list[int]:
    return [id_of(export) for export in answer(client.get(f"export{query}"))["objects"]]


def test_an_empty_list(as_alice: V1) -> None:
    assert answer(as_alice.get("export")) == {"limit": None, "offset": 0, "count": 0, "objects": []}


def test_the_list_is_newest_first_without_the_long_parts(as_alice: V1) -> None:
    """Seed: "do not include `_files`, `_downloads`, `_schedules` `_transports` and `_log`"."""
    first, second = created(as_alice), created(as_alice, name="b")
    listed = answer(as_alice.get("export"))
    assert [id_of(export) for export in listed["objects"]] == [id_of(second), id_of(first)]
    absent = {"_files", "_downloads", "_schedules", "_transports", "_log"}
    assert not absent & listed["objects"][0].keys()
    assert listed["objects"][0] == {name: value for name, value in second.items() if name not in absent}


def test_limit_and_offset_are_echoed_and_count_ignores_both(as_alice: V1) -> None:
    """Seed: limit is null if not requested, offset 0; count ignores limit."""
    made = [id_of(created(as_alice)) for _ in range(5)][::-1]
    page = answer(as_alice.get("export?limit=2&offset=1"))
    assert (page["limit"], page["offset"], page["count"]) == (2, 1, 5)
    assert [id_of(export) for export in page["objects"]] == made[1:3]
    assert answer(as_alice.get("export?limit=0")) == {"limit": 0, "offset": 0, "count": 5, "objects": []}
    assert answer(as_alice.get("export?offset=9"))["objects"] == []


def test_a_limit_above_1000_is_echoed(as_alice: V1) -> None:
    """C2."""
    assert answer(as_alice.get("export?limit=123456789012"))["limit"] == 123456789012


@pytest.mark.parametrize("name", ["limit", "offset"])
@pytest.mark.parametrize(
    ("value", "code"),
    [("x", "type_mismatch"), ("1.5", "type_mismatch"), ("", "type_mismatch"), ("-1", "invalid_value")],
)
def test_a_bad_integer_in_the_query(as_alice: V1, name: str, value: str, code: str) -> None:
    """§1.11."""
    refused(as_alice.get(f"export?{name}={value}"), 400, f"error.api.{code}")


def test_the_filter_of_the_seed(as_alice: V1) -> None:
    """`filter=type:download|export+status:failed,type:export_incremental`, + encoded."""
    failed = created(as_alice, type="download")
    incremental = created(as_alice, type="export_incremental")
    created(as_alice, type="export")
    answer(as_alice.post(f"export/{id_of(failed)}/start"))
    Run.objects.update(state=RunState.FAILED)
    text = quote("type:download|export+status:failed,type:export_incremental")
    assert ids(as_alice, f"?filter={text}") == [id_of(incremental), id_of(failed)]


def test_filters_by_status(as_alice: V1) -> None:
    new = id_of(created(as_alice))
    made = {state: id_of(created(as_alice)) for state in RunState}
    for state, id in made.items():
        answer(as_alice.post(f"export/{id}/start"))
        Run.objects.filter(export_id=id).update(state=state)
    assert ids(as_alice, "?filter=status:new") == [new]
    assert ids(as_alice, "?filter=status:done") == [made[RunState.DONE]]
    assert ids(as_alice, "?filter=status:failed") == [made[RunState.STOPPED], made[RunState.FAILED]]
    assert ids(as_alice, "?filter=status:new|expired") == [made[RunState.EXPIRED], new]
    assert ids(as_alice, "?filter=status:new%2Bstatus:done") == []
    assert len(ids(as_alice, "?filter=")) == 8


@pytest.mark.parametrize("text", ["type", "type:", "colour:red", "status:odd", "type:export+status:new"])
def test_a_malformed_filter_is_an_invalid_value(as_alice: V1, text: str) -> None:
    """§5.1; the last one has a bare +, which decodes to a space."""
    refused(as_alice.get(f"export?filter={text}"), 400, "error.api.invalid_value")


def test_only_one_s_own_exports_are_listed_even_for_root(as_alice: V1, as_bob: V1, as_root: V1) -> None:
    """C5: the list stays restricted to the caller's own."""
    created(as_alice)
    assert answer(as_bob.get("export"))["count"] == 0
    assert answer(as_root.get("export"))["count"] == 0


def test_the_list_asks_the_database_as_often_for_many_as_for_one(as_alice: V1, django_assert_num_queries) -> None:
    created(as_alice)
    with CaptureQueriesContext(connection) as one:
        answer(as_alice.get("export"))
    asked = len(one)
    assert asked
    for _ in range(10):
        created(as_alice)
    with django_assert_num_queries(asked):
        answer(as_alice.get("export"))
