"""Export, import, export: the identical archive, whatever is in the cell."""

import json
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from hypothesis import HealthCheck, Phase, given, settings

from cells import writing
from cells.errors import PathTaken
from cells.models import Cell
from exports.models import Import, Run
from tests.factories import make_cell, put_documents, put_file
from tests.services.imported import CELLS, command, contents

pytestmark = pytest.mark.django_db(transaction=True)
QUIET = {
    "phases": [Phase.generate],
    "deadline": None,
    "suppress_health_check": list(HealthCheck),
    "database": None,
    "derandomize": True,
}


def fill(cell: Cell, made: tuple[list, list, list]) -> None:
    """What stands in the way of something before it is left out."""
    files, folders, documents = made
    for path, content, executable in files:
        with suppress(PathTaken):
            put_file(cell, path, content, executable=executable)
    for path in folders:
        with suppress(PathTaken):
            writing.folder_create(cell=cell, path=path)
    # The standard library writes integers of any length, orjson does not.
    lines = [
        json.dumps({"doctype": doctype, "id": doc_id, "body": body}).encode() for doctype, doc_id, body in documents
    ]
    report = writing.documents_put(cell=cell, lines=lines)
    assert not report.refused_count, report.refused


def round_trip(owner: User, made: Any, ending: str, *options: str) -> None:
    folder = Path(tempfile.mkdtemp(dir=os.environ["PYTEST_DEBUG_TEMPROOT"]))
    try:
        cell = make_cell(owner, "trip")
        fill(cell, made)
        before, after = folder / f"before.{ending}", folder / f"after.{ending}"
        command("cell_export", "trip", "-o", before, *options)
        there = contents(cell)
        writing.file_put(cell=cell, path="something/else", stream=before.open("rb"))
        put_documents(cell, [("contact", "written since", {})])
        command("cell_import", "trip", before)
        assert contents(cell) == there
        command("cell_export", "trip", "-o", after, *options)
        assert after.read_bytes() == before.read_bytes()
    finally:
        shutil.rmtree(folder)
        Import.objects.all().delete()
        Run.objects.all().delete()
        writing.cell_delete(cell=cell)


@settings(max_examples=6, **QUIET)
@given(made=CELLS)
def test_a_few_cells_of_chance(alice: User, made: Any) -> None:
    round_trip(alice, made, "zip")


@settings(max_examples=4, **QUIET)
@given(made=CELLS)
def test_a_few_snapshots_of_chance(alice: User, made: Any) -> None:
    round_trip(alice, made, "zip", "--layout", "cell")


@pytest.mark.slow
@pytest.mark.timeout(1800)
@settings(max_examples=200, **QUIET)
@given(made=CELLS)
def test_two_hundred_cells_of_chance(alice: User, made: Any) -> None:
    round_trip(alice, made, "zip")
    round_trip(alice, made, "tar.gz")


@pytest.mark.slow
@pytest.mark.timeout(1800)
@settings(max_examples=200, **QUIET)
@given(made=CELLS)
def test_two_hundred_snapshots_of_chance(alice: User, made: Any) -> None:
    round_trip(alice, made, "zip", "--layout", "cell")
