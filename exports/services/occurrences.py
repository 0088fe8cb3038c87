"""When a schedule fires next (`spec/v1.md §10`). Pure: a definition, a zone and a moment in, a moment out."""

from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from django.conf import settings

#: A day of the month that is also a certain weekday comes within two years; what has not come by then never will.
HORIZON_DAYS = 8 * 366
MINUTE = timedelta(minutes=1)
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class _Rule(NamedTuple):
    #: Monday is 0; empty is any.
    weekdays: frozenset[int]
    days_of_month: frozenset[int]
    #: Sorted; what was not given is the standard hour and minute.
    hours: list[int]
    minutes: list[int]

    def days(self, first: date) -> Iterator[date]:
        for ordinal in range(first.toordinal(), min(first.toordinal() + HORIZON_DAYS, date.max.toordinal())):
            day = date.fromordinal(ordinal)
            if (not self.days_of_month or day.day in self.days_of_month) and (
                not self.weekdays or day.weekday() in self.weekdays
            ):
                yield day

    def times(self) -> Iterator[time]:
        return (time(hour, minute) for hour in self.hours for minute in self.minutes)


def next_occurrence(
    definition: Mapping[str, Collection[str | int]], *, zone: ZoneInfo, after: datetime
) -> datetime | None:
    """The first minute behind `after` at which the definition fires, in UTC; None when it never will.

    A wall time that the clocks skip fires once, at the first minute after the gap; one that they show twice fires at
    the first of the two. Hours and minutes that are not given are the settings STANDARD_HOUR and STANDARD_MINUTE.
    """
    rule = _rule(definition)
    here = after.astimezone(zone).replace(tzinfo=None)
    # Moments never go back where wall times go on, so whatever the wall shows by now lies behind us.
    for day in rule.days(here.date()):
        for at in rule.times():
            wall = datetime.combine(day, at)
            if wall > here and (moment := _moment(wall, zone)) > after:
                return moment
    return None


def _rule(definition: Mapping[str, Collection[str | int]]) -> _Rule:
    return _Rule(
        weekdays=frozenset(_DAYS.index(str(day)[:3].lower()) for day in definition.get("weekdays") or ()),
        days_of_month=frozenset(definition.get("days_of_month") or ()),
        hours=sorted(set(definition.get("hours") or (settings.STANDARD_HOUR,))),
        minutes=sorted(set(definition.get("minutes") or (settings.STANDARD_MINUTE,))),
    )


def _moment(wall: datetime, zone: ZoneInfo) -> datetime:
    """When the clocks of the zone first show `wall`, or, if they skip it, something later."""
    first = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if _shown(first, zone) == wall:
        return first
    # In a gap (PEP 495) fold 1 gives a moment before it, fold 0 one behind it.
    before, behind = wall.replace(tzinfo=zone, fold=1).astimezone(UTC), first
    while behind - before >= 2 * MINUTE:
        middle = before + (behind - before) // MINUTE // 2 * MINUTE
        before, behind = (middle, behind) if _shown(middle, zone) < wall else (before, middle)
    return behind


def _shown(moment: datetime, zone: ZoneInfo) -> datetime:
    return moment.astimezone(zone).replace(tzinfo=None)
