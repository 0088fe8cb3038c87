"""An export that shrinks leaves no `name.3.zip` of yesterday at its target; what others put there stays."""

from pathlib import Path

import pytest
from django.contrib.auth.models import User

from cells import writing
from cells.models import Cell
from exports.models import Delivery, Export
from exports.services import delivery, running
from exports.services.exports import TransportSpec, export_create, export_start, export_update
from exports.states import DeliveryState
from exports.transports.base import TransportError
from tests.factories import make_cell, put_files

pytestmark = pytest.mark.django_db(transaction=True)

LARGE = 6_000_000


@pytest.fixture
def folder(settings, tmp_path: Path) -> Path:
    folder = tmp_path / "allowed"
    folder.mkdir()
    settings.EXPORT_LOCAL_FOLDERS = [folder]
    return folder


@pytest.fixture
def cell(alice: User) -> Cell:
    """Three volumes of 10 MB."""
    cell = make_cell(alice)
    put_files(cell, {str(number): bytes([number]) * LARGE for number in range(3)})
    return cell


def to(folder: Path, packer: str = "zip_10mb") -> TransportSpec:
    return TransportSpec("rsync", packer, {"destination": str(folder), "options": {}}, None)


def made(owner: User, *transports: TransportSpec, type: str = "export") -> Export:
    options = {"name": "press", "cells": None, "definition": {}, "schedules": []}
    return export_create(owner=owner, type=type, transports=list(transports), **options)


def delivered(export: Export) -> list[Delivery]:
    run = running.run_export(run_id=export_start(export=export).pk)
    found = [delivery.deliver(delivery_id=pk) for pk in run.deliveries.values_list("pk", flat=True)]
    assert {row.state for row in found} == {DeliveryState.DONE}
    return found


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


VOLUMES = ["press.1.zip", "press.2.zip", "press.3.zip"]


def test_a_set_that_shrinks_and_grows(cell: Cell, alice: User, folder: Path) -> None:
    """`spec/v1.md §9.2`: "`<export name>.<ext>`; more than one part: `<export name>.<k>.<ext>`, k from 1"."""
    export = made(alice, to(folder))
    delivered(export)
    assert names(folder) == VOLUMES
    writing.file_delete(cell=cell, path="0")
    [row] = delivered(export)
    assert names(folder) == VOLUMES[:2] and "1 archives" in row.log[-1]
    writing.file_delete(cell=cell, path="1")
    delivered(export)
    assert names(folder) == ["press.zip"]
    put_files(cell, {"new": b"n" * LARGE})
    delivered(export)
    assert names(folder) == VOLUMES[:2]


def test_what_we_did_not_put_there_stays(cell: Cell, alice: User, folder: Path) -> None:
    export = made(alice, to(folder))
    delivered(export)
    for name in ("press.4.zip", "press.zip", "other.3.zip"):
        (folder / name).write_bytes(b"theirs")
    writing.file_delete(cell=cell, path="0")
    delivered(export)
    assert names(folder) == ["other.3.zip", *VOLUMES[:2], "press.4.zip", "press.zip"]
    (folder / "press.3.zip").write_bytes(b"theirs, since ours is gone")
    delivered(export)
    assert "press.3.zip" in names(folder)


def test_another_transport_to_the_same_place_keeps_its_own(cell: Cell, alice: User, folder: Path) -> None:
    export = made(alice, to(folder, "zip"), to(folder))
    for number in range(3):
        writing.file_delete(cell=cell, path=str(number))
    put_files(cell, {"small": b"s"})
    delivered(export)
    assert names(folder) == ["press.zip"], "both call it so"
    put_files(cell, {str(number): bytes([number]) * LARGE for number in range(3)})
    delivered(export)
    assert names(folder) == [*VOLUMES, "press.zip"], "the first one still does"


def test_after_a_renaming_and_at_another_place_the_old_archives_stay(cell: Cell, alice: User, folder: Path) -> None:
    export = made(alice, to(folder, "zip"))
    delivered(export)
    export_update(export=export, user=alice, changes={"name": "press 2"})
    delivered(export)
    assert names(folder) == ["press 2.zip", "press.zip"]
    (folder / "elsewhere").mkdir()
    export_update(export=export, user=alice, changes={"transports": [to(folder / "elsewhere", "tar")]})
    delivered(export)
    assert names(folder) == ["elsewhere", "press 2.zip", "press.zip"]


def test_the_same_place_with_another_packer_has_one_archive(cell: Cell, alice: User, folder: Path) -> None:
    export = made(alice, to(folder))
    delivered(export)
    export_update(export=export, user=alice, changes={"transports": [to(folder, "tar")]})
    delivered(export)
    assert names(folder) == ["press.tar"]


def test_changes_alone_replace_nothing(cell: Cell, alice: User, folder: Path) -> None:
    export = made(alice, to(folder), type="export_incremental")
    delivered(export)
    put_files(cell, {"new": b"n"})
    delivered(export)
    assert names(folder) == [*VOLUMES, "press.zip"]


def test_what_cannot_be_deleted_today_is_tried_again_next_time(
    cell: Cell, alice: User, folder: Path, monkeypatch
) -> None:
    export = made(alice, to(folder))
    delivered(export)
    writing.file_delete(cell=cell, path="0")

    def refuse(*_: object) -> None:
        raise TransportError("no", permanent=True)

    with monkeypatch.context() as patched:
        patched.setattr("exports.transports.local.LocalRemote.remove", refuse)
        [row] = delivered(export)
    assert "press.3.zip is not part of the export any more and could not be deleted: no" in row.log[-1]
    assert names(folder) == VOLUMES
    delivered(export)
    assert names(folder) == VOLUMES[:2]
