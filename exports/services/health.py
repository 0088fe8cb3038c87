"""How the whole is, for whoever runs the server. Reads alone; no secret is shown, and no table of millions is read."""

import shutil
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from celery import current_app
from django.conf import settings
from django.db import connection
from django.db.models import Count, Min, QuerySet, Sum
from django.utils import timezone

from cells.models import Blob, Cell, Usage
from exports.models import Delivery, Import, Notification, Run
from exports.states import DELIVERY_ACTIVE, IMPORT_ACTIVE, DeliveryState, ImportState, RunState

#: How long workers have to answer; a page waits for it.
_PING_SECONDS = 0.4
_DAY = timedelta(days=1)
#: Failures and running runs that are listed, newest first.
_LISTED = 10
#: Settings that say how the server behaves. A list of what is shown, so that a new secret never is.
_SHOWN = (
    "PUBLIC_URL", "UNIT_HOST", "INSTANCE_NAME", "READ_ONLY", "ADMIN_API", "EXPORTS_STORE", "ACCEL_REDIRECT",
    "EXPORT_EXPIRE", "EXPORT_LEASE", "EXPORT_AUTOSTART", "EXPORT_STRICT_EASYDB_STATES", "EXPORT_UNIQUE_NAMES",
    "EVENTS_WITH_ADDRESSES", "EVENTS_OF_CONTENTS", "DELETIONS_KEPT", "SCHEDULER_ACTIVE", "SCHEDULER_TIME_ZONE",
    "STANDARD_HOUR", "STANDARD_MINUTE", "EGRESS_ALLOW", "EXPORT_LOCAL_FOLDERS", "EXPORT_TRANSPORT_TIMEOUT",
    "EMAIL_ATTACH_LIMIT", "EMAIL_HOST", "EMAIL_PORT", "DEFAULT_FROM_EMAIL", "IMPORT_UNDO_DAYS", "IMPORT_UNDO_COUNT",
    "IMPORT_UNDO_SIZE", "IMPORT_MAX_ENTRIES", "IMPORT_MAX_SIZE", "IMPORT_MAX_RATIO", "IMPORT_LINK_TIMEOUT",
    "IMPORT_LINK_RATE", "MOVE_HOLD", "MOVE_TOKEN_REQUIRED", "SESSION_EXPIRE", "LOGIN_ATTEMPTS", "LOGIN_WINDOW",
    "TRUSTED_PROXY", "TRUSTED_PROXY_URL", "LOG_LEVEL",
)  # fmt: skip
#: Error's code → what helps.
_ADVICE = {
    "internal": "A fault of ours: the worker's log of that minute tells more. Then start it again.",
    "run_lost": "Its worker died each time: look for lack of memory or disk in that worker's log, then start it again.",
    "lost": "Its worker died each time: look for lack of memory or disk in that worker's log, then deliver it again.",
    "import_lost": "Its worker died each time: look for lack of memory or disk in its log, then import again.",
    "no_space": "Make room on that disk, then start it again.",
    "blob_damaged": "manage.py verify --all names what is damaged; restore those files of the store from a backup.",
    "entries_damaged": "manage.py verify --all names what is damaged; restore those files of the store from a backup.",
    "transport_failed": "Its owner can change where it goes, and send a test file; then deliver it again.",
    "quota_exceeded": "Give the cell more room, or let its owner delete something.",
}


class Waiting(NamedTuple):
    """Of one kind of work: its admin page, how many wait, since when the oldest."""

    model: str
    title: str
    count: int
    oldest: datetime | None


class Failure(NamedTuple):
    model: str
    pk: int
    at: datetime
    what: str
    message: str
    advice: str


def health() -> dict[str, Any]:
    disk = shutil.disk_usage(settings.EXPORTS_STORE)
    since = timezone.now() - _DAY
    failed = {model: rows.filter(finished_at__gte=since) for model, rows in _failed().items()}
    return {
        "workers": workers(),
        "messages": messages(),
        "ticked": ticked(),
        "waiting": waiting(),
        "running": Run.objects.filter(state=RunState.PROCESSING).select_related("owner").order_by("-pk")[:_LISTED],
        "failed": {model: rows.count() for model, rows in failed.items()},
        "failures": failures(failed),
        "disk": {"free": disk.free, "total": disk.total, "used": disk.total - disk.free},
        "cells": {"count": Cell.objects.count(), **Usage.objects.aggregate(bytes=Sum("bytes", default=0))},
        "contents": rows_about(Blob._meta.db_table),
        "settings": settings_shown(),
    }


def waiting() -> list[Waiting]:
    kinds = (
        ("run", "Exports", Run.objects.filter(state=RunState.PENDING), "created_at"),
        ("delivery", "Deliveries", Delivery.objects.filter(state__in=DELIVERY_ACTIVE), "created_at"),
        ("import", "Imports", Import.objects.filter(state__in=IMPORT_ACTIVE), "started_at"),
        ("notification", "Mails", Notification.objects.filter(next_at__isnull=False), "next_at"),
    )
    found = [(model, title, rows.aggregate(n=Count("*"), at=Min(moment))) for model, title, rows, moment in kinds]
    return [Waiting(model, title, row["n"], row["at"]) for model, title, row in found]


def failures(failed: dict[str, QuerySet]) -> list[Failure]:
    """The newest of all kinds."""
    found = [
        Failure(model, row.pk, row.finished_at, str(row), *_why(row.error))
        for model, rows in failed.items()
        for row in rows.order_by("-finished_at")[:_LISTED]
    ]
    return sorted(found, key=lambda each: each.at, reverse=True)[:_LISTED]


def _failed() -> dict[str, QuerySet]:
    return {
        "run": Run.objects.filter(state=RunState.FAILED),
        "delivery": Delivery.objects.filter(state=DeliveryState.FAILED).defer("secrets", "log"),
        "import": Import.objects.filter(state=ImportState.FAILED),
    }


def _why(error: dict[str, str] | None) -> tuple[str, str]:
    """(what is stored of it, what helps)."""
    return (error or {}).get("message", ""), _ADVICE.get((error or {}).get("code", ""), "")


def rows_about(table: str) -> int:
    """As the database guesses: counting a large table takes minutes."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT greatest(reltuples, 0)::bigint FROM pg_class WHERE oid = %s::regclass", [table])
        return cursor.fetchone()[0]


def workers() -> list[str]:
    """Names of the workers that answer at once; none when the broker is dead."""
    try:
        answers = current_app.control.ping(timeout=_PING_SECONDS)
    except Exception:  # whatever the broker's trouble is, nobody answers
        return []
    return sorted(name for answer in answers or () for name in answer)


def messages() -> int | None:
    """That no worker has taken yet; None when the broker cannot tell."""
    try:
        with current_app.connection_for_read() as broker:
            return broker.default_channel._size(current_app.conf.task_default_queue)
    except Exception:
        return None


def ticked() -> datetime | None:
    """When the clock (beat) last sent a tick; None where it runs on another machine, or never did."""
    try:
        return datetime.fromtimestamp((settings.DATA / "run" / "beat-alive").stat().st_mtime, tz=UTC)
    except OSError:
        return None


def settings_shown() -> list[tuple[str, str]]:
    return [(name, str(getattr(settings, name))) for name in _SHOWN if hasattr(settings, name)]
