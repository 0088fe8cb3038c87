"""Memory as a file system: what tests write need not outlive a power cut, and its fsync costs nothing there."""

import os
import re
import shutil
import tempfile
from pathlib import Path

_RAM = Path("/dev/shm")
_PREFIX = "exportsite-test-"


def room(size: int) -> Path | None:
    """Where `size` bytes fit and leave as much free; None where memory is short, or nothing there may be executed."""
    try:
        found = re.search(r"MemAvailable: +([0-9]+) kB", Path("/proc/meminfo").read_text())
        disk = os.statvfs(_RAM)
    except OSError:
        return None
    free = min(disk.f_bavail * disk.f_frsize, int(found[1]) * 1024 if found else 0)
    may = not disk.f_flag & os.ST_NOEXEC and os.access(_RAM, os.W_OK)
    return _RAM if may and free >= 2 * size else None


def make_folder(size: int) -> Path:
    """In memory if there is room for `size` bytes, else where temporary files are; for the maker to remove."""
    _remove_orphans()
    return Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=room(size)))


def _remove_orphans() -> None:
    """Of test runs that were killed: memory does not come back by itself."""
    for folder in _RAM.glob(f"{_PREFIX}*-*"):
        if not Path("/proc", folder.name.split("-")[2]).exists():
            shutil.rmtree(folder, ignore_errors=True)
