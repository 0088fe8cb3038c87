"""`spec/move.md §1, §2.4, §4.12, §9.2`: which cell is meant where cells have hosts of their own (UNIT_HOST)."""

import pytest

from exports.models import Import, MoveExport
from exports.services.addresses import cell_of_host
from tests.clients import content
from tests.factories import make_cell
from tests.spec.move.asking import EMPTY, Move, attributes, exported, link_of, mailed, manifest, parts, plain, unzipped
from tests.spec.move.incoming import shown
from tests.spec.move.other import other_server

pytestmark = pytest.mark.django_db(transaction=True)
HERE = {"HTTP_HOST": "alice.unit.example:8443"}


@pytest.fixture(autouse=True)
def hosts(settings) -> None:
    settings.UNIT_HOST, settings.PUBLIC_URL = "unit.example", "https://unit.example:8443"
    settings.ALLOWED_HOSTS = ["unit.example", "alias.example", ".unit.example"]


def asked(client: Move, host: str) -> MoveExport:
    response = client.post("move/exports", EMPTY, HTTP_HOST=host)
    assert response.status_code == 201, content(response)
    return MoveExport.objects.latest("created_at")


def test_an_export_is_asked_for_at_the_host_of_its_cell(alice, cell, settings) -> None:
    """§1: "addressed by the HTTP `Host`. All `/move/*` URLs are relative to it"; §4.12: "A server without per-app
    subdomains may use `https://alice.example.net/#/exports/<opaque>`"."""
    make_cell(alice, "second")  # the token alone would not say which
    client = Move(alice)
    export = asked(client, HERE["HTTP_HOST"])
    assert (export.cell, export.base_url) == (cell, "https://alice.unit.example:8443")
    export.run.delete()
    response = client.call("POST", "move/exports", EMPTY, **HERE)
    assert response.status_code == 201


def test_the_link_leads_to_the_host_and_its_parts_are_there(alice, cell, as_nobody, monkeypatch) -> None:
    """§4.12, and §6.2 makes the manifest's address of it; §9.2: "relative to it"."""
    client = Move(alice, cell=cell, scopes=("io.cozy.exports",))
    monkeypatch.setattr(client._client, "defaults", HERE)
    monkeypatch.setattr(as_nobody._client, "defaults", HERE)
    exported(client)
    text = mailed()
    link, _, opaque = link_of(text).partition("/#/exports/")
    assert link == "https://alice.unit.example:8443"
    assert f"{link}/move/downloads/{opaque}" in text
    assert manifest(as_nobody, opaque)["attributes"]["domain"] == "alice.unit.example:8443"
    [part] = parts(as_nobody, opaque)
    assert b'"domain":"alice.unit.example:8443"' in unzipped(part)[0][1]
    assert as_nobody.get(f"move/downloads/{opaque}").status_code == 200
    elsewhere = as_nobody.get(f"move/exports/{opaque}", HTTP_HOST="unit.example")
    assert elsewhere.status_code == 200


def test_an_alias_is_kept_and_other_names_are_not(as_alice) -> None:
    """§1: "links in mails must use the alias the user came by"."""
    for host, base in (("alias.example", "https://alias.example"), ("unit.example:8443", "https://unit.example:8443")):
        assert asked(as_alice, host).base_url == base
    assert asked(as_alice, "alice.unit.example:666").base_url == "https://alice.unit.example:8443"


@pytest.mark.parametrize("name", ["settings", "my-settings"])
def test_hosts_that_importers_would_change_are_in_no_link(alice, name: str) -> None:
    """§4.12: "Avoid instance hosts that begin with `settings.` or whose first label ends with `-settings`"."""
    cell = make_cell(alice, name)
    client = Move(alice, cell=cell, scopes=("root",))
    assert asked(client, f"{name}.unit.example").base_url == "https://unit.example:8443"


def test_a_cell_is_not_asked_at_the_host_of_another(as_alice, bob) -> None:
    make_cell(bob, "bobs")
    plain(as_alice.post("move/exports", EMPTY, HTTP_HOST="bobs.unit.example"), 403, "Forbidden")
    opaque = "QUFB"
    plain(as_alice.get(f"move/exports/{opaque}", HTTP_HOST="bobs.unit.example"), 401, "exports: invalid mac")
    assert not MoveExport.objects.exists()


@pytest.mark.parametrize(
    "host", [f"{name}.example" for name in ("nobody.unit", "web.unit", "a.alice.unit", "elsewhere")]
)
@pytest.mark.parametrize("path", ["move/exports", "move/imports", "move/importing", "move/exports/data/QUFB", "move/x"])
def test_at_a_host_of_nobody_there_is_nothing(as_alice, host: str, path: str) -> None:
    """§2.4: "unknown Host | plain | 404 | `Instance not found`"."""
    for method in ("GET", "POST"):
        plain(as_alice.call(method, path, EMPTY, HTTP_HOST=host), 404, "Instance not found")
    answer = as_alice.get(path, HTTP_HOST=host, HTTP_ACCEPT="application/json", HTTP_ORIGIN="https://x.example")
    assert content(answer) == b'{"error":"Instance not found"}'
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert not MoveExport.objects.exists()


@pytest.mark.usefixtures("other_servers")
def test_whoever_imports_waits_at_the_same_host(as_bob, target) -> None:
    """§6.5: "303, `Location: https://<contextual domain>/move/importing`"."""
    before = shown(target)
    for host, path, location in (
        ("bobs.unit.example", "move/imports", "https://bobs.unit.example:8443/move/importing"),
        ("unit.example:8443", "bobs/move/imports", "https://unit.example:8443/bobs/move/importing"),
        ("alias.example", "move/imports", "https://alias.example/move/importing"),
    ):
        with other_server({"": b""}) as other:
            response = as_bob.post(path, attributes(url=other.link), HTTP_HOST=host)
        assert (response.status_code, response.headers["Location"]) == (303, location)
        Import.objects.all().delete()
    assert shown(target) == before


def test_a_browser_behind_a_link_goes_where_pages_are(as_nobody, cell) -> None:
    """It takes the fragment with the identifier along, which no server sees."""
    page = as_nobody.get("", HTTP_HOST="alice.unit.example", HTTP_ACCEPT="text/html,application/xml;q=0.9")
    assert (page.status_code, page.headers["Location"]) == (303, "https://unit.example:8443/")
    program = as_nobody.get("", HTTP_HOST="alice.unit.example", HTTP_ACCEPT="application/json")
    assert b'"name":"alice"' in content(program)


@pytest.mark.parametrize(
    ("host", "cell"),
    [
        ("alice.unit.example", "alice"),
        ("ALICE.Unit.Example.:8000", "alice"),
        *((host, "") for host in ("unit.example", "aliceunit.example", "unit.example.org", "", "[::1]:8000", "x")),
    ],
)
def test_whose_host_it_is(host: str, cell: str) -> None:
    assert cell_of_host(host) == cell


def test_the_server_itself_may_have_a_name_beside_those_of_the_cells(settings) -> None:
    settings.PUBLIC_URL = "https://exports.unit.example"
    assert cell_of_host("exports.unit.example") == "" and cell_of_host("alice.unit.example") == "alice"
