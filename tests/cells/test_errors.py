"""v1's envelope, headers and ways of carrying a token, on every URL under /api (`spec/v1.md §1, §3`)."""

import logging
import uuid

import pytest
from django.contrib.auth.models import User
from django.test import Client, RequestFactory

from cells.api import errors
from cells.api.errors import V1Errors
from cells.errors import DomainError, Kind, QuotaExceeded
from tests.clients import V1

pytestmark = pytest.mark.django_db


def every_domain_error() -> list[type[DomainError]]:
    return [error for error in DomainError.__subclasses__() if error.__module__ == "cells.errors"]


@pytest.mark.parametrize(
    "path", ["/api", "/api/", "/api/v1", "/api/v1/nonsense", "/api/v2/session", "/api/v1/session/x"]
)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_a_path_that_is_no_call_answers_in_v1s_shape(path: str, method: str) -> None:
    """§1.1: "A path that is not an API call answers 400 `error.api.invalid_api`"."""
    answer = Client(enforce_csrf_checks=True).generic(method, path, b"{}", "application/json")
    assert answer.status_code == 400
    assert answer.json().keys() == {"realm", "code", "description"}
    assert (answer.json()["realm"], answer.json()["code"]) == ("api", "error.api.invalid_api")
    assert answer["X-Easydb-API-Version"]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_a_wrong_method_is_an_api_error(method: str) -> None:
    answer = Client().generic(method, "/api/v1/session")
    assert (answer.status_code, answer.json()["code"]) == (400, "error.api.invalid_request_method")


def test_every_answer_carries_the_versions_and_is_not_cached() -> None:
    """§1.2: "`application/json` (charset utf-8 recommended)"; §1.6, §1.7."""
    answer = V1().get("session")
    for name in ("X-Easydb-API-Version", "X-Easydb-Base-Schema-Version", "X-Easydb-User-Schema-Version"):
        assert answer[name]
    assert (answer["Cache-Control"], answer["Pragma"]) == ("no-cache", "no-cache")
    assert "Expires" not in answer.headers
    assert answer["Content-Type"] == "application/json; charset=utf-8"


def test_cache_seconds_lets_a_client_cache() -> None:
    """§1.7: "`cache_seconds` > 0 → `Expires` set and `Cache-Control` with `private` and `max-age=<n>`"."""
    answer = V1().get("session?cache_seconds=60")
    assert answer["Cache-Control"] == "private, max-age=60" and answer["Expires"].endswith("GMT")
    for zero in ("0", "", "-1", "x", "²"):
        assert V1().get(f"session?cache_seconds={zero}")["Cache-Control"] == "no-cache"


def test_accept_is_ignored_and_a_trailing_slash_is_no_other_call() -> None:
    assert V1().get("session/", HTTP_ACCEPT="application/xml").json()["token"]


@pytest.mark.parametrize("error", every_domain_error(), ids=lambda error: error.code)
def test_every_domain_error_has_a_shape(error: type[DomainError]) -> None:
    names = ("what name reason doctype doc_id path line quota used needed actual expected algorithm received sha256 id"
             " method mount limit url").split()  # fmt: skip
    status, envelope = V1Errors().answer(error(**dict.fromkeys(names, "x")))
    assert error.code in V1Errors.domain or error.kind in V1Errors.kinds
    assert envelope["code"].startswith(f"error.{envelope['realm']}.")
    assert ("description" in envelope) == (envelope["realm"] != "user")
    # 503 is told to people: somebody decided it, and it passes. No other fault of ours is.
    assert ("uuid" in envelope) == (envelope["realm"] == "server") == (status >= 500 and status != 503)


def test_every_kind_has_a_default_shape() -> None:
    assert set(V1Errors.kinds) == set(Kind)


def test_parameters_are_strings() -> None:
    status, envelope = V1Errors().answer(QuotaExceeded(quota=10, used=9, needed=2))
    assert (status, envelope["code"]) == (413, "error.user.quota_exceeded")
    assert envelope["parameters"] == {"quota": "10", "used": "9", "needed": "2"}


def test_the_unexpected_is_logged_under_the_uuid_that_the_client_sees(caplog) -> None:
    with caplog.at_level(logging.ERROR):
        status, envelope = V1Errors().answer(ZeroDivisionError("the reason"))
    assert (status, envelope["realm"], envelope["code"]) == (500, "server", "error.server.generic")
    assert str(uuid.UUID(envelope["uuid"])) in caplog.text and "the reason" in caplog.text
    assert "the reason" not in envelope["description"]


def test_errors_outside_the_views_have_v1s_shape_under_api_only() -> None:
    for path, ours in (("/api/v1/session", True), ("/elsewhere", False)):
        request = RequestFactory().get(path)
        try:
            raise ZeroDivisionError
        except ZeroDivisionError as error:
            answers = [errors.handler400(request, error), errors.handler404(request, error), errors.handler500(request)]
        assert [answer["Content-Type"] == "application/json" for answer in answers] == [ours] * 3


def carriers(token: str) -> dict[str, dict]:
    return {
        "query": {"query_params": {"token": token}},
        "easydb": {"HTTP_X_EASYDB_TOKEN": token},
        "bearer": {"HTTP_AUTHORIZATION": f"Bearer {token}"},
        "fylr": {"HTTP_X_FYLR_AUTHORIZATION": f"bearer {token}"},
        "access_token": {"query_params": {"access_token": token}},
    }


def test_a_token_may_come_in_five_ways_and_the_first_hit_wins(alice: User, bob: User) -> None:
    """§1.5: query `token`; `X-Easydb-Token`; `Authorization`; `X-Fylr-Authorization`; query `access_token`."""
    ways, others = carriers(V1(alice).token), carriers(V1(bob).token)
    order = list(ways)
    for position, way in enumerate(order):
        call = {**ways[way]}
        for later in order[position + 1 :]:
            for key, value in others[later].items():
                call[key] = {**value, **call[key]} if key in call else value
        assert Client().get("/api/v1/session", **call).json()["user"]["user"]["login"] == "alice", way
