"""Contents to store, and ways to look at what the store made of them."""

import os
import random
import resource
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from django.db import connection
from django.utils import timezone

from cells.blobs import BlobStore
from cells.encoding import BLOCK, SMALL
from cells.models import Blob, Cell, File

_RANDOM = random.Random(11)
NOISE = _RANDOM.randbytes(3 * BLOCK)
TEXT = b"".join(b"%d sheep jumped over %d fences\n" % (n, _RANDOM.randrange(10**6)) for n in range(100_000))
CONTENTS = (b"", b"x", TEXT[:5000], NOISE[:5000], TEXT[:SMALL], NOISE[:SMALL], TEXT, NOISE)


def read(blob: Blob, start: int = 0, end: int | None = None) -> bytes:
    return b"".join(BlobStore().open(blob, start, end))


def store_files(root: Path) -> dict[str, int]:
    return {str(path.relative_to(root / "blobs")): path.stat().st_size for path in root.rglob("*") if path.is_file()}


def small(count: int, salt: str = "") -> list[bytes]:
    return [f"{salt} small content number {n} ".encode() * (20 + n % 50) for n in range(count)]


@contextmanager
def file_size_limit(limit: int) -> Iterator[None]:
    """A real failing write: the kernel refuses to make a file longer."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def refer(cell: Cell, blob: Blob, path: str = "f") -> File:
    return File.objects.create(
        cell=cell, generation=1, path=path, folder="", blob=blob, size=blob.size, mtime=timezone.now()
    )


def in_threads(*calls: Callable[[], object]) -> list[BaseException]:
    failures: list[BaseException] = []

    def run(call: Callable[[], object]) -> None:
        try:
            call()
        except BaseException as failure:
            failures.append(failure)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=[call]) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return failures


def age(path: Path, *, hours: float) -> None:
    moment = (timezone.now() - timedelta(hours=hours)).timestamp()
    os.utime(path, (moment, moment))
