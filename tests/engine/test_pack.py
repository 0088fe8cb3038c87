"""The file of what a run itself produces, on a disk that is full: `/dev/full` is one."""

import os

import pytest

from exports.engine.pack import Pack
from exports.errors import NoSpace


@pytest.mark.parametrize("size", [10, 3_000_000])
def test_a_full_disk_is_called_so_whenever_it_is_noticed(size: int) -> None:
    """While writing, or not before the seal; and closing what failed hides nothing."""
    pack = Pack("/dev/full")
    with pytest.raises(NoSpace):
        pack.add("a.json", [os.urandom(size)], mtime=0)
        pack.seal()
    pack.close()
