"""A client that speaks v1, over Django's test client: the real URLconf, middleware, database and store."""

from datetime import timedelta
from typing import Any

import orjson
from django.contrib.auth.models import User
from django.http.response import HttpResponseBase
from django.test import Client

from cells import tokens


class V1:
    """Calls under /api/v1 as one user (Bearer), or as nobody."""

    def __init__(self, user: User | None = None, **token: Any) -> None:
        self._client = Client(raise_request_exception=False)
        self.token = tokens.token_create(user=user, **{"expires": timedelta(days=1), **token}) if user else ""

    def call(
        self, method: str, path: str, body: bytes | None = None, content_type: str = "", **headers: str
    ) -> HttpResponseBase:
        """`headers` are named as in WSGI: HTTP_RANGE="bytes=0-1". A body, even an empty one, has a Content-Length."""
        if self.token:
            headers.setdefault("HTTP_AUTHORIZATION", f"Bearer {self.token}")
        if body is not None:
            headers.setdefault("CONTENT_LENGTH", str(len(body)))
        return self._client.generic(method, f"/api/v1/{path}", body or b"", content_type, **headers)

    def get(self, path: str, **headers: str) -> HttpResponseBase:
        return self.call("GET", path, **headers)

    def head(self, path: str, **headers: str) -> HttpResponseBase:
        return self.call("HEAD", path, **headers)

    def post(self, path: str, data: Any = None, **headers: str) -> HttpResponseBase:
        return self._json("POST", path, data, headers)

    def put(self, path: str, data: Any = None, **headers: str) -> HttpResponseBase:
        return self._json("PUT", path, data, headers)

    def delete(self, path: str, **headers: str) -> HttpResponseBase:
        return self.call("DELETE", path, **headers)

    def put_file(self, path: str, content: bytes, content_type: str = "", **headers: str) -> HttpResponseBase:
        return self.call("PUT", path, content, content_type, **headers)

    def _json(self, method: str, path: str, data: Any, headers: dict[str, str]) -> HttpResponseBase:
        if data is None:
            return self.call(method, path, **headers)
        return self.call(method, path, orjson.dumps(data), "application/json", **headers)


def content(response: HttpResponseBase) -> bytes:
    """The whole body, streamed or not."""
    return b"".join(response.streaming_content) if response.streaming else response.content
