"""A client of the move API, and short words for what every test of it says."""

import io
import json
import re
import zipfile
from typing import Any

from django.contrib.auth.models import User
from django.core import mail
from django.http.response import HttpResponseBase
from django.test import Client

from cells import tokens
from cells.models import Cell
from exports.models import MoveExport, Notification, Run
from exports.services import notifications, running
from tests.clients import content

JSON_API = "application/vnd.api+json"
EMPTY = {"data": {"attributes": {}}}


class Move:
    """Calls as the bearer of one token, or as nobody."""

    def __init__(
        self, user: User | None = None, *, cell: Cell | None = None, scopes: tuple[str, ...] = (), **more: Any
    ):
        self._client = Client(raise_request_exception=False)
        self.token = tokens.token_create(user=user, cell=cell, scopes=scopes, **more) if user else ""

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> HttpResponseBase:
        """`body` bytes as they are, else as JSON. `headers` are named as in WSGI."""
        if self.token:
            headers.setdefault("HTTP_AUTHORIZATION", f"Bearer {self.token}")
        data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        return self._client.generic(method, f"/{path}", data, JSON_API, **headers)

    def get(self, path: str, **headers: str) -> HttpResponseBase:
        return self.call("GET", path, **headers)

    def post(self, path: str, body: Any = None, **headers: str) -> HttpResponseBase:
        return self.call("POST", path, body, **headers)


def attributes(**options: Any) -> dict[str, Any]:
    return {"data": {"attributes": options}}


def plain(response: HttpResponseBase, status: int, message: str) -> None:
    """§2.3: what a JSON:API client gets of a plain error."""
    assert (response.status_code, content(response).decode()) == (status, message)
    assert response.headers["Content-Type"] == "text/plain; charset=UTF-8"


def api_error(response: HttpResponseBase, status: int, title: str, detail: str, **source: str) -> None:
    """§2.2."""
    assert response.status_code == status, content(response)
    assert response.headers["Content-Type"] == JSON_API
    [error] = json.loads(content(response))["errors"]
    assert error == {"status": str(status), "title": title, "detail": detail, "source": source}


def page(response: HttpResponseBase, status: int, *said: str) -> str:
    """An HTML page whatever was accepted, which says all of these."""
    text = content(response).decode()
    assert response.status_code == status, text
    assert response.headers["Content-Type"].startswith("text/html")
    assert [each for each in said if each not in text] == []
    return text


def exported(client: Move, path: str = "move/exports", **options: Any) -> MoveExport:
    """Asked for, and done by the worker's part here: what is read must be committed."""
    response = client.post(path, attributes(**options))
    assert response.status_code == 201, content(response)
    run = Run.objects.latest("pk")
    running.run_export(run_id=run.pk)
    return MoveExport.objects.select_related("run", "cell").get(run=run)


def mailed() -> str:
    """Sends what is due; the text of the only mail."""
    mail.outbox.clear()
    for row in Notification.objects.filter(next_at__isnull=False):
        notifications.notification_send(notification_id=row.pk)
    [message] = mail.outbox
    return message.body


def link_of(text: str) -> str:
    """§4.12: "The text part of `archiver` has the link alone on the last line"."""
    return text.strip().splitlines()[-1]


def opaque_of(text: str) -> str:
    found = re.fullmatch(r"http://localhost:8000/#/exports/([A-Za-z0-9_=-]+)", link_of(text))
    assert found, text
    return found[1]


def manifest(client: Move, opaque: str) -> dict[str, Any]:
    response = client.get(f"move/exports/{opaque}")
    assert response.status_code == 200, content(response)
    return json.loads(content(response))["data"]


def parts(client: Move, opaque: str) -> list[bytes]:
    """§0.2: "Number of downloads = len(parts_cursors) + 1"."""
    cursors = ["", *manifest(client, opaque)["attributes"]["parts_cursors"]]
    return [content(client.get(f"move/exports/data/{opaque}?cursor={cursor}")) for cursor in cursors]


def unzipped(part: bytes) -> list[tuple[zipfile.ZipInfo, bytes]]:
    with zipfile.ZipFile(io.BytesIO(part)) as archive:
        return [(info, archive.read(info)) for info in archive.infolist()]
