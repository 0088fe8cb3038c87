"""The API description tells of every call of the cell dialect that OpenAPI has a word for, and of its answers."""

import json

import jsonschema
import pytest
from django.urls import get_resolver
from drf_spectacular.generators import SchemaGenerator

from cells.models import Cell
from exports.api.cell import urls
from tests.spec.cell.asking import CellClient, content

pytestmark = pytest.mark.django_db(transaction=True)
METHODS = ("get", "put", "post", "delete")


@pytest.fixture(scope="module")
def told() -> dict[str, dict]:
    paths = SchemaGenerator().get_schema(request=None, public=True)["paths"]
    return {path: calls for path, calls in paths.items() if path.startswith("/{cell}") and "/move/" not in path}


def test_every_call_is_told(told: dict[str, dict]) -> None:
    assert get_resolver()  # the URLs are those of the site
    wanted = set()
    for pattern in urls.urlpatterns:
        views = pattern.callback.cls
        if views.schema is not None and pattern.callback.initkwargs.get("schema", views.schema) is not None:
            wanted |= {(views.__name__, method) for method in pattern.callback.actions if method in METHODS}
    assert len(wanted) == sum(len(calls) for calls in told.values()) == 12
    assert {call["tags"][0] for calls in told.values() for call in calls.values()} == {"cell"}


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("get", "/{cell}", None),
        ("get", "/{cell}/__export", None),
        ("post", "/{cell}/__export", {"Name": "one"}),
        ("post", "/{cell}/__export", {"Name": "no name"}),
        ("get", "/{cell}/__import", None),
        ("post", "/{cell}/__import", {"Name": "there-is-none"}),
        ("post", "/{cell}/__import", []),
        ("delete", "/{cell}/__import", None),
        ("post", "/{cell}/__import/undo", None),
        ("put", "/{cell}/__snapshot/{name}", b"x"),
        ("get", "/{cell}/__snapshot/{name}", None),
        ("delete", "/{cell}/__snapshot/{name}", None),
        ("post", "/{cell}/__token", b"grant_type=magic"),
        ("delete", "/{cell}", None),
    ],
)
def test_answers_are_as_told(
    method: str, path: str, body: object, told: dict[str, dict], cell: Cell, as_alice: CellClient, as_nobody: CellClient
) -> None:
    for client in (as_nobody, as_alice):
        answer = client.call(method.upper(), path.format(cell="cell1", name="x.zip"), body)
        response = told[path][method]["responses"].get(str(answer.status_code))
        assert response is not None, (answer.status_code, content(answer))
        kinds = response.get("content", {})
        if "application/json" in kinds and answer.headers.get("Content-Type") == "application/json":
            jsonschema.validate(json.loads(content(answer)), kinds["application/json"]["schema"])
