"""Migrations are taken back where an update is: with rows that only the new version knew."""

from collections.abc import Iterator

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.db.migrations.exceptions import IrreversibleError
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone

from cells.models import Cell
from exports.models import Departure, Notification, NotificationKind
from exports.states import DepartureState
from tests.factories import make_cell

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def executor() -> Iterator[type[MigrationExecutor]]:
    yield MigrationExecutor
    newest = MigrationExecutor(connection)
    newest.migrate(newest.loader.graph.leaf_nodes())


def test_departures_without_a_cell_or_an_account_do_not_stop_it(alice: User, executor) -> None:
    kept = Departure.objects.create(owner=alice, cell=make_cell(alice, "here"), state=DepartureState.ABORTED)
    gone = Departure.objects.create(owner=alice, cell=None, state=DepartureState.MOVED)
    nobodys = Departure.objects.create(owner=None, cell=None, state=DepartureState.MOVED)
    for departure in (kept, gone, nobodys):
        Notification.objects.create(departure=departure, kind=NotificationKind.FAILED)
    executor(connection).migrate([("exports", "0014_reading_of_runs")])
    with connection.cursor() as cursor:
        cursor.execute("SELECT uid, (SELECT count(*) FROM exports_notification) FROM exports_departure")
        assert cursor.fetchall() == [(kept.pk, 1)]


def test_cells_that_are_being_removed_are_waited_for(alice: User, executor) -> None:
    cell = make_cell(alice, "gone")
    Cell.objects.update(removed_at=timezone.now())
    with pytest.raises(IrreversibleError, match="still being removed"):
        executor(connection).migrate([("cells", "0011_times_of_files")])
    assert Cell.every.get().pk == cell.pk
    Cell.every.all().delete()
    executor(connection).migrate([("cells", "0011_times_of_files")])


def test_words_of_documents_are_made_after_numbers_were_taken_back(executor) -> None:
    executor(connection).migrate([("cells", "0006_deletions")])
    with connection.cursor() as cursor:
        cursor.execute("""SELECT cells_terms(1, '{"n": 7}', '') @@ '7'::tsquery""")
        assert cursor.fetchone() == (True,)
