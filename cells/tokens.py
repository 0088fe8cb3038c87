"""Sessions and access tokens: made, found, authenticated, ended. Only digests are stored."""

import secrets
from collections.abc import Collection
from datetime import datetime, timedelta
from hashlib import sha256

from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import User
from django.core.cache import cache
from django.db.models import QuerySet
from django.utils import timezone

from cells.errors import (
    AccessDenied,
    CredentialsMissing,
    LanguageNotFound,
    LoginBlocked,
    LoginDisabled,
    LoginFailed,
    LoginMethodRefused,
    SessionInvalid,
    SessionNotFound,
)
from cells.models import AccessToken, Cell

#: Everything its user may do through v1.
SESSION = "session"
#: Everything inside one cell.
ROOT = "root"
#: May be logged into and out of, and its expiry moves on with each call: what makes a token a v1 session.
LOGIN = "login"
LANGUAGES = ("en-US", "de-DE", "es-ES", "fr-FR", "it-IT", "da-DK", "fi-FI", "sv-SE", "nl-NL", "pl-PL", "cs-CZ", "ru-RU")
#: A token's use is noted at most so often: reading must not become writing.
_NOTED_EVERY = timedelta(minutes=1)
_KEPT_EXPIRED = timedelta(days=30)
_LONGEST_PASSWORD = 4096
#: Characters of a digest that are enough to tell one's tokens apart.
_SHOWN_DIGEST = 16


def digest(raw: str) -> str:
    return sha256(raw.encode("utf-8", "surrogatepass")).hexdigest()


def language_check(language: str) -> str:
    if language not in LANGUAGES:
        raise LanguageNotFound(id=language)
    return language


def session_create(*, language: str | None = None) -> tuple[str, AccessToken]:
    """A session that nobody has authenticated yet, and the only copy of its token."""
    raw = secrets.token_urlsafe(32)
    token = AccessToken.objects.create(
        digest=digest(raw),
        scopes=[SESSION, LOGIN],
        expires_at=timezone.now() + settings.SESSION_EXPIRE,
        language=language_check(language) if language is not None else LANGUAGES[0],
    )
    return raw, token


def session_language(*, token: AccessToken, language: str) -> None:
    token.language = language_check(language)
    token.save(update_fields=["language"])


def session_authenticate(
    *, token: AccessToken, methods: Collection[str], login: str, password: str, address: str
) -> None:
    """Logs the session in, by the first of `methods` that is allowed: only `easydb` is (`spec/v1.md §2.4`).

    `password` may be `<root login>/<root password>` of a superuser who acts on behalf of `login`. Failures are counted
    per login and address; beyond LOGIN_ATTEMPTS within LOGIN_WINDOW even the right password has to wait.
    """
    if LOGIN not in token.scopes:
        raise AccessDenied(what="a login")
    for method in methods:
        if method != "easydb":
            continue
        token.user = password_user(login=login, password=password, address=address)
        token.authenticated_at = token.last_used_at = timezone.now()
        token.expires_at = token.authenticated_at + settings.SESSION_EXPIRE
        token.save(update_fields=["user", "authenticated_at", "last_used_at", "expires_at"])
        return
    raise LoginMethodRefused(method=next(iter(methods), ""))


def session_deauthenticate(*, token: AccessToken) -> None:
    """Back to a session of nobody; the token stays good for another login (`spec/v1.md §2.1`)."""
    if LOGIN not in token.scopes:
        raise AccessDenied(what="a logout")
    token.user = token.authenticated_at = None
    token.save(update_fields=["user", "authenticated_at"])


def sessions_end(user: User) -> None:
    """Of v1; tokens for programs stay until they are revoked."""
    AccessToken.objects.filter(user=user, scopes__contains=[LOGIN]).delete()


def token_create(
    *, user: User, cell: Cell | None = None, scopes: Collection[str] = (), expires: timedelta | None = None
) -> str:
    """The only copy of a new token. Default scope: `root` with a cell, `session` without."""
    raw = secrets.token_urlsafe(32)
    now = timezone.now()
    AccessToken.objects.create(
        digest=digest(raw),
        user=user,
        cell=cell,
        scopes=list(scopes) or [ROOT if cell else SESSION],
        authenticated_at=now,
        expires_at=now + expires if expires is not None else None,
    )
    return raw


def tokens_of(user: User) -> QuerySet[AccessToken]:
    """Tokens made for programs, newest first; not the sessions of v1."""
    made = AccessToken.objects.filter(user=user).exclude(scopes__contains=[LOGIN])
    return made.select_related("cell").order_by("-created_at", "digest")


def token_revoke(*, user: User, start: str) -> int:
    """Ends the user's token whose digest starts so; how many were ended."""
    return tokens_of(user).filter(digest__startswith=start).delete()[0] if len(start) >= _SHOWN_DIGEST else 0


def token_find(raw: str, *, note: bool = True) -> AccessToken:
    """The token. With `note`, its use is noted and a session's expiry moved on.

    Raises SessionNotFound or SessionInvalid.
    """
    token = AccessToken.objects.select_related("user", "cell").filter(digest=digest(raw)).first()
    if token is None:
        raise SessionNotFound(id=raw)
    now = timezone.now()
    if token.expires_at is not None and token.expires_at <= now:
        raise SessionInvalid
    if token.user is not None:
        if not token.user.is_active:
            raise SessionInvalid
        if note:
            _note_use(token, now)
    return token


def tokens_sweep(*, now: datetime) -> int:
    """Removes tokens that expired long ago; until then `session_invalid` tells their owners what happened."""
    forgotten = AccessToken.objects.filter(expires_at__lt=now - _KEPT_EXPIRED)
    return forgotten.delete()[0] + AccessToken.objects.filter(expires_at__lt=now, user=None).delete()[0]


def _note_use(token: AccessToken, now: datetime) -> None:
    if token.last_used_at is not None and now - token.last_used_at < _NOTED_EVERY:
        return
    changes: dict[str, datetime] = {"last_used_at": now}
    if LOGIN in token.scopes:
        changes["expires_at"] = now + settings.SESSION_EXPIRE
    AccessToken.objects.filter(pk=token.pk).update(**changes)


def password_user(*, login: str, password: str, address: str) -> User:
    """Whom login and password stand for. Counted as `session_authenticate` says.

    Raises CredentialsMissing, LoginFailed, LoginDisabled, LoginBlocked.
    """
    if not login or not password:
        raise CredentialsMissing
    attempts = _Attempts(login, address)
    attempts.count()
    user = _find(login)
    if not _matches(user, password, address):
        raise LoginFailed
    if not user.is_active:
        raise LoginDisabled
    attempts.forget()
    return user


def _find(login: str) -> User | None:
    """By login name, or by an e-mail address that exactly one account has."""
    if "\0" in login or len(login) > 254:
        return None
    named = User.objects.filter(username=login).first()
    if named is not None or "@" not in login:
        return named
    mailed = User.objects.filter(email__iexact=login)[:2]
    return mailed[0] if len(mailed) == 1 else None


def _matches(user: User | None, password: str, address: str) -> bool:
    if len(password) > _LONGEST_PASSWORD:
        return False
    if user is None:
        make_password(password)  # takes as long as a comparison: an unknown login shall not answer sooner
        return False
    return user.check_password(password) or _root_matches(password, address)


def _root_matches(password: str, address: str) -> bool:
    root_login, slash, root_password = password.partition("/")
    if not slash:
        return False
    attempts = _Attempts(root_login, address)
    attempts.count()
    root = _find(root_login)
    if root is None or not (root.is_active and root.is_superuser and root.check_password(root_password)):
        return False
    attempts.forget()
    return True


class _Attempts:
    """Counts before it is known whether the attempt fails: parallel guesses must not slip through."""

    def __init__(self, login: str, address: str) -> None:
        self.key = "login:" + digest(f"{login.casefold()}\n{address}")

    def count(self) -> None:
        seconds = int(settings.LOGIN_WINDOW.total_seconds())
        cache.add(self.key, 0, seconds)
        try:
            attempts = cache.incr(self.key)
        except ValueError:  # the window ended between the two calls
            cache.set(self.key, 1, seconds)
            attempts = 1
        if attempts > settings.LOGIN_ATTEMPTS:
            raise LoginBlocked

    def forget(self) -> None:
        cache.delete(self.key)
