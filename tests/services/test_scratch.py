"""What a killed worker leaves in the folder of the runs while it made a data file."""

import os
from pathlib import Path

import pytest

from exports.services import retention, store

pytestmark = pytest.mark.django_db


def test_folders_of_dead_workers_go_and_those_of_living_ones_stay(store_root: Path) -> None:
    for name in ("xlsx.dead", "xlsx.alive"):
        (store_root / name).mkdir()
        (store_root / name / "book.xlsx").write_bytes(b"half")
    os.utime(store_root / "xlsx.dead", (0, 0))
    assert retention.sweep() == 1
    assert [path.name for path in store_root.iterdir()] == ["xlsx.alive"]
    assert (store_root / "xlsx.alive" / "book.xlsx").read_bytes() == b"half"


@pytest.fixture
def store_root() -> Path:
    return store.folder("runs")
