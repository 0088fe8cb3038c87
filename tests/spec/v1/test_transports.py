"""Transports over HTTP: what is accepted, what is shown, what is kept to itself (`spec/v1.md §9`)."""

from pathlib import Path

import pytest

from cells.models import Cell
from exports.models import Delivery, Event, Export, Transport
from exports.services import delivery
from exports.services.secrets import secrets_open
from tests.clients import V1, content
from tests.spec.v1.asking import answer, created, id_of, refused, run

pytestmark = pytest.mark.django_db(transaction=True)

FTP = {
    "type": "ftp",
    "packer": "zip",
    "options": {"server": "ftp://127.0.0.1:9", "login": "alice", "password": "hunter2"},
}


@pytest.fixture
def folder(settings, tmp_path: Path) -> Path:
    folder = tmp_path / "allowed"
    folder.mkdir()
    settings.EXPORT_LOCAL_FOLDERS = [folder]
    return folder


def to(folder: Path, **more: object) -> dict[str, object]:
    return {"type": "rsync", "packer": "zip", "options": {"destination": str(folder)}, **more}


def test_a_transport_goes_from_new_over_pending_to_done(as_alice: V1, cell: Cell, folder: Path) -> None:
    """§9.1: "state per transport: `new` → `pending` → `processing` → `done` | `failed`"."""
    export = created(as_alice, name="press", _transports=[to(folder)])
    assert export["_transports"][0]["_state"] == "new"
    [pending] = run(as_alice, export)["_transports"]
    assert pending["_state"] == "pending" and "_progress" in pending
    delivery.deliver(delivery_id=Delivery.objects.get().pk)
    whole = answer(as_alice.get(f"export/{id_of(export)}"))
    [done] = whole["_transports"]
    assert (done["_state"], whole["_state"]) == ("done", "done")
    assert "have arrived" in done["_transport_log"]
    assert (folder / "press.zip").stat().st_size == whole["_downloads"][0]["_files"][0]["size"]
    assert [event["event"]["type"] for event in whole["_log"]][-1] == "EXPORT_TRANSPORT_FINISH"


def test_a_failing_transport_does_not_stop_the_others_nor_the_export(as_alice: V1, cell: Cell, folder: Path) -> None:
    """§9.1: "a failing transport gets `_state: failed`, does not abort the export nor the following transports; the
    export ends `done_with_warnings` and an `EXPORT_TRANSPORT_FAILED` event with the log is written"."""
    wrong = {**FTP, "options": {**FTP["options"], "server": "127.0.0.1"}}
    export = run(as_alice, created(as_alice, name="press", _transports=[wrong, to(folder)]))
    for row in Delivery.objects.all():
        delivery.deliver(delivery_id=row.pk)
    whole = answer(as_alice.get(f"export/{id_of(export)}"))
    failed, done = whole["_transports"]
    assert (failed["_state"], done["_state"], whole["_state"]) == ("failed", "done", "done_with_warnings")
    assert "not for users to reach" in failed["_error"]
    event = Event.objects.get(type="EXPORT_TRANSPORT_FAILED")
    assert event.info["transport_state"] == "failed" and "not for users" in event.info["transport_log"]
    assert [event["event"]["type"] for event in whole["_log"]].count("EXPORT_TRANSPORT_FAILED") == 1


def test_a_failed_run_leaves_its_transports_failed(as_alice: V1, folder: Path) -> None:
    """§9.1: "A `failed` export run leaves its transports `failed` as well"."""
    export = created(as_alice, name="press", _transports=[to(folder)])
    answer(as_alice.post(f"export/{id_of(export)}/start"))
    answer(as_alice.post(f"export/{id_of(export)}/stop"))
    [transport] = answer(as_alice.get(f"export/{id_of(export)}"))["_transports"]
    assert transport["_state"] == "failed"
    assert not Delivery.objects.exists()


@pytest.mark.parametrize("key", ["password", "password:secret"])
def test_a_password_goes_in_and_never_comes_out(as_alice: V1, key: str) -> None:
    """§9.6: "fylr also `password:secret`, stored encrypted, never output"."""
    options = {"server": "ftp.example.org", "login": "alice", key: "hunter2"}
    export = created(as_alice, name="press", _transports=[{"type": "ftp", "options": options}])
    [transport] = export["_transports"]
    assert transport["options"]["login"] == "alice"
    answers = [as_alice.get(f"export/{id_of(export)}"), as_alice.get("export"), as_alice.get("event/list")]
    assert not any(b"hunter2" in content(each) for each in answers)
    assert "hunter2" not in str(export)
    assert secrets_open(Transport.objects.get().secrets) == {"password": "hunter2"}


def test_what_was_shown_can_be_sent_back_and_the_password_stays(as_alice: V1) -> None:
    export = created(as_alice, name="press", _transports=[FTP])
    answer(as_alice.post(f"export/{id_of(export)}", {"_transports": export["_transports"]}))
    assert secrets_open(Transport.objects.get().secrets) == {"password": "hunter2"}


def test_a_refused_transport_changes_nothing(as_alice: V1) -> None:
    export = created(as_alice, name="press", _transports=[FTP])
    bad = {"_transports": [{"type": "ftp", "options": {"server": "gopher://x", "password": "hunter2"}}]}
    told = refused(as_alice.post(f"export/{id_of(export)}", bad), 400, "error.api.invalid_value")
    assert "hunter2" not in str(told)
    assert answer(as_alice.get(f"export/{id_of(export)}")) == export


def test_fylr_s_plugins_and_its_place_for_the_packer_are_understood(as_alice: V1) -> None:
    """§9.1, §9.6: `plugin` as alias of `type`; `packer` inside options."""
    plugin = "easydb-export-transport-ftp-plugin:transport_ftp"
    options = {"server": "ftp.example.org", "packer": "tar.gz"}
    [transport] = created(as_alice, _transports=[{"plugin": plugin, "options": options}])["_transports"]
    assert (transport["type"], transport["packer"]) == ("ftp", "tar_gz")


def test_a_mail_needs_recipients(as_alice: V1) -> None:
    """§9.4: "Empty recipient list for type email → `error.api.attribute_expected`"."""
    body = {"export": {"search": {}}, "_transports": [{"type": "email", "email": {"recipients": []}}]}
    refused(as_alice.put("export", body), 400, "error.api.attribute_expected")
    assert not Export.objects.exists()


def test_a_download_with_recipients_sends_its_links_after_the_run(as_alice: V1, cell: Cell, mailoutbox) -> None:
    """§9.3: "If `email.recipients` is set, a mail with the links is sent after the run"; they open the archive."""
    recipients = [{"user": {"type": "email", "login": "john@example.com"}}]
    download = {"type": "download", "packer": "zip", "email": {"recipients": recipients, "message": "Here you are."}}
    export = run(as_alice, created(as_alice, name="press", _transports=[download]))
    assert export["_transports"][0]["_state"] == "done"
    delivery.deliver(delivery_id=Delivery.objects.get().pk)
    [mail] = mailoutbox
    assert mail.to == ["john@example.com"] and "Here you are." in mail.body
    url = next(word for word in mail.body.split() if word.startswith("http"))
    path = url.partition("/api/v1/")[2]
    assert content(V1().get(path))[:2] == b"PK"
    assert Event.objects.get(type="EXPORT_TRANSPORT_FINISH").info["email_sent_to"] == ["john@example.com"]
