"""`spec/move.md §6.2–§6.5, §6.10`: links of exports, precheck, the call that imports, and the page to wait on."""

import json
import os

import pytest

from cells.models import Cell
from exports.errors import MoveNotFound
from exports.models import Import
from exports.services import move_fetching, move_imports, move_links
from exports.states import ImportState
from tests.clients import content
from tests.spec.move.asking import EMPTY, Move, api_error, attributes, plain
from tests.spec.move.incoming import file, shown, zipped
from tests.spec.move.other import other_server

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("other_servers")]


@pytest.mark.parametrize(
    ("link", "url"),
    [
        ("https://alice-settings.example.net/#/exports/AAAA==", "https://alice.example.net/move/exports/AAAA=="),
        ("https://settings.alice.example.net/#/exports/abc", "https://alice.example.net/move/exports/abc"),
        (
            "https://settings.source.cozy.localhost:8080/#/exports/abc",
            "https://source.cozy.localhost:8080/move/exports/abc",
        ),
        (
            "https://alice-settings.example.net:8080/foo?x=1#/exports/abc",
            "https://alice.example.net:8080/move/exports/abc",
        ),
        ("  https://alice.example.net/#/exports/abc \n", "https://alice.example.net/move/exports/abc"),
    ],
)
def test_a_link_leads_to_a_manifest(link: str, url: str) -> None:
    """§6.2, its table."""
    assert move_links.manifest_url(link) == url


NO_LINKS = [
    *("https://alice-settings.example.net/#/export/abc", "https://alice.example.net/", "", "x"),
    *("https://alice.example.net/#/exports/", "https://a.example/#/exports/../x"),
]


@pytest.mark.parametrize("link", NO_LINKS)
def test_other_links_are_refused(as_bob, target, link: str) -> None:
    """§6.2: "refused"; §6.5: "Unusable URL → **500 HTML** page mentioning `exports: not found`"."""
    before = shown(target)
    with pytest.raises(MoveNotFound):
        move_links.manifest_url(link)
    told = "code=404, message=exports: not found"
    api_error(
        as_bob.post("move/imports/precheck", attributes(url=link)), 412, "Precondition Failed", told, parameter="url"
    )
    response = as_bob.post("move/imports", attributes(url=link))
    assert (response.status_code, response.headers["Content-Type"]) == (500, "text/html; charset=UTF-8")
    assert b"exports: not found" in content(response)
    assert not Import.objects.exists() and shown(target) == before


def test_what_a_precheck_answers(as_bob, target) -> None:
    """§6.4: "usable → 204"; "`state` ≠ `done` → 412"; "Nothing is changed on either side"."""
    told = "code=404, message=exports: not found"
    with other_server({"": b""}) as other:
        usable = as_bob.post("move/imports/precheck", attributes(url=other.link))
        assert (usable.status_code, content(usable)) == (204, b"")
        assert "Authorization" not in other.asked[0][1]
        for manifest in ({"data": {"attributes": {"state": "exporting"}}}, {"data": []}, [], "x", {"data": None},
                         ["data"], {"x": "data"}, {"x": {"data": 1}},
                         {"data": {"attributes": {"state": "done", "parts_cursors": [1]}}}):  # fmt: skip
            other.manifest = manifest
            refused = as_bob.post("move/imports/precheck", attributes(url=other.link))
            api_error(refused, 412, "Precondition Failed", told, parameter="url")
    gone = as_bob.post("move/imports/precheck", attributes(url=other.link))
    api_error(gone, 412, "Precondition Failed", told, parameter="url")
    assert not Import.objects.exists()


def test_a_precheck_says_how_much_does_not_fit(as_bob, target) -> None:
    """DEC-8: 422; issue 5: "both metadata and files are counted; the answer says how much is missing"."""
    Cell.objects.filter(pk=target.pk).update(quota=1000)
    with other_server({"": b""}, total_size=300, contents_size=701) as other:
        response = as_bob.post("move/imports/precheck", attributes(url=other.link))
        [error] = json.loads(content(response))["errors"]
        assert (response.status_code, error["status"], error["title"]) == (422, "422", "Request Entity Too Large")
        assert error["detail"] == "code=413, message=import: not enough disk space"
        assert error["meta"] == {"missing": 1, "needed": 1001, "quota": 1000}
        other.manifest["data"]["attributes"]["contents_size"] = 700
        assert as_bob.post("move/imports/precheck", attributes(url=other.link)).status_code == 204


@pytest.mark.parametrize("path", ["move/imports", "move/imports/precheck"])
def test_permissions(as_alice, as_nobody, bob, target, path: str) -> None:
    """§3.3: "token, **POST on whole `io.cozy.imports`**"."""
    plain(as_nobody.post(path, EMPTY), 401, "No token in request")
    plain(Move(bob, cell=target, scopes=("io.cozy.exports",)).post(path, EMPTY), 403, "Forbidden")
    plain(as_alice.post(f"bobs/{path}", EMPTY), 403, "Forbidden")
    assert not Import.objects.exists()


def test_one_thing_at_a_time(as_bob, target) -> None:
    with other_server({"": zipped()}) as other:
        assert as_bob.post("move/imports", attributes(url=other.link)).status_code == 303
        second = as_bob.post("move/imports", attributes(url=other.link))
        assert second.status_code == 409 and b"cell import" in content(second)
        assert Import.objects.count() == 1


def test_the_link_is_not_kept_in_the_open(as_bob, target) -> None:
    """§4.6: "it is a bearer capability for the whole data set"."""
    with other_server({"": zipped()}) as other:
        as_bob.post("move/imports", attributes(url=other.link))
    row = Import.objects.get()
    assert "QUFB" not in row.source and other.url not in row.source and "QUFB" not in row.name


def test_the_page_to_wait_on(as_bob, as_nobody, target) -> None:
    """§6.10: "200 HTML always, even when nothing runs"; §6.5: 303 to it."""
    with other_server({"": zipped()}) as other:
        response = as_bob.post("bobs/move/imports", attributes(url=other.link))
    assert response.headers["Location"] == "http://localhost:8000/bobs/move/importing"
    for path, told in (("bobs/move/importing", b"Import in progress"), ("move/importing", b"No import is running")):
        page = as_nobody.get(path)
        assert page.status_code == 200 and told in content(page)


def test_all_that_a_link_may_lead_to(as_bob, target) -> None:
    """§6.3: redirects are followed, "cap redirects and the manifest size"."""
    with other_server({"": zipped(*file("f", "a.txt", b"1"))}) as behind, other_server({}) as front:
        front.redirect = f"{behind.url}/move/exports/QUFB"
        assert as_bob.post("move/imports/precheck", attributes(url=front.link)).status_code == 204
        front.redirect = front.url
        assert as_bob.post("move/imports/precheck", attributes(url=front.link)).status_code == 412
        assert len(front.asked) == 1 + move_links.REDIRECTS + 1
        behind.manifest["data"]["attributes"]["padding"] = "x" * move_links.LARGEST_MANIFEST
        assert as_bob.post("move/imports/precheck", attributes(url=behind.link)).status_code == 412


def test_a_manifest_that_comes_drop_by_drop_is_not_waited_for(as_bob, monkeypatch) -> None:
    """A web worker waits with whoever asks."""
    monkeypatch.setattr(move_links, "MANIFEST_SECONDS", -1.0)
    with other_server({"": b""}) as other:
        assert as_bob.post("move/imports/precheck", attributes(url=other.link)).status_code == 412


def test_parts_of_a_waiting_import_are_not_swept_away(as_bob, target) -> None:
    """One part of many gigabytes comes for longer than a day, and a folder does not show that."""
    with other_server({"": zipped()}) as other:
        as_bob.post("move/imports", attributes(url=other.link))
    row = Import.objects.get()
    folder = move_fetching.folder_of(str(target.pk), move_links.manifest_url(other.link))
    for each in (folder, folder.with_name("move-old")):
        each.mkdir()
        os.utime(each, (0, 0))
    assert move_imports.links_sweep() == 1 and folder.exists()
    Import.objects.filter(pk=row.pk).update(state=ImportState.FAILED)
    assert move_imports.links_sweep() == 1 and not folder.exists()
