"""Pages of the move API: browsers are sent through some of its steps. In the language of whoever looks."""

from collections.abc import Mapping

from django.contrib import auth
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import translation
from rest_framework.request import Request

from exports import selectors


def person(request: HttpRequest | Request) -> User | None:
    """Who is signed in at our pages. DRF, which is told to look at no cookie, forgets what Django had found."""
    django = getattr(request, "_request", request)
    user = auth.get_user(django) if hasattr(django, "session") else None
    return user if isinstance(user, User) else None


def page(
    request: HttpRequest | Request, template: str, context: Mapping[str, object] | None = None, status: int = 200
) -> HttpResponse:
    """`template` is the name of one of `exports/move`, without its ending."""
    with translation.override(_language(request)):
        django = getattr(request, "_request", request)
        kind = "text/html; charset=UTF-8"  # as §2.3 spells it
        return render(django, f"exports/move/{template}.html", context, content_type=kind, status=status)


def _language(request: HttpRequest | Request) -> str:
    who = person(request)
    wanted = selectors.preference_get(user=who).language if who else ""
    known = wanted and translation.check_for_language(wanted)
    return wanted if known else translation.get_language_from_request(getattr(request, "_request", request))
