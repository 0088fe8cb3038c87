"""When schedules fire: `exports/services/occurrences.py` against the rule of `spec/v1.md §10`, minute by minute."""

import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from exports.services.occurrences import next_occurrence

MINUTE = timedelta(minutes=1)
DAYS = 400
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
#: Gaps and doubled times of 30 minutes, 1 and 2 hours; at midnight, in the small hours, in the evening, at Ramadan.
ZONES = (
    "Europe/Berlin",
    "America/New_York",
    "America/St_Johns",
    "America/Santiago",
    "America/Havana",
    "America/Nuuk",
    "Africa/Cairo",
    "Africa/Casablanca",
    "Australia/Lord_Howe",
    "Antarctica/Troll",
)
DEFINITIONS: tuple[Mapping[str, list], ...] = (
    {},
    {"minutes": [0, 15, 30, 45], "hours": list(range(24))},
    {"hours": [0, 23], "minutes": [30]},
    {"hours": [1, 2, 3], "minutes": [0, 59]},
    {"weekdays": ["Sunday", "sat"], "hours": [0, 2, 22], "minutes": [10]},
    {"weekdays": ["monday"], "days_of_month": [12], "hours": [15]},
    {"weekdays": ["SUN"], "days_of_month": [1, 2, 3, 4, 5, 6, 7], "hours": [2], "minutes": [30]},
    {"days_of_month": [29, 30, 31], "minutes": [1]},
)


def berlin(definition: Mapping[str, Any], after: str) -> str:
    """Both in the wall time of Berlin, the answer with its offset."""
    zone = ZoneInfo("Europe/Berlin")
    moment = next_occurrence(definition, zone=zone, after=datetime.fromisoformat(after).replace(tzinfo=zone))
    assert moment is not None and moment.tzinfo is UTC
    return moment.astimezone(zone).isoformat(timespec="minutes")


Clock = dict[tuple[int, int], list[Mapping[str, list]]]


def clock(definitions: tuple[Mapping[str, list], ...]) -> Clock:
    """§10: "hour(t) in (hours or [STANDARD_HOUR])) AND (minute(t) in (minutes or [STANDARD_MINUTE]))", looked up."""
    found: Clock = {}
    for definition in definitions:
        for hour in definition.get("hours") or [2]:
            for minute in definition.get("minutes") or [0]:
                found.setdefault((hour, minute), []).append(definition)
    return found


def fires_on(definition: Mapping[str, list], wall: datetime) -> bool:
    """§10: "(weekdays empty or weekday(t) in weekdays) AND (days_of_month empty or day(t) in days_of_month)"."""
    days = [day.lower()[:3] for day in definition.get("weekdays", [])]
    return (not days or wall.strftime("%a").lower() in days) and (
        not definition.get("days_of_month") or wall.day in definition["days_of_month"]
    )


def firing(turns: Clock, served: list[datetime]) -> list[Mapping[str, list]]:
    found = []
    for wall in served:
        for definition in turns.get((wall.hour, wall.minute), ()):
            if fires_on(definition, wall) and definition not in found:
                found.append(definition)
    return found


def walls(zone: ZoneInfo, begin: datetime, days: int) -> Iterator[tuple[datetime, list[datetime]]]:
    """Each minute that passes, and the wall times whose turn it is: the one that the clock shows, unless it has been
    shown before, and all that it has just skipped."""
    latest = begin.astimezone(zone).replace(tzinfo=None)
    for number in range(1, days * 1440):
        moment = begin + number * MINUTE
        shown = moment.astimezone(zone).replace(tzinfo=None)
        served = []
        while latest < shown:
            latest += MINUTE
            served.append(latest)
        yield moment, served


@pytest.mark.parametrize("name", ZONES)
def test_over_400_days_nothing_is_missed_and_nothing_is_doubled(name: str) -> None:
    zone = ZoneInfo(name)
    expected: list[list[datetime]] = [[] for _ in DEFINITIONS]
    odd_minutes = 0
    turns = clock(DEFINITIONS)
    for moment, served in walls(zone, BEGIN, DAYS):
        odd_minutes += len(served) != 1
        for definition in firing(turns, served):
            expected[DEFINITIONS.index(definition)].append(moment)
    assert odd_minutes > 30, "no change of the clocks was in these days"
    for definition, moments in zip(DEFINITIONS, expected, strict=True):
        assert moments
        found = []
        after: datetime | None = BEGIN
        while (after := next_occurrence(definition, zone=zone, after=after)) and after < BEGIN + timedelta(DAYS):
            found.append(after)
        assert found == moments


def test_days_that_a_country_leaves_out_are_made_up_at_the_next_valid_minute() -> None:
    """Samoa had no 30 December 2011."""
    zone = ZoneInfo("Pacific/Apia")
    after = datetime(2011, 12, 29, 12, tzinfo=zone)
    skipped = next_occurrence({"days_of_month": [30], "hours": [9]}, zone=zone, after=after)
    assert skipped == datetime(2011, 12, 31, 0, 0, tzinfo=zone)
    begin = datetime(2011, 12, 20, tzinfo=UTC)
    definition = {"hours": [0, 9, 23], "minutes": [0, 30]}
    turns = clock((definition,))
    expected = [moment for moment, served in walls(zone, begin, 20) if firing(turns, served)]
    found = []
    moment = begin
    while (moment := next_occurrence(definition, zone=zone, after=moment)) < begin + timedelta(20):
        found.append(moment)
    assert found == expected


@pytest.mark.parametrize(
    ("definition", "after", "expected"),
    [
        ({}, "2026-01-01T00:00", "2026-01-01T02:00+01:00"),
        ({}, "2026-01-01T02:00", "2026-01-02T02:00+01:00"),
        ({"hours": [], "minutes": []}, "2026-01-01T01:59:59", "2026-01-01T02:00+01:00"),
        ({"hours": [5]}, "2026-01-01T05:00:01", "2026-01-02T05:00+01:00"),
        ({"minutes": [7]}, "2026-01-01T00:00", "2026-01-01T02:07+01:00"),
        # the 12th, if it is a Monday, at 15:00
        ({"weekdays": ["Monday"], "days_of_month": [12], "hours": [15]}, "2026-01-13T00:00", "2026-10-12T15:00+02:00"),
        # the first Sunday of the month
        ({"weekdays": ["sun"], "days_of_month": [1, 2, 3, 4, 5, 6, 7]}, "2026-02-02T00:00", "2026-03-01T02:00+01:00"),
        ({"days_of_month": [31]}, "2026-01-31T03:00", "2026-03-31T02:00+02:00"),
        # 29 March 2026: 02:00 to 03:00 does not happen; 25 October: it happens twice
        ({"hours": [2], "minutes": [30]}, "2026-03-28T03:00", "2026-03-29T03:00+02:00"),
        ({"hours": [2, 3], "minutes": [0, 30]}, "2026-03-29T03:00", "2026-03-29T03:30+02:00"),
        ({"hours": [2], "minutes": [30]}, "2026-10-24T03:00", "2026-10-25T02:30+02:00"),
        ({"hours": [2], "minutes": [30]}, "2026-10-25T02:30", "2026-10-26T02:30+01:00"),
    ],
)
def test_the_rule_of_section_10_by_example(definition: Mapping[str, Any], after: str, expected: str) -> None:
    """§10, and issue 3: "a skipped hour runs once at the next valid minute, a doubled hour runs once"."""
    assert berlin(definition, after) == expected


def test_hour_and_minute_that_nobody_gave_come_from_the_settings(settings) -> None:
    """§10: "STANDARD_HOUR/MINUTE are settings, default 2 and 0"."""
    settings.STANDARD_HOUR, settings.STANDARD_MINUTE = 4, 20
    assert berlin({}, "2026-01-01T02:00") == "2026-01-01T04:20+01:00"
    assert berlin({"hours": [7]}, "2026-01-01T02:00") == "2026-01-01T07:20+01:00"


def test_what_never_comes_is_none_after_bounded_work() -> None:
    zone = ZoneInfo("Europe/Berlin")
    began = time.process_time()
    assert next_occurrence({"days_of_month": [32]}, zone=zone, after=BEGIN) is None
    assert next_occurrence({}, zone=zone, after=datetime(9999, 12, 31, 12, tzinfo=UTC)) is None
    assert time.process_time() - began < 5


def test_every_day_that_a_schedule_can_name_comes() -> None:
    """The rarest: a 29 February that is a certain weekday is also a 29th of some other month."""
    for weekday in ("mon", "tue", "wed", "thu", "fri", "sat", "sun"):
        for day in (1, 29, 30, 31):
            definition = {"weekdays": [weekday], "days_of_month": [day]}
            moment = next_occurrence(definition, zone=ZoneInfo("UTC"), after=BEGIN)
            assert moment is not None and (moment.day, moment.strftime("%a").lower()) == (day, weekday)
