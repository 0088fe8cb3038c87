"""Who is calling, and whether he may (`spec/cell.md §4`)."""

import base64
import binascii
import hmac
import re
from typing import NamedTuple

from django.contrib.auth.models import User
from django.http import HttpRequest

from cells import tokens
from cells.api.sessions import client_address
from cells.errors import (
    CredentialsMissing,
    LoginBlocked,
    LoginDisabled,
    LoginFailed,
    SessionInvalid,
    SessionNotFound,
)
from cells.models import AccessToken, Cell
from exports.api.cell.errors import CellError
from exports.errors import SecretsUnreadable
from exports.services.secrets import secrets_open, secrets_seal

#: The scope of a token that is good for new access tokens alone.
REFRESH = "refresh"
COOKIE, PEER = "p_cookie", "p_cookie_peer"
_TOKEN = re.compile(r"[A-Za-z0-9_-]{20,128}")


class Caller(NamedTuple):
    user: User
    token: AccessToken


def cookie_make(*, token: str, peer: str) -> str:
    """The value of `p_cookie`: nobody but us can read it, and it is worth nothing without its peer."""
    return base64.urlsafe_b64encode(secrets_seal({"token": token, "peer": peer})).decode()


def caller(request: HttpRequest, realm: str) -> Caller:
    """Whoever sent the token. Raises CellError: 401 with the realm's URL."""
    try:
        return _caller(request)
    except CellError as error:
        raise CellError(error.code, *error.values, headers={"WWW-Authenticate": f'Bearer realm="{realm}"'}) from error


def _caller(request: HttpRequest) -> Caller:
    header = request.META.get("HTTP_AUTHORIZATION")
    if header is None:
        return _token(_cookie_token(request))
    if header.startswith("Basic"):
        raise CellError(_basic(header, client_address(request)))
    if not header.startswith("Bearer"):
        raise CellError("PR401-AU-0003")
    scheme, space, raw = header.partition(" ")
    if scheme != "Bearer" or not space or not _TOKEN.fullmatch(raw.strip()):
        raise CellError("PR401-AU-0006")
    return _token(raw.strip())


def _cookie_token(request: HttpRequest) -> str:
    peer = request.GET.get(PEER)
    if not peer:
        raise CellError("PR401-AU-0001")
    try:
        sealed = base64.urlsafe_b64decode(request.COOKIES.get(COOKIE, "").encode())
        kept = secrets_open(sealed)
    except (binascii.Error, ValueError, SecretsUnreadable) as error:
        raise CellError("PR401-AU-0009") from error
    if not kept or not hmac.compare_digest(kept["peer"].encode(), peer.encode()):
        raise CellError("PR401-AU-0009")
    return kept["token"]


def _token(raw: str) -> Caller:
    try:
        token = tokens.token_find(raw)
    except SessionNotFound as error:
        raise CellError("PR401-AU-0008") from error
    except SessionInvalid as error:
        raise CellError("PR401-AU-0002") from error
    if REFRESH in token.scopes:
        raise CellError("PR401-AU-0007")
    if token.user is None:
        raise CellError("PR401-AU-0001")
    return Caller(token.user, token)


def _basic(header: str, address: str) -> str:
    """The code of the refusal: Basic is never good enough, and its errors say why."""
    try:
        decoded = base64.b64decode(header.removeprefix("Basic").strip(), validate=True).decode()
    except (binascii.Error, ValueError):
        return "PR401-AU-0004"
    login, colon, password = decoded.partition(":")
    if not colon:
        return "PR401-AU-0004"
    try:
        tokens.password_user(login=login, password=password, address=address)
    except LoginBlocked:
        return "PR401-AU-0010"
    except (LoginFailed, LoginDisabled, CredentialsMissing):
        return "PR401-AU-0011"
    return "PR401-AU-0001"


def root_check(who: Caller, cell: Cell) -> None:
    """The `root` privilege: the owner, a superuser, or a token for this cell; and the scope to use it."""
    token = who.token
    if token.cell_id is not None:
        if token.cell_id != cell.pk:
            raise CellError("PR403-AU-0002")
        if tokens.ROOT not in token.scopes:
            raise CellError("PR403-AU-0007", tokens.ROOT)
        return
    _owner_check(who, cell, "PR403-AU-0002")
    if tokens.SESSION not in token.scopes:
        raise CellError("PR403-AU-0007", tokens.ROOT)


def unit_check(who: Caller) -> None:
    """A unit user: somebody with an account, not the bearer of a token for one cell."""
    if who.token.cell_id is not None or tokens.SESSION not in who.token.scopes:
        raise CellError("PR403-AU-0001")


def unit_owner_check(who: Caller, cell: Cell) -> None:
    unit_check(who)
    _owner_check(who, cell, "PR403-AU-0003")


def _owner_check(who: Caller, cell: Cell, code: str) -> None:
    if cell.owner_id != who.user.pk and not who.user.is_superuser:
        raise CellError(code)
