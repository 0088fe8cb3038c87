"""`spec/cell.md §3`: what all calls share."""

from io import BytesIO

import pytest
from django.contrib.auth.models import User
from django.test import Client

from cells.models import Cell, SnapshotFile
from exports.api.cell import exports as export_views
from exports.models import Run
from tests.spec.cell.asking import CellClient, answer, content, empty, refused

pytestmark = pytest.mark.django_db
EVERYBODY = "OPTIONS, GET, POST, PUT, DELETE, HEAD, MERGE, MKCOL, MOVE, PROPFIND, PROPPATCH, ACL"


@pytest.mark.parametrize("path", ["/cell1/__export", "/cell1", "/none", "/cell1/x/y", "/__ctl/Cell", "/__ctl/x"])
def test_options_without_authorization_is_200_for_any_url(path: str, cell: Cell, as_nobody: CellClient) -> None:
    """§2, §3.2: "200 immediately, for any URL, existing or not"; both headers carry the same list."""
    response = empty(as_nobody.options(path), 200)
    assert response.headers["Allow"] == response.headers["Access-Control-Allow-Methods"] == EVERYBODY


@pytest.mark.parametrize(
    ("path", "allow"),
    [
        ("/cell1/__export", "OPTIONS, GET, POST"),
        ("/cell1/__import", "OPTIONS, GET, POST"),
        ("/cell1/__snapshot", "OPTIONS, PROPFIND"),
        ("/cell1/__snapshot/a.zip", "OPTIONS, GET, PUT, DELETE, PROPFIND"),
        ("/cell1", "OPTIONS, POST, PROPFIND"),
        ("/cell1/__token", "OPTIONS, POST"),
        ("/__ctl/Cell", "OPTIONS, GET, POST"),
        ("/__ctl/Cell('none')", "OPTIONS, GET, PUT, MERGE, DELETE"),
    ],
)
def test_options_with_authorization(path: str, allow: str, cell: Cell, as_alice: CellClient) -> None:
    """§3.2: the lists, `OPTIONS` first."""
    as_alice.call("PUT", "/cell1/__snapshot/a.zip", b"x")
    response = empty(as_alice.options(path), 200)
    assert response.headers["Allow"] == response.headers["Access-Control-Allow-Methods"] == allow


def test_options_with_bad_authorization(cell: Cell, as_nobody: CellClient, as_bob: CellClient) -> None:
    """§3.2: "with invalid token → 401; valid but unprivileged → 403"."""
    refused(as_nobody.options("/cell1/__export", authorization="Bearer x"), "PR401-AU-0006")
    refused(as_bob.options("/cell1/__export"), "PR403-AU-0002")


def test_allow_is_not_sent_on_ordinary_responses(cell: Cell, as_alice: CellClient) -> None:
    for response in (as_alice.get("/cell1/__export"), as_alice.put("/cell1/__export")):
        assert not {"Allow", "Access-Control-Allow-Methods"} & set(response.headers)


def test_requested_headers_are_allowed_by_an_echo(cell: Cell, as_nobody: CellClient) -> None:
    """§3.2: `Access-Control-Allow-Headers` echoes `Access-Control-Request-Headers`, "only when that is present"."""
    asked = as_nobody.options("/cell1/__export", access_control_request_headers="authorization, x-override")
    assert asked.headers["Access-Control-Allow-Headers"] == "authorization, x-override"
    assert "Access-Control-Allow-Headers" not in as_nobody.options("/cell1/__export").headers


def test_the_method_is_overridden_on_post_alone(cell: Cell, as_alice: CellClient) -> None:
    """§3.1: "honoured only when the real method is POST …; the value replaces the method verbatim"."""
    assert answer(as_alice.post("/cell1/__export", x_http_method_override="GET")) == {"status": "ready"}
    assert not Run.objects.exists()
    refused(as_alice.post("/cell1/__export", x_http_method_override="get"), "PR405-MC-0001")
    assert answer(as_alice.get("/cell1/__export", x_http_method_override="DELETE")) == {"status": "ready"}
    empty(as_alice.post("/cell1/__export", x_http_method_override=""), 202)


def test_a_file_can_be_deleted_by_post_and_override(cell: Cell, as_alice: CellClient) -> None:
    as_alice.call("PUT", "/cell1/__snapshot/a.zip", b"x")
    empty(as_alice.post("/cell1/__snapshot/a.zip", x_http_method_override="DELETE"), 204)
    assert not SnapshotFile.objects.exists()


def test_options_by_override_is_no_anonymous_options(cell: Cell, as_nobody: CellClient) -> None:
    """§2: "`OPTIONS` **as the original method**"."""
    refused(as_nobody.post("/cell1/__export", x_http_method_override="OPTIONS"), "PR401-AU-0001")


def test_headers_are_overridden(cell: Cell, as_alice: CellClient, as_nobody: CellClient) -> None:
    """§3.1: split "at the *first* `:`"; name and value trimmed; may be repeated; can supply Authorization, Depth."""
    token = f"Authorization: Bearer {as_alice.token}"
    assert answer(as_nobody.get("/cell1/__export", x_override=token)) == {"status": "ready"}
    both = f"{token}, Depth:0"
    assert as_nobody.propfind("/cell1/__snapshot", x_override=both, depth="infinity").status_code == 207
    for ignored in ("nothing", ":value", ""):
        assert answer(as_alice.get("/cell1/__export", x_override=ignored)) == {"status": "ready"}
    refused(
        as_alice.post("/cell1/__snapshot", x_override="X-HTTP-Method-Override:PROPFIND"), "PR405-MC-0001"
    )  # §3.1: "Applied *after* method override"


@pytest.mark.parametrize("key", ["", "a", "PCS-1", "x" * 128, "A_b-9"])
def test_good_request_keys(key: str, cell: Cell, as_alice: CellClient) -> None:
    answer(as_alice.get("/cell1/__export", x_personium_requestkey=key))


@pytest.mark.parametrize("key", ["x" * 129, "a b", "ä", "a.b", "a\n"])
def test_bad_request_keys_win_over_everything(key: str, cell: Cell, as_nobody: CellClient) -> None:
    """§2, §3.1: 400 `PR400-EV-0002`, before authentication and before the cell is looked up."""
    for path in ("/cell1/__export", "/none/x"):
        refused(
            as_nobody.post(path, x_personium_requestkey=key), "PR400-EV-0002",
            "Request header is invalid [X-Personium-RequestKey].",
        )  # fmt: skip


def test_accept_must_be_ascii(cell: Cell, as_alice: CellClient) -> None:
    """§2: 400 `PR400-OD-0041`."""
    refused(as_alice.get("/cell1/__export", accept="ä"), "PR400-OD-0041", "Request header Accept value is invalid [ä].")


@pytest.mark.parametrize("accept", ["text/html", "application/xml", "image/png", "*/*", "nonsense"])
def test_status_is_json_whatever_is_accepted(accept: str, cell: Cell, as_alice: CellClient) -> None:
    assert answer(as_alice.get("/cell1/__export", accept=accept)) == {"status": "ready"}


def test_what_nobody_foresaw_is_500_in_this_dialect(cell: Cell, as_alice: CellClient, monkeypatch) -> None:
    """§3.2: 500 `PR500-SV-9999`, `lang` `en_US`, value `Unknown Exception [<0..99999>]`."""

    def broken(**_: object) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr(export_views.snapshots, "snapshot_running", broken)
    told = refused(as_alice.get("/cell1/__export"), "PR500-SV-9999")
    assert 0 <= int(told["message"]["value"].removeprefix("Unknown Exception [").removesuffix("]")) <= 99999


def test_head_is_get_without_body(cell: Cell, as_alice: CellClient) -> None:
    response = as_alice.head("/cell1/__export")
    assert (response.status_code, content(response)) == (200, b"")
    assert response.headers["Content-Type"] == "application/json"


def test_control_characters_are_escaped_in_what_is_told_back(cell: Cell, as_alice: CellClient) -> None:
    """§3.2: "rendered as the six characters `\\uXXXX`"."""
    refused(
        as_alice.call("POST", "/cell1/__export", b"\x00{\n"), "PR400-CM-0004", "JSON parse error. [\\u0000{\\u000a]."
    )


def test_a_body_of_any_length_is_bounded(cell: Cell, as_alice: CellClient) -> None:
    told = refused(as_alice.call("POST", "/cell1/__export", b"[" * 100_000), "PR400-CM-0004")
    assert len(told["message"]["value"]) < 2000
    refused(as_alice.call("POST", "/cell1/__export", b"[" * 60_000), "PR400-CM-0004")
    assert not Run.objects.exists()


def test_a_chunked_body_is_read_and_a_chunked_upload_refused(cell: Cell, as_alice: CellClient) -> None:
    """§16: "Body presence in export decided by "is input ready now", so a slow body can be taken for an empty one"."""
    stream = BytesIO(b'{"Name":"x y"}')

    def call(method: str, path: str):
        return as_alice.client.generic(
            method, path, HTTP_AUTHORIZATION=f"Bearer {as_alice.token}", HTTP_TRANSFER_ENCODING="chunked",
            **{"wsgi.input": stream, "CONTENT_LENGTH": ""},
        )  # fmt: skip

    refused(call("POST", "/cell1/__export"), "PR400-CM-0002")
    refused(call("PUT", "/cell1/__snapshot/a.zip"), "PR411-MC-0001", "The body needs a Content-Length.")
    assert not Run.objects.exists() and not SnapshotFile.objects.exists()


@pytest.mark.parametrize("trusted", [True, False])
def test_the_url_that_a_proxy_was_asked_for(trusted: bool, cell: Cell, alice: User, settings) -> None:
    """§3.1: "`X-Forwarded-Proto` / `-Host` / `-Path`: override scheme/host/path of the perceived request URL (query
    part of -Path is cut off)"; of a trusted proxy alone, and not with X-Override."""
    settings.TRUSTED_PROXY_URL, settings.UNIT_HOST = trusted, "unit.example"
    settings.ALLOWED_HOSTS = [".unit.example", "testserver"]
    client, ready = CellClient(alice), {"status": "ready"}
    for told in (
        client.get("/inner", x_forwarded_path="/cell1/__export?x=1"),
        client.get("/__export", x_forwarded_host="cell1.unit.example"),
        client.get("/x", x_forwarded_host="elsewhere, cell1.unit.example", x_forwarded_path="/%5F_export"),
    ):
        assert answer(told) == ready if trusted else told.status_code == 404
    refused(client.get("/inner", x_override="X-Forwarded-Path:/cell1/__export"), "PR404-DV-0003")


def test_cells_with_hosts_of_their_own(cell: Cell, alice: User, settings) -> None:
    """§1, issue 4 point 1: `{cell}.{UNIT_HOST}` behind a setting; URLs in answers are of that form."""
    client = CellClient(alice)

    def at(host: str, method: str, path: str, body: bytes = b""):
        headers = {"HTTP_HOST": host, "HTTP_AUTHORIZATION": f"Bearer {client.token}"}
        return Client().generic(method, path, body, **headers)

    settings.ALLOWED_HOSTS = [".unit.example"]
    assert at("cell1.unit.example", "GET", "/__export").status_code == 404
    settings.UNIT_HOST = "unit.example"
    response = empty(at("cell1.unit.example", "POST", "/__export", b'{"Name":"x"}'), 202)
    assert response.headers["Location"] == "https://cell1.unit.example/__export"
    refused(at("cell1.unit.example", "POST", "/__export"), "PR409-CM-0002")
    refused(at("none.unit.example", "GET", "/__export"), "PR404-DV-0003")
    refused(at("cell1.unit.example", "GET", "/api/v1/session"), "PR404-MC-0001")
    assert answer(at("unit.example", "GET", "/cell1/__export"))["status"] == "exportation in progress"
    assert answer(at("unit.example:443", "GET", "/cell1"))["unit"]["path_based_cellurl_enabled"] is False
