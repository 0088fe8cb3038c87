"""Who looks at a page, and how they want to see it. What an account does not say, the browser does."""

from collections.abc import Callable
from functools import wraps

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import resolve_url
from django.utils import translation

from exports import selectors
from exports.models import Preference

#: Written by app.js; the name of an IANA zone.
ZONE_COOKIE = "zone"


def member(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """A view for whoever is signed in; others are led to the sign-in, with the whole page when a part is asked for."""
    guarded = login_required(view)

    @wraps(view)
    def door(request: HttpRequest, *args: object, **kwargs: object) -> HttpResponseBase:
        if is_fragment(request) and not request.user.is_authenticated:
            return HttpResponse(status=204, headers={"HX-Redirect": resolve_url(settings.LOGIN_URL)})
        return guarded(request, *args, **kwargs)

    return door


def is_fragment(request: HttpRequest) -> bool:
    return request.headers.get("HX-Request") == "true"


def preference(request: HttpRequest) -> Preference:
    """Asked once a request. A stranger has the defaults."""
    if not hasattr(request, "_preference"):
        known = request.user.is_authenticated
        request._preference = selectors.preference_get(user=request.user) if known else Preference()
    return request._preference


def language(request: HttpRequest) -> str:
    wanted = preference(request).language
    return wanted if translation.check_for_language(wanted) else translation.get_language_from_request(request)


def zone(request: HttpRequest) -> str:
    return preference(request).timezone or request.COOKIES.get(ZONE_COOKIE) or settings.SCHEDULER_TIME_ZONE
