"""Names and times at the edge of what may be, over HTTP."""

import pytest
from django.contrib.auth.models import User

from cells.models import Cell, File
from tests.clients import V1, content
from tests.factories import make_cell, put_file

pytestmark = pytest.mark.django_db


@pytest.fixture
def cell(alice: User) -> Cell:
    return make_cell(alice)


@pytest.fixture
def v1(alice: User) -> V1:
    return V1(alice)


def test_a_file_with_a_newline_in_its_name_can_be_reached(v1: V1, cell: Cell) -> None:
    """`cell_load` takes whatever the file system has; such a file was listed, and could not be fetched or deleted."""
    put_file(cell, "a\nb/c\n", b"found")
    assert content(v1.get("cell/alice-cell/files/a%0Ab/c%0A")) == b"found"
    assert v1.put_file("cell/alice-cell/files/a%0Ab/c%0A", b"again").status_code == 200
    assert v1.get("cell/alice-cell/files/a%0Ab/").json()["objects"][0]["path"] == "a\nb/c\n"
    assert v1.delete("cell/alice-cell/files/a%0Ab/c%0A").status_code == 200
    assert list(File.objects.values_list("path", flat=True)) == ["a\nb"]


def test_an_early_year_has_four_digits(v1: V1, cell: Cell) -> None:
    """ISO 8601; it said "1-01-01T…"."""
    url = "cell/alice-cell/files/old"
    assert v1.put_file(url, b"x", HTTP_X_MTIME="0001-01-01T00:00:00Z").json()["mtime"] == "0001-01-01T00:00:00.000000Z"
    assert v1.get(url)["X-Mtime"] == "0001-01-01T00:00:00.000000Z"
