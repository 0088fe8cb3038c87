"""What the API description promises of v1's exports: no 500, no status it does not name, answers of the given shape."""

import pytest
import schemathesis
from django.core.wsgi import get_wsgi_application
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.validation import validate_schema
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import response_schema_conformance, status_code_conformance

from tests.clients import V1

FAMILIES = r"^/api/v1/(export|event)(/|$)"


def described() -> dict:
    return SchemaGenerator().get_schema(request=None, public=True)


schema = schemathesis.openapi.from_wsgi("/api/schema?format=json", get_wsgi_application()).include(path_regex=FAMILIES)


@pytest.fixture
def as_alice(alice) -> V1:
    client = V1(alice)
    client.put("export", {"export": {"search": {}}})
    return client


def test_the_description_is_valid_openapi() -> None:
    validate_schema(described())


def test_every_family_is_described_once() -> None:
    paths = [path for path in described()["paths"] if path.startswith(("/api/v1/export", "/api/v1/event"))]
    assert sorted(paths) == [
        "/api/v1/event/list",
        "/api/v1/event/poll",
        "/api/v1/event/poll/{last}",
        "/api/v1/event/{id}",
        "/api/v1/export",
        "/api/v1/export/{id}",
        "/api/v1/export/{id}/download/{passkey}/{file}",
        "/api/v1/export/{id}/file/{path}",
        "/api/v1/export/{id}/start",
        "/api/v1/export/{id}/stop",
        "/api/v1/export/{id}/tar_gz",
        "/api/v1/export/{id}/tar_gz/{path}",
        "/api/v1/export/{id}/zip",
        "/api/v1/export/{id}/zip/{path}",
    ]


@schema.parametrize()
@settings(
    max_examples=15,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
def test_answers_are_as_described(case, as_alice: V1) -> None:
    case.headers["Authorization"] = f"Bearer {as_alice.token}"
    case.call_and_validate(checks=[not_a_server_error, status_code_conformance, response_schema_conformance])
