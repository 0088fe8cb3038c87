"""What every page has around it: a policy without inline scripts, and the person's language and time zone."""

import logging
from collections.abc import Callable
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.conf import settings
from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.http import Http404, HttpRequest, HttpResponse
from django.utils import timezone, translation

from cells.errors import DomainError, ReadOnly
from cells.readonly import read_only_check
from exports.web import errors, people

log = logging.getLogger(__name__)

#: Nothing inline, nothing from elsewhere. Previews of people's files have a stricter one of their own.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
#: Swagger's page brings a style element and a style attribute or two.
DOCS_POLICY = POLICY.replace("style-src 'self'", "style-src 'self' 'unsafe-inline'")


#: Pages whose forms are taken while the server is read-only.
_BRINGS_NOTHING = {
    "sign-in", "sign-out", "export-delete", "export-stop", "export-renew", "export-preview", "cell-remove",
    "cell-snapshot-remove", "cell-move-abort", "account-preferences", "account-password", "account-token-revoke",
}  # fmt: skip


class PageMiddleware:
    """Dialects are left alone: their answers are in no language, and some must be what their specification says."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not _is_page(request):
            return _with_policy(request, self.get_response(request))
        # Half of the administration, what Django brings, would be in one language, and half in another.
        language = "en" if request.path_info.startswith("/admin/") else people.language(request)
        with translation.override(language), timezone.override(_zone(request)):
            response = _with_policy(request, self.get_response(request))
        # Not no-referrer: a form's POST would say "Origin: null" then, and Django refuses it.
        response.headers.setdefault("Referrer-Policy", "same-origin")
        response.headers.setdefault("Cache-Control", "no-store")
        return response

    def process_view(self, request: HttpRequest, view: object, args: object, kwargs: object) -> HttpResponse | None:
        if not request.path_info.startswith("/web/") or request.resolver_match.url_name in _BRINGS_NOTHING:
            return None
        try:
            read_only_check(request.method)
        except ReadOnly as error:
            return errors.domain_page(request, error)
        return None

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        if not request.path_info.startswith("/web/"):
            return None
        if isinstance(error, DomainError):
            return errors.domain_page(request, error)
        if isinstance(error, Http404):
            return errors.page(request, 404)
        if isinstance(error, PermissionDenied):
            return errors.page(request, 403)
        if isinstance(error, RequestDataTooBig):
            return errors.page(request, 413)
        log.exception("a page failed: %s", request.path_info)
        return errors.page(request, 500)


def _is_page(request: HttpRequest) -> bool:
    return request.path_info == "/" or request.path_info.startswith(("/web/", "/admin/"))


def _zone(request: HttpRequest) -> ZoneInfo:
    try:
        return ZoneInfo(people.zone(request))
    except (ZoneInfoNotFoundError, ValueError, OSError):  # a cookie may hold anything
        return ZoneInfo(settings.SCHEDULER_TIME_ZONE)


def _with_policy(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    if response.headers.get("Content-Type", "").startswith("text/html"):
        if request.path_info == "/api/docs":
            response.headers.setdefault("Content-Security-Policy", DOCS_POLICY)
        elif not request.path_info.startswith("/api/"):
            response.headers.setdefault("Content-Security-Policy", POLICY)
    return response
