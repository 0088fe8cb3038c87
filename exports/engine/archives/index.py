"""Names of an archive in a temporary file: found, compared and ordered without being held in memory."""

import sqlite3
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from exports.errors import ArchiveRefused

_BATCH = 5_000
#: KiB of pages that stay in memory; the rest goes to a file that has no name and is gone with the process.
_CACHE = 16 << 10
_TABLES = """
    CREATE TABLE member (name TEXT PRIMARY KEY, offset INTEGER, size INTEGER, packed INTEGER, crc32 INTEGER,
                         deflated INTEGER, extra INTEGER) WITHOUT ROWID;
    CREATE TABLE target (path TEXT PRIMARY KEY) WITHOUT ROWID;
    CREATE TABLE told (name TEXT PRIMARY KEY, path TEXT, size INTEGER, crc32 INTEGER, sha256 TEXT, mtime INTEGER,
                       executable INTEGER, generated INTEGER) WITHOUT ROWID;
    CREATE TABLE box (id TEXT PRIMARY KEY, name TEXT) WITHOUT ROWID;
    CREATE TABLE node (name TEXT PRIMARY KEY, path TEXT, mtime INTEGER, executable INTEGER, kind TEXT) WITHOUT ROWID;
"""


class Index:
    """`member`: what the container lists. Others: what those who read contents note, for statements of their own."""

    def __init__(self) -> None:
        self._database = sqlite3.connect("", check_same_thread=False, isolation_level=None)
        self._database.execute("PRAGMA journal_mode = OFF")
        self._database.execute(f"PRAGMA cache_size = -{_CACHE}")
        self._database.executescript(_TABLES)

    def close(self) -> None:
        self._database.close()

    def add(self, members: Iterable[tuple]) -> Iterator[list[Any]]:
        """Store members, and give them in lists. Raises ArchiveRefused for a name that was there before."""
        rest = iter(members)
        while batch := list(islice(rest, _BATCH)):
            yield batch
            self._database.execute("BEGIN")  # a transaction for each row took three times as long
            self.insert("member", batch)
            self._database.execute("COMMIT")

    def insert(self, table: str, rows: Iterable[tuple]) -> None:
        """Rows of one table, whose first column is unique: raises ArchiveRefused for one that comes twice."""
        for row in rows:
            marks = ", ".join("?" * len(row))
            try:
                self._database.execute(f"INSERT INTO {table} VALUES ({marks})", row)  # noqa: S608
            except sqlite3.IntegrityError as error:
                raise ArchiveRefused(entry=str(row[0])[:200], reason="it is there twice") from error

    def find(self, name: str) -> tuple | None:
        return self._database.execute("SELECT * FROM member WHERE name = ?", [name]).fetchone()

    def last(self) -> tuple | None:
        return self._database.execute("SELECT * FROM member ORDER BY offset DESC LIMIT 1").fetchone()

    def members(self) -> Iterator[tuple]:
        return self.query("SELECT * FROM member ORDER BY offset")

    def query(self, statement: str, *values: object) -> Iterator[tuple]:
        """Rows one by one; several queries may be under way."""
        return iter(self._database.cursor().execute(statement, values))
