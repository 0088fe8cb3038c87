"""`spec/cell.md §13`: cells of the unit, the cell's root, and tokens."""

import re
import time
from urllib.parse import urlencode
from xml.dom import minidom

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache

from cells import tokens
from cells.models import AccessToken, Cell, SnapshotFile
from exports.api.cell.tokens import SAML2
from exports.models import Run
from exports.services import cell_logins
from tests.factories import make_cell
from tests.spec.cell.asking import CellClient, answer, content, empty, refused

pytestmark = pytest.mark.django_db


def test_a_cell_is_made(as_alice: CellClient, alice: User) -> None:
    """§13.1: 201, `Location`, `ETag: W/"1-{ms}"`, `DataServiceVersion: 2.0`, the entity."""
    response = as_alice.post("/__ctl/Cell", {"Name": "cell1"})
    told = answer(response, 201)["d"]["results"]
    url = "https://unit.example/__ctl/Cell('cell1')"
    assert response.headers["Location"] == url and response.headers["DataServiceVersion"] == "2.0"
    assert re.fullmatch(r'W/"1-\d{13}"', response.headers["ETag"])
    assert told.pop("__metadata") == {"uri": url, "etag": response.headers["ETag"], "type": "UnitCtl.Cell"}
    assert told.pop("Name") == "cell1"
    assert all(re.fullmatch(r"/Date\(\d{13}\)/", told.pop(name)) for name in ("__published", "__updated"))
    assert not told
    assert Cell.objects.get().owner == alice


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (None, "PR400-OD-0001"),
        (b"{", "PR400-OD-0001"),
        (b"[]", "PR400-OD-0001"),
        ({"Name": "x", "other": 1}, "PR400-OD-0007"),
        ({"Name": "x", "__published": "/Date(1)/"}, "PR400-OD-0007"),
        ({"__metadata": {}}, "PR400-OD-0007"),
        ({}, "PR400-OD-0009"),
        ({"Name": None}, "PR400-OD-0009"),
        ({"Name": 1}, "PR400-OD-0006"),
        *(({"Name": name}, "PR400-OD-0006") for name in ("", "x" * 129, "Upper", "ä", "__", "__ctl", "-a", "a\n")),
        ({"Name": "api"}, "PR400-OD-0006"),
        ({"Name": "taken"}, "PR409-OD-0003"),
    ],
)
def test_bad_cells(body, code: str, as_alice: CellClient, alice: User) -> None:
    """§13.1: the errors of POST; a name of ours is as bad as a malformed one."""
    make_cell(alice, "taken")
    refused(as_alice.call("POST", "/__ctl/Cell", body), code)
    assert Cell.objects.count() == 1


def test_who_may(cell: Cell, as_nobody: CellClient, as_bob: CellClient, alice: User) -> None:
    """§4: anonymous 401 with realm {UnitURL}; a token for one cell 403 AU-0001; somebody else's cell AU-0003."""
    for method, path in (("GET", "/__ctl/Cell"), ("POST", "/__ctl/Cell"), ("DELETE", "/__ctl/Cell('cell1')")):
        response = as_nobody.call(method, path)
        refused(response, "PR401-AU-0001", "Authorization required.")
        assert response.headers["WWW-Authenticate"] == 'Bearer realm="https://unit.example/"'
        refused(as_nobody.call(method, path, authorization="test"), "PR401-AU-0003")
        refused(as_nobody.call(method, path, authorization=""), "PR401-AU-0003")
        refused(CellClient(alice, cell=cell).call(method, path), "PR403-AU-0001", "Unit user access required.")
    for method in ("GET", "PUT", "DELETE"):
        refused(as_bob.call(method, "/__ctl/Cell('cell1')", {"Name": "bobs"}), "PR403-AU-0003")
    refused(as_bob.delete("/cell1", x_personium_recursive="true"), "PR403-AU-0003")
    refused(CellClient(alice, cell=cell).delete("/cell1", x_personium_recursive="true"), "PR403-AU-0001")
    assert answer(as_bob.get("/__ctl/Cell"))["d"]["results"] == []
    assert [each.name for each in Cell.objects.all()] == ["cell1"]


def test_the_list(as_alice: CellClient, alice: User) -> None:
    """§13.1: `$top` default 25, `$inlinecount=allpages` adds `d.__count` as string."""
    for number in range(30):
        make_cell(alice, f"cell{number:02}")
    told = answer(as_alice.get("/__ctl/Cell"))["d"]
    assert len(told["results"]) == 25 and "__count" not in told
    told = answer(as_alice.get("/__ctl/Cell?$top=2&$skip=1&$inlinecount=allpages"))["d"]
    assert ([each["Name"] for each in told["results"]], told["__count"]) == (["cell01", "cell02"], "30")


def test_one_cell(cell: Cell, as_alice: CellClient) -> None:
    """§13.1: both forms of the key; `If-None-Match` equal → 304; missing 404; unquoted key 400."""
    response = as_alice.get("/__ctl/Cell('cell1')")
    assert answer(response)["d"]["results"]["Name"] == "cell1"
    assert answer(as_alice.get("/__ctl/Cell(Name='cell1')")) == answer(as_alice.get("/__ctl/Cell('cell1')"))
    empty(as_alice.get("/__ctl/Cell('cell1')", if_none_match=response.headers["ETag"]), 304)
    refused(as_alice.get("/__ctl/Cell('none')"), "PR404-OD-0002", "No such entity.")
    for key in ("1", "", "x'", "'a','b'", "'a"):
        refused(as_alice.get(f"/__ctl/Cell({key})"), "PR400-OD-0004", "OData EntityKey Parse error.")


def test_renaming(cell: Cell, as_alice: CellClient, alice: User) -> None:
    """§13.1: 204, ETag with version + 1, `__published` unchanged; stale or malformed `If-Match` → 412."""
    make_cell(alice, "taken")
    before = as_alice.get("/__ctl/Cell('cell1')")
    for wrong in ('W/"9-1"', '"1-1"', "nonsense", ""):
        response = as_alice.put("/__ctl/Cell('cell1')", {"Name": "new"}, if_match=wrong)
        refused(response, "PR412-OD-0002", "ETag does not match.")
    refused(as_alice.put("/__ctl/Cell('cell1')", {"Name": "taken"}), "PR409-OD-0003", "The entity already exists.")
    refused(as_alice.put("/__ctl/Cell('cell1')", {"Name": "Bad"}), "PR400-OD-0006")
    assert answer(as_alice.get("/__ctl/Cell('cell1')")) == answer(before)
    renamed = as_alice.put("/__ctl/Cell('cell1')", {"Name": "new"}, if_match=before.headers["ETag"])
    assert re.fullmatch(r'W/"2-\d{13}"', empty(renamed, 204).headers["ETag"])
    told = answer(as_alice.get("/__ctl/Cell('new')"))["d"]["results"]
    assert told["__published"] == answer(before)["d"]["results"]["__published"]
    refused(as_alice.get("/cell1/__export"), "PR404-DV-0003")
    assert answer(as_alice.get("/new/__export")) == {"status": "ready"}
    refused(as_alice.post("/__ctl/Cell('new')"), "PR405-MC-0001")
    refused(as_alice.delete("/__ctl/Cell"), "PR405-MC-0001")


def test_deleting(cell: Cell, as_alice: CellClient, alice: User) -> None:
    """§13.1: not empty 409 `PR409-OD-0001`; "snapshots do not count and are removed with the cell"."""
    refused(as_alice.delete("/__ctl/Cell('cell1')"), "PR409-OD-0001", "This entity has related data.")
    make_cell(alice, "void")
    as_alice.call("PUT", "/void/__snapshot/a.zip", b"x")
    empty(as_alice.delete("/__ctl/Cell('void')"), 204)
    assert [each.name for each in Cell.objects.all()] == ["cell1"] and not SnapshotFile.objects.exists()


def test_recursive_deletion_says_that_it_means_it(cell: Cell, as_alice: CellClient, as_nobody: CellClient) -> None:
    """§13.1: 412 `PR412-MC-0001`, "(checked before auth)"; then 204 with everything in it, also what runs."""
    for client in (as_nobody, as_alice):
        for headers in ({}, {"x_personium_recursive": "false"}):
            refused(
                client.delete("/cell1", **headers), "PR412-MC-0001",
                "Precondition failed [Header: X-Personium-Recursive].",
            )  # fmt: skip
    refused(as_nobody.delete("/cell1", x_personium_recursive="true"), "PR401-AU-0001")
    assert Cell.objects.exists()
    as_alice.post("/cell1/__export", {"Name": "x"})
    empty(as_alice.delete("/cell1/", x_personium_recursive="true"), 204)
    assert not Cell.objects.exists() and not Run.objects.exists()


def test_the_root(cell: Cell, as_nobody: CellClient) -> None:
    """§13.1: JSON, or XML for those who accept it; "no privilege needed"."""
    assert answer(as_nobody.get("/cell1")) == {
        "cell": {"name": "cell1", "url": "https://unit.example/cell1/"},
        "unit": {"url": "https://unit.example/", "path_based_cellurl_enabled": True},
    }
    response = as_nobody.get("/cell1/", accept="application/xml")
    assert response.headers["Content-Type"] == "application/xml"
    root = minidom.parseString(content(response)).documentElement  # noqa: S318 - our own answer
    assert (root.tagName, root.getAttribute("xmlns")) == ("cell", "urn:x-personium:xmlns")
    assert root.getElementsByTagName("ctl")[0].firstChild.data == "https://unit.example/cell1/__ctl/"


def test_the_unit(as_nobody: CellClient) -> None:
    """§13.1: "`GET /` → 200 `{"unit":{…}}`"; browsers get a page."""
    told = as_nobody.get("/", Accept="application/json")
    assert answer(told) == {"unit": {"url": "https://unit.example/", "path_based_cellurl_enabled": True}}
    assert told.headers["Access-Control-Allow-Origin"] == "*" and told.headers["X-Personium-Version"] == "1.7.18"
    assert "Accept" in told.headers["Vary"]
    for accept in (
        "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
        "*/*",
        "text/html, application/json",
    ):
        page = as_nobody.client.get("/", headers={"Accept": accept})
        assert page.headers["Content-Type"].startswith("text/html") and b"<h1" in page.content


def test_properties_of_the_root(cell: Cell, as_alice: CellClient) -> None:
    """§12.1, §13.1: href without a trailing slash; "a missing Depth defaults to `0`"; depth 1 is the cell alone."""
    for headers in ({}, {"depth": "0"}, {"depth": "1"}):
        response = as_alice.propfind("/cell1", **headers)
        assert response.status_code == 207
        root = minidom.parseString(content(response))  # noqa: S318 - our own answer
        (href,) = root.getElementsByTagName("href")
        assert href.firstChild.data == "https://unit.example/cell1"
        assert root.getElementsByTagName("p:cellstatus")[0].firstChild.data == "normal"
    refused(as_alice.propfind("/cell1", depth="infinity"), "PR403-DV-0001")
    refused(as_alice.propfind("/cell1", depth="x"), "PR400-DV-0003")


def token(client: CellClient, path: str = "/cell1/__token", **form: str):
    return client.call("POST", path, urlencode(form).encode(), "application/x-www-form-urlencoded")


PASSWORD = {"grant_type": "password", "username": "alice", "password": "alice's password"}


def oauth(response, error: str, code: str) -> None:
    told = answer(response, 400)
    assert told.keys() == {"error", "error_description"}
    assert told["error"] == error and told["error_description"].startswith(f"[{code}] - ")


def test_a_token_for_a_password(cell: Cell, as_nobody: CellClient) -> None:
    """§13.2: the members and their defaults; only the digest is kept."""
    told = answer(token(as_nobody, **PASSWORD))
    assert {name: told[name] for name in told if not name.endswith("_token")} == {
        "token_type": "Bearer", "expires_in": 3600, "refresh_token_expires_in": 86400, "scope": "root",
        "last_authenticated": None, "failed_count": 0,
    }  # fmt: skip
    as_nobody.token = told["access_token"]
    assert answer(as_nobody.get("/cell1/__export")) == {"status": "ready"}
    assert AccessToken.objects.count() == 2
    assert not AccessToken.objects.filter(digest__in=[told["access_token"], told["refresh_token"]]).exists()
    assert not as_nobody.client.cookies


def test_last_authenticated_and_failed_count(cell: Cell, as_nobody: CellClient) -> None:
    """§13.2: "`last_authenticated` (ms or null), `failed_count`", since then."""
    started = time.time() * 1000
    answer(token(as_nobody, **PASSWORD))
    oauth(token(as_nobody, **PASSWORD | {"password": "wrong"}), "invalid_grant", "PR400-AN-0017")
    cache.delete(f"{cell_logins._key(cell, 'alice')}:pause")  # as if a second had passed
    told = answer(token(as_nobody, **PASSWORD))
    assert started - 1 <= told["last_authenticated"] <= time.time() * 1000 and told["failed_count"] == 1
    assert answer(token(as_nobody, **PASSWORD))["failed_count"] == 0


def test_a_refresh_token_gives_new_ones_and_nothing_else(cell: Cell, as_nobody: CellClient, alice: User) -> None:
    first = answer(token(as_nobody, **PASSWORD))
    second = answer(token(as_nobody, grant_type="refresh_token", refresh_token=first["refresh_token"]))
    assert second["access_token"] != first["access_token"]
    as_nobody.token = second["access_token"]
    assert answer(as_nobody.get("/cell1/__export")) == {"status": "ready"}
    as_nobody.token = ""
    make_cell(alice, "cell2")
    for path, given in (
        ("/cell1/__token", first["access_token"]),
        ("/cell2/__token", first["refresh_token"]),
        ("/cell1/__token", "x" * 43),
        ("/cell1/__token", tokens.token_create(user=alice)),
    ):
        response = token(as_nobody, path, grant_type="refresh_token", refresh_token=given)
        oauth(response, "invalid_grant", "PR400-AN-0017")


def test_a_refresh_token_gives_no_more_than_its_login_had(cell: Cell, as_nobody: CellClient) -> None:
    """RFC 6749 §6: the scope "MUST NOT include any scope not originally granted"; left out, it is that one."""
    login = answer(token(as_nobody, **PASSWORD, scope="io.cozy.exports other"))
    for refresh in (login["refresh_token"], None):
        refresh = (
            refresh
            or answer(
                token(as_nobody, grant_type="refresh_token", refresh_token=login["refresh_token"], scope="other")
            )["refresh_token"]
        )
        before = AccessToken.objects.count()
        form = {"grant_type": "refresh_token", "refresh_token": refresh}
        oauth(token(as_nobody, **form, scope="root"), "invalid_scope", "PR400-AN-0019")
        oauth(token(as_nobody, **form, scope="other root"), "invalid_scope", "PR400-AN-0019")
        assert AccessToken.objects.count() == before
        again = answer(token(as_nobody, **form))
        assert again["scope"] == "io.cozy.exports other"
        as_nobody.token = again["access_token"]
        refused(as_nobody.get("/cell1/__export"), "PR403-AU-0007")
        as_nobody.token = refresh
        refused(as_nobody.get("/cell1/__export"), "PR401-AU-0007")
        as_nobody.token = ""


@pytest.mark.parametrize(
    ("form", "error", "code"),
    [
        ({}, "invalid_request", "PR400-AN-0016"),
        ({"grant_type": "password", "username": "alice"}, "invalid_request", "PR400-AN-0016"),
        ({"grant_type": "refresh_token"}, "invalid_request", "PR400-AN-0016"),
        ({"grant_type": "magic"}, "unsupported_grant_type", "PR400-AN-0001"),
        ({"grant_type": SAML2, "assertion": "x"}, "unsupported_grant_type", "PR400-AN-0001"),
        (PASSWORD | {"password": "wrong"}, "invalid_grant", "PR400-AN-0017"),
        (PASSWORD | {"username": "unknown"}, "invalid_grant", "PR400-AN-0017"),
        ({"grant_type": "password", "username": "bob", "password": "bob's password"}, "invalid_grant", "PR400-AN-0017"),
        (PASSWORD | {"expires_in": "0"}, "invalid_request", "PR400-AN-0019"),
        (PASSWORD | {"expires_in": "3601"}, "invalid_request", "PR400-AN-0019"),
        (PASSWORD | {"refresh_token_expires_in": "x"}, "invalid_request", "PR400-AN-0019"),
    ],
)
def test_bad_grants(form: dict[str, str], error: str, code: str, cell: Cell, bob: User, as_nobody: CellClient) -> None:
    """§13.2: the errors; a right password of somebody else's account is one of an unknown account of this cell."""
    oauth(token(as_nobody, **form), error, code)
    assert not AccessToken.objects.exists()


def test_a_bearer_has_no_business_here(cell: Cell, as_alice: CellClient) -> None:
    oauth(token(as_alice, **PASSWORD), "invalid_client", "PR400-AN-0018")


def test_after_a_failure_the_right_password_waits_a_second(cell: Cell, as_nobody: CellClient) -> None:
    """§13.2: "After a failed password attempt the account is refused for 1 s"."""
    oauth(token(as_nobody, **PASSWORD | {"password": "wrong"}), "invalid_grant", "PR400-AN-0017")
    oauth(token(as_nobody, **PASSWORD), "invalid_grant", "PR400-AN-0017")
    assert not AccessToken.objects.exists()


def test_times_and_scope_are_as_asked_for(cell: Cell, as_nobody: CellClient) -> None:
    told = answer(token(as_nobody, **PASSWORD, expires_in="60", refresh_token_expires_in="120", scope="read"))
    assert (told["expires_in"], told["refresh_token_expires_in"], told["scope"]) == (60, 120, "read")
    as_nobody.token = told["access_token"]
    refused(as_nobody.get("/cell1/__export"), "PR403-AU-0007")


def test_other_methods(cell: Cell, as_nobody: CellClient) -> None:
    for method in ("GET", "PUT", "DELETE"):
        refused(as_nobody.call(method, "/cell1/__token"), "PR405-MC-0001")
