"""What the API description promises of v1's exports: no 500, no status it does not name, answers of the given shape."""

from collections.abc import Iterator

import pytest
import schemathesis
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections
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
def as_alice(alice) -> Iterator[V1]:
    """Requests come through WSGI and share the test's transaction, whose connection must survive them."""
    client = V1(alice)
    client.put("export", {"export": {"search": {}}})
    signals = (request_started, request_finished)
    for signal in signals:
        signal.disconnect(close_old_connections)
    yield client
    for signal in signals:
        signal.connect(close_old_connections)


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
        "/api/v1/export/{id}/transport/{uuid}/retry",
        "/api/v1/export/{id}/transport/{uuid}/test",
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
