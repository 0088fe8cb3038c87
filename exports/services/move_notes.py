"""What is remembered for a move for some minutes, in the cache: codes that lead to one, and where a cell comes from."""

import secrets
from datetime import timedelta
from hashlib import sha256

from django.contrib.auth.models import User
from django.core.cache import cache

from cells.models import Cell

#: For whoever was handed a code to bring it back (`spec/move.md §7.1`).
CODE_LIFE = timedelta(minutes=10)
#: Between the word of the other server that a cell will come, and its coming.
_SOURCE_LIFE = timedelta(days=1)
_LONGEST_SOURCE = 300


def code_make(*, cell: Cell, user: User) -> str:
    """Good once, for asking that this cell be moved (the old server's scope `io.cozy.exports.requests`)."""
    code = secrets.token_urlsafe(24)
    cache.set(_key(code), (cell.pk, user.pk), CODE_LIFE.total_seconds())
    return code


def code_find(code: str) -> tuple[Cell, User] | None:
    """Whom it was made for; None for one that is unknown, used or too old, or whose cell is another's by now."""
    cell_id, user_id = cache.get(_key(code)) or (None, None)
    cell = Cell.objects.select_related("owner").filter(pk=cell_id, owner=user_id, owner__is_active=True).first()
    return (cell, cell.owner) if cell else None


def code_use(code: str) -> bool:
    """Whether it was good until now, and nobody else was faster."""
    return bool(cache.delete(_key(code)))


def source_note(*, cell: Cell, source: str) -> None:
    """Another server says that a cell will move in here from `source`, a domain."""
    cache.set(f"move:source:{cell.pk}", source[:_LONGEST_SOURCE], _SOURCE_LIFE.total_seconds())


def source_of(*, cell: Cell) -> str:
    """ "" when nothing was said."""
    return cache.get(f"move:source:{cell.pk}") or ""


def source_forget(*, cell: Cell) -> None:
    cache.delete(f"move:source:{cell.pk}")


def _key(code: str) -> str:
    return "move:code:" + sha256(code.encode("utf-8", "surrogatepass")).hexdigest()
