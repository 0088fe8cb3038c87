"""All parts of an export of the move API, chosen in one form: in any order, and none missing, doubled or strange."""

from datetime import timedelta
from hashlib import sha256

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client, RequestFactory
from django.utils import timezone

from cells.models import Blob, Cell
from cells.sweeping import blobs_sweep
from exports.models import Import, ImportCheck
from exports.services import import_checks, imports, overview, upload_parts
from exports.services.upload_parts import upload_source
from exports.states import ImportState
from exports.web.imports import _chosen_url
from tests.factories import make_cell, put_file
from tests.spec.move.asking import Move
from tests.spec.move.incoming import exported_parts, shown
from tests.web.test_imports import chosen, worked_out
from tests.web.test_pages import look

pytestmark = pytest.mark.django_db(transaction=True)
FILES = {f"Papers/{number}.txt": b"%d " % number * 500 for number in range(6)}


@pytest.fixture
def parts(alice: User) -> dict[str, bytes]:
    """By the name under which a browser keeps them."""
    cell = make_cell(alice, "alice")
    for path, content in FILES.items():
        put_file(cell, path, content)
    sent = exported_parts(Move(alice, cell=cell, scopes=("io.cozy.exports",)), parts_size=1000)
    return {f"My Cozy - part{number:03}.zip": part for number, part in enumerate(sent.values())}


@pytest.fixture
def home(alice: User) -> Cell:
    cell = make_cell(alice, "home")
    put_file(cell, "old.txt", b"old")
    return cell


def uploaded(alice: User, parts: dict[str, bytes] | list[tuple[str, bytes]]):
    client = Client()
    client.force_login(alice)
    given = [SimpleUploadedFile(name, part) for name, part in (parts.items() if isinstance(parts, dict) else parts)]
    return client, client.post("/web/cells/home/import/choose", {"file": given}, follow=True)


def test_parts_are_chosen_together_seen_and_imported(people, alice: User, home: Cell, parts: dict, tmp_path) -> None:
    overview.worker_noted()
    for name, part in parts.items():
        (tmp_path / name).write_bytes(part)
    person = people(viewport={"width": 1280, "height": 900}).sign_in(alice)
    page = person.go("/web/cells/home/import")
    page.get_by_label("An archive that an export made").set_input_files(sorted(tmp_path.glob("*.zip"), reverse=True))
    person.click("Upload, and show what would change")
    page.get_by_role("heading", name="My Cozy - part000.zip and 5 more parts").wait_for()
    page.get_by_role("progressbar").wait_for()
    import_checks.run_check(check_id=ImportCheck.objects.get().pk)
    page.get_by_text("Only in the cell: a replacing import removes it").wait_for()
    assert look(page, "import-parts") == []
    person.click("Import")
    row = imports.run_import(import_id=Import.objects.get().pk)
    assert row.state == ImportState.DONE and row.report["missing"] == []
    assert {path for path, (is_folder, *_) in shown(home)["files"].items() if not is_folder} == FILES.keys()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda names: names[:2] + names[3:], "missing: part002"),
        (lambda names: names[1:], "missing: part000"),
        (lambda names: [*names, names[4]], "My Cozy - part004.zip is there 2 times"),
    ],
)
def test_a_missing_or_doubled_part_is_told_at_once(alice: User, home: Cell, parts: dict, change, said: str) -> None:
    before = shown(home)
    page = uploaded(alice, [(name, parts[name]) for name in change(list(parts))])[1]
    assert said in page.content.decode() and page.context["archive"] == ""
    assert not Import.objects.exists() and shown(home) == before


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda parts: parts[1:], "missing: part000"),
        (lambda parts: parts[1:2], "missing: part000"),
        (lambda parts: [*parts, parts[2] + b""], "These parts do not belong together: io.cozy.files/"),
        (lambda parts: [*parts, b"no archive at all"], "cannot be brought back"),
    ],
)
def test_what_names_do_not_tell_the_parts_do(alice: User, home: Cell, parts: dict, monkeypatch, change, said) -> None:
    """Somebody gave them names of his own."""
    monkeypatch.setattr(upload_parts, "_check_once", lambda *_: None)  # equal digests would be seen before
    before = shown(home)
    renamed = [(f"{number}.zip", part) for number, part in enumerate(change(list(parts.values())))]
    client, page = uploaded(alice, renamed)
    assert said in worked_out(client, chosen(page))
    client.post("/web/cells/home/import/start", {"archive": chosen(page), "mode": "replace"})
    assert not Import.objects.exists() and shown(home) == before


def test_that_the_last_part_is_missing_is_told_before_and_afterwards(alice: User, home: Cell, parts: dict) -> None:
    """No name tells; `instance.json` of our own exports does. The rest may be all that there is: it can be imported."""
    client, page = uploaded(alice, dict(list(parts.items())[:-1]))
    told = worked_out(client, chosen(page))
    assert "Something is missing in the archive" in told and "1 of 6 files" in told
    client.post("/web/cells/home/import/start", {"archive": chosen(page), "mode": "replace"})
    row = imports.run_import(import_id=Import.objects.get().pk)
    assert [each["path"] for each in row.report["missing"]] == ["1 of 6 files"]


def test_parts_of_two_exports_are_not_mixed(alice: User, home: Cell, parts: dict) -> None:
    other = exported_parts(Move(alice, cell=home, scopes=("io.cozy.exports",)))[""]
    client, page = uploaded(alice, {**{f"a{name}": part for name, part in parts.items()}, "b.zip": other})
    assert "instance.json is there 2 times" in worked_out(client, chosen(page))
    _, *rest = parts.values()
    client, page = uploaded(alice, {"first.zip": other, **{f"{number}.zip": part for number, part in enumerate(rest)}})
    assert "these are parts of two exports" in worked_out(client, chosen(page))


def test_no_more_than_a_form_can_take(alice: User, home: Cell) -> None:
    page = uploaded(alice, [(f"{number}.zip", b"%d" % number) for number in range(upload_parts.MOST_UPLOADED + 1)])[1]
    assert "61 parts" in page.content.decode()
    source = upload_source([(f"{each}.zip", sha256(b"%d" % each).hexdigest()) for each in range(60)])
    assert len(source) <= min(kind._meta.get_field("source").max_length for kind in (Import, ImportCheck))
    request = RequestFactory().get("/")
    request.user = alice
    assert len(_chosen_url(request, home, source, "é" * 200)) < 6000  # proxies take 8 KB of a request line


def test_parts_stay_in_the_store_while_an_import_waits(alice: User, home: Cell, parts: dict) -> None:
    """As the single archive of an import does; nothing else refers to them."""
    client, page = uploaded(alice, parts)
    client.post("/web/cells/home/import/start", {"archive": chosen(page), "mode": "replace"})
    digests = Import.objects.get().source.removeprefix("blobs:").split("\n")
    later = timezone.now() + timedelta(days=3)
    Blob.objects.update(touched_at=timezone.now() - timedelta(days=2))
    for hours in (0, 2):
        blobs_sweep(now=later + timedelta(hours=hours))
    assert Blob.objects.filter(pk__in=digests).count() == len(parts)
    Import.objects.update(state=ImportState.FAILED)
    Blob.objects.update(touched_at=timezone.now() - timedelta(days=2))
    for hours in (0, 2):
        blobs_sweep(now=later + timedelta(hours=hours))
    assert not Blob.objects.filter(pk__in=digests).exists()
