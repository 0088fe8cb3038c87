"""Our own absolute URLs: of the configured unit, and of cells that have hosts of their own (UNIT_HOST)."""

from collections.abc import Callable
from urllib.parse import unquote, urlsplit

from django.conf import settings

from cells.models import Cell


def unit_url() -> str:
    """`spec/cell.md §0`: always ends in a slash."""
    return f"{settings.PUBLIC_URL.rstrip('/')}/"


def cell_url(cell: Cell) -> str:
    """Always ends in a slash. A host of its own where UNIT_HOST says so."""
    if not settings.UNIT_HOST:
        return f"{unit_url()}{cell.name}/"
    unit = urlsplit(unit_url())
    port = f":{unit.port}" if unit.port else ""
    return f"{unit.scheme}://{cell.name}.{settings.UNIT_HOST}{port}/"


def cell_of_host(host: str) -> str:
    """The cell whose own host this is, with or without a port; "" when it is another host. There may be none of it."""
    name = host.partition(":")[0].lower().removesuffix(".")
    if not settings.UNIT_HOST or not name.endswith(f".{settings.UNIT_HOST}") or name == urlsplit(unit_url()).hostname:
        return ""
    return name.removesuffix(f".{settings.UNIT_HOST}")


def asked_url(host: str, path: str, told: Callable[[str], str]) -> tuple[str, str]:
    """(host, path) that was asked for, as the proxy in front of us tells it, where it may (`spec/cell.md §3.1`).

    `told` gives a header's value, "" for none.
    """
    if not settings.TRUSTED_PROXY_URL:
        return host, path
    told_path = unquote(told("X-Forwarded-Path").partition("?")[0])
    return told("X-Forwarded-Host").rpartition(",")[2].strip() or host, told_path if told_path[:1] == "/" else path
