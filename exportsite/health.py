"""Two questions of whoever runs the server: is the process alive (/healthz), and can it do its work (/readyz)."""

import logging
import tempfile
from collections.abc import Callable

from django.conf import settings
from django.core.cache import cache
from django.db import connection
from django.http import HttpRequest, HttpResponse, JsonResponse

log = logging.getLogger(__name__)


class HealthMiddleware:
    """Answers before anything else: a probe asks by address, which ALLOWED_HOSTS need not know, and has no session."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path_info == "/healthz":
            return HttpResponse("ok\n", content_type="text/plain")
        if request.path_info == "/readyz":
            return _readyz()
        return self.get_response(request)


def _readyz() -> JsonResponse:
    """200 when database, Redis and store answer, else 503; the reason goes to the log, not to strangers."""
    found = {"database": _works(_database), "redis": _works(_redis), "store": _works(_store)}
    return JsonResponse(found, status=200 if all(found.values()) else 503)


def _works(check: Callable[[], None]) -> bool:
    try:
        check()
    except Exception:  # whatever the reason, the answer is "not ready"
        log.exception("not ready: %s", check.__name__)
        return False
    return True


def _database() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM django_migrations LIMIT 1")


def _redis() -> None:
    cache.get("readyz")


def _store() -> None:
    settings.EXPORTS_STORE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=settings.EXPORTS_STORE) as file:
        file.write(b"ready")
        file.flush()
