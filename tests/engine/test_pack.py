"""The file of what a run itself produces, on a disk that is full: `/dev/full` is one."""

import os
from pathlib import Path

import pytest

from cells.errors import NoSpace
from exports.engine.pack import Pack


@pytest.mark.parametrize("size", [10, 3_000_000])
def test_a_full_disk_is_called_so_whenever_it_is_noticed(size: int) -> None:
    """While writing, or not before the seal; and closing what failed hides nothing."""
    pack = Pack("/dev/full")
    with pytest.raises(NoSpace):
        pack.add("a.json", [os.urandom(size)], mtime=0)
        pack.seal()
    pack.close()


def test_a_long_content_lets_its_run_beat_its_heart_and_be_stopped(tmp_path: Path) -> None:
    """One doctype may take longer than a lease."""
    heard: list[int] = []

    def tick(count: int) -> None:
        heard.append(count)
        if len(heard) == 3:
            raise InterruptedError

    pack = Pack(str(tmp_path / "pack"), tick)
    with pytest.raises(InterruptedError):
        pack.add("a.json", iter([b"x" * 1000] * 100), mtime=0)
    assert heard == [1000] * 3
    pack.close()
