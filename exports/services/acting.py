"""Whose request is being answered, for the events that it leaves (`spec/v1.md §12`)."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from ipaddress import ip_address
from typing import NamedTuple

from django.conf import settings

from cells.models import AccessToken


class Acting(NamedTuple):
    #: As `Event.session`; "" where nobody has one.
    session: str = ""
    #: Null unless EVENTS_WITH_ADDRESSES: it is personal.
    address: str | None = None


_acting: ContextVar[Acting] = ContextVar("acting")


def acting() -> Acting:
    return _acting.get(Acting())


@contextmanager
def nobody_yet() -> Iterator[None]:
    """A request; what is known of it by `acts` is forgotten with it."""
    before = _acting.set(Acting())
    try:
        yield
    finally:
        _acting.reset(before)


def acts(*, token: AccessToken | None, address: str) -> None:
    _acting.set(Acting(session_of(token), _address(address) if settings.EVENTS_WITH_ADDRESSES else None))


def _address(text: str) -> str | None:
    """None of what is none: a socket's end, or what a proxy makes of it."""
    try:
        return str(ip_address(text.partition("%")[0]))
    except ValueError:
        return None


def session_of(token: AccessToken | None) -> str:
    """A name for a session that opens nothing."""
    return token.digest[:16] if token else ""
