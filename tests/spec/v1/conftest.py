import pytest
from django.contrib.auth.models import User

from cells.models import Cell
from tests.clients import V1
from tests.factories import make_cell, put_files
from tests.spec.v1.asking import created, run
from tests.spec.v1.packed import FILES


@pytest.fixture
def as_alice(alice: User) -> V1:
    return V1(alice)


@pytest.fixture
def as_bob(bob: User) -> V1:
    return V1(bob)


@pytest.fixture
def as_charlie(charlie: User) -> V1:
    return V1(charlie)


@pytest.fixture
def as_root(db: None) -> V1:
    return V1(User.objects.create_superuser("root", "root@example.org", "root's password"))


@pytest.fixture
def as_nobody(db: None) -> V1:
    return V1()


@pytest.fixture
def cell(alice) -> Cell:
    cell = make_cell(alice)
    put_files(cell, FILES)
    return cell


@pytest.fixture
def done(as_alice: V1, cell: Cell) -> dict:
    export = run(as_alice, created(as_alice, name="press"))
    assert export["_state"] == "done", export["_log"]
    return export
