"""Who is calling: v1's ways of carrying a token (`spec/v1.md §1.5`, `§2.8`)."""

from django.contrib.auth.models import AbstractBaseUser
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from cells import tokens
from cells.errors import NotAuthenticated
from cells.models import AccessToken


class TokenAuthentication(BaseAuthentication):
    """No token, or one of a session nobody has logged into: nobody. A wrong or expired one: an error at once."""

    def authenticate(self, request: Request) -> tuple[AbstractBaseUser, AccessToken] | None:
        raw = raw_token(request)
        if not raw:
            return None
        view = request.parser_context["view"]
        token = tokens.token_find(raw, note=getattr(view, "refreshes_session", True))
        return (token.user, token) if token.user is not None else None


class Authenticated(BasePermission):
    def has_permission(self, request: Request, _view: object) -> bool:
        if request.auth is None:
            raise NotAuthenticated
        return True


def raw_token(request: Request) -> str:
    """The token as sent, first hit wins; "" when there is none."""
    query, meta = request.query_params, request.META
    return (
        query.get("token")
        or _form(request).get("token")
        or meta.get("HTTP_X_EASYDB_TOKEN")
        or _bearer(meta.get("HTTP_AUTHORIZATION", ""))
        or _bearer(meta.get("HTTP_X_FYLR_AUTHORIZATION", ""))
        or query.get("access_token")
        or ""
    )


def _form(request: Request) -> dict[str, str]:
    view = request.parser_context["view"]
    is_form = (request.content_type or "").lower().startswith("application/x-www-form-urlencoded")
    return request.data if is_form and getattr(view, "form_parameters", False) else {}


def _bearer(header: str) -> str:
    scheme, _, value = header.partition(" ")
    return value.strip() if scheme.lower() == "bearer" else ""


class _Description(OpenApiAuthenticationExtension):
    target_class = TokenAuthentication
    name = ["bearer", "token"]

    def get_security_definition(self, _auto_schema: object) -> list[dict[str, str]]:
        return [{"type": "http", "scheme": "bearer"}, {"type": "apiKey", "in": "query", "name": "token"}]
