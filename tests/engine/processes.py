"""Work that must happen in a process of its own: `python -m tests.engine.processes <what>`, arguments as JSON in."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from exports.engine.entries import Entry
from exports.engine.manifest import Seal
from exports.engine.plan import PACKERS, Planner, plan
from exports.engine.volumes import stream, write

ROOT = Path(__file__).resolve().parents[2]


def in_process(what: str, *arguments: object, environment: dict[str, str] | None = None):
    """The answer of a function below, called in a fresh interpreter."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.engine.processes", what],
        input=json.dumps(arguments).encode(),
        capture_output=True,
        cwd=ROOT,
        env={**os.environ, **(environment or {})},
    )
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)


def names_digest() -> str:
    from tests.engine.test_names import digest, hostile, named

    return digest(named(hostile(10_000)))


def unpacked(row: list) -> Entry:
    return Entry(*row[:12], bytes.fromhex(row[12]), *row[13:])


def seal(rows: list[list]) -> str:
    found = Seal()
    for row in rows:
        found.add(unpacked(row))
    return found.hexdigest()


def archive_digest(kind: str, rows: list[list], cuts: list[int]) -> str:
    """SHA-256 of an archive, read in ranges between `cuts`."""
    entries = [unpacked(row) for row in rows]

    def source(first: int, last: int) -> Iterator[Entry]:
        yield from entries[first:last]

    planner = Planner(PACKERS[kind], seal="seal")
    plan(source(0, len(entries)), [planner])
    (only,) = planner.finish()
    digest = hashlib.sha256()
    borders = [0, *cuts, only.length]
    for start, end in pairwise(borders):
        for piece in stream(only, source, start, end):
            digest.update(piece)
    return digest.hexdigest()


def memory(kind: str, count: int, row: list, folder: str) -> dict[str, int]:
    """Plan, write and read in part an archive of `count` entries that exist only while somebody looks at them.

    Figures in MiB: resident with all modules and no work done, and the most at any time.
    """
    first = unpacked(row)

    def source(begin: int, end: int) -> Iterator[Entry]:
        for number in range(begin, min(end, count)):
            yield first._replace(ordinal=number, name=f"{number // 1000:04}/{number:09}.txt")

    idle = _mib("VmRSS")
    planner = Planner(PACKERS[kind], seal="seal")
    plan(source(0, count), [planner])
    (only,) = planner.finish()
    length = write(only, source, f"{folder}/archive")
    os.unlink(f"{folder}/archive")
    if only.length:
        for start in (0, length // 2, length - 1000):
            assert sum(len(piece) for piece in stream(only, source, start, start + 1000)) == 1000
    return {"idle": idle, "peak": _mib("VmHWM"), "length": length}


def refusal(disk: int, archive: str | int, announced: int = 0) -> dict[str, object]:
    """How an archive is refused with the settings as they are, and the memory that took, in MiB.

    `archive`: a path, or the number of entries of a `ManyZip`. No file may grow beyond `disk` MiB.
    """
    import resource
    import time

    import django

    django.setup()
    from cells.errors import DomainError
    from exports.engine.restore import Budget, Source, restoring
    from tests.engine.many import ManyZip

    resource.setrlimit(resource.RLIMIT_FSIZE, (disk << 20, disk << 20))
    idle, begun, told = _mib("VmRSS"), time.process_time(), "taken"
    try:
        with (
            Source(archive) if isinstance(archive, str) else ManyZip(archive, announced) as source,
            restoring(source, Budget(2_000_000, 1 << 40, 250)) as restore,
        ):
            restore.prepare(lambda: None)
    except DomainError as error:
        told = f"{error.code}: {error}"
    return {"told": told, "idle": idle, "peak": _mib("VmHWM"), "seconds": round(time.process_time() - begun, 1)}


def _mib(field: str) -> int:
    """Not `ru_maxrss`: that begins with what the parent had when it forked."""
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(field)]
    return int(line.split()[1]) // 1024


if __name__ == "__main__":
    print(json.dumps(globals()[sys.argv[1]](*json.load(sys.stdin))))
