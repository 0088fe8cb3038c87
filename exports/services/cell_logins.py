"""Signing in to one cell by password (`spec/cell.md §13.2`): its accounts are its owner and the superusers."""

import hashlib

from django.contrib.auth.models import User
from django.core.cache import cache
from django.utils import timezone

from cells.errors import LoginBlocked, LoginDisabled, LoginFailed
from cells.models import Cell
from cells.tokens import password_user

#: After a failed attempt the account is refused for so long, with the right password too.
PAUSE_SECONDS = 1
_DAY = 86400


def login(*, cell: Cell, login: str, password: str, address: str) -> User:
    """Raises LoginFailed, LoginDisabled, LoginBlocked; one answer for an unknown account and one of another cell."""
    key = _key(cell, login)
    if cache.get(f"{key}:pause"):
        raise LoginFailed
    try:
        user = password_user(login=login, password=password, address=address)
        if not may_enter(cell=cell, user=user):
            raise LoginFailed
    except (LoginFailed, LoginDisabled, LoginBlocked):
        cache.set(f"{key}:pause", True, PAUSE_SECONDS)
        cache.add(f"{key}:failed", 0, _DAY)
        cache.incr(f"{key}:failed")
        raise
    return user


def may_enter(*, cell: Cell, user: User) -> bool:
    return user.is_active and (user.is_superuser or user.pk == cell.owner_id)


def history(*, cell: Cell, user: User) -> tuple[int | None, int]:
    """(when he last signed in to it, ms since 1970; failed attempts since then), as told to whoever signs in now."""
    key = _key(cell, user.get_username())
    last, failed = cache.get(f"{key}:last"), cache.get(f"{key}:failed", 0)
    cache.set(f"{key}:last", int(timezone.now().timestamp() * 1000), None)
    cache.delete(f"{key}:failed")
    return last, failed


def _key(cell: Cell, login: str) -> str:
    name = hashlib.sha256(login.casefold().encode("utf-8", "surrogatepass")).hexdigest()
    return f"cell-login:{cell.pk}:{name}"
