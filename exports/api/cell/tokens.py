"""`/{cell}/__token` (`spec/cell.md §13.2`): OAuth's words, not the catalogue's."""

import uuid
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.http import HttpResponse, QueryDict
from django.http.response import HttpResponseBase
from rest_framework.request import Request

from cells import tokens
from cells.api.sessions import client_address
from cells.errors import LoginBlocked, LoginDisabled, LoginFailed, SessionInvalid, SessionNotFound
from exports.api.cell import openapi
from exports.api.cell.access import COOKIE, REFRESH, cookie_make
from exports.api.cell.addresses import cell_path
from exports.api.cell.base import CellViews, answer, raw_body
from exports.services import cell_logins

ACCESS_SECONDS, REFRESH_SECONDS = 3600, 86400
#: Before the scopes that a refresh token may give: they are not its own.
FIRST = "refresh:"
SAML2 = "urn:ietf:params:oauth:grant-type:saml2-bearer"


class OAuthError(Exception):
    def __init__(self, error: str, code: str, sentence: str) -> None:
        self.error, self.code, self.sentence = error, code, sentence
        super().__init__(code)

    def answer(self) -> HttpResponse:
        told = {"error": self.error, "error_description": f"[{self.code}] - {self.sentence}"}
        return answer(told, 400, Cache_Control="no-store")


class TokenViews(CellViews):
    allow = "OPTIONS, POST"
    brings_nothing = True

    def admit(self, request: Request) -> None:
        """Here is where one gets in; it works while the cell is "import failed", too."""

    @openapi.token_post
    def create(self, request: Request, cell: str) -> HttpResponseBase:
        try:
            return self._grant(request)
        except OAuthError as error:
            return error.answer()

    def _grant(self, request: Request) -> HttpResponseBase:
        if request.META.get("HTTP_AUTHORIZATION", "").startswith("Bearer"):
            raise OAuthError("invalid_client", "PR400-AN-0018", "Authorization header is invalid.")
        form = QueryDict(raw_body(request), encoding="utf-8")
        grant = _required(form, "grant_type")
        most: list[str] | None = None
        if grant == "password":
            user = self._password(request, form)
        elif grant == "refresh_token":
            user, most = self._refresh(form)
        else:
            raise OAuthError("unsupported_grant_type", "PR400-AN-0001", f"Unsupported grant type. [{grant}]")
        return self._issue(form, user, most)

    def _password(self, request: Request, form: QueryDict) -> User:
        name, password = _required(form, "username"), _required(form, "password")
        try:
            return cell_logins.login(cell=self.cell, login=name, password=password, address=client_address(request))
        except (LoginFailed, LoginDisabled, LoginBlocked) as error:
            raise _failed() from error

    def _refresh(self, form: QueryDict) -> tuple[User, list[str]]:
        """Whose it is, and the scopes of the login that it goes back to."""
        try:
            token = tokens.token_find(_required(form, "refresh_token"))
        except (SessionNotFound, SessionInvalid) as error:
            raise _failed() from error
        if token.cell_id != self.cell.pk or REFRESH not in token.scopes or token.user is None:
            raise _failed()
        if not cell_logins.may_enter(cell=self.cell, user=token.user):
            raise _failed()
        return token.user, [scope.removeprefix(FIRST) for scope in token.scopes if scope.startswith(FIRST)]

    def _issue(self, form: QueryDict, user: User, most: list[str] | None) -> HttpResponseBase:
        access_seconds = _seconds(form, "expires_in", ACCESS_SECONDS)
        refresh_seconds = _seconds(form, "refresh_token_expires_in", REFRESH_SECONDS)
        scopes = form.get("scope", "").split() or most or [tokens.ROOT]
        # A token for one cell: neither a session, nor one that lives on by being used.
        kept = [scope for scope in scopes if scope not in (REFRESH, tokens.LOGIN, tokens.SESSION)]
        if not kept:
            raise OAuthError("invalid_scope", "PR400-AN-0019", "Parameter [scope] is of no use for a cell.")
        if most is not None and not set(kept) <= set(most):
            raise OAuthError("invalid_scope", "PR400-AN-0019", "Parameter [scope] asks for more than was granted.")
        access = self._token(user, kept, access_seconds)
        last, failed = cell_logins.history(cell=self.cell, user=user)
        told: dict[str, Any] = {
            "access_token": access,
            "refresh_token": self._token(user, [REFRESH, *(FIRST + scope for scope in most or kept)], refresh_seconds),
            "token_type": "Bearer",
            "expires_in": access_seconds,
            "refresh_token_expires_in": refresh_seconds,
            "scope": " ".join(kept),
            "last_authenticated": last,
            "failed_count": failed,
        }
        if form.get("p_cookie") != "true" or form.get("p_target"):
            return answer(told, Cache_Control="no-store")
        peer = str(uuid.uuid4())
        response = answer(told | {"p_cookie_peer": peer}, Cache_Control="no-store")
        response.set_cookie(
            COOKIE,
            cookie_make(token=access, peer=peer),
            path=cell_path(self.cell),
            secure=settings.SESSION_COOKIE_SECURE,
            httponly=True,
            samesite="Lax",
        )
        return response

    def _token(self, user: User, scopes: list[str], seconds: int) -> str:
        return tokens.token_create(user=user, cell=self.cell, scopes=scopes, expires=timedelta(seconds=seconds))


def _required(form: QueryDict, name: str) -> str:
    if not form.get(name):
        raise OAuthError("invalid_request", "PR400-AN-0016", f"Required parameter [{name}] missing.")
    return form[name]


def _seconds(form: QueryDict, name: str, most: int) -> int:
    given = form.get(name)
    if given is None:
        return most
    if not (given.isascii() and given.isdigit() and len(given) <= 9 and 1 <= int(given) <= most):
        raise OAuthError("invalid_request", "PR400-AN-0019", f"Parameter [{name}] must be from 1 to {most}.")
    return int(given)


def _failed() -> OAuthError:
    return OAuthError("invalid_grant", "PR400-AN-0017", "Authentication failed.")
