"""`spec/move.md §9.4`: what an administrator asks of any cell, while ADMIN_API is on."""

import json
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.core import mail

from cells import tokens
from cells.models import Cell
from exports.errors import ArchiveUnreadable
from exports.models import Import, MoveExport, Notification, Run
from exports.services import imports, move_exports, move_imports, running
from exports.states import ImportState
from tests.clients import content
from tests.factories import make_cell
from tests.spec.move.asking import Move, api_error, exported, mailed, opaque_of, plain, unzipped
from tests.spec.move.incoming import exported_parts, shown
from tests.spec.move.other import OPAQUE, other_server
from tests.spec.move.test_hostile import URLS, Listener, listener

pytestmark = pytest.mark.django_db(transaction=True)
__all__ = ["listener"]
EXPORT, IMPORT = "instances/alice/export", "instances/alice/import"


@pytest.fixture(autouse=True)
def admin_api(settings) -> None:
    settings.ADMIN_API = True


@pytest.fixture
def root(db: None) -> User:
    return User.objects.create_superuser("root", "root@example.org", "root's password")


@pytest.fixture
def as_root(root: User) -> Move:
    return Move(root)


def asked(client: Move, query: str = "?admin-req=true", domain: str = "alice", **headers: str) -> dict:
    response = client.post(f"instances/{domain}/export{query}", **headers)
    assert (response.status_code, response.headers["Content-Type"]) == (202, "application/json"), content(response)
    return json.loads(content(response))


def done(job: dict) -> MoveExport:
    export = MoveExport.objects.get(uid=job["_id"])
    running.run_export(run_id=export.run_id)
    return MoveExport.objects.select_related("run", "cell").get(uid=job["_id"])


def data(job: dict, cursor: str = "", domain: str = "alice") -> str:
    return f"instances/{domain}/exports/{job['_id']}/data?cursor={cursor}"


def nothing_began() -> bool:
    return not (MoveExport.objects.exists() or Run.objects.exists() or Import.objects.exists())


def test_the_answer_is_the_job(as_root, cell) -> None:
    """§9.4: "202 … with the job JSON"."""
    job = asked(as_root)
    export = MoveExport.objects.get()
    assert (export.cell, export.run.owner) == (cell, cell.owner)
    assert job.pop("_rev").startswith("1-") and job.pop("queued_at")
    told = {"parts_size": move_exports.GIB, "max_age": move_exports.WEEK_NS, "contextual_domain": "localhost:8000"}
    assert job == {
        "_id": export.uid,
        "domain": "alice",
        "prefix": "alice",
        "worker": "export",
        "message": {**told, "admin_req": True},
        "event": None,
        "state": "queued",
        "started_at": None,
        "finished_at": None,
    }


def test_the_data_is_what_the_owner_would_get(as_root, as_alice, cell) -> None:
    """§9.4: "as §4.9 with the plain document id, `filename="<domain>.zip"`"."""
    exported(as_alice)
    opaque = opaque_of(mailed())
    job = asked(as_root)
    plain(as_root.get(data(job)), 404, "exports: not found")
    done(job)
    got = as_root.get(data(job))
    assert (got.status_code, got.headers["Content-Type"]) == (200, "application/zip")
    assert got.headers["Content-Disposition"] == 'attachment; filename="alice.zip"'

    def entries(part: bytes) -> list[tuple[str, bytes]]:
        return [(info.filename, data) for info, data in unzipped(part)]

    whole = content(got)
    assert entries(whole) == entries(content(as_alice.get(f"move/exports/data/{opaque}"))) and len(whole) > 1000
    ranged = as_root.get(data(job), HTTP_RANGE="bytes=10-19")
    assert (ranged.status_code, content(ranged)) == (206, whole[10:20])
    assert as_root.call("HEAD", data(job)).headers["Content-Length"] == str(len(whole))
    plain(as_root.get(data(job, "io.cozy.files/none")), 400, "export: cursor is invalid")


def test_several_parts_have_numbers(as_root, cell) -> None:
    """§9.4: "or `"<domain> - part%03d.zip"` (quoted)"."""
    job = asked(as_root)
    MoveExport.objects.update(parts_size=6000)
    export = done(job)
    cursors = ["", *move_exports.cursors(export)]
    assert len(cursors) > 1
    for number, cursor in enumerate(cursors):
        got = as_root.get(data(job, cursor))
        assert got.headers["Content-Disposition"] == f'attachment; filename="alice - part{number:03}.zip"'
        assert unzipped(content(got))


@pytest.mark.parametrize(("query", "mails"), [("", 1), ("?admin-req=false", 1), ("?admin-req=true", 0)])
def test_an_admin_request_sends_no_mail(as_root, cell, query: str, mails: int) -> None:
    """§4.3: "admin request → realtime event on the global channel, no mail"; §9.4: the parameter is "optional"."""
    job = asked(as_root, query)
    assert job["message"]["admin_req"] is (mails == 0)
    done(job)
    assert Notification.objects.count() == mails
    if mails:
        assert opaque_of(mailed()) and mail.outbox[0].to == ["alice@example.org"]


@pytest.mark.parametrize(("query", "mails"), [("", 1), ("?admin-req=true", 0)])
def test_a_failed_admin_request_sends_none_either(as_root, cell, query: str, mails: int) -> None:
    """§4.3: "unless it was an admin request, send the failure mail". Who asked is told at once of a conflict."""
    first = asked(as_root)
    job = asked(as_root, query)
    assert (job["state"], job["error"]) == ("errored", "export: an archive is already being created")
    assert job["finished_at"] and job["_id"] != first["_id"]
    assert Notification.objects.count() == mails
    plain(as_root.get(data(job)), 404, "exports: not found")
    assert done(first).run.state == "done"


@pytest.mark.parametrize("given", ["", "yes", "True", "1", "true&admin-req=false", "true&admin-req=true", "%00"])
def test_a_parameter_that_says_nothing_is_refused(as_root, cell, given: str) -> None:
    """§9.4: "a missing/invalid one is a 500" there; §12 lists it among the quirks not to reproduce."""
    plain(as_root.post(f"{EXPORT}?admin-req={given}"), 400, "admin-req is neither true nor false")
    assert nothing_began()


@pytest.mark.usefixtures("other_servers")
def test_an_import_takes_the_manifest(as_root, as_alice, cell, target) -> None:
    """§9.4: "204; takes the **manifest** URL, not the settings link"."""
    before = shown(target)
    with other_server(exported_parts(as_alice)) as other:
        link = other.link.replace("#", "%23")
        refused = as_root.post(f"instances/bobs/import?manifest_url={link}")
        api_error(refused, 400, "Bad Request", "exports: not found", parameter="manifest_url")
        assert not Import.objects.exists() and shown(target) == before
        manifest = f"{other.url}/move/exports/{OPAQUE}"
        response = as_root.post(f"instances/bobs/import?manifest_url={manifest}")
        assert (response.status_code, content(response)) == (204, b"")
        row = imports.run_import(import_id=Import.objects.get().pk)
    assert row is not None and row.state == ImportState.DONE, row and row.error
    assert (row.cell, row.owner) == (target, target.owner)
    assert shown(target)["files"] == shown(cell)["files"]
    imports.import_undo(cell=target)
    assert shown(target) == before


@pytest.mark.parametrize(
    "query",
    [
        "",
        "?manifest_url=",
        *(
            f"?manifest_url=https://old.example{rest}"
            for rest in (
                "",
                "/",
                f"/%23/exports/{OPAQUE}",
                f"/move/exports/data/{OPAQUE}",
                "/move/exports/",
                f"/move/exports/{OPAQUE}/",
                f"/a/b/move/exports/{OPAQUE}",
                f"/move/exports/{OPAQUE}%3Fx=y",
                f"/move/exports/{OPAQUE}%23",
                f"/move/exports/{OPAQUE}%0d%0aHost:%20x",
                f"/move/exports/{OPAQUE}&manifest_url=https://old.example/move/exports/{OPAQUE}",
                f"/move/exports/{'Q' * 401}",
            )
        ),
    ],
)
def test_what_is_no_manifest_is_refused(as_root, cell, query: str) -> None:
    before = shown(cell)
    refused = as_root.post(f"{IMPORT}{query}")
    api_error(refused, 400, "Bad Request", "exports: not found", parameter="manifest_url")
    assert nothing_began() and shown(cell) == before


def test_no_hostile_manifest_reaches_anything(as_root, cell, listener: Listener) -> None:
    """§6.3: those that are written like any address are refused by the job, which alone would dial."""
    before, taken = shown(cell), 0
    for url in URLS:
        base = url.replace("{port}", str(listener.port))
        response = as_root.call("POST", IMPORT, QUERY_STRING=_query(f"{base}/move/exports/{OPAQUE}"))
        assert response.status_code in (204, 400), content(response)
        rows = Import.objects.all()
        assert rows.count() == (response.status_code == 204), base
        for row in rows:
            taken += 1
            with pytest.raises(ArchiveUnreadable):
                move_imports.link_fetch(row.source.removeprefix(move_imports.LINK), lambda count: None)
        rows.delete()
    assert listener.count == 0 and taken > 60
    assert shown(cell) == before


def _query(url: str) -> str:
    return "manifest_url=" + "".join(f"%{byte:02x}" for byte in url.encode())


def test_what_is_busy_is_left_alone(as_root, cell) -> None:
    """As POST /move/imports: one job at a time."""
    url = f"{IMPORT}?manifest_url=https://old.example/move/exports/{OPAQUE}"
    assert as_root.post(url).status_code == 204
    assert as_root.post(url).status_code == 409
    assert Import.objects.count() == 1


def _calls(job: dict) -> list[tuple[str, str]]:
    manifest = f"https://old.example/move/exports/{OPAQUE}"
    return [("POST", EXPORT), ("GET", data(job)), ("POST", f"{IMPORT}?manifest_url={manifest}")]


def test_it_is_for_superusers_alone(as_root, as_alice, alice, root, cell) -> None:
    """Their sessions: no token of a cell, and none that was given less."""
    job = asked(as_root)
    export = done(job)
    before = shown(cell)
    strangers = [
        Move(alice),
        as_alice,
        Move(alice, cell=cell),
        Move(root, cell=cell),
        Move(root, cell=cell, scopes=("session",)),
        Move(root, scopes=("root",)),
        Move(root, scopes=("io.cozy.exports", "io.cozy.imports")),
    ]
    for method, path in _calls(job):
        for client in strangers:
            plain(client.call(method, path), 403, "Forbidden")
            plain(client.call(method, path.replace("alice", "nobody")), 403, "Forbidden")
        plain(Move().call(method, path), 401, "No token in request")
        plain(Move().call(method, path, HTTP_AUTHORIZATION="Bearer nonsense"), 400, "Invalid JWT token")
        plain(Move(root, expires=timedelta(0)).call(method, path), 400, "Expired token")
    login, row = tokens.session_create()
    plain(Move().call("POST", EXPORT, HTTP_AUTHORIZATION=f"Bearer {login}"), 400, "Invalid JWT token")
    assert row.user is None
    assert list(MoveExport.objects.all()) == [export] and not Import.objects.exists()
    assert shown(cell) == before and not Notification.objects.exists()


@pytest.mark.parametrize(
    "domain", ["nobody", "Alice", "instances", "alice.unit.example", "%00", "a%0d%0ab", "-", "a b"]
)
def test_a_cell_that_is_not_there(as_root, cell, domain: str) -> None:
    """§2.4: "Instance not found". Without UNIT_HOST a host is nobody's."""
    for method, path in _calls({"_id": "a" * 32}):
        plain(as_root.call(method, path.replace("/alice/", f"/{domain}/")), 404, "Instance not found")
    assert nothing_began()


def test_an_export_of_another_cell_is_not_there(as_root, cell, bob) -> None:
    make_cell(bob, "bobs")
    job = asked(as_root)
    done(job)
    plain(as_root.get(data(job, domain="bobs")), 404, "exports: not found")
    for uid in ("a" * 32, "%00", "x%00", "ü", "a" * 3000, "..", "%0d%0a"):
        plain(as_root.get(data({"_id": uid})), 404, "exports: not found")
    MoveExport.objects.update(max_age=-1)
    plain(as_root.get(data(job)), 404, "exports: has expired")


def test_a_cell_that_has_moved_is_elsewhere(as_root, cell) -> None:
    """§2.4: "instance was moved away … 410"."""
    job = asked(as_root)
    done(job)
    Cell.objects.update(moved_to="https://new.example")
    for method, path in _calls(job):
        response = as_root.call(method, path)
        assert response.status_code == 410
        assert json.loads(content(response))["errors"][0]["links"] == {"related": "https://new.example"}
    assert MoveExport.objects.count() == 1 and not Import.objects.exists()


def test_only_these_methods_exist(as_root, cell) -> None:
    """§9.2: "Only the listed methods exist; others 405"."""
    for allowed, path in _calls({"_id": "a" * 32}):
        for method in {"GET", "POST", "PUT", "PATCH", "DELETE"} - {allowed}:
            plain(as_root.call(method, path), 405, "Method Not Allowed")
    assert nothing_began()


def test_nothing_is_brought_while_the_server_is_read_only(as_root, cell, settings) -> None:
    job = asked(as_root)
    done(job)
    settings.READ_ONLY = True
    assert [as_root.call(*call).status_code for call in _calls(job)] == [503, 200, 503]
    assert MoveExport.objects.count() == 1 and not Import.objects.exists()


def test_switched_off_it_is_an_unknown_url(as_root, cell, settings) -> None:
    """As of every other name that no cell has; and none can have this one."""
    job = asked(as_root)
    done(job)
    settings.ADMIN_API = False
    for method, path in _calls(job):
        for client in (as_root, Move()):
            off = client.call(method, path)
            other = client.call(method, path.replace("instances/", "nothings/"))
            assert off.status_code == other.status_code == 404, (method, path, off.status_code)
            assert content(off).replace(b"instances", b"nothings") == content(other)
    assert MoveExport.objects.count() == 1 and not Import.objects.exists()


def test_cells_with_hosts_of_their_own(as_root, alice, cell, settings) -> None:
    """§1: an instance is "addressed by the HTTP `Host`": its name here, too. At that host there is no admin API."""
    settings.UNIT_HOST, settings.PUBLIC_URL = "unit.example", "https://unit.example:8443"
    settings.ALLOWED_HOSTS = ["unit.example", ".unit.example"]
    here = {"HTTP_HOST": "unit.example:8443"}
    job = asked(as_root, domain="ALICE.unit.example", **here)
    assert (job["domain"], job["prefix"]) == ("alice.unit.example", "alice")
    assert job["message"]["contextual_domain"] == "alice.unit.example:8443"
    assert done(job).base_url == "https://alice.unit.example:8443"
    for domain in ("alice", "alice.unit.example", "alice.unit.example:8443"):
        got = as_root.get(data(job, domain=domain), **here)
        assert got.headers["Content-Disposition"] == 'attachment; filename="alice.unit.example.zip"'
    make_cell(alice, "my-settings")  # a host that importers would change
    assert asked(as_root, domain="my-settings.unit.example", **here)["domain"] == "my-settings"
    for domain in ("unit.example", "nobody.unit.example", "alice.else.example", "a.alice.unit.example"):
        plain(as_root.post(f"instances/{domain}/export", **here), 404, "Instance not found")
    before = MoveExport.objects.count()
    for host in ("alice.unit.example", "instances.unit.example"):
        assert as_root.post(EXPORT, HTTP_HOST=host).status_code >= 400
        assert as_root.post("alice/export", HTTP_HOST=host).status_code >= 400
    assert MoveExport.objects.count() == before
