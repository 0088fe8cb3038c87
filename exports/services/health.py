"""How the whole is: for whoever runs the server. Reads alone; nothing here is a secret."""

import shutil
from datetime import timedelta
from typing import Any

from celery import current_app
from django.conf import settings
from django.db.models import Count, Sum
from django.utils import timezone

from cells.models import Blob
from exports.models import Delivery, Import, Run
from exports.states import DELIVERY_ACTIVE, IMPORT_ACTIVE, DeliveryState, ImportState, RunState

#: How long workers have to answer; a page waits for it.
_PING_SECONDS = 0.4
_DAY = timedelta(days=1)
#: Settings that say how the server behaves. A list of what is shown, so that a new secret never is.
_SHOWN = (
    "PUBLIC_URL", "INSTANCE_NAME", "EXPORTS_STORE", "ACCEL_REDIRECT", "EXPORT_EXPIRE", "EXPORT_LEASE",
    "EXPORT_AUTOSTART", "EXPORT_STRICT_EASYDB_STATES", "EXPORT_UNIQUE_NAMES", "SCHEDULER_ACTIVE", "SCHEDULER_TIME_ZONE",
    "STANDARD_HOUR", "STANDARD_MINUTE", "EGRESS_ALLOW", "EXPORT_LOCAL_FOLDERS", "EXPORT_TRANSPORT_TIMEOUT",
    "EMAIL_ATTACH_LIMIT", "EMAIL_HOST", "EMAIL_PORT", "DEFAULT_FROM_EMAIL", "IMPORT_UNDO_DAYS", "IMPORT_MAX_ENTRIES",
    "IMPORT_MAX_SIZE", "IMPORT_MAX_RATIO", "SESSION_EXPIRE", "LOGIN_ATTEMPTS", "LOGIN_WINDOW", "TRUSTED_PROXY",
    "LOG_LEVEL",
)  # fmt: skip


def health() -> dict[str, Any]:
    since = timezone.now() - _DAY
    disk = shutil.disk_usage(settings.EXPORTS_STORE)
    blobs = Blob.objects.aggregate(count=Count("*"), stored=Sum("stored_size", default=0), plain=Sum("size", default=0))
    return {
        "workers": workers(),
        "waiting": {
            "runs": Run.objects.filter(state=RunState.PENDING).count(),
            "deliveries": Delivery.objects.filter(state__in=DELIVERY_ACTIVE).count(),
            "imports": Import.objects.filter(state__in=IMPORT_ACTIVE).count(),
        },
        "running": Run.objects.filter(state=RunState.PROCESSING).count(),
        "failed": {
            "runs": Run.objects.filter(state=RunState.FAILED, finished_at__gte=since).count(),
            "deliveries": Delivery.objects.filter(state=DeliveryState.FAILED, finished_at__gte=since).count(),
            "imports": Import.objects.filter(state=ImportState.FAILED, finished_at__gte=since).count(),
        },
        "disk": {"free": disk.free, "total": disk.total, "used": disk.total - disk.free},
        "blobs": blobs,
        "settings": settings_shown(),
    }


def workers() -> list[str]:
    """Names of the workers that answer at once; none when the broker is dead."""
    try:
        answers = current_app.control.ping(timeout=_PING_SECONDS)
    except Exception:  # whatever the broker's trouble is, nobody answers
        return []
    return sorted(name for answer in answers or () for name in answer)


def settings_shown() -> list[tuple[str, str]]:
    return [(name, str(getattr(settings, name))) for name in _SHOWN if hasattr(settings, name)]
