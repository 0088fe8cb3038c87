"""What a killed worker leaves in the folders of runs and imports."""

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


def test_archives_that_were_put_together_for_a_dead_worker_go_too() -> None:
    folder = store.folder("imports")
    for name in ("tmpdead", "tmpalive", "move-parts"):
        (folder / name).write_bytes(b"PK")
    os.utime(folder / "tmpdead", (0, 0))
    os.utime(folder / "move-parts", (0, 0))  # the sweep of imports looks after these
    assert retention.sweep() == 1
    assert sorted(path.name for path in folder.iterdir()) == ["move-parts", "tmpalive"]


@pytest.fixture
def store_root() -> Path:
    return store.folder("runs")
