"""A client that speaks the cell dialect over Django's test client: real URLconf, middleware, database and store."""

import json
from datetime import timedelta
from typing import Any

from django.contrib.auth.models import User
from django.http.response import HttpResponseBase
from django.test import Client

from cells import tokens
from cells.models import Cell
from exports.models import Run
from exports.services import running
from tests.clients import content

__all__ = ["CellClient", "answer", "content", "exported", "refused"]


class CellClient:
    """Calls as one user (Bearer), with a token for one cell if one is named, or as nobody."""

    def __init__(self, user: User | None = None, **token: Any) -> None:
        self.client = Client(raise_request_exception=False)
        self.token = tokens.token_create(user=user, **{"expires": timedelta(days=1), **token}) if user else ""

    def call(
        self, method: str, path: str, body: Any = None, content_type: str = "", **headers: str
    ) -> HttpResponseBase:
        """`headers` are named as in HTTP, with `_` for `-`. What is no bytes is sent as JSON."""
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        meta = {f"HTTP_{name.upper()}": value for name, value in headers.items()}
        if self.token:
            meta.setdefault("HTTP_AUTHORIZATION", f"Bearer {self.token}")
        if body is not None:
            meta.setdefault("CONTENT_LENGTH", str(len(body)))
        response = self.client.generic(method, path, body or b"", content_type, **meta)
        check_headers(response)
        return response

    def __getattr__(self, name: str) -> Any:
        """`client.get("/cell1/__export")`, `client.propfind(…)`."""
        return lambda path, *body, **headers: self.call(name.upper(), path, *body, **headers)


def check_headers(response: HttpResponseBase) -> None:
    """§3.2: both "on every response (success and error)"."""
    assert response.headers["Access-Control-Allow-Origin"] == "*", response.headers
    assert response.headers["X-Personium-Version"] == "1.7.18"
    assert "Access-Control-Allow-Credentials" not in response.headers


def answer(response: HttpResponseBase, status: int = 200) -> Any:
    """The JSON of an answer with this status."""
    body = content(response)
    assert response.status_code == status, body
    assert response.headers["Content-Type"] == "application/json"
    return json.loads(body)


def empty(response: HttpResponseBase, status: int) -> HttpResponseBase:
    assert (response.status_code, content(response)) == (status, b"")
    assert "Content-Type" not in response.headers
    return response


def refused(response: HttpResponseBase, code: str, value: str | None = None) -> dict[str, Any]:
    """§3.2: "top-level object with exactly" code and message; "HTTP status = the three digits in the code"."""
    told = answer(response, int(code[2:5]))
    assert told.keys() == {"code", "message"} and told["message"].keys() == {"lang", "value"}
    assert told["code"] == code, told
    assert told["message"]["lang"] == ("en_US" if code == "PR500-SV-9999" else "en")
    if value is not None:
        assert told["message"]["value"] == value
    return told


def exported(client: CellClient, cell: Cell, name: str) -> Run:
    """Orders a snapshot and does the worker's part here, so what is read must be committed."""
    empty(client.post(f"/{cell.name}/__export", {"Name": name}), 202)
    run = Run.objects.latest("pk")
    done = running.run_export(run_id=run.pk)
    assert done is not None
    return done
