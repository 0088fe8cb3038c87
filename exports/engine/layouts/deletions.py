"""A layout of changes, and behind it the list of what went since the last one (FORMAT.md, "What is new")."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from functools import partial
from itertools import chain
from json.encoder import encode_basestring as quoted

from cells.deletions import Gone
from cells.frozen import Snapshot
from exports.engine.entries import Entry
from exports.engine.freeze import Layout
from exports.engine.manifest import timestamp
from exports.engine.names import Names
from exports.engine.pack import Pack

NAME = "deleted.jsonl"


def with_deletions(layout: Layout, *, since: datetime, files: bool, doctypes: list[str] | None) -> Layout:
    """`files`: whether they are listed too. `doctypes`: of which documents; None is all, none of them an empty list."""
    return partial(_entries, layout=layout, since=since, files=files, doctypes=doctypes)


def _entries(
    snapshot: Snapshot,
    cells: list[tuple[int, str]],
    names: Names,
    pack: Pack,
    *,
    layout: Layout,
    since: datetime,
    files: bool,
    doctypes: list[str] | None,
) -> Iterator[Entry]:
    yield from layout(snapshot, cells, names, pack)
    gone = snapshot.deletions([cell_id for cell_id, _ in cells], since, files=files, doctypes=doctypes)
    if (first := next(gone, None)) is None:
        return
    clock = _Clock()
    entry = pack.add(names.beside("", NAME), clock.lines(chain([first], gone)), mtime=0)
    yield entry._replace(mtime=clock.latest)


class _Clock:
    """The lines of the list, and the last time that is in them, in µs."""

    latest = 0

    def lines(self, gone: Iterable[Gone]) -> Iterator[bytes]:
        for one in gone:
            self.latest = max(self.latest, one.deleted_at)
            yield _line(one)


def _line(gone: Gone) -> bytes:
    what = f'"path": {quoted(gone.name)}'
    if gone.doctype:
        what = f'"doctype": {quoted(gone.doctype)}, "id": {quoted(gone.name)}, "_system_object_id": {gone.object_id}'
    return f'{{"cell": {quoted(gone.cell)}, {what}, "deleted_at": "{timestamp(gone.deleted_at)}"}}\n'.encode()
