"""Put a folder of this machine into a cell."""

import os
import stat
import sys
import time
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from io import BufferedReader, FileIO
from itertools import islice
from pathlib import Path
from typing import NamedTuple, Self, TextIO

from django.core.management.base import BaseCommand, CommandError

from cells.errors import DomainError, NameRefused
from cells.lines import LONGEST_LINE
from cells.loading import LoadItem, files_load
from cells.models import Cell
from cells.validators import normal_path
from cells.writing import documents_put

DONE_WITH_WARNINGS = 3
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_BAR_WIDTH = 30
_SORTED_AT_ONCE = 10_000
_TERMINAL_SECONDS, _LOG_SECONDS = 0.1, 5.0

Refuse = Callable[[str, str], None]


class Command(BaseCommand):
    help = (
        "Put the files and folders in FOLDER into CELL under their paths: all of them, or nothing. "
        "Exit codes: 0 done, 1 failed, 2 usage, 3 done but something was refused (named on stderr)."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("cell", metavar="CELL")
        parser.add_argument("folder", metavar="FOLDER", type=Path)
        parser.add_argument(
            "--documents", action="store_true", help="*.jsonl and *.ndjson are documents, one JSON object a line"
        )

    def handle(self, *, cell: str, folder: Path | str, documents: bool = False, **options: object) -> None:
        found = Cell.objects.filter(name=cell).first()
        if found is None:
            raise CommandError(f"There is no cell called {cell!r}.", returncode=2)
        if not Path(folder).is_dir():
            raise CommandError(f"{folder} is not a folder.", returncode=2)
        self._refused = 0
        with _Bar(self.stderr._out) as self._bar:
            self._load_files(found, Path(folder), documents)
            if documents:
                self._load_documents(found, Path(folder))
        if self._refused:
            self.stderr.write(f"{self._refused} refused")
            sys.exit(DONE_WITH_WARNINGS)

    def _load_files(self, cell: Cell, folder: Path, documents: bool) -> None:
        planned = 0
        if self._bar.on_terminal:
            planned = sum(each.status.st_size for each in _walk(folder, _nowhere) if stat.S_ISREG(each.status.st_mode))
        walked = (each for each in _walk(folder, self._refuse) if not (documents and each.is_documents))
        try:
            report = files_load(
                cell=cell,
                items=map(_item, walked),
                refuse=self._refuse,
                watch=lambda done: self._bar.show(done, planned),
            )
        except (OSError, DomainError) as error:
            raise CommandError(f"No file was loaded: {error}") from error
        except KeyboardInterrupt:
            raise CommandError("Stopped; no file was loaded.") from None
        self._bar.clear()
        self.stdout.write(
            f"files and folders: {report.created} created, {report.updated} updated, {report.unchanged} unchanged; "
            f"{report.bytes} bytes"
        )

    def _load_documents(self, cell: Cell, folder: Path) -> None:
        """After the files; a line that is refused does not keep out the others."""
        created = updated = deleted = 0
        for each in _walk(folder, _nowhere):
            if not each.is_documents:
                continue
            try:
                with BufferedReader(each.open(), 1 << 20) as source:
                    report = documents_put(cell=cell, lines=_lines(source), atomic=False)
            except (OSError, DomainError) as error:
                self._refuse(each.path, str(error))
                continue
            created += report.created
            updated += report.updated
            deleted += report.deleted
            for refusal in report.refused:
                self._refuse(f"{each.path} line {refusal['line']}", refusal["error"])
            self._refused += report.refused_count - len(report.refused)
        self.stdout.write(f"documents: {created} created, {updated} updated, {deleted} deleted")

    def _refuse(self, path: str, reason: str) -> None:
        self._refused += 1
        self._bar.clear()
        shown = path if path.isprintable() else repr(path)[1:-1]
        self.stderr.write(f"refused: {shown}: {reason}")


class _Found(NamedTuple):
    """A regular file or a folder; `path` is relative to the top, `place` is where it lies."""

    path: str
    place: str
    status: os.stat_result

    @property
    def is_documents(self) -> bool:
        return stat.S_ISREG(self.status.st_mode) and self.path.endswith((".jsonl", ".ndjson"))

    def open(self) -> FileIO:
        # What was a file when it was listed may be a link or a pipe by now: neither is followed or waited for.
        return FileIO(os.open(self.place, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC))


def _walk(top: Path, refuse: Refuse) -> Iterator[_Found]:
    pending = [""]
    while pending:
        folder = pending.pop()
        folders: list[str] = []
        try:
            with os.scandir(top / folder) as entries:
                for entry in _in_order(entries):
                    path = f"{folder}/{entry.name}" if folder else entry.name
                    try:
                        status = entry.stat(follow_symlinks=False)
                    except OSError as error:
                        refuse(path, error.strerror or str(error))
                        continue
                    if stat.S_ISDIR(status.st_mode):
                        if _name_holds(path, refuse):
                            yield _Found(path, entry.path, status)
                            folders.append(path)
                    elif stat.S_ISREG(status.st_mode):
                        yield _Found(path, entry.path, status)
                    else:
                        refuse(path, "a symbolic link" if entry.is_symlink() else "a device, pipe or socket")
        except OSError as error:
            refuse(folder or ".", error.strerror or str(error))
        pending.extend(reversed(folders))


def _in_order(entries: Iterator[os.DirEntry[str]]) -> Iterator[os.DirEntry[str]]:
    """By name: so they come to stand in the packs, and so exports ask for them. Huge folders in parts."""
    while part := sorted(islice(entries, _SORTED_AT_ONCE), key=lambda entry: entry.name):
        yield from part


def _name_holds(path: str, refuse: Refuse) -> bool:
    """A folder whose name cannot be used is refused once, not again with each file below."""
    try:
        normal_path(path)
    except NameRefused as error:
        refuse(path, str(error.params["reason"]))
        return False
    return True


def _item(found: _Found) -> LoadItem:
    mtime = _moment(found.status.st_mtime_ns)
    if stat.S_ISDIR(found.status.st_mode):
        return LoadItem(found.path, mtime)
    executable = bool(found.status.st_mode & stat.S_IXUSR)
    return LoadItem(found.path, mtime, found.open, executable, found.status.st_size)


def _moment(nanoseconds: int) -> datetime:
    try:
        return _EPOCH + timedelta(microseconds=nanoseconds // 1000)
    except OverflowError:  # beyond the year 9999, from a broken clock or file system
        return _EPOCH


def _lines(source: BufferedReader) -> Iterator[bytes]:
    """Lines, of which one that is too long comes cut, but still long enough to be refused."""
    while line := source.readline(LONGEST_LINE + 2):
        yield line
        while line and not line.endswith(b"\n"):
            line = source.readline(LONGEST_LINE)


def _nowhere(path: str, reason: str) -> None:
    """For a second walk: the first one has told."""


class _Bar:
    """Bytes done of bytes planned on a terminal, a line every few seconds elsewhere."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.on_terminal = stream.isatty()
        self._shown = False
        self._next = time.monotonic() + (0 if self.on_terminal else _LOG_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        self.clear()

    def show(self, done: int, planned: int) -> None:
        now = time.monotonic()
        if now < self._next:
            return
        if self.on_terminal:
            share = min(done / planned, 1.0) if planned else 1.0
            self._stream.write(
                f"\r[{'#' * int(share * _BAR_WIDTH):{_BAR_WIDTH}}] {share:4.0%} {done / 1e6:,.0f} MB\x1b[K"
            )
            self._next, self._shown = now + _TERMINAL_SECONDS, True
        else:
            self._stream.write(f"loading: {done} bytes\n")
            self._next = now + _LOG_SECONDS
        self._stream.flush()

    def clear(self) -> None:
        if self._shown:
            self._stream.write("\r\x1b[K")
            self._stream.flush()
            self._shown = False
