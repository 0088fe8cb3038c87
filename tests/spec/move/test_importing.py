"""`spec/move.md §6.1, §6.6, §6.7`: what the job of an import asks for, in which order, and what survives it."""

import pytest

from cells.models import Cell
from exports.models import Import
from exports.services import imports, move_fetching
from exports.services.import_lifecycle import imports_requeue
from exports.states import ImportState
from tests.clients import content
from tests.factories import put_documents
from tests.spec.move.asking import attributes, mailed
from tests.spec.move.incoming import document, exported_parts, file, ran, shown, zipped
from tests.spec.move.other import OPAQUE, other_server

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("other_servers")]


def test_only_the_link_says_from_where(as_bob, target) -> None:
    """§6.1: "`manifest_url` exists in the job message; clients must not set it (ignored/overwritten)"."""
    part = zipped(*file("f", "a.txt", b"1"))
    with other_server({"": part}) as meant, other_server({"": zipped()}) as slipped:
        link = attributes(url=meant.link, manifest_url=f"{slipped.url}/move/exports/{OPAQUE}")
        assert as_bob.post("move/imports", link).status_code == 303
        assert imports.run_import(import_id=Import.objects.get().pk).state == ImportState.DONE
        assert slipped.asked == [] and meant.asked
    assert shown(target)["files"].keys() == {"a.txt"}


def test_the_manifest_is_asked_for_again_and_nothing_is_erased_without_it(as_bob, target) -> None:
    """§6.6: "**Fetch the manifest again.** If unusable → failure; nothing has been erased yet"; "never retried"."""
    before = shown(target)
    with other_server({"": zipped()}) as other:
        assert as_bob.post("move/imports/precheck", attributes(url=other.link)).status_code == 204
        assert as_bob.post("move/imports", attributes(url=other.link)).status_code == 303
        assert len(other.asked) == 1, "§6.5: transform the URL only (no fetch)"
        other.manifest["data"]["attributes"]["state"] = "error"
        row = imports.run_import(import_id=Import.objects.get().pk)
        assert row.state == ImportState.FAILED and [path for path, _ in other.asked[1:]] == [f"/move/exports/{OPAQUE}"]
    assert imports_requeue() == 0 and imports.run_import(import_id=row.pk) is None
    assert "has failed" in mailed() and shown(target) == before


def test_parts_are_asked_for_in_order_and_their_files_go(as_alice, as_bob) -> None:
    """§6.6: "Import part 0, then every cursor in order, each: download to a temp file …, delete the temp file"."""
    sent = exported_parts(as_alice, parts_size=6000)
    with other_server(sent) as other:
        assert ran(as_bob, other.link).state == ImportState.DONE
        asked = [path.partition("cursor=")[2].replace("%2F", "/") for path, _ in other.asked if "/data/" in path]
        assert asked == list(sent) and len(asked) > 2
        assert not any("Authorization" in headers for _, headers in other.asked), "§6.3: without Authorization"
    assert not list(move_fetching.store.folder("imports").iterdir())


def test_an_error_in_one_part_leaves_all_as_it_was(as_alice, as_bob, target) -> None:
    """§6.6: "success iff no error at all. **No rollback**: whatever was imported stays" of the old server; here the
    cell stays as it was (issue 5: "one switch at the end")."""
    before = shown(target)
    sent = exported_parts(as_alice, parts_size=6000)
    last = list(sent)[-1]
    with other_server({**sent, last: sent[last][:-30] + b"x" * 30}) as other:
        assert ran(as_bob, other.link).state == ImportState.FAILED
    assert shown(target) == before


def test_what_the_destination_keeps_and_what_goes(as_bob, bob, target) -> None:
    """§6.7: "destination values survive for: e-mail, public name, …, quota, password-manager settings"; "delete all
    documents of all doctypes"; "The contact flagged `me` … comes from the archive so that its id matches"."""
    bob.first_name = "Bob"
    bob.save()
    Cell.objects.filter(pk=target.pk).update(quota=10_000_000)
    put_documents(target, [("io.cozy.contacts", "me-here", {"me": True}), ("io.mine", "1", {"n": 1})])
    part = zipped(
        document("io.cozy.settings", "io.cozy.settings.instance", email="evil@example.org", public_name="Evil"),
        document("io.cozy.settings", "io.cozy.settings.bitwarden", x=1),
        document("io.cozy.contacts", "me-there", me=True, fullname="Zoë", email=[{"address": "old@example.org"}]),
        document("io.cozy.home", "h", tiles=[1]),
    )
    with other_server({"": part}) as other:
        assert ran(as_bob, other.link).state == ImportState.DONE
    found, me = shown(target), ("io.cozy.contacts", "me-there")
    assert found["documents"].keys() == {me, ("io.cozy.home", "h")} and found["files"] == {}
    assert found["documents"][me]["email"] == [{"address": "bob@example.org", "primary": True}]
    bob.refresh_from_db()
    target.refresh_from_db()
    assert (bob.email, bob.first_name, target.name, target.quota) == ("bob@example.org", "Bob", "bobs", 10_000_000)
    assert target.owner == bob


def test_a_page_tells_how_far_it_is_while_it_runs(as_bob, as_nobody, target) -> None:
    """§6.6: the end "drives the waiting page (§6.10)"."""
    with other_server({"": zipped()}) as other:
        as_bob.post("bobs/move/imports", attributes(url=other.link))
        assert b"Import in progress" in content(as_nobody.get("bobs/move/importing"))
        imports.run_import(import_id=Import.objects.get().pk)
    assert b"No import is running" in content(as_nobody.get("bobs/move/importing"))
