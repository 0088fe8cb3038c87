"""States, phases, events and schedules in people's words."""

from collections.abc import Iterable
from datetime import time

from django.conf import settings
from django.utils.formats import date_format
from django.utils.translation import gettext, ngettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _

from exports.models import Export, Notify, Schedule
from exports.states import RunState

#: As Django's `date` writes it.
MOMENT = pgettext_lazy("a day and a time", "j M Y, H:i")
NEW = "new"
#: State → (word, the badge's colour).
STATES = {
    NEW: (_("not run yet"), ""),
    RunState.PENDING: (_("waiting"), "busy"),
    RunState.PROCESSING: (_("running"), "busy"),
    RunState.DONE: (_("done"), "good"),
    RunState.DONE_WITH_WARNINGS: (_("done, with warnings"), "warn"),
    RunState.FAILED: (_("failed"), "bad"),
    RunState.STOPPED: (_("stopped"), "warn"),
    RunState.EXPIRED: (_("expired"), ""),
}
TYPES = {
    "export": _("Everything, each time"),
    "export_incremental": _("Only what has changed since the last run"),
    "download": _("For one download"),
}
PHASES = {
    "": _("Starting"),
    "freeze": _("Reading the cells, all at one moment"),
    "plan": _("Laying out the archives"),
    "verify": _("Checking every byte"),
    "write": _("Writing the archives"),
}
TRANSPORTS = {
    "download": _("Download"),
    "email": _("E-mail"),
    "rsync": _("rsync"),
    "ftp": _("FTP"),
    "ftps": _("FTPS"),
    "sftp": _("SFTP"),
    "webdav": _("WebDAV"),
    "s3": _("S3"),
}
PACKERS = {
    None: _("single files"),
    "zip": _("ZIP"),
    "zip_10mb": _("ZIP in parts of 10 MB"),
    "zip_2gb": _("ZIP in parts of 2 GB"),
    "tar": _("TAR"),
    "tar_gz": _("TAR.GZ"),
    "tar_bz2": _("TAR.BZ2"),
}
#: Which mails the owner gets.
MAILS = {
    Notify.ALL: _("about every run"),
    Notify.PROBLEMS: _("about warnings and failures"),
    Notify.NONE: pgettext_lazy("mails", "none"),
}
#: Event → (sentence, colour).
EVENTS = {
    "EXPORT_INSERT": (_("Created"), ""),
    "EXPORT_UPDATE": (_("Changed; earlier archives were withdrawn"), ""),
    "EXPORT_START": (_("Started"), ""),
    "EXPORT_REQUEUED": (_("Its worker was lost; another one goes on"), "warn"),
    "EXPORT_FINISH": (_("Finished"), "good"),
    "EXPORT_FAILED": (_("Failed"), "bad"),
    "EXPORT_STOPPED": (_("Stopped"), "warn"),
    "EXPORT_EXPIRED": (_("Archives expired and were removed"), ""),
    "EXPORT_SCHEDULE_OFF": (_("Schedule switched off after too many failures"), "bad"),
    "EXPORT_TRANSPORT_FINISH": (_("Delivered"), "good"),
    "EXPORT_TRANSPORT_FAILED": (_("Delivery failed"), "bad"),
    "EXPORT_LINKS_RENEWED": (_("Download links renewed; the old ones stopped working"), ""),
    "DOWNLOAD_EXPORT": (_("Downloaded"), ""),
}
WEEKDAYS = (_("Monday"), _("Tuesday"), _("Wednesday"), _("Thursday"), _("Friday"), _("Saturday"), _("Sunday"))
WEEKDAY_KEYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_WEEKS = {
    (1, 7): pgettext_lazy("weekday of the month", "first"),
    (8, 14): pgettext_lazy("weekday of the month", "second"),
    (15, 21): pgettext_lazy("weekday of the month", "third"),
    (22, 28): pgettext_lazy("weekday of the month", "fourth"),
}
#: More times of a day than this are counted, not listed.
_MOST_TIMES = 6


def state_of(export: Export) -> str:
    return export.current_run.state if export.current_run else NEW


def schedule(row: Schedule) -> str:
    """As in "every first Sunday of the month at 10:00 (Europe/Berlin)"."""
    given = row.definition
    zone = row.timezone or settings.SCHEDULER_TIME_ZONE
    return gettext("{days} {times} ({zone})").format(days=_days(given), times=_times(given), zone=zone)


def _days(given: dict) -> str:
    weekdays = sorted({WEEKDAY_KEYS.index(str(day)[:3].lower()) for day in given.get("weekdays") or ()})
    names = [str(WEEKDAYS[day]) for day in weekdays]
    numbers = sorted(set(given.get("days_of_month") or ()))
    if not names and not numbers:
        return gettext("every day")
    if not numbers:
        return gettext("every day") if len(names) == 7 else gettext("every {days}").format(days=_list(names))
    week = _WEEKS.get((numbers[0], numbers[-1])) if len(numbers) == 7 else None
    if len(names) == 1 and week:
        return gettext("every {nth} {weekday} of the month").format(nth=week, weekday=names[0])
    days = ngettext("on day {days} of the month", "on days {days} of the month", len(numbers))
    days = days.format(days=_list(ranges(numbers)))
    if not names:
        return days
    return gettext("{days}, if it is a {weekdays},").format(days=days, weekdays=_list(names, gettext("or")))


def _times(given: dict) -> str:
    hours = sorted(set(given.get("hours") or (settings.STANDARD_HOUR,)))
    minutes = sorted(set(given.get("minutes") or (settings.STANDARD_MINUTE,)))
    if len(hours) == 24:
        return gettext("at minute {minutes} of every hour").format(
            minutes=_list([f"{minute:02}" for minute in minutes])
        )
    moments = [time(hour, minute) for hour in hours for minute in minutes]
    if len(moments) > _MOST_TIMES:
        first, last = date_format(moments[0], "H:i"), date_format(moments[-1], "H:i")
        return gettext("{count} times from {first} to {last}").format(count=len(moments), first=first, last=last)
    return gettext("at {times}").format(times=_list([date_format(moment, "H:i") for moment in moments]))


def _list(words: Iterable[str], between: str = "") -> str:
    words = list(words)
    return f" {between or gettext('and')} ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


def ranges(numbers: list[int]) -> list[str]:
    """[1, 2, 3, 9] → ["1–3", "9"]."""
    found: list[list[int]] = []
    for number in numbers:
        if found and number == found[-1][-1] + 1:
            found[-1].append(number)
        else:
            found.append([number])
    return [f"{run[0]}–{run[-1]}" if len(run) > 1 else str(run[0]) for run in found]
