"""Date prefixes: `2000` is all of that year, `2000-01` all of that month (`spec/v1.md §7.4`). UTC unless told."""

import calendar
import re
from datetime import UTC, datetime, timedelta

_DATE = re.compile(
    r"(?P<year>[0-9]{4})(-(?P<month>[0-9]{2})(-(?P<day>[0-9]{2})"
    r"([T ](?P<hour>[0-9]{2}):(?P<minute>[0-9]{2})(:(?P<second>[0-9]{2})(\.(?P<fraction>[0-9]{1,6}))?)?"
    r"(?P<zone>Z|[+-](0[0-9]|1[0-4]):?[0-5][0-9])?)?)?)?"
)


def looks_like_a_date(text: str) -> bool:
    return _DATE.fullmatch(text) is not None


def instant(text: str, *, last: bool) -> datetime:
    """The first or the last microsecond that the text stands for; ValueError when there is no such day."""
    found = _DATE.fullmatch(text)
    if found is None:
        raise ValueError("is no ISO date")
    part = {name: int(value) for name, value in found.groupdict().items() if value and name not in ("zone", "fraction")}
    year, month = part["year"], part.get("month", 12 if last else 1)
    datetime(year, month, 1, tzinfo=UTC)
    day = part.get("day", calendar.monthrange(year, month)[1] if last else 1)
    fraction = (found["fraction"] or "").ljust(6, "0") if found["fraction"] else "999999" if last else "0"
    rest = (23, 59, 59) if last else (0, 0, 0)
    clock = (part.get(name, value) for name, value in zip(("hour", "minute", "second"), rest, strict=True))
    return datetime(year, month, day, *clock, int(fraction), tzinfo=UTC) - _offset(found["zone"])


def _offset(zone: str | None) -> timedelta:
    if zone in (None, "Z"):
        return timedelta()
    size = timedelta(hours=int(zone[1:3]), minutes=int(zone[-2:]))
    return -size if zone[0] == "-" else size
