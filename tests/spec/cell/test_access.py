"""`spec/cell.md §2, §4`: who may, which error wins, and what a 401 looks like."""

import base64
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from cells import tokens
from cells.models import AccessToken, Cell, SnapshotFile
from exports.models import Run
from tests.factories import make_cell
from tests.spec.cell.asking import CellClient, answer, empty, refused

pytestmark = pytest.mark.django_db

#: Every call that needs `root`, with a body that would do something.
CALLS = [
    ("GET", "/cell1/__export", None),
    ("POST", "/cell1/__export", {"Name": "x"}),
    ("GET", "/cell1/__import", None),
    ("POST", "/cell1/__import", {"Name": "x"}),
    ("POST", "/cell1/__import/undo", {}),
    ("DELETE", "/cell1/__import", None),
    ("PROPFIND", "/cell1/__snapshot", None),
    ("PUT", "/cell1/__snapshot/a.zip", b"x"),
    ("GET", "/cell1/__snapshot/there.zip", None),
    ("DELETE", "/cell1/__snapshot/there.zip", None),
    ("PROPFIND", "/cell1/__snapshot/there.zip", None),
    ("PROPFIND", "/cell1", None),
]


@pytest.fixture(autouse=True)
def there(cell: Cell, as_alice: CellClient) -> None:
    empty(as_alice.call("PUT", "/cell1/__snapshot/there.zip", b"x"), 201)


def unchanged() -> bool:
    return not Run.objects.exists() and [each.name for each in SnapshotFile.objects.all()] == ["there.zip"]


def unauthorized(response, code: str, value: str) -> None:
    """§4: "Every 401 … carries exactly one header `WWW-Authenticate: Bearer realm="{CellURL}"`"."""
    refused(response, code, value)
    assert response.headers["WWW-Authenticate"] == 'Bearer realm="https://unit.example/cell1/"'


@pytest.mark.parametrize(("method", "path", "body"), CALLS)
def test_nobody_and_strangers(method: str, path: str, body, as_nobody: CellClient, as_bob: CellClient) -> None:
    """§4: "no `Authorization`, no cookie → 401 `PR401-AU-0001`"; "valid token, no root → 403 `PR403-AU-0002`"."""
    unauthorized(as_nobody.call(method, path, body, depth="0"), "PR401-AU-0001", "Authorization required.")
    response = as_bob.call(method, path, body, depth="0")
    refused(response, "PR403-AU-0002", "Necessary privilege is lacking.")
    assert "WWW-Authenticate" not in response.headers
    assert unchanged()


def test_existence_and_status_are_told_after_authentication_alone(as_nobody: CellClient, as_alice: CellClient) -> None:
    """§2 [R]: "Steps 7, 9 and 10 before auth leak state to anonymous callers. … checks auth first is safer"."""
    empty(as_alice.post("/cell1/__export", {"Name": "x"}), 202)
    refused(as_nobody.post("/cell1/__export", {"Name": "x"}), "PR401-AU-0001")
    refused(as_nobody.get("/cell1/__snapshot/none.zip"), "PR401-AU-0001")


@pytest.mark.parametrize(
    ("header", "code", "value"),
    [
        ("", "PR401-AU-0003", "Invalid authentication scheme."),
        ("test", "PR401-AU-0003", "Invalid authentication scheme."),
        ("Digest x", "PR401-AU-0003", "Invalid authentication scheme."),
        ("Basic", "PR401-AU-0004", "Basic auth format error."),
        ("Basic %%%", "PR401-AU-0004", "Basic auth format error."),
        ("Basic " + base64.b64encode(b"nocolon").decode(), "PR401-AU-0004", "Basic auth format error."),
        ("Basic " + base64.b64encode(b"alice:wrong").decode(), "PR401-AU-0011", "Authentication failed."),
        ("Basic " + base64.b64encode(b"unknown:x").decode(), "PR401-AU-0011", "Authentication failed."),
        ("Basic " + base64.b64encode(b"alice:alice's password").decode(), "PR401-AU-0001", "Authorization required."),
        ("Bearer", "PR401-AU-0006", "Token parse error."),
        ("Bearer ", "PR401-AU-0006", "Token parse error."),
        ("Bearerxyz", "PR401-AU-0006", "Token parse error."),
        ("Bearer not,a.token", "PR401-AU-0006", "Token parse error."),
        ("Bearer " + "x" * 43, "PR401-AU-0008", "Token dsig error."),
    ],
)
def test_bad_authorization(header: str, code: str, value: str, as_nobody: CellClient) -> None:
    unauthorized(as_nobody.get("/cell1/__export", authorization=header), code, value)


def test_an_account_that_is_locked(as_nobody: CellClient, settings) -> None:
    """§4: "Basic, account locked → 401 `PR401-AU-0010`"."""
    settings.LOGIN_ATTEMPTS = 2
    wrong = "Basic " + base64.b64encode(b"alice:wrong").decode()
    for _ in range(2):
        as_nobody.get("/cell1/__export", authorization=wrong)
    unauthorized(as_nobody.get("/cell1/__export", authorization=wrong), "PR401-AU-0010", "Authentication failed.")


def test_expired_and_refresh_tokens(alice: User, cell: Cell) -> None:
    expired = CellClient(alice, cell=cell)
    AccessToken.objects.filter(digest=tokens.digest(expired.token)).update(expires_at=timezone.now())
    unauthorized(expired.get("/cell1/__export"), "PR401-AU-0002", "Access token expired.")
    refresh = CellClient(alice, cell=cell, scopes=["refresh"])
    unauthorized(refresh.get("/cell1/__export"), "PR401-AU-0007", "Can not access with refresh token.")


def test_a_token_of_an_account_that_is_gone(alice: User, as_alice: CellClient) -> None:
    User.objects.filter(pk=alice.pk).update(is_active=False)
    assert as_alice.get("/cell1/__export").status_code == 401


def test_a_token_with_root_on_the_cell_is_enough_and_no_other(alice: User, cell: Cell) -> None:
    """§4: scope `root` on this cell; "the token scope does not include `root` → 403 `PR403-AU-0007`"."""
    answer(CellClient(alice, cell=cell).get("/cell1/__export"))
    sentence = "Insufficient scope is granted for the access token. [root] Privilege is required."
    for token in ({"cell": cell, "scopes": ["io.cozy.exports"]}, {"scopes": ["io.cozy.exports"]}):
        refused(CellClient(alice, **token).get("/cell1/__export"), "PR403-AU-0007", sentence)
    other = make_cell(alice, "cell2")
    refused(CellClient(alice, cell=other).get("/cell1/__export"), "PR403-AU-0002")


def test_a_superuser_is_the_unit_master(as_root: CellClient) -> None:
    assert answer(as_root.get("/cell1/__export")) == {"status": "ready"}


def test_an_unknown_cell(as_nobody: CellClient, as_alice: CellClient) -> None:
    """§2: 404 `PR404-DV-0003` "Cell not found."."""
    for client in (as_nobody, as_alice):
        for path in ("/none", "/none/__export", "/none/x/y", "/%00/__export", "/A%20B"):
            refused(client.get(path), "PR404-DV-0003", "Cell not found.")


def test_what_is_no_url(as_nobody: CellClient, as_alice: CellClient) -> None:
    """§1: deeper paths → 404 `PR404-MC-0001` "URI is not recognized."."""
    for path in ("/cell1/__export/x", "/cell1/nothing", "/cell1/a/b/c", "/cell1/%0A", "/__ctl/Nothing"):
        for method in ("GET", "POST", "PUT", "PROPFIND", "NONSENSE"):
            for client in (as_nobody, as_alice):
                refused(client.call(method, path), "PR404-MC-0001", "URI is not recognized.")


def test_wrong_methods(as_alice: CellClient) -> None:
    """§12.5: "everything except GET, HEAD, POST, OPTIONS → 405"; DELETE of an import is our own."""
    for method in ("PUT", "DELETE", "PROPFIND", "MKCOL", "PATCH", "NONSENSE"):
        refused(as_alice.call(method, "/cell1/__export"), "PR405-MC-0001", "Method not allowed.")
    for method in ("PUT", "PROPFIND", "MKCOL", "PATCH"):
        refused(as_alice.call(method, "/cell1/__import"), "PR405-MC-0001", "Method not allowed.")


def test_the_cookie_pair(as_nobody: CellClient, alice: User) -> None:
    """§3.1: `p_cookie_peer` counts "only … when there is **no** `Authorization` header"; else `PR401-AU-0009`."""
    form = b"grant_type=password&username=alice&password=alice's+password&p_cookie=true"
    response = as_nobody.call("POST", "/cell1/__token", form, "application/x-www-form-urlencoded")
    peer = answer(response)["p_cookie_peer"]
    cookie = response.cookies["p_cookie"]
    assert (cookie["path"], cookie["domain"], cookie["max-age"]) == ("/cell1/", "", "")
    assert answer(as_nobody.get(f"/cell1/__export?p_cookie_peer={peer}")) == {"status": "ready"}
    for wrong in ("wrong", peer[:-1]):
        unauthorized(as_nobody.get(f"/cell1/__export?p_cookie_peer={wrong}"), "PR401-AU-0009", "Authentication failed.")
    for none in ("", "?p_cookie_peer="):
        unauthorized(as_nobody.get(f"/cell1/__export{none}"), "PR401-AU-0001", "Authorization required.")
    unauthorized(
        as_nobody.get(f"/cell1/__export?p_cookie_peer={peer}", authorization="test"),
        "PR401-AU-0003", "Invalid authentication scheme.",
    )  # fmt: skip
    for tampered in (cookie.value[:-4] + "AAAA", "x", ""):
        as_nobody.client.cookies["p_cookie"] = tampered
        unauthorized(as_nobody.get(f"/cell1/__export?p_cookie_peer={peer}"), "PR401-AU-0009", "Authentication failed.")


def test_the_cookie_is_secret_and_dies_with_its_token(as_nobody: CellClient) -> None:
    form = b"grant_type=password&username=alice&password=alice's+password&p_cookie=true&expires_in=60"
    response = as_nobody.call("POST", "/cell1/__token", form)
    told = answer(response)
    cookie = base64.urlsafe_b64decode(response.cookies["p_cookie"].value)
    assert told["access_token"].encode() not in cookie and told["p_cookie_peer"].encode() not in cookie
    AccessToken.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    refused(as_nobody.get(f"/cell1/__export?p_cookie_peer={told['p_cookie_peer']}"), "PR401-AU-0002")


def test_where_somebody_comes_from_is_not_for_him_to_say(as_nobody: CellClient, settings) -> None:
    """§3.1 lets `X-Override` replace headers; that of the proxy counts failed passwords, and stays."""
    settings.TRUSTED_PROXY, settings.LOGIN_ATTEMPTS = True, 2
    wrong = "Basic " + base64.b64encode(b"alice:wrong").decode()
    codes = [
        answer(as_nobody.get("/cell1/__export", **told), 401)["code"]
        for told in (
            {"authorization": wrong, "x_forwarded_for": "192.0.2.1", "x_override": f"X-Forwarded-For: 192.0.2.{n}"}
            for n in range(3)
        )
    ]
    assert codes == ["PR401-AU-0011", "PR401-AU-0011", "PR401-AU-0010"]
    other = as_nobody.get("/cell1/__export", authorization=wrong, x_forwarded_for="192.0.2.9")
    unauthorized(other, "PR401-AU-0011", "Authentication failed.")


def test_a_cells_token_is_no_session(as_nobody: CellClient, alice: User) -> None:
    """§13.2: "`expires_in` 1..3600": a token with the scope of sessions would live on, and be in no list."""
    form = b"grant_type=password&username=alice&password=alice's+password&expires_in=60&scope="
    told = answer(as_nobody.call("POST", "/cell1/__token", form + b"root+login+session"))
    assert told["scope"] == "root"
    found = tokens.token_find(told["access_token"])
    assert found.scopes == ["root"] and tokens.token_find(told["access_token"]).expires_at == found.expires_at
    assert found in tokens.tokens_of(alice)
    count = AccessToken.objects.count()
    for nothing in (b"login", b"session+refresh"):
        refused = answer(as_nobody.call("POST", "/cell1/__token", form + nothing), 400)
        assert refused["error"] == "invalid_scope" and AccessToken.objects.count() == count
