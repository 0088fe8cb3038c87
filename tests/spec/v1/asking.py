"""Short words for what every test of v1's exports says."""

from typing import Any

import orjson
from django.http.response import HttpResponseBase

from exports.models import Run
from exports.services import running
from tests.clients import V1, content


def answer(response: HttpResponseBase, status: int = 200) -> Any:
    """The JSON of an answer with this status."""
    body = content(response)
    assert response.status_code == status, body
    assert response.headers["Content-Type"].startswith("application/json")
    return orjson.loads(body)


def refused(response: HttpResponseBase, status: int, code: str, **parameters: str) -> dict[str, Any]:
    """`spec/v1.md §3.1`: realm, code, parameters of user errors, description of api errors."""
    told = answer(response, status)
    realm = code.split(".")[1]
    assert (told["realm"], told["code"]) == (realm, code), told
    assert told.get("parameters", {}) == parameters
    assert ("description" in told) == (realm != "user")
    return told


def created(client: V1, **attributes: Any) -> dict[str, Any]:
    top = {name: attributes.pop(name) for name in list(attributes) if name.startswith("_")}
    return answer(client.put("export", {"export": {"search": {}, **attributes}, **top}))


def id_of(export: dict[str, Any]) -> int:
    return export["export"]["_id"]


def run(client: V1, export: dict[str, Any] | int) -> dict[str, Any]:
    """Starts the export and does the worker's part here, so what is read must be committed."""
    path = f"export/{export if isinstance(export, int) else id_of(export)}"
    answer(client.post(f"{path}/start"))
    running.run_export(run_id=Run.objects.latest("pk").pk)
    return answer(client.get(path))
