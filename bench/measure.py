"""Clocks: contestants in turn, medians, peak memory of a process."""

import gc
import os
import shutil
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple


class Trial(NamedTuple):
    seconds: float
    #: With its output brought to disk, too; None where that is not looked at.
    synced: float | None = None


class Series(NamedTuple):
    """What one contestant needed, round by round."""

    trials: list[Trial]

    @property
    def seconds(self) -> float:
        return statistics.median(trial.seconds for trial in self.trials)

    @property
    def synced(self) -> float | None:
        found = [trial.synced for trial in self.trials if trial.synced is not None]
        return statistics.median(found) if found else None


def in_turn(rounds: int, contestants: Mapping[str, Callable[[], Trial]]) -> dict[str, Series]:
    """A, B, C, A, B, C …: so that a slow minute of the machine hits all of them."""
    trials: dict[str, list[Trial]] = {name: [] for name in contestants}
    for number in range(rounds):
        for name, contestant in contestants.items():
            gc.collect()
            os.sync()  # what others have left to be written must not be written on our time
            trials[name].append(trial := contestant())
            print(f"    {number + 1}/{rounds} {name}: {trial.seconds:.3f} s", file=sys.stderr, flush=True)
    return {name: Series(found) for name, found in trials.items()}


def timed(work: Callable[[], object]) -> Trial:
    begin = time.perf_counter()
    work()
    return Trial(time.perf_counter() - begin)


def timed_output(work: Callable[[Path], object], out: Path) -> Trial:
    """`work` makes the file `out`, which is then brought to disk, and removed."""
    begin = time.perf_counter()
    work(out)
    seconds, synced = time.perf_counter() - begin, None
    if out.is_dir():
        shutil.rmtree(out)
    else:
        _sync(out)
        synced = time.perf_counter() - begin
        out.unlink()
    return Trial(seconds, synced)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def peak_memory(pid: int) -> float:
    """The most memory that a running process ever had resident, in MB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise ProcessLookupError(pid)


def children(pid: int) -> list[int]:
    """The processes that `pid` started, and theirs."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in map(int, (task / "children").read_text().split()):
            found += [child, *children(child)]
    return found


def bytes_read() -> int:
    """What this process has read so far from files (not from sockets)."""
    fields = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(fields["rchar"])
