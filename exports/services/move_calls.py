"""What one server of a move asks of the other. Every address is judged by `exports.egress`; redirects are not followed,
for a POST brings a token; answers are bounded in size and in time. Raises MoveNotFound for an address that may not be
dialled, TransportError for all that goes wrong on the way."""

import ssl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from time import monotonic
from typing import Any, NamedTuple

import httpx
import orjson

from exports.services import move_links
from exports.transports import http
from exports.transports.base import TransportError

#: Of an answer that is no stream.
LARGEST_ANSWER = 64 << 10
ANSWER_SECONDS = 30.0
#: Until its headers are there: whoever sends them drop by drop is not listened to for weeks.
HEADER_SECONDS = 120.0


class Answer(NamedTuple):
    status: int
    headers: httpx.Headers
    body: bytes

    @property
    def accepted(self) -> bool:
        """Also 303, which sends a browser to the page to wait on (`spec/move.md §6.5`)."""
        return self.status == 303 or 200 <= self.status < 300

    @property
    def final(self) -> bool:
        """Whether asking again would bring the same: the other server has understood, and will not."""
        return 400 <= self.status < 500 and self.status not in (408, 425, 429)

    def attributes(self) -> dict[str, Any]:
        """{} for what is no JSON object. Raises nothing."""
        try:
            found = orjson.loads(self.body)
        except orjson.JSONDecodeError:
            return {}
        return found if isinstance(found, dict) else {}

    def reason(self) -> str:
        """For people: what a JSON:API error says, else the status."""
        errors = self.attributes().get("errors")
        first = errors[0] if isinstance(errors, list) and errors and isinstance(errors[0], dict) else {}
        detail = first.get("detail")
        return f"{self.status} {detail[:300]}" if isinstance(detail, str) and detail else str(self.status)

    def code(self) -> str:
        """The code of a JSON:API error, "" without."""
        errors = self.attributes().get("errors")
        first = errors[0] if isinstance(errors, list) and errors and isinstance(errors[0], dict) else {}
        return first["code"] if isinstance(first.get("code"), str) else ""


def ask(method: str, url: str, *, token: str, document: object = None, doing: str) -> Answer:
    with opened(method, url, token=token, document=document, doing=doing) as response:
        body, until = b"", monotonic() + ANSWER_SECONDS
        for chunk in response.iter_raw():
            body += chunk
            if len(body) > LARGEST_ANSWER or monotonic() > until:
                raise TransportError(f"Cannot {doing}: the answer is longer than it may be.", permanent=False)
        return Answer(response.status_code, response.headers, body)


@contextmanager
def opened(method: str, url: str, *, token: str, document: object = None, doing: str) -> Iterator[httpx.Response]:
    """The answer as a stream."""
    parts = move_links.checked(url)
    headers = {"Authorization": f"Bearer {token}"}
    if document is not None:
        headers["Content-Type"] = "application/vnd.api+json"
    body = None if document is None else orjson.dumps(document)
    with (
        http.client(parts, ssl.create_default_context(), check=move_links.port_check) as client,
        http.faults(doing),
        ExitStack() as answered,
    ):
        with http.ended_after(HEADER_SECONDS) as trace:
            url = parts._replace(fragment="").geturl()
            request = client.stream(method, url, headers=headers, content=body, extensions={"trace": trace})
            response = answered.enter_context(request)
        yield response
