"""Every domain error has a shape in every dialect, every state a word, and every URL answers in its dialect."""

import re
import string
from collections.abc import Iterator

import pytest
from django.urls import URLPattern, URLResolver, get_resolver
from rest_framework.viewsets import ViewSetMixin

import cells.errors
import exports.errors
from cells.errors import DomainError
from exports.api.v1.errors import REDIRECT_KEYS, DownloadErrors, ExportErrors
from exports.api.v1.present import LOG_TYPES, POLLABLE
from exports.api.v1.words import DELIVERY_WORDS, STATE_WORDS, state_word
from exports.registry import TRANSPORTS
from exports.services.lifecycle import EVENTS
from exports.states import DeliveryState, RunState
from exports.transports.base import Carrier
from tests.clients import V1, content

V1_WORDS = {"new", "pending", "processing", "done", "done_with_warnings", "failed", "expired"}


def all_errors(base: type[DomainError] = DomainError) -> Iterator[type[DomainError]]:
    for kind in base.__subclasses__():
        yield kind
        yield from all_errors(kind)


def made(kind: type[DomainError]) -> DomainError:
    """An error of this kind, with a value for everything its message names."""
    names = [name for _, name, _, _ in string.Formatter().parse(kind.__doc__ or "") if name]
    params: dict[str, object] = {re.split(r"[!:.\[]", name)[0]: "17" for name in names}
    if kind is cells.errors.SessionNotFound:
        params["id"] = "a token, which the message keeps to itself"
    if kind is exports.errors.DefinitionRefused:
        params["fault"] = "invalid_value"
    return kind(damaged={1: "x"}) if kind is exports.errors.EntriesDamaged else kind(**params)


ERRORS = sorted(set(all_errors()), key=lambda kind: kind.__name__)


def test_there_are_errors_of_both_apps_to_speak_of() -> None:
    assert {kind.__module__ for kind in ERRORS} >= {cells.errors.__name__, exports.errors.__name__}


def test_codes_are_unique() -> None:
    codes = [kind.code for kind in ERRORS]
    assert len(codes) == len(set(codes))


@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("errors", [ExportErrors(), DownloadErrors()], ids=["json", "downloads"])
def test_every_domain_error_has_a_shape_in_v1(kind: type[DomainError], errors: ExportErrors) -> None:
    status, envelope = errors.answer(made(kind))
    passing = (503, cells.errors.CellHeld), (503, cells.errors.ReadOnly)
    assert 400 <= status <= 500 or (status, kind) in (*passing, (507, cells.errors.NoSpace))
    assert envelope["code"].startswith(f"error.{envelope['realm']}.")
    ours = status >= 500 and (status, kind) not in passing  # somebody wanted it so
    assert ours == (envelope["realm"] == "server") == ("uuid" in envelope)
    assert all(isinstance(value, str) for value in envelope.get("parameters", {}).values())


@pytest.mark.parametrize(
    "kind", [kind for kind in ERRORS if kind.__module__ == exports.errors.__name__], ids=lambda kind: kind.__name__
)
def test_v1_has_a_word_of_its_own_for_every_error_of_exporting(kind: type[DomainError]) -> None:
    """None of them is left to the default of its kind."""
    assert kind.code in ExportErrors.domain or kind is exports.errors.DefinitionRefused


def test_redirects_are_for_errors_that_exist() -> None:
    assert set(REDIRECT_KEYS) <= {kind.code for kind in ERRORS}


@pytest.mark.parametrize("state", RunState)
def test_every_state_has_a_word_in_v1(state: RunState) -> None:
    assert STATE_WORDS[state] in V1_WORDS
    assert state_word(state) in V1_WORDS


def test_every_event_of_a_run_is_in_the_log_of_v1() -> None:
    assert set(EVENTS.values()) <= set(LOG_TYPES)
    assert set(POLLABLE) <= set(LOG_TYPES)


@pytest.mark.parametrize("state", DeliveryState)
def test_every_state_of_a_delivery_has_a_word_in_v1(state: DeliveryState) -> None:
    assert DELIVERY_WORDS[state] in V1_WORDS


@pytest.mark.parametrize("name", TRANSPORTS.names())
def test_every_transport_can_be_loaded(name: str) -> None:
    assert isinstance(TRANSPORTS.load(name).CARRIER, Carrier)


def v1_routes(patterns: list | None = None, prefix: str = "") -> Iterator[tuple[str, URLPattern]]:
    for pattern in get_resolver().url_patterns if patterns is None else patterns:
        route = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from v1_routes(pattern.url_patterns, route)
        elif route.startswith("api/v1/"):
            yield route, pattern


def path_of(route: str) -> str:
    """A path that this route answers, for things that do not exist."""
    filled = re.sub(r"<(?:(\w+):)?(\w+)>", lambda match: "987654" if match[2] in ("id", "last") else "none", route)
    assert "<" not in filled, f"{route}: say here how to fill it"
    return filled.removeprefix("api/v1/")


def test_every_route_of_v1_is_a_viewset() -> None:
    routes = list(v1_routes())
    assert len(routes) > 20
    for route, pattern in routes:
        assert issubclass(getattr(pattern.callback, "cls", object), ViewSetMixin), route


@pytest.mark.parametrize("method", ["GET", "PUT", "POST", "DELETE", "PATCH", "OPTIONS", "HEAD", "NONSENSE"])
def test_every_url_under_v1_answers_in_v1(alice, method: str) -> None:
    """Known routes with every verb, and unknown ones: the envelope or a success, never a page of Django's."""
    unknown = ["nothing", "export/1/nothing", "export/1/start/now", "session/x", "", "v1/session", "event", "v1", "%00"]
    paths = [path_of(route) for route, _ in v1_routes()]
    as_alice, as_nobody = V1(alice), V1()
    for path in [*paths, *unknown]:
        for client in (as_nobody, as_alice):
            check_answer(method, path, client.call(method, path))


def check_answer(method: str, path: str, response) -> None:
    told = f"{method} {path}: {response.status_code} {content(response)[:200]!r}"
    assert response.status_code < 500, told
    if response.status_code == 302:
        assert response.headers["Location"].startswith("/#server_error:"), told
    elif response.status_code >= 400 and method != "HEAD":
        envelope = response.json()
        assert {"realm", "code"} <= envelope.keys(), told
        assert response.headers["X-Easydb-API-Version"], told
