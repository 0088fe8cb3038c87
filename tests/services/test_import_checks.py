"""What an import would change is found by a worker: its row tells how far it is, and ends it when it goes."""

import threading
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.utils import timezone

from cells.models import Cell
from exports.models import Import, ImportCheck
from exports.services import import_checks, imports
from exports.services.lifecycle import ATTEMPTS
from tests.factories import make_cell, put_documents, put_files
from tests.services.imported import command, holding

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def cell(alice: User) -> Cell:
    cell = make_cell(alice, "house")
    put_files(cell, {"a.txt": b"alpha" * 999, "b/c.txt": b"gamma"})
    put_documents(cell, [("contact", str(n), {"n": n}) for n in range(10)])
    return cell


@pytest.fixture
def archive(cell: Cell, tmp_path: Path) -> str:
    command("cell_export", "house", "-o", tmp_path / "house.zip")
    put_files(cell, {"a.txt": b"other", "new.txt": b"new"})
    return f"file:{tmp_path / 'house.zip'}"


def order(cell: Cell, archive: str) -> ImportCheck:
    return import_checks.check_order(cell=cell, owner=cell.owner, archive=archive, nudge=False)


def test_a_worker_finds_what_an_import_would_change_and_nothing_changes(cell: Cell, archive: str) -> None:
    before, row = holding(cell), order(cell, archive)
    assert (row.report, row.finished_at, Import.objects.count()) == (None, None, 0)
    import_checks.run_check(check_id=row.pk)
    row.refresh_from_db()
    assert row.report == imports.import_check(cell=cell, archive=archive)
    assert row.report["changed"]["paths"] == ["a.txt"] and row.report["removed"]["paths"] == ["new.txt"]
    assert row.finished_at is not None and row.error is None
    import_checks.run_check(check_id=row.pk)  # a message that came twice
    assert ImportCheck.objects.get().fence == 1
    assert holding(cell) == before


def test_an_archive_that_is_none_is_a_result(cell: Cell, tmp_path: Path) -> None:
    (tmp_path / "x.zip").write_bytes(b"PK\3\4 no")
    row = order(cell, f"file:{tmp_path / 'x.zip'}")
    import_checks.run_check(check_id=row.pk)
    row.refresh_from_db()
    assert row.error["code"] == "no_archive" and row.report is None and row.finished_at is not None


def test_a_cancelled_check_stops_its_worker(cell: Cell, archive: str, monkeypatch) -> None:
    stopped = threading.Event()

    def endless(cell: Cell, restore: object, tick) -> dict:
        import_checks.check_cancel(cell=cell, owner=cell.owner)
        try:
            for _ in range(6000):
                tick(1)
                stopped.wait(0.01)
        except import_checks.ImportLeaseLost:
            stopped.set()
            raise
        return {}

    monkeypatch.setattr(imports, "compare", endless)
    import_checks.run_check(check_id=order(cell, archive).pk)
    assert stopped.is_set() and not ImportCheck.objects.exists()


def test_another_choice_takes_its_place_and_the_same_one_does_not(cell: Cell, archive: str, bob: User) -> None:
    first = order(cell, archive)
    assert order(cell, archive) == first
    import_checks.check_order(cell=cell, owner=bob, archive=archive)
    second = order(cell, "blob:" + "0" * 64)
    assert {row.pk for row in ImportCheck.objects.filter(owner=cell.owner)} == {second.pk}
    import_checks.run_check(check_id=first.pk)
    assert ImportCheck.objects.filter(owner=bob).exists() and second.pk != first.pk


def test_a_lost_worker_is_replaced_and_the_third_one_is_the_last(cell: Cell, archive: str) -> None:
    row, silent = order(cell, archive), timezone.now() - settings.EXPORT_LEASE - timedelta(seconds=1)
    ImportCheck.objects.update(fence=1, heartbeat_at=timezone.now())
    import_checks.run_check(check_id=row.pk)
    row.refresh_from_db()
    assert row.fence == 1 and row.finished_at is None  # somebody is at it
    ImportCheck.objects.update(heartbeat_at=silent)
    import_checks.run_check(check_id=row.pk)
    row.refresh_from_db()
    assert row.fence == 2 and row.report is not None
    ImportCheck.objects.update(fence=ATTEMPTS, heartbeat_at=silent, finished_at=None, report=None)
    import_checks.checks_requeue()
    row.refresh_from_db()
    assert row.error["code"] == "import_lost" and row.finished_at is not None


def test_results_are_kept_for_a_day(cell: Cell, archive: str) -> None:
    row = order(cell, archive)
    import_checks.run_check(check_id=row.pk)
    assert import_checks.checks_sweep(now=timezone.now() + timedelta(hours=23)) == 0
    assert import_checks.checks_sweep(now=timezone.now() + timedelta(hours=25)) == 1
