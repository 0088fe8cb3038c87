"""Imports from the link of an export on another server (`spec/move.md §6`): the same imports as all others, from parts
that are fetched first."""

import logging
import time
from base64 import b64decode, b64encode
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth.models import User

from cells.models import Cell
from exports.errors import ArchiveUnreadable, MoveNotFound, MoveTooLarge, SecretsUnreadable
from exports.models import Import, ImportMode
from exports.services import import_lifecycle, move_fetching, move_links
from exports.services.move_links import Manifest
from exports.services.secrets import secrets_open, secrets_seal
from exports.states import IMPORT_ACTIVE
from exports.transports.base import TransportError

log = logging.getLogger(__name__)

#: As `archives.LINK`, which imports this.
LINK = "link:"
#: What was fetched for an import that failed is kept for so long, for another try.
KEPT_SECONDS = 24 * 3600
#: Names and headers of an entry, which no quota counts.
_PER_ENTRY = 1024


def link_source(*, cell: Cell, link: str) -> str:
    """The link as the source of an import into `cell`, readable to nobody. Raises MoveNotFound for what is no link."""
    return _sealed(cell, move_links.manifest_url(link))


def manifest_source(*, cell: Cell, url: str) -> str:
    """The same of the manifest's own address (§9.4)."""
    return _sealed(cell, move_links.manifest_checked(url))


def _sealed(cell: Cell, url: str) -> str:
    return LINK + b64encode(secrets_seal({"url": url, "cell": str(cell.pk)})).decode()


def is_link(source: str) -> bool:
    return source.startswith(LINK)


def source_host(source: str) -> str:
    """The other server's name, for people."""
    return urlsplit(_url(source)).hostname or ""


def import_precheck(*, cell: Cell, source: str) -> Manifest:
    """Whether an import could be. Changes nothing here or there. Raises MoveNotFound, MoveTooLarge."""
    manifest = move_links.manifest_fetch(_url(source))
    _most(cell, manifest)
    return manifest


def _most(cell: Cell, manifest: Manifest) -> int:
    """Bytes that its parts may have together. Raises MoveTooLarge for what says itself that it does not fit."""
    if cell.quota is None:
        return settings.IMPORT_MAX_SIZE
    if manifest.size > cell.quota:
        raise MoveTooLarge(quota=cell.quota, needed=manifest.size, missing=manifest.size - cell.quota)
    return min(settings.IMPORT_MAX_SIZE, cell.quota + _PER_ENTRY * settings.IMPORT_MAX_ENTRIES)


def import_from_link(*, cell: Cell, owner: User, source: str, mode: ImportMode | str = ImportMode.REPLACE) -> Import:
    """Queues the import; what is behind the link is looked at when it runs. Raises CellBusy."""
    return import_lifecycle.import_create(
        cell=cell, owner=owner, source=source, mode=ImportMode(mode), name=source_host(source)
    )


def is_from_link(row: Import) -> bool:
    return is_link(row.source)


def link_fetch(sealed: str, tick: Callable[[int], object]) -> list[Path]:
    """All parts, in files; no more is fetched than the cell could hold.

    Raises MoveTooLarge, ArchiveTooLarge, and ArchiveUnreadable, which does not tell why: that could be about our
    network.
    """
    opened = secrets_open(b64decode(sealed))
    try:
        manifest = move_links.manifest_fetch(opened["url"])
        most = _most(Cell.objects.get(pk=opened["cell"]), manifest)
        return move_fetching.parts_fetch(manifest, cell=opened["cell"], most=most, tick=tick)
    except (MoveNotFound, TransportError) as error:
        log.warning("an export could not be fetched: %s", type(error).__name__)
        raise ArchiveUnreadable(reason="the export on the other server could not be fetched") from error


def link_forget(row: Import) -> None:
    """What was fetched for it is not needed any more."""
    move_fetching.parts_forget(**_opened(row.source))


def links_sweep() -> int:
    """A folder is as old as the newest part in it, and one part may take longer to come than parts are kept."""
    wanted = set()
    for source in Import.objects.filter(state__in=IMPORT_ACTIVE, source__startswith=LINK).values_list("source"):
        with suppress(SecretsUnreadable):  # such an import will fail, and needs nothing
            wanted.add(move_fetching.folder_of(**_opened(*source)))
    return move_fetching.parts_sweep(time.time() - KEPT_SECONDS, wanted)


def _url(source: str) -> str:
    """Of the export document that the link leads to."""
    return _opened(source)["url"]


def _opened(source: str) -> dict[str, str]:
    """{"url", "cell"}."""
    return secrets_open(b64decode(source.removeprefix(LINK)))
