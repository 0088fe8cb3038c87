"""A server whose disks are almost full: nothing new comes in, what is there can be read and deleted."""

from django.conf import settings

from cells.errors import ReadOnly

#: `spec/cell.md §2.5`.
_TAKEN = frozenset({"GET", "DELETE", "OPTIONS", "HEAD", "PROPFIND", "REPORT"})


def read_only_check(method: str | None) -> None:
    """For every request, unless what it asks for brings nothing in. Raises ReadOnly."""
    if settings.READ_ONLY and method not in _TAKEN:
        raise ReadOnly
