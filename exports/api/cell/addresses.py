"""Absolute URLs (`spec/cell.md §0, §1`): of the configured unit, never of the request's Host."""

from urllib.parse import quote, urlsplit

from cells.models import Cell
from exports.services.addresses import cell_url, unit_url

__all__ = ["cell_path", "cell_url", "snapshot_url", "unit_url"]


def cell_path(cell: Cell) -> str:
    """For cookies."""
    return urlsplit(cell_url(cell)).path


def snapshot_url(cell: Cell, name: str = "") -> str:
    return f"{cell_url(cell)}__snapshot" + (f"/{quote(name, safe='')}" if name else "")
