"""Who may: each route × {nobody, somebody else, an unknown id}: `spec/v1.md §2.8, §13, C5, C7`; seed permissions."""

from datetime import timedelta

import pytest
from django.utils import timezone

from cells import tokens
from cells.models import AccessToken, Cell
from exports.models import Export
from tests.clients import V1
from tests.spec.v1.asking import answer, created, id_of, refused

#: (method, path below the export, body, status of an export that the caller does not have)
ROUTES = [
    ("GET", "", None, 404),
    ("POST", "", {"export": {"json": True}}, 404),
    ("DELETE", "", None, 404),
    ("POST", "/start", None, 404),
    ("POST", "/stop", None, 404),
    ("GET", "/file/a.txt", None, 400),
    ("GET", "/zip", None, 400),
    ("GET", "/zip/folder", None, 400),
    ("GET", "/tar_gz", None, 400),
    ("GET", "/tar_gz/folder", None, 400),
]
COLLECTION = [("GET", "export", None), ("PUT", "export", {"export": {"search": {}}}), ("POST", "export", {})]
NOT_AUTHENTICATED = "error.user.not_authenticated"


def call(client: V1, method: str, path: str, body: object):
    if body is None:
        return client.call(method, path)
    return client._json(method, path, body, {})


@pytest.mark.parametrize(("method", "rest", "body", "_status"), ROUTES)
def test_nobody_is_told_to_log_in_whether_the_export_exists_or_not(
    as_alice: V1, as_nobody: V1, method: str, rest: str, body: object, _status: int
) -> None:
    """C7: 403 on all routes that need a session; §2.8: a missing token counts as unauthenticated."""
    export = created(as_alice)
    for id in (id_of(export), id_of(export) + 1):
        refused(call(as_nobody, method, f"export/{id}{rest}", body), 403, NOT_AUTHENTICATED)
    assert answer(as_alice.get(f"export/{id_of(export)}")) == export


@pytest.mark.parametrize(("method", "path", "body"), COLLECTION)
def test_nobody_has_no_collection(as_nobody: V1, method: str, path: str, body: object) -> None:
    refused(call(as_nobody, method, path, body), 403, NOT_AUTHENTICATED)
    assert not Export.objects.exists()


@pytest.mark.parametrize(("method", "rest", "body", "status"), ROUTES)
def test_a_stranger_s_export_is_an_unknown_one(
    as_alice: V1, as_charlie: V1, method: str, rest: str, body: object, status: int
) -> None:
    """C5: nothing tells another's export from none; on file and zip every such error is 400 (C8)."""
    export = created(as_alice)
    theirs, none = (
        refused(call(as_charlie, method, f"export/{id}{rest}", body), status, "error.user.export_not_found", id=str(id))
        for id in (id_of(export), id_of(export) + 1)
    )
    assert theirs["realm"] == none["realm"] == "user"
    assert answer(as_alice.get(f"export/{id_of(export)}")) == export


@pytest.mark.parametrize(
    ("method", "rest", "body"),
    [
        ("GET", "", None),
        ("POST", "", {"export": {"json": True}}),
        ("POST", "/start", None),
        ("DELETE", "", None),
    ],
)
def test_root_may_have_single_exports(as_alice: V1, as_root: V1, method: str, rest: str, body: object) -> None:
    """C5."""
    answer(call(as_root, method, f"export/{id_of(created(as_alice))}{rest}", body))


def test_root_starts_with_the_owner_s_rights(as_alice: V1, as_root: V1, alice) -> None:
    """§13: search and file access use the owner's rights at run time."""
    answer(as_root.post(f"export/{id_of(created(as_alice))}/start"))
    assert Export.objects.get().current_run.owner == alice


def test_a_session_that_nobody_logged_into_is_nobody(as_nobody: V1) -> None:
    raw, _ = tokens.session_create()
    refused(as_nobody.get(f"export?token={raw}"), 403, NOT_AUTHENTICATED)


def test_an_unknown_token_is_not_found(as_nobody: V1) -> None:
    """§2.8: 400 with the token as id."""
    refused(as_nobody.get("export?token=guess"), 400, "error.user.session_not_found", id="guess")


def test_an_expired_token_is_invalid(as_alice: V1) -> None:
    AccessToken.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    refused(as_alice.get("export"), 400, "error.user.session_invalid")


@pytest.mark.parametrize("scopes", [["root"], ["io.cozy.exports"]])
def test_a_token_for_something_else_is_nobody_here(alice, scopes: list[str]) -> None:
    """A token for one cell must not open all that its user owns."""
    cell = Cell.objects.create(name="one", owner=alice)
    for client in (V1(alice, cell=cell), V1(alice, scopes=scopes), V1(alice, cell=cell, scopes=["session"])):
        refused(client.get("export"), 403, NOT_AUTHENTICATED)


@pytest.mark.parametrize("header", ["HTTP_X_EASYDB_TOKEN", "HTTP_X_FYLR_AUTHORIZATION", "HTTP_AUTHORIZATION"])
def test_every_way_to_carry_a_token_reaches_the_same_session(as_alice: V1, as_nobody: V1, header: str) -> None:
    """§1.5."""
    value = as_alice.token if header == "HTTP_X_EASYDB_TOKEN" else f"Bearer {as_alice.token}"
    answer(as_nobody.get("export", **{header: value}))
    answer(as_nobody.get(f"export?access_token={as_alice.token}"))
    answer(as_nobody.get(f"export?token={as_alice.token}"))


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("DELETE", "export"),
        ("PATCH", "export/1"),
        ("PUT", "export/1"),
        ("GET", "export/1/start"),
        ("PUT", "export/1/zip"),
        ("POST", "export/1/file/a"),
        ("POST", "export/1/download/key/a.zip"),
        ("OPTIONS", "export"),
        ("POST", "event/list"),
    ],
)
def test_a_wrong_verb_is_an_api_error(as_alice: V1, method: str, path: str) -> None:
    """§1.1: never 405."""
    refused(as_alice.call(method, path), 400, "error.api.invalid_request_method")


def test_answers_carry_versions_and_are_not_kept(as_alice: V1) -> None:
    """§1.6, §1.7."""
    response = as_alice.get("export")
    assert {"X-Easydb-API-Version", "X-Easydb-Base-Schema-Version", "X-Easydb-User-Schema-Version"} <= set(
        response.headers
    )
    assert response.headers["Cache-Control"] == "no-cache"
    assert "max-age=60" in as_alice.get("export?cache_seconds=60").headers["Cache-Control"]
