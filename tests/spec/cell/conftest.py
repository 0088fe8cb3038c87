import pytest
from django.contrib.auth.models import User

from cells.models import Cell
from tests.factories import make_cell, put_documents, put_file
from tests.spec.cell.asking import CellClient


@pytest.fixture(autouse=True)
def unit(settings) -> None:
    settings.PUBLIC_URL = "https://unit.example"


@pytest.fixture
def cell(alice: User) -> Cell:
    cell = make_cell(alice, "cell1")
    put_file(cell, "box/a.txt", b"alpha\n" * 500)
    put_documents(cell, [("note", "1", {"text": "hello"})])
    return cell


@pytest.fixture
def as_alice(alice: User) -> CellClient:
    return CellClient(alice)


@pytest.fixture
def as_bob(bob: User) -> CellClient:
    return CellClient(bob)


@pytest.fixture
def as_nobody(db: None) -> CellClient:
    return CellClient()


@pytest.fixture
def as_root(db: None) -> CellClient:
    return CellClient(User.objects.create_superuser("root", "root@example.org", "root's password"))
