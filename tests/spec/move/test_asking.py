"""`spec/move.md §2–§4.3`: POST /move/exports, tokens, bodies, both families of errors."""

import json

import pytest
from django.core import mail

from cells import tokens
from cells.models import AccessToken
from exports.models import MoveExport, Notification, Run
from exports.services import lifecycle, move_exports, notifications
from tests.clients import content
from tests.factories import make_cell
from tests.spec.move.asking import EMPTY, JSON_API, Move, api_error, attributes, exported, mailed, opaque_of, plain

pytestmark = pytest.mark.django_db(transaction=True)
MALFORMED = "JSON input is malformed or is missing mandatory fields"


@pytest.fixture
def unlimited(monkeypatch) -> None:
    monkeypatch.setattr("exports.api.move.base.LIMIT", 1000)


def nothing_asked_for() -> bool:
    return not Run.objects.exists() and not MoveExport.objects.exists()


def test_an_export_is_accepted_with_nothing_but_a_status(as_alice) -> None:
    """§0.2: "answers 201 with an empty body, no Location, no id"; "The only way … is the e-mail"."""
    response = as_alice.post("move/exports", EMPTY)
    assert (response.status_code, content(response)) == (201, b"")
    assert "Location" not in response.headers
    assert Run.objects.get().state == "pending"


NO_BODIES = [
    *("{}", "null", '{"data":null}', "", "no json", '{"data":[]}', "[]", "[" * 100_000, "\xff"),
    *('{"data":{"attributes":7}}', '{"data":{"attributes":{"max_age":NaN}}}'),
]


@pytest.mark.parametrize("body", NO_BODIES)
def test_a_body_that_cannot_be_used_is_refused(as_alice, unlimited, body: str) -> None:
    """§2.1, DEC-10: "400 JSON:API with the `JSON input is malformed …` detail"."""
    api_error(as_alice.post("move/exports", body.encode("latin-1")), 400, "Bad Request", MALFORMED)
    assert nothing_asked_for()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("parts_size", value) for value in ("6e10", "1.5", '"12"', "true", "9223372036854775808", "[]")),
        *(("max_age", "1.0"), ("with_doctypes", '"a"'), ("with_doctypes", "[1]")),
        *(("without_files", value) for value in ('"true"', "1")),
    ],
)
def test_attributes_have_exact_types(as_alice, unlimited, name: str, value: str) -> None:
    """§2.1: "integers must be JSON integers within 64 bits (`60000000000` yes; `6e10`, `1.5`, `"12"` no)"."""
    body = f'{{"data":{{"attributes":{{"{name}":{value}}}}}}}'.encode()
    api_error(as_alice.post("move/exports", body), 400, "Bad Request", MALFORMED)
    assert nothing_asked_for()


@pytest.mark.parametrize(
    "body",
    [
        '{"data":{}}',
        '{"data":{"attributes":null}}',
        '{"data":{"attributes":{"parts_size":60000000000,"max_age":null,"with_doctypes":null,"without_files":null}}}',
        '{"data":{"type":"x","id":7,"meta":[],"attributes":{"unknown":{}}}} and whatever follows',
    ],
)
@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_what_need_not_be_there_or_is_not_known_is_ignored(as_alice, body: str, content_type: str) -> None:
    """§2.1: "reads the first JSON value of the body and ignores whatever follows"; "`null` means default"."""
    assert as_alice.post("move/exports", body.encode(), CONTENT_TYPE=content_type).status_code == 201


def test_a_client_cannot_silence_its_mails(as_alice) -> None:
    """§4.2: `admin_req`, `move_to`, `contextual_domain` are "forced by the server, never taken from the client"."""
    exported(as_alice, admin_req=True, ignore_vault=True, contextual_domain="evil.example", move_to={"url": "http://x"})
    assert "evil" not in mailed()


def test_tokens(alice, bob, cell, as_nobody, unlimited) -> None:
    """§2.4, §3.1, §3.2."""
    plain(as_nobody.post("move/exports", EMPTY), 401, "No token in request")
    wrong = as_nobody.post("move/exports", EMPTY, HTTP_AUTHORIZATION="Bearer wrong")
    plain(wrong, 400, "Invalid JWT token")
    assert wrong.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'
    old = Move(alice, cell=cell, scopes=("io.cozy.exports",))
    AccessToken.objects.filter(digest=tokens.digest(old.token)).update(expires_at="2020-01-01T00:00Z")
    expired = old.post("move/exports", EMPTY)
    plain(expired, 400, "Expired token")
    assert expired.headers["WWW-Authenticate"].endswith('error_description="The access token expired"')
    for scopes in (
        ("io.cozy.files",),
        ("io.cozy.exports:GET",),
        ("io.cozy.exports:POST:one-id",),
        ("io.cozy.imports",),
    ):
        plain(Move(alice, cell=cell, scopes=scopes).post("move/exports", EMPTY), 403, "Forbidden")
    for scopes in (("io.cozy.*",), ("io.cozy.exports:FLY",), (":",), ("a:b:c:d:e",)):
        told = "Permission scope is empty or malformed"
        plain(Move(alice, cell=cell, scopes=scopes).post("move/exports", EMPTY), 400, told)
    assert nothing_asked_for()


@pytest.mark.parametrize(
    "scopes",
    [
        ("io.cozy.exports:POST",),
        ("io.cozy.exports:ALL",),
        ("io.cozy.files", "io.cozy.exports"),
        ("io.cozy.files io.cozy.exports:GET,POST",),
        ("root",),
    ],
)
def test_scopes_that_allow_the_whole_type(alice, cell, scopes: tuple[str, ...]) -> None:
    assert Move(alice, cell=cell, scopes=scopes).post("move/exports", EMPTY).status_code == 201


def test_a_token_comes_as_bearer_password_or_parameter(as_alice, as_nobody) -> None:
    """§3.1: "`Authorization: Basic …` (the token is the password …); query parameter `bearer_token`"."""
    from base64 import b64encode

    basic = b64encode(b"anybody:" + as_alice.token.encode()).decode()
    assert as_nobody.post("move/exports", EMPTY, HTTP_AUTHORIZATION=f"Basic {basic}").status_code == 201
    assert as_nobody.post(f"move/exports?bearer_token={as_alice.token}", EMPTY).status_code == 201


def test_which_cell(alice, bob, cell, unlimited) -> None:
    """Design: the token's, or `/{cell}/move/…`; a session with one cell needs not say which."""
    session = Move(alice)
    assert session.post("move/exports", EMPTY).status_code == 201
    make_cell(alice, "second")
    plain(session.post("move/exports", EMPTY), 404, "Instance not found")
    assert session.post("second/move/exports", EMPTY).status_code == 201
    assert [each.cell.name for each in MoveExport.objects.order_by("created_at")] == ["alice", "second"]
    for name, status, told in (("third", 404, "Instance not found"), ("%00", 404, "Instance not found")):
        plain(session.post(f"{name}/move/exports", EMPTY), status, told)
    plain(Move(bob).post("alice/move/exports", EMPTY), 403, "Forbidden")
    plain(Move(alice, cell=cell).post("second/move/exports", EMPTY), 403, "Forbidden")
    assert MoveExport.objects.count() == 2


def test_the_sixth_call_within_a_day_is_not_found(as_alice) -> None:
    """§4.1: "5 calls per instance; the 6th and later get 404"; it "counts every call, even those later refused"."""
    as_alice.post("move/exports", b"nonsense")
    for _ in range(4):
        assert as_alice.post("move/exports", EMPTY).status_code == 201
    plain(as_alice.post("move/exports", EMPTY), 404, "Not found")
    plain(as_alice.post("alice/move/exports", b"nonsense"), 404, "Not found")
    assert MoveExport.objects.count() == 4


def test_a_stranger_uses_up_nobodys_calls(as_alice, as_nobody) -> None:
    """Our reading of §4.1: refused calls count for where they come from."""
    for _ in range(5):
        plain(as_nobody.post("alice/move/exports", EMPTY), 401, "No token in request")
    plain(as_nobody.post("alice/move/exports", EMPTY), 404, "Not found")
    assert as_alice.post("alice/move/exports", EMPTY).status_code == 201


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("application/json, text/html", "application/json"),
        ("text/html,*/*", "text/html; charset=UTF-8"),
        (JSON_API, "text/plain; charset=UTF-8"),
        ("", "text/plain; charset=UTF-8"),
    ],
)
def test_plain_errors_are_told_as_accept_says(as_nobody, accept: str, kind: str) -> None:
    """§2.3, in its order."""
    response = as_nobody.get("move/exports/$$$", HTTP_ACCEPT=accept)
    assert (response.status_code, response.headers["Content-Type"]) == (400, kind)
    if kind == "application/json":
        assert json.loads(content(response)) == {"error": "illegal base64 data"}
    assert b"illegal base64 data" in content(response)


def test_an_export_while_another_runs_is_accepted_and_fails_by_mail(as_alice) -> None:
    """DEC-14: "201, job fails, failure mail"; §4.3: `export: an archive is already being created`."""
    assert as_alice.post("move/exports", EMPTY).status_code == 201
    assert as_alice.post("move/exports", EMPTY).status_code == 201
    first, second = MoveExport.objects.order_by("created_at")
    assert (first.run.state, second.run.state) == ("pending", "failed")
    assert second.run.error["message"] == "export: an archive is already being created"
    assert "has failed" in mailed()
    assert mail.outbox[0].subject == "⚠ The export of your data has failed"


def test_an_export_that_seems_to_run_for_more_than_a_day_blocks_no_other(as_alice) -> None:
    """§4.3: "An `exporting` document older than 24 h is considered dead and does not block"."""
    as_alice.post("move/exports", EMPTY)
    MoveExport.objects.update(created_at="2020-01-01T00:00Z")
    as_alice.post("move/exports", EMPTY)
    assert set(Run.objects.values_list("state", flat=True)) == {"pending"}


def test_the_mail_goes_out_whatever_else_the_owner_wants_to_hear_of(as_alice, alice) -> None:
    """§0.2: there is no other way to learn the identifier."""
    from exports.models import Preference

    Preference.objects.create(user=alice, notify="none")
    exported(as_alice)
    assert opaque_of(mailed())
    assert (mail.outbox[0].subject, mail.outbox[0].to) == ("Download your data", ["alice@example.org"])
    assert not any(notifications.notification_send(notification_id=row.pk) for row in Notification.objects.all())


def test_a_failed_export_says_so(as_alice, cell) -> None:
    as_alice.post("move/exports", attributes())
    run = Run.objects.get()
    lifecycle.run_fail(run)
    assert "has failed" in mailed()
    assert MoveExport.objects.get().run.state == "failed"


@pytest.mark.parametrize(
    ("given", "used", "effective"),
    [
        (10240, 0, 10240),
        (1, 0, 1),
        (0, 2 << 30, 1_518_500_249),
        (0, 4 << 30, 2 << 30),
        (-5, 100 << 30, 10 << 30),
        (0, 1 << 40, 32 << 30),
        (0, 0, 1 << 30),
    ],
)
def test_parts_size(monkeypatch, cell, given: int, used: int, effective: int) -> None:
    """§4.2.1, DEC-1: "An explicit value ≥ 1 is honoured exactly (seed)"; others are made by the formula."""
    monkeypatch.setattr(move_exports, "bytes_used", lambda cell: used)
    assert move_exports.parts_size_effective(given, cell) == effective


def test_a_floor_of_parts_can_be_set(settings, cell) -> None:
    settings.MOVE_MIN_PARTS_SIZE = 1 << 30
    assert move_exports.parts_size_effective(10240, cell) == 1 << 30
    assert move_exports.parts_size_effective(5 << 30, cell) == 5 << 30


def test_every_origin_may_ask(as_alice) -> None:
    """§9.3."""
    response = as_alice.call("OPTIONS", "move/exports", HTTP_ORIGIN="https://settings.example.net")
    assert response.status_code == 204
    assert response.headers["Access-Control-Allow-Methods"] == "GET,HEAD,PUT,PATCH,POST,DELETE"
    assert response.headers["Access-Control-Max-Age"] == "43200"
    refused = as_alice.post("move/exports", b"x", HTTP_ORIGIN="https://settings.example.net")
    for each in (response, refused):
        assert each.headers["Access-Control-Allow-Origin"] == "*"
    assert "Access-Control-Allow-Origin" not in as_alice.post("move/exports", EMPTY).headers
