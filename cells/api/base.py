"""What all views of v1 share: authentication, media types, headers, integers of the query (`spec/v1.md §1`)."""

from typing import Any

import orjson
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import URLPattern, path
from rest_framework.exceptions import UnsupportedMediaType
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser, FormParser
from rest_framework.permissions import BasePermission
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.viewsets import ViewSet

from cells.api.authentication import Authenticated, TokenAuthentication
from cells.api.errors import ApiError, V1ErrorMixin
from cells.api.headers import dress
from cells.readonly import read_only_check

#: A JSON body is held in memory; documents and files come through their own doors.
MAX_JSON = 16 * 1024 * 1024


class JSONRenderer(BaseRenderer):
    media_type = "application/json"
    format = "json"
    charset = "utf-8"

    def render(self, data: Any, *_: object) -> bytes:
        return b"" if data is None else orjson.dumps(data, default=str)


class OnlyJSON(BaseContentNegotiation):
    """JSON whatever `Accept` says: an answer in no dialect (406) would help nobody."""

    def select_parser(self, request: Request, parsers: list[BaseParser]) -> BaseParser | None:
        kind = media_type(request)
        return next((parser for parser in parsers if parser.media_type in (kind, "*/*")), None)

    def select_renderer(self, _request: Request, renderers: list[BaseRenderer], _suffix: str | None = None) -> tuple:
        return renderers[0], renderers[0].media_type


class AnyJSONParser(BaseParser):
    """JSON when the content type says so, is any text, or is missing (`spec/v1.md §1.3`)."""

    media_type = "*/*"

    def parse(self, stream: Any, _media_type: str | None = None, parser_context: dict | None = None) -> Any:
        request = parser_context["request"]
        kind = media_type(request)
        if not (kind == "" or kind.endswith(("/json", "+json")) or kind.startswith("text/")):
            raise UnsupportedMediaType(kind)
        body = stream.read(MAX_JSON + 1)
        if len(body) > MAX_JSON:
            raise ApiError("invalid_content", f"The body is longer than {MAX_JSON} bytes.")
        try:
            return orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise ApiError("invalid_content", f"The body is not JSON: {error}") from error


class V1ViewSet(V1ErrorMixin, ViewSet):
    """Base of all endpoint families of v1."""

    authentication_classes = (TokenAuthentication,)
    permission_classes: tuple[type[BasePermission], ...] = (Authenticated,)
    parser_classes: tuple[type[BaseParser], ...] = (AnyJSONParser,)
    renderer_classes = (JSONRenderer,)
    content_negotiation_class = OnlyJSON
    metadata_class = None
    #: Calls without a body may have their parameters in a form instead of the query (`spec/v1.md §1.4`).
    form_parameters = False
    #: Whether a call moves the session's expiry on; `event/poll` does not (`spec/v1.md §2.1`).
    refreshes_session = True

    #: Actions that the server takes while it is read-only.
    brings_nothing: tuple[str, ...] = ()

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if self.action not in self.brings_nothing:
            read_only_check(request.method)

    def get_parsers(self) -> list[BaseParser]:
        return [FormParser(), *super().get_parsers()] if self.form_parameters else super().get_parsers()

    def finalize_response(self, request: Any, response: Any, *args: Any, **kwargs: Any) -> HttpResponseBase:
        return dress(request, super().finalize_response(request, response, *args, **kwargs))


def media_type(request: HttpRequest | Request) -> str:
    """The content type of the body, lower case, without its parameters; "" when there is none."""
    return (request.META.get("CONTENT_TYPE") or "").partition(";")[0].strip().lower()


def json_object(request: Request) -> dict[str, Any]:
    """The body, which has to be a JSON object."""
    if not request.META.get("CONTENT_LENGTH") and "HTTP_TRANSFER_ENCODING" in request.META:
        raise ApiError("invalid_content", "The body needs a Content-Length.", status=411)
    data = request.data if int(request.META.get("CONTENT_LENGTH") or 0) else None
    if data is None:
        raise ApiError("invalid_content", "The body must not be empty.")
    if not isinstance(data, dict):
        raise ApiError("type_mismatch", "The body must be an object.")
    return data


def query_integer(request: Request, name: str, default: int | None) -> int | None:
    """`spec/v1.md §1.11`: not an integer → type_mismatch, negative → invalid_value."""
    text = request.query_params.get(name)
    if text is None:
        return default
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 18):
        raise ApiError("type_mismatch", f"{name} must be an integer.")
    if int(text) < 0:
        raise ApiError("invalid_value", f"{name} must not be negative.")
    return int(text)


def truth(text: str, name: str) -> bool:
    """A boolean of a query or a header."""
    if text.lower() not in ("true", "false", "1", "0"):
        raise ApiError("type_mismatch", f"{name} must be true or false.")
    return text.lower() in ("true", "1")


def routes(pattern: str, view: type[V1ViewSet], actions: dict[str, str], **kwargs: Any) -> list[URLPattern]:
    """The call with and without a trailing slash (`spec/v1.md §1.9`); only the latter is in the API description."""
    return [
        path(pattern, view.as_view(actions, **kwargs)),
        path(pattern + "/", view.as_view(actions, **{**kwargs, "schema": None})),
    ]
