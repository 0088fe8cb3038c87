"""`spec/v1.md §9.6, §12`: events of the objects and assets that an export holds, and of their copies; over HTTP."""

from pathlib import Path
from typing import Any

import pytest

from cells.models import Cell, Document, File
from exports.models import Delivery, Event, Run, Schedule
from exports.services import delivery, running, schedules
from tests.clients import V1
from tests.factories import make_cell, put_documents, put_file
from tests.spec.v1.asking import answer, created, id_of, run

pytestmark = pytest.mark.django_db(transaction=True)

WITH_FILES = {"eas_fields": ["book.cover"], "classes": {"other": [{"type": "current"}, {"type": "original"}]}}


@pytest.fixture
def cell(alice: Any) -> Cell:
    cell = make_cell(alice, "shelf")
    put_file(cell, "one.bin", b"1")
    put_file(cell, "alone.bin", b"2")
    put_documents(cell, [("book", "b1", {"cover": {"_file": "one.bin"}}), ("film", "f1", {}), ("film", "f2", {})])
    put_documents(cell, [("film", "f1", {"n": 2})])
    return cell


def told(root: V1, type: str) -> list[dict[str, Any]]:
    """Events in their full form, oldest first."""
    listed = answer(root.get(f"event/list?type={type}&format=json_full&sort=_id.ASC"))
    return [each["event"] for each in listed["objects"]]


def ids(*names: str) -> list[int]:
    return [Document.objects.get(doc_id=name).pk for name in names]


@pytest.mark.parametrize("definition", [{"csv": {}}, {"json": True}, {"documents": "lines"}])
def test_each_object_is_an_event(as_alice: V1, as_root: V1, cell: Cell, definition: dict[str, Any]) -> None:
    """§12: "`EXPORT_OBJECT` | per exported object | schema user, `objecttype`, `object_id`, `object_version`"."""
    export = run(as_alice, created(as_alice, **definition))
    events = told(as_root, "EXPORT_OBJECT")
    assert [event["object_id"] for event in events] == ids("b1", "f1", "f2")
    assert [event["objecttype"] for event in events] == ["book", "film", "film"]
    assert [event["object_version"] for event in events] == [1, 2, 1]
    assert {(event["schema"], event["pollable"]) for event in events} == {("USER", False)}
    assert "EXPORT_OBJECT" not in [each["event"]["type"] for each in export["_log"]]
    start, finish = (told(as_root, f"EXPORT_{name}")[0]["_id"] for name in ("START", "FINISH"))
    assert start < events[0]["_id"] < events[-1]["_id"] < finish


def test_only_what_is_exported_is_told(as_alice: V1, as_root: V1, cell: Cell) -> None:
    export = created(as_alice, type="export_incremental", csv={}, search={"objecttypes": ["film"]})
    run(as_alice, export)
    put_documents(cell, [("film", "f2", {"n": 2}), ("book", "b2", {})])
    run(as_alice, export)
    assert [event["object_id"] for event in told(as_root, "EXPORT_OBJECT")] == ids("f1", "f2", "f2")
    run(as_alice, created(as_alice, name="files alone"))
    assert len(told(as_root, "EXPORT_OBJECT")) == 3


def test_each_asset_is_an_event(as_alice: V1, as_root: V1, cell: Cell) -> None:
    """§12: "`EXPORT_ASSET` | per exported asset"; two versions of one are two files."""
    export = run(as_alice, created(as_alice, **WITH_FILES))
    events = told(as_root, "EXPORT_ASSET")
    assert [(event["basetype"], event["object_id"]) for event in events] == [
        ("asset", File.objects.get(path="one.bin").pk)
    ] * 2
    assert [event["info"]["version"] for event in events] == ["current", "original"]
    of = {"class": "other", "system_object_id": ids("b1")[0], "export": {"_id": id_of(export), "_version": 1}}
    assert all(event["info"].items() >= of.items() for event in events)
    listed = answer(as_root.get("event/list?base_type=asset"))
    assert listed["count"] == 2 and answer(as_root.get("event/list?base_type=object"))["count"] == 0  # no data of them


def test_of_many_it_is_told_how_many(as_alice: V1, as_root: V1, cell: Cell, settings: Any) -> None:
    """A million rows for each run would help nobody: EVENTS_OF_CONTENTS."""
    settings.EVENTS_OF_CONTENTS = 1
    run(as_alice, created(as_alice, csv={}, **WITH_FILES))
    objects, assets = told(as_root, "EXPORT_OBJECT"), told(as_root, "EXPORT_ASSET")
    assert [(each["objecttype"], each["object_id"], each["info"]["count"]) for each in objects] == [
        ("book", None, 1), ("film", None, 2),
    ]  # fmt: skip
    assert [(each["object_id"], each["info"]["class"], each["info"]["count"]) for each in assets] == [
        (None, "other", 2)
    ]


@pytest.mark.parametrize("scheduled", [False, True])
def test_each_copy_of_an_asset_is_an_event(
    as_alice: V1, as_root: V1, cell: Cell, tmp_path: Path, settings: Any, scheduled: bool
) -> None:
    """§9.6: "Per asset copied: event `ASSET_EXPORT_TRANSPORT_COPY`, or `ASSET_EXPORT_TRANSPORT_COPY_SCHEDULED` if the
    run was started by a schedule, not pollable, info `version`, `class`, `system_object_id`"."""
    settings.EXPORT_LOCAL_FOLDERS = [tmp_path]
    rsync = {"type": "rsync", "options": {"destination": str(tmp_path / "there")}}
    export = created(as_alice, name="press", csv={}, _transports=[rsync], _schedules=[{"minutes": [0]}], **WITH_FILES)
    if scheduled:
        schedules.dispatch_due(now=Schedule.objects.get().next_run_at)
    else:
        answer(as_alice.post(f"export/{id_of(export)}/start"))
    running.run_export(run_id=Run.objects.get().pk)
    assert not Event.objects.filter(type__startswith="ASSET_EXPORT_TRANSPORT_COPY").exists()
    done = delivery.deliver(delivery_id=Delivery.objects.get().pk)
    assert done is not None and done.state == "done", done and done.log
    name = "ASSET_EXPORT_TRANSPORT_COPY" + ("_SCHEDULED" if scheduled else "")
    events = told(as_root, name)
    assert [event["info"]["version"] for event in events] == ["current", "original"]
    of = {"class": "other", "system_object_id": ids("b1")[0]}
    assert all(event["info"].items() >= of.items() and not event["pollable"] for event in events)
    assert Event.objects.filter(type__startswith="ASSET_EXPORT_TRANSPORT_COPY").count() == 2
