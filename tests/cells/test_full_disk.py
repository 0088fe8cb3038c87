"""A disk that is full says so (lessons §2), and nothing is stored: not a row, not a file."""

import random
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from cells.models import Blob, Cell, File
from tests.clients import V1
from tests.factories import make_cell

LARGE = random.Random(1).randbytes(3_000_000)


@pytest.fixture
def small_disk(tmp_path: Path, settings) -> Iterator[Path]:
    where = tmp_path / "small"
    where.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", where], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"no file system may be mounted here: {done.stderr.strip()}")
    settings.EXPORTS_STORE = where
    yield where
    subprocess.run(["umount", "-l", where], check=True)


@pytest.fixture
def cell(alice) -> Cell:
    return make_cell(alice)


def test_a_file_that_does_not_fit_is_507_and_leaves_nothing(alice, cell: Cell, small_disk: Path) -> None:
    client = V1(alice)
    response = client.put_file(f"cell/{cell.name}/files/deep/large.bin", LARGE)
    told = response.json()
    assert (response.status_code, told["realm"], told["code"]) == (507, "server", "error.server.no_space")
    assert "nothing was stored" in told["description"] and str(small_disk) not in str(told) and told["uuid"]
    assert not File.objects.exists() and not Blob.objects.exists()
    assert [path for path in small_disk.rglob("*") if path.is_file()] == []
    small = client.put_file(f"cell/{cell.name}/files/small.bin", b"fits")
    assert small.status_code == 201
