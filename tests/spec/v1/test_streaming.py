"""Long lists are answered in constant memory: the README of house rules, and `spec/v1.md §4.5` for what is listed."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connection

from exports.api.v1.streaming import json_response
from exports.models import Export, Run
from exports.services import exports, lifecycle
from tests.clients import V1, content
from tests.spec.v1.asking import created, id_of

ENTRIES = 300_000


@pytest.mark.parametrize(
    "value",
    [
        {},
        [],
        {"a": [1, {"b": None}], "ü": '\u2028"\\'},
        {"a": {"b": [{"c": [1, 2]}]}, "d": 1.5},
    ],
)
def test_what_has_no_iterator_is_plain_json_with_a_length(value: object) -> None:
    response = json_response(value)
    assert json.loads(response.content) == value


def test_iterators_become_arrays_wherever_they_stand() -> None:
    value = {"none": iter(()), "some": iter([1, {"in": iter("ab")}]), "list": [iter([None]), 2]}
    assert json.loads(content(json_response(value))) == {
        "none": [],
        "some": [1, {"in": ["a", "b"]}],
        "list": [[None], 2],
    }


def test_a_long_list_begins_before_it_ends() -> None:
    taken = 0

    def items() -> Iterator[str]:
        nonlocal taken
        for _ in range(10_000):
            taken += 1
            yield "x" * 100

    response = json_response({"items": items()})
    assert response.streaming
    assert taken < 2_000
    assert len(json.loads(content(response))["items"]) == 10_000


@pytest.fixture
def long_export(as_alice: V1, alice) -> Export:
    """Published, with 300,000 files and a manifest; made by the database, as nobody needs their bytes."""
    export = Export.objects.get(pk=id_of(created(as_alice)))
    run = lifecycle.claim(run_id=exports.export_start(export=export).pk)
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO exports_runentry (run_id, ordinal, name, mode, mtime, size, crc32, sha256, encoding,
                                          stored_size, stored_crc32, points)
            SELECT %s, n, 'folder/file ' || lpad(n::text, 7, '0') || '.txt', 33188, 0, n, 0, repeat('0', 64), 'raw',
                   n, 0, ''
            FROM generate_series(0, %s) n
            """,
            [run.pk, ENTRIES],
        )
    Run.objects.filter(pk=run.pk).update(entry_count=ENTRIES + 1)
    lifecycle.publish(run, warnings=[], missing=0)
    return export


def resident() -> int:
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_an_export_of_300_000_files_is_shown_in_constant_memory(as_alice: V1, long_export: Export) -> None:
    """As objects in a list they would take more than 100 MB."""
    response = as_alice.get(f"export/{long_export.pk}")
    assert response.status_code == 200
    before = peak = resident()
    size = count = 0
    for chunk in response.streaming_content:
        size += len(chunk)
        count += chunk.count(b'"size":')
        peak = max(peak, resident())
    assert count == ENTRIES
    assert size > 14_000_000
    assert peak - before < 30_000_000, peak - before
