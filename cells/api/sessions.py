"""`/api/v1/session`: get, authenticate, deauthenticate (`spec/v1.md §2`)."""

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, urlsplit

import orjson
from django.conf import settings
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from cells import tokens
from cells.api.authentication import raw_token
from cells.api.base import V1ViewSet
from cells.api.errors import ApiError
from cells.errors import (
    CredentialsMissing,
    DomainError,
    LoginBlocked,
    LoginDisabled,
    LoginFailed,
    SessionInvalid,
    SessionNotFound,
)
from cells.models import AccessToken

#: Events belong to `exports`, which puts its own function here when it is ready: the greatest event id, or 0.
max_event_id: list[Callable[[], int]] = [lambda: 0]

REASONS: dict[type[DomainError], str] = {
    SessionNotFound: "session_missing",
    SessionInvalid: "session_missing",
    CredentialsMissing: "username_or_password_empty",
    LoginFailed: "login_failed",
    LoginDisabled: "login_disabled",
    LoginBlocked: "login_blocked",
}
_FUNCTION = re.compile(r"[A-Za-z_$][\w$]*(\.[A-Za-z_$][\w$]*)*", re.ASCII)
_TOKEN = OpenApiParameter("token", str, description="Session token; X-Easydb-Token and Bearer will do as well.")
_LANGUAGE = OpenApiParameter("language", str, enum=tokens.LANGUAGES)
_OUTCOME = [OpenApiParameter("success", str), OpenApiParameter("error", str)]


def client_address(request: Request) -> str:
    """Behind a proxy of ours, the address that it saw: the last one, as what stands before it anybody can write."""
    seen = request.META.get("HTTP_X_FORWARDED_FOR", "") if settings.TRUSTED_PROXY else ""
    return seen.rpartition(",")[2].strip() or request.META.get("REMOTE_ADDR", "")


class SessionViewSet(V1ViewSet):
    brings_nothing = ("authenticate", "deauthenticate")
    authentication_classes = ()
    permission_classes = ()
    form_parameters = True

    @extend_schema(summary="Make a session, or read it", parameters=[_TOKEN, _LANGUAGE], responses=OpenApiTypes.OBJECT)
    def read(self, request: Request) -> Response:
        raw, language = raw_token(request), request.query_params.get("language")
        if not raw:
            raw, token = tokens.session_create(language=language)
        else:
            token = tokens.token_find(raw)
            if language is not None:
                tokens.session_language(token=token, language=language)
        return Response(session_json(raw, token))

    @extend_schema(
        summary="Log a session in",
        parameters=[
            _TOKEN,
            OpenApiParameter("method", str, default="easydb"),
            OpenApiParameter("login", str),
            OpenApiParameter("password", str),
            OpenApiParameter("remember_me", str, enum=["0", "1"]),
            OpenApiParameter("log_event", str, enum=["0", "1"]),
            OpenApiParameter("response_type", str, enum=["redirect", "javascript"]),
            *_OUTCOME,
        ],
        request=None,
        responses=OpenApiTypes.OBJECT,
    )
    def authenticate(self, request: Request) -> HttpResponseBase:
        form = Form(request)
        outcome = Outcome(self, form)
        raw = form.needed("token") if not raw_token(request) else raw_token(request)
        try:
            token = _authenticated(raw, form, client_address(request))
        except tuple(REASONS) as error:
            return outcome.failure(error, form.get("login"))
        return outcome.success(session_json(raw, token))

    @extend_schema(
        summary="Log a session out", parameters=[_TOKEN, _OUTCOME[1]], request=None, responses=OpenApiTypes.OBJECT
    )
    def deauthenticate(self, request: Request) -> HttpResponseBase:
        form = Form(request)
        outcome = Outcome(self, form)
        raw = raw_token(request) or form.needed("token")
        try:
            token = tokens.token_find(raw)
        except (SessionNotFound, SessionInvalid) as error:
            return outcome.failure(error, "")
        tokens.session_deauthenticate(token=token)
        return Response(session_json(raw, token))


class Form:
    """The parameters of a call without a body: of the query, then of the form (`spec/v1.md §1.4`)."""

    def __init__(self, request: Request) -> None:
        is_form = (request.content_type or "").lower().startswith("application/x-www-form-urlencoded")
        self._sources = (request.query_params, request.data if is_form else {})

    def get(self, name: str, default: str = "") -> str:
        return next((source[name] for source in self._sources if name in source), default)

    def needed(self, name: str) -> str:
        if not (value := self.get(name)):
            raise ApiError("attribute_expected", f"{name} is missing.")
        return value

    def one_of(self, name: str, allowed: tuple[str, ...]) -> str:
        value = self.get(name, allowed[0])
        if value not in allowed:
            raise ApiError("invalid_value", f"{name} must be one of {', '.join(allowed)}.")
        return value


class Outcome:
    """How an answer is given: JSON, a redirect, or a page that calls a function."""

    def __init__(self, view: SessionViewSet, form: Form) -> None:
        self._view = view
        self._is_script = form.one_of("response_type", ("redirect", "javascript")) == "javascript"
        self._success, self._error = form.get("success"), form.get("error")
        for name in ("success", "error"):
            if self._is_script:
                _check_function(name, form.needed(name))
            elif form.get(name):
                _check_url(name, form.get(name))

    def success(self, session: dict[str, Any]) -> HttpResponseBase:
        if self._is_script:
            return _script(self._success, session, 200)
        return _redirect(self._success) if self._success else Response(session)

    def failure(self, error: DomainError, login: str) -> HttpResponseBase:
        """Of the errors in REASONS; all others are answered as JSON in every mode."""
        if self._is_script:
            status, envelope = self._view.errors.answer(error)
            forbidden = isinstance(error, LoginFailed | LoginDisabled | LoginBlocked)
            return _script(self._error, envelope, 403 if forbidden else status)
        if not self._error:
            raise error
        return _redirect(f"{self._error}#m:{REASONS[type(error)]}#l:{quote(login, safe='@', errors='replace')}")


def _authenticated(raw: str, form: Form, address: str) -> AccessToken:
    methods = [method.strip() for method in form.get("method", "easydb").split(",")]
    if "task" in methods and len(methods) > 1:
        raise ApiError("invalid_value", "task must stand alone.")
    form.one_of("remember_me", ("0", "1"))
    form.one_of("log_event", ("1", "0"))
    token = tokens.token_find(raw)
    tokens.session_authenticate(
        token=token, methods=methods, login=form.get("login"), password=form.get("password"), address=address
    )
    return token


def session_json(raw: str, token: AccessToken) -> dict[str, Any]:
    """`spec/v1.md §2.5`; of a session nobody has logged into without `user` and `authenticated`."""
    session: dict[str, Any] = {
        "token": raw,
        "instance": {
            "api": "1",
            "server_version": 1,
            "solution": "easydb",
            "user-schema": 1,
            "name": settings.INSTANCE_NAME,
        },
        "frontend_language": token.language,
        "frontend_locale": {},
        "authentication_methods": [{"method": "easydb"}],
        "config": {"base": {}, "defaults": {}, "extensions": {}},
    }
    return session if token.user is None else session | _authenticated_part(token)


def _authenticated_part(token: AccessToken) -> dict[str, Any]:
    user, event_id = token.user, max_event_id[0]()
    groups = [{"_basetype": "group", "group": {"_id": group.pk, "name": group.name}} for group in user.groups.all()]
    return {
        "pending_tasks": [],
        "current_max_event_id": event_id,
        "current_max_message_id": event_id,
        "system_rights": {"system.root": {}} if user.is_superuser else {},
        "user": {
            "_basetype": "user",
            "_groups": groups,
            "user": {
                "_id": user.pk,
                "_version": 1,
                "type": "easydb",
                "login": user.username,
                "_generated_displayname": user.get_full_name() or user.username,
                "_primary_email": user.email or None,
                "frontend_language": token.language,
            },
        },
        "groups": groups,
        "authenticated": {"method": "easydb", "timestamp": token.authenticated_at.strftime("%Y-%m-%dT%H:%M:%SZ")},
    }


def _check_url(name: str, url: str) -> None:
    try:
        scheme = urlsplit(url).scheme
    except ValueError:
        scheme = "unreadable"
    if scheme not in ("", "http", "https") or not url.isprintable() or "\\" in url:
        raise ApiError("invalid_value", f"{name} must be an http(s) URL.")


def _check_function(name: str, function: str) -> None:
    if not _FUNCTION.fullmatch(function):
        raise ApiError("invalid_value", f"{name} must be the name of a function.")


def _redirect(url: str) -> HttpResponse:
    return HttpResponse(status=302, headers={"Location": quote(url, safe="/#%[]=:;$&()+,!?*@'~|")})


def _script(function: str, argument: dict[str, Any], status: int) -> HttpResponse:
    """`<`, `>` and `&` never appear as such, so nothing in the argument can end the script element."""
    text = orjson.dumps(argument).decode()
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    page = f"<!DOCTYPE html><title>session</title><script>{function}({text});</script>"
    return HttpResponse(page, status=status, content_type="text/html; charset=utf-8")
