"""Absolute URLs (`spec/cell.md §0, §1`): of the configured unit, never of the request's Host."""

from urllib.parse import quote, urlsplit

from django.conf import settings
from django.http import HttpRequest

from cells.models import Cell
from exports.services.snapshot_layout import unit_url

__all__ = ["cell_of_host", "cell_path", "cell_url", "snapshot_url", "unit_url"]


def cell_url(cell: Cell) -> str:
    """Always ends in a slash. A host of its own where UNIT_HOST says so."""
    if not settings.UNIT_HOST:
        return f"{unit_url()}{cell.name}/"
    unit = urlsplit(unit_url())
    port = f":{unit.port}" if unit.port else ""
    return f"{unit.scheme}://{cell.name}.{settings.UNIT_HOST}{port}/"


def cell_path(cell: Cell) -> str:
    """For cookies."""
    return urlsplit(cell_url(cell)).path


def snapshot_url(cell: Cell, name: str = "") -> str:
    return f"{cell_url(cell)}__snapshot" + (f"/{quote(name, safe='')}" if name else "")


def cell_of_host(request: HttpRequest) -> str:
    """The cell whose own host was asked, "" when it was another."""
    host = request.META.get("HTTP_HOST", "").partition(":")[0].lower()
    if not settings.UNIT_HOST or not host.endswith(f".{settings.UNIT_HOST}"):
        return ""
    return host.removesuffix(f".{settings.UNIT_HOST}")
