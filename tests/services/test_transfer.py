"""A cell moves from one exportsite to another (docs/moving.md): all of it, or nothing."""

import pytest
from django.contrib.auth.models import User

from cells.models import Cell
from cells.writing import cell_delete
from exports.models import Departure
from exports.services.source_server import SourceAway, SourceServer
from exports.states import DepartureState, ImportState
from tests.factories import make_cell, put_file
from tests.services.imported import generations, holding
from tests.services.moving import arrive, filled, offered, run

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def reachable(settings) -> None:
    settings.EGRESS_ALLOW = ["127.0.0.0/8", "::1/128"]


@pytest.fixture
def source(alice: User) -> Cell:
    return filled(alice)


@pytest.fixture
def target(bob: User) -> Cell:
    cell = make_cell(bob, "target")
    put_file(cell, "old", b"old")
    return cell


def test_a_cell_moves_with_everything_it_holds(source: Cell, target: Cell, live_server) -> None:
    departure = offered(source, live_server.url)
    before = holding(source)
    row = run(arrive(departure, target, live_server.url))
    assert (row.state, row.error) == (ImportState.DONE, None)
    assert holding(target) == before
    departure.refresh_from_db()
    assert departure.state == DepartureState.MOVED
    source.refresh_from_db()
    assert source.moved_to
    assert Departure.objects.count() == 1 and len(generations(target)) == 2


def test_a_moved_cell_may_be_deleted_before_the_other_server_has_heard(source: Cell, target: Cell, live_server) -> None:
    """It would have dropped what it holds, when it asks again and nobody knows the move."""
    departure = offered(source, live_server.url)
    row = arrive(departure, target, live_server.url)
    before = holding(source)

    def lost(self: SourceServer, digest: str) -> None:
        honest(self, digest)
        raise SourceAway("the answer was lost")

    honest = SourceServer.finalize
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SourceServer, "finalize", lost)
        assert run(row).state == ImportState.PENDING
    source.refresh_from_db()
    assert source.moved_to
    cell_delete(cell=source)
    assert run(row).state == ImportState.DONE
    assert holding(target) == before
