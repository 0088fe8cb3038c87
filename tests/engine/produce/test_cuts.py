"""How much is held, looked up or written at a time is nobody's business but ours: the bytes are the same."""

from typing import Any

import pytest
from django.contrib.auth.models import User

from cells import frozen
from cells.models import Document
from exports.engine.layouts import packages
from exports.engine.produce import csv, linking, package, producing
from exports.models import Run, RunEntry
from exports.services import lifecycle, running
from exports.states import RunState
from tests.factories import make_cell, put_documents, put_file

pytestmark = pytest.mark.django_db(transaction=True)

DEFINITION = {
    "csv": {"hierarchy": "/"}, "xml": True, "json": True, "merge_linked_objects": "all", "merge_max_depth": 3,
    "batch_size": 0, "eas_fields": None, "search": {"languages": ["de-DE"]},
}  # fmt: skip


@pytest.fixture
def filled(alice: User) -> User:
    """Types in turns; every document links two others, has a parent and a file."""
    cell = make_cell(alice)
    put_file(cell, "a/photo.jpg")
    names = [("book" if number % 3 else "film", f"n{number:02}") for number in range(20)]
    put_documents(cell, [(doctype, name, {}) for doctype, name in names])
    made = {name: (pk, doctype) for pk, doctype, name in Document.objects.values_list("pk", "doctype", "doc_id")}
    order = [made[name] for _, name in names]
    bodies = [
        {
            "title": {"de-DE": f"ä{number}", "en-US": "left out"},
            "_id_parent": order[number // 2][0],
            "see": [{order[other % 20][1]: {"_id": order[other % 20][0]}} for other in (number + 1, number * 7)],
            "photo": {"_file": "a/photo.jpg"},
            f"only{number % 4}": number,
        }
        for number in range(20)
    ]
    put_documents(cell, [(*names[number], body) for number, body in enumerate(bodies)])
    return alice


def digests(owner: User, definition: dict[str, Any]) -> list[tuple[str, str]]:
    order = {"version": 1, "name": "cut", "definition": definition}
    run = lifecycle.run_create(export=None, owner=owner, order=order, nudge=False)
    running.run_export(run_id=run.pk)
    assert Run.objects.get(pk=run.pk).state == RunState.DONE, Run.objects.get(pk=run.pk).warnings
    return list(RunEntry.objects.filter(run=run).order_by("ordinal").values_list("name", "sha256"))


CUTS = [
    (packages, "BATCH", 1), (package, "IN_MEMORY", 1), (producing, "SMALL", 0), (linking, "ASKED", 1),
    (linking, "FOUND", 20), (frozen, "OBJECT_ROWS", 1), (csv, "_ROWS", 1), (producing, "BEAT", 1),
]  # fmt: skip


def test_the_bytes_do_not_depend_on_how_they_were_cut(filled: User, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = digests(filled, DEFINITION)
    assert [name.rpartition("@")[2] for name, _ in expected if "@" in name] == [
        "local.json", "local.xml", "local.book.csv", "local.film.csv"
    ]  # fmt: skip
    for module, name, value in CUTS:
        assert hasattr(module, name)
        monkeypatch.setattr(module, name, value)
    assert digests(filled, DEFINITION) == expected


def test_what_is_beyond_the_limit_of_one_document_is_a_warning(filled: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """A document alone is never split: it goes out with what was found."""
    monkeypatch.setattr(linking, "FOUND", 1)
    run = lifecycle.run_create(export=None, owner=filled, order={"version": 1, "definition": DEFINITION}, nudge=False)
    running.run_export(run_id=run.pk)
    run.refresh_from_db()
    assert run.state == RunState.DONE_WITH_WARNINGS
    assert "reaches too many linked objects" in run.warnings[0]
