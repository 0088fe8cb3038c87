"""What an import would change, without changing it."""

from collections.abc import Callable, Iterator
from hashlib import sha256
from itertools import islice
from typing import Any

from cells.comparing import TOLD, Comparison, Difference
from cells.loading import LoadItem
from cells.models import Cell
from cells.restoring import documents_batched
from exports.engine.restore import Restore
from exports.errors import ArchiveRefused

_CHUNK = 1 << 20
_ROWS = 5_000

#: {"added", "changed", "removed": {"count", "files", "documents", "paths", "ids"},
#:  "refused", "missing": {"count", "paths": [{"path", "reason"}]}}; paths and ids are the first thousand.
Report = dict[str, dict[str, Any]]


def compare(cell: Cell, restore: Restore, tick: Callable[..., object]) -> Report:
    """Reads everything in the archive, and holds it against what the cell shows. Raises what `prepare` does.

    `tick` hears of plain bytes, and may raise to stop.
    """
    restore.prepare(tick)
    comparison = Comparison(cell)
    refusals = _Refusals()
    try:
        files = _digests(restore, refusals, tick)
        while rows := list(islice(files, _ROWS)):
            comparison.add_files(rows)
        try:
            for batch in documents_batched(restore.documents()):
                comparison.add_documents(batch)
                tick(sum(len(each.line) for each in batch))
        except ArchiveRefused as refusal:  # what follows in the archive was not read
            refusals.add(refusal)
        told = {kind: _shown(each) for kind, each in comparison.differences().items()}
    finally:
        comparison.close()
    missing = [{"path": path, "reason": reason} for path, reason in restore.missing[:TOLD]]
    return {
        **told,
        "refused": {"count": refusals.count, "paths": refusals.told},
        "missing": {"count": len(restore.missing), "paths": missing},
    }


class _Refusals:
    def __init__(self) -> None:
        self.count = 0
        self.told: list[dict[str, str]] = []

    def add(self, refusal: ArchiveRefused) -> None:
        self.count += 1
        if len(self.told) < TOLD:
            self.told.append({"path": str(refusal.params["entry"]), "reason": str(refusal.params["reason"])})


def _digests(
    restore: Restore, refusals: _Refusals, tick: Callable[..., object]
) -> Iterator[tuple[str, bool, str | None]]:
    for item in restore.items():
        if item.open is None:
            yield item.path, True, None
            continue
        try:
            yield item.path, False, _digest(item, tick)
        except ArchiveRefused as refusal:
            refusals.add(refusal)


def _digest(item: LoadItem, tick: Callable[..., object]) -> str:
    digest = sha256()
    with item.open() as content:
        while chunk := content.read(_CHUNK):
            digest.update(chunk)
            tick(len(chunk))
    found = digest.hexdigest()
    if item.sha256 and found != item.sha256:
        raise ArchiveRefused(entry=item.path[:200], reason="its SHA-256 is another than it should be")
    return found


def _shown(difference: Difference) -> dict[str, Any]:
    return {"count": difference.files + difference.documents, **difference._asdict()}
