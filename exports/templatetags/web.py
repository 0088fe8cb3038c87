"""How pages write moments, spans, states and problems."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import available_timezones

from django import template
from django.utils import timezone
from django.utils.formats import date_format, number_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext

from exports.models import Schedule
from exports.services import sentences
from exports.services.health import health
from exports.web import words

register = template.Library()


@register.filter
def when(moment: datetime | None) -> SafeString | str:
    """In the person's zone, and as a machine reads it; "" for none."""
    if moment is None:
        return ""
    here = timezone.localtime(moment)
    return format_html(
        '<time datetime="{}" title="{}">{}</time>',
        moment.isoformat(timespec="seconds"),
        here.tzname(),
        date_format(here, str(words.MOMENT)),
    )


@register.filter
def number(count: int | None) -> str:
    return "" if count is None else number_format(count, use_l10n=True, force_grouping=True)


@register.filter
def duration(span: timedelta | float | None) -> str:
    """Roughly: the two largest units."""
    if span is None:
        return ""
    seconds = int(span.total_seconds() if isinstance(span, timedelta) else span)
    if seconds < 60:
        return ngettext("{count} second", "{count} seconds", max(seconds, 1)).format(count=max(seconds, 1))
    minutes, hours = round(seconds / 60), seconds // 3600
    if minutes < 60:
        return ngettext("{count} minute", "{count} minutes", minutes).format(count=minutes)
    if hours < 48:
        return gettext("{hours} h {minutes} min").format(hours=hours, minutes=seconds % 3600 // 60)
    return ngettext("{count} day", "{count} days", hours // 24).format(count=hours // 24)


@register.filter
def since(end: datetime | None, start: datetime | None) -> timedelta | None:
    return end - start if end and start else None


@register.filter
def badge(state: str) -> SafeString:
    word, colour = words.STATES.get(state, (state, ""))
    return format_html('<span class="badge {}">{}</span>', colour, word)


@register.filter
def word(value: str | None, kind: str) -> str:
    """`kind`: TYPES, PHASES, TRANSPORTS or PACKERS of `exports.web.words`."""
    return str(getattr(words, kind).get(value, value))


@register.filter
def said(sentence: str) -> str:
    """What was written down in English, in the person's language."""
    return sentences.said(sentence)


@register.filter
def in_words(schedule: object) -> str:
    return words.schedule(schedule)


@register.filter
def percent(done: int, planned: int) -> int:
    return min(100, done * 100 // planned) if planned else 0


@register.filter
def soonest(schedules: Iterable[Schedule]) -> datetime | None:
    return min((row.next_run_at for row in schedules if row.next_run_at), default=None)


@register.filter
def unlocalised(number: float) -> str:
    """SVG has decimal points in every language."""
    return f"{number:.1f}"


@register.inclusion_tag("admin/health.html")
def system_health() -> dict[str, Any]:
    return health()


@register.simple_tag
def time_zones() -> list[str]:
    return sorted(available_timezones())
