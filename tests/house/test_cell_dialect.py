"""Every domain error has a shape in the cell dialect, every state a word, and every URL answers in it."""

import re
from collections.abc import Iterator

import pytest
from django.urls import URLPattern, get_resolver
from rest_framework.viewsets import ViewSetMixin

from cells.errors import DomainError
from exports.api.cell import urls
from exports.api.cell.errors import DOMAIN, KINDS, TEMPLATES, UNKNOWN, code_of, told_error
from exports.api.cell.words import IMPORT_FAILED, IMPORT_WORDS, READY, RUN_WORDS
from exports.states import ACTIVE, IMPORT_ACTIVE, ImportState, RunState
from tests.factories import make_cell
from tests.house.test_dialects import ERRORS, made
from tests.spec.cell.asking import CellClient, content

#: What we answer beyond the catalogue of §14, each with the domain's own sentence.
OWN = {UNKNOWN, *KINDS.values()}


@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.__name__)
def test_every_domain_error_has_a_shape(kind: type[DomainError]) -> None:
    code, sentence = code_of(made(kind))
    assert re.fullmatch(r"PR[45]\d\d-[A-Z]{2}-\d{4}", code)
    assert code in TEMPLATES or code in OWN
    assert sentence and not re.search(r"\{\d\}", sentence)


def test_shapes_are_for_errors_that_exist() -> None:
    assert set(DOMAIN) <= {kind.code for kind in ERRORS}


@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.__name__)
def test_every_error_that_a_row_keeps_can_be_told(kind: type[DomainError]) -> None:
    """§7, §8.2: code, and message with lang and value."""
    error = made(kind)
    told = told_error({"code": error.code, "message": str(error)})
    assert told["message"]["value"] == str(error) and re.fullmatch(r"PR\d{3}-[A-Z]{2}-\d{4}", told["code"])


@pytest.mark.parametrize("state", RunState)
def test_every_state_of_a_run_has_a_word(state: RunState) -> None:
    assert RUN_WORDS[state] == ("exportation in progress" if state in ACTIVE else READY)


@pytest.mark.parametrize("state", ImportState)
def test_every_state_of_an_import_has_a_word(state: ImportState) -> None:
    expected = IMPORT_FAILED if state is ImportState.FAILED else READY
    assert IMPORT_WORDS[state] == ("importation in progress" if state in IMPORT_ACTIVE else expected)


def test_the_dialect_is_mounted_last_and_consists_of_viewsets() -> None:
    assert get_resolver().url_patterns[-1].url_patterns is urls.urlpatterns
    for pattern in urls.urlpatterns:
        assert issubclass(getattr(pattern.callback, "cls", object), ViewSetMixin), pattern


def paths(patterns: list[URLPattern]) -> Iterator[str]:
    """One for each route: of a cell that is there, of one that is not."""
    for pattern in patterns:
        text = str(pattern.pattern).removeprefix("^").removesuffix(r"\Z").removesuffix("/?")
        text = re.sub(r"\(\?:/\[\\s\\S\]\*\)\?|\[\\s\\S\]\*", "/nothing", text).replace("\\(", "(").replace("\\)", ")")
        for cell in ("cell1", "none"):
            filled = re.sub(r"\(\?P<cell>[^)]*\)", cell, text)
            filled = re.sub(r"\(\?P<key>[^)]*\)", f"'{cell}'", filled)
            yield "/" + re.sub(r"\(\?P<name>[^)]*\)", "a.zip", filled)


@pytest.mark.django_db
@pytest.mark.parametrize(
    "method", ["GET", "PUT", "POST", "DELETE", "PATCH", "OPTIONS", "HEAD", "PROPFIND", "MERGE", "LOCK", "NONSENSE"]
)
def test_every_url_answers_in_the_dialect(method: str, alice) -> None:
    """The client itself insists on the two headers of every response (§3.2)."""
    as_alice, as_nobody = CellClient(alice), CellClient()
    asked = [*paths(urls.urlpatterns), "/cell1/a//b", "/cell1//", "/%00", "/%FF/__export", "/cell1/%0A", "/A B"]
    assert "/cell1/__export" in asked and "/__ctl/Cell('none')" in asked
    for path in asked:
        if not alice.cells.exists():  # an earlier call deleted it
            make_cell(alice, "cell1")
        for client in (as_nobody, as_alice):
            response = client.call(method, path)
            told = f"{method} {path}: {response.status_code} {content(response)[:200]!r}"
            assert response.status_code < 500 or response.status_code == 501, told
            if response.status_code >= 400 and method != "HEAD" and "__token" not in path:
                assert response.json().keys() == {"code", "message"}, told
