"""Every domain error has a shape in the move dialect, every state a word, and every URL answers in it."""

import json

import pytest
from django.http import HttpRequest

from cells.errors import CellHeld, CellMoved, DomainError, ReadOnly
from exports.api.move.errors import DOMAIN, JSON_API, error_response
from exports.api.move.words import STATE_WORDS
from exports.states import RunState
from tests.clients import content
from tests.factories import make_cell
from tests.house.test_dialects import ERRORS, made
from tests.spec.move.asking import Move

PATHS = [
    "",
    "exports",
    "exports/",
    "exports/x",
    "exports/data",
    "exports/data/x",
    "exports/x/y",
    "x",
    "%00",
    "downloads/x",
]


@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.__name__)
def test_every_domain_error_has_a_shape(kind: type[DomainError]) -> None:
    request = HttpRequest()
    request.method = "GET"
    response = error_response(request, made(kind))
    passing = kind in (CellHeld, ReadOnly)
    assert 400 <= response.status_code <= 500 or (response.status_code == 503 and passing)
    if response.headers["Content-Type"] == JSON_API:
        [error] = json.loads(response.content)["errors"]
        moved = {"code", "links"} if kind is CellMoved else set()  # spec/move.md §2.4
        assert error.keys() == {"status", "title", "detail", "source"} | moved
        assert error["status"] == str(response.status_code)
    else:
        assert response.headers["Content-Type"] == "text/plain; charset=UTF-8" and response.content


def test_shapes_are_for_errors_that_exist() -> None:
    assert set(DOMAIN) <= {kind.code for kind in ERRORS}


@pytest.mark.parametrize("state", RunState)
def test_every_state_has_a_word(state: RunState) -> None:
    assert STATE_WORDS[state] in {"exporting", "done", "error", None}


@pytest.mark.parametrize("method", ["GET", "PUT", "POST", "DELETE", "PATCH", "OPTIONS", "HEAD", "NONSENSE"])
@pytest.mark.parametrize("below", ["move", "alice/move", "nobody/move"])
@pytest.mark.django_db
def test_every_url_below_move_answers_in_its_shape(alice, method: str, below: str) -> None:
    make_cell(alice, "alice")
    for client in (Move(), Move(alice)):
        for path in PATHS:
            response = client.call(method, f"{below}/{path}")
            told = f"{method} {below}/{path}: {response.status_code} {content(response)[:200]!r}"
            assert response.status_code == 204 if method == "OPTIONS" else 400 <= response.status_code < 500, told
            if method not in ("HEAD", "OPTIONS"):
                assert response.headers["Content-Type"] in (JSON_API, "text/plain; charset=UTF-8"), told
