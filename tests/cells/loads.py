"""Loading items into a cell, and reading back what it holds."""

import io
from datetime import UTC, datetime

from cells.blobs import BlobStore
from cells.loading import LoadItem, LoadReport, files_load
from cells.models import Cell, File

MOMENT = datetime(2021, 2, 3, 4, 5, 6, 789_000, tzinfo=UTC)


def contents(cell: Cell) -> dict[str, bytes | None]:
    """Path to content; None for folders."""
    rows = File.objects.filter(cell=cell, generation=cell.generation).select_related("blob")
    return {row.path: None if row.is_folder else b"".join(BlobStore().open(row.blob)) for row in rows}


def item(path: str, content: bytes | None = b"x", **changes: object) -> LoadItem:
    return LoadItem(path, MOMENT, None if content is None else lambda: io.BytesIO(content))._replace(**changes)


def load_items(cell: Cell, *items: LoadItem, **options: object) -> tuple[LoadReport, list[tuple[str, str]]]:
    refused: list[tuple[str, str]] = []
    report = files_load(cell=cell, items=items, refuse=lambda *why: refused.append(why), **options)
    assert report.refused == len(refused)
    return report, refused
