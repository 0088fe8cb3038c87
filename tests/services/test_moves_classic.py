"""Moves from a server that knows only the spec (`spec/move.md §6.6–§6.8, §7.8, §7.9`): real HTTP on both ways."""

from typing import Any

import pytest
from django.contrib.auth.models import User

from cells.errors import CellHeld
from cells.models import Cell
from exports.models import Arrival, Import
from exports.services import arrivals, imports, move_fetching, move_imports
from exports.states import ImportState
from tests.factories import make_cell, put_file
from tests.services.imported import contents, generations, holding
from tests.spec.move.incoming import document, file, zipped
from tests.spec.move.other import other_server
from tests.spec.move.target import Target, target_server

pytestmark = pytest.mark.django_db(transaction=True)
MEMBERS = [{"instance": "http://127.0.0.1:PORT", "name": "Zoë"}, {"instance": "https://bob.example", "name": "Bob"}]


@pytest.fixture(autouse=True)
def reachable(settings, monkeypatch) -> None:
    settings.EGRESS_ALLOW = ["127.0.0.0/8"]
    monkeypatch.setattr(move_fetching, "_PAUSES", (0.0,) * move_fetching.TRIES)


@pytest.fixture
def cell(bob: User) -> Cell:
    cell = make_cell(bob, "bobs")
    put_file(cell, "old", b"old")
    return cell


def moved(cell: Cell, part: bytes, source: Target) -> Import:
    with other_server({"": part}) as other:
        row = arrivals.arrival_start(
            cell=cell, owner=cell.owner, source_url=f"{source.url}/", token="of the source", link=other.link
        )
        imports.run_import(import_id=row.pk)
    row.refresh_from_db()
    return row


def tell(row: Import) -> Arrival:
    Arrival.objects.filter(pk=row.pk).update(tell_at="2020-01-01T00:00Z")
    arrivals.tell_source(import_id=row.pk)
    return Arrival.objects.get(pk=row.pk)


def test_after_success_the_source_is_told_to_finalize(cell: Cell) -> None:
    """§6.6 step 8: "In a move: success → call finalize on the source"; §7.8."""
    with target_server(204) as source:
        row = moved(cell, zipped(*file("f1", "a.txt", b"hello")), source)
        assert (row.state, row.error) == (ImportState.DONE, None)
        assert tell(row).tell == ""
    [(path, headers, _)] = source.told
    assert path == "/move/finalize?subdomain=nested"
    assert headers["Authorization"] == "Bearer of the source"
    assert list(contents(cell)[0]) == ["a.txt"] and cell.held_at is None


def test_after_a_failure_the_source_is_told_to_abort(cell: Cell) -> None:
    """§6.6 step 8: "failure → call abort (§7)"; §7.9."""
    before = holding(cell)
    with target_server(204) as source:
        row = moved(cell, b"no archive at all", source)
        assert row.state == ImportState.FAILED
        assert tell(row).tell == ""
    assert [path for path, *_ in source.told] == ["/move/abort"]
    assert holding(cell) == before and generations(cell) == [cell.generation] and cell.held_at is None


@pytest.mark.parametrize(("status", "left"), [(503, "finalize"), (429, "finalize"), (410, ""), (404, "")])
def test_a_source_that_cannot_answer_is_told_again(status: int, left: str, cell: Cell) -> None:
    with target_server(status) as source:
        row = moved(cell, zipped(*file("f1", "a.txt", b"hello")), source)
        assert tell(row).tell == left
    assert row.state == ImportState.DONE
    if left:  # it is not there at all now
        found = tell(row)
        assert (found.tell, found.tries) == ("finalize", 2)


def sharing(doc_id: str, doctype: str) -> tuple[str, Any]:
    told = {"initial_sync": True, "initial_number_of_files_to_sync": 7, "updated_at": "2020-01-01T00:00:00Z"}
    return document("io.cozy.sharings", doc_id, rules=[{"doctype": doctype}], members=MEMBERS, **told)


def test_sharings_come_along_in_a_move_alone(cell: Cell) -> None:
    """§6.8, "extra in a move": "import unless it is a password-manager sharing: `initial_sync`=false,
    `initial_number_of_files_to_sync`=0, `updated_at`=now, `_rev` dropped; own member's `instance` replaced by the new
    URL, old URL kept in `moved_from`"; `io.cozy.shared` "as normal document"; triggers "also `share-track`,
    `share-replicate`, `share-upload`". Codes of permissions open nothing here: those stay away."""
    parts = [
        sharing("s1", "io.cozy.files"),
        sharing("s2", "com.bitwarden.organizations"),
        document("io.cozy.shared", "x", infos={}),
        document("io.cozy.permissions", "p", type="share", codes={"email": "secret"}),
        *(document("io.cozy.triggers", worker, worker=worker) for worker in ("konnector", "share-track", "thumbnail")),
    ]
    with target_server(204) as source:
        mine = MEMBERS[0] | {"instance": source.url}
        parts[0][1]["members"] = [mine, MEMBERS[1]]
        row = moved(cell, zipped(*parts), source)
        assert row.state == ImportState.DONE, row.error
        found = contents(cell)[1]
        assert set(found) == {
            "io.cozy.sharings/s1", "io.cozy.shared/x", "io.cozy.triggers/konnector", "io.cozy.triggers/share-track",
        }  # fmt: skip
        kept = found["io.cozy.sharings/s1"]
        here = kept["members"][0].pop("instance")
        assert here.endswith("/bobs") and kept["members"] == [{"name": "Zoë", "moved_from": source.url}, MEMBERS[1]]
        assert (kept["initial_sync"], kept["initial_number_of_files_to_sync"]) == (False, 0)
        assert kept["updated_at"] > "2026" and "_rev" not in kept
    with other_server({"": zipped(*parts)}) as other:
        source_link = move_imports.link_source(cell=cell, link=other.link)
        plain = move_imports.import_from_link(cell=cell, owner=cell.owner, source=source_link)
        imports.run_import(import_id=plain.pk)
    assert set(contents(cell)[1]) == {"io.cozy.triggers/konnector"}


def test_one_who_moves_by_the_spec_may_repeat_nothing_but_is_busy(cell: Cell) -> None:
    with target_server(204) as source, other_server({"": zipped()}) as other:
        told = {"source_url": source.url, "token": "t", "link": other.link}
        arrivals.arrival_start(cell=cell, owner=cell.owner, **told)
        with pytest.raises(CellHeld):
            arrivals.arrival_start(cell=cell, owner=cell.owner, **told)
    assert Import.objects.count() == 1
