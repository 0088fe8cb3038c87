"""Deliveries of real runs: ordered, carried, tried again, given up; never at the cost of the run."""

import io
import logging
import zipfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.core import serializers
from django.core.exceptions import ImproperlyConfigured
from django.db import connection
from django.utils import timezone

from cells.models import Cell
from exports.errors import DeliveryNotFailed, LeaseLost, NothingPublished, SecretsUnreadable
from exports.models import Delivery, Event, Export, Run, Transport
from exports.services import canary, delivery, delivery_lifecycle, downloads, retention, running
from exports.services.delivery_lifecycle import TRIES, deliveries_requeue, delivery_retry
from exports.services.exports import TransportSpec, export_create, export_start, export_update
from exports.services.secrets import secrets_open, secrets_seal
from exports.states import DeliveryState, RunState
from exports.transports.base import TransportError
from tests.factories import make_cell, put_files
from tests.transports import servers
from tests.transports.servers import LOGIN, PASSWORD, SHOWN, Breaker

pytestmark = pytest.mark.django_db(transaction=True)

CONTENTS = {"a.txt": b"alpha\n" * 1000, "b/Ünïcode.txt": "grüße".encode(), "b/random.bin": bytes(range(256)) * 1200}


@pytest.fixture(autouse=True)
def _allowed(settings) -> None:
    settings.EGRESS_ALLOW = ["127.0.0.0/8"]


@pytest.fixture
def cell(alice: User) -> Cell:
    cell = make_cell(alice)
    put_files(cell, CONTENTS)
    return cell


@pytest.fixture(scope="module")
def ftp_server(tmp_path_factory) -> Iterator[tuple[Path, int, Breaker]]:
    with servers.ftp(tmp_path_factory.mktemp("ftp")) as found:
        yield found


@pytest.fixture
def ftp(ftp_server: tuple[Path, int, Breaker]) -> Iterator[tuple[Path, dict[str, object], Breaker]]:
    root, port, breaker = ftp_server
    folder = f"t{Delivery.objects.count()}{timezone.now():%H%M%S%f}"
    yield root / folder, {"server": f"{SHOWN}:{port}", "directory": folder, "login": LOGIN}, breaker
    breaker.heal()


def spec(options: dict[str, object], *, type: str = "ftp", packer: str | None = "zip", **secrets: str) -> TransportSpec:
    return TransportSpec(
        type=type, packer=packer, options=options, email=None, secrets=secrets or {"password": PASSWORD}
    )


def made(owner: User, *transports: TransportSpec, **options: object) -> Export:
    defaults = {"type": "export", "name": "press", "cells": None, "definition": {}, "schedules": []}
    return export_create(owner=owner, transports=list(transports), **{**defaults, **options})


def ran(export: Export) -> Run:
    run = running.run_export(run_id=export_start(export=export).pk)
    assert run is not None and run.state in (RunState.DONE, RunState.DONE_WITH_WARNINGS), run and run.error
    return run


def only(run: Run) -> Delivery:
    return run.deliveries.get()


def later(row: Delivery) -> None:
    """Its next try is due."""
    Delivery.objects.filter(pk=row.pk).update(next_at=timezone.now())


def names(zipped: bytes) -> set[str]:
    with zipfile.ZipFile(io.BytesIO(zipped)) as archive:
        assert archive.testzip() is None
        return set(archive.namelist())


def test_an_archive_is_delivered_as_it_would_be_downloaded(cell: Cell, alice: User, ftp) -> None:
    root, options, _ = ftp
    run = ran(made(alice, spec(options)))
    assert only(run).state == DeliveryState.PENDING
    done = delivery.deliver(delivery_id=only(run).pk)
    assert done is not None and (done.state, done.error, done.attempts) == (DeliveryState.DONE, None, 1)
    opened = downloads.open_volume(volume=run.volumes.get(packer="zip"), name="x")
    assert (root / "press.zip").read_bytes() == b"".join(opened.chunks(0, opened.length))
    assert done.bytes_done == done.bytes_planned == opened.length
    event = Event.objects.get(type="EXPORT_TRANSPORT_FINISH")
    assert (event.export_id, event.info["transport_state"]) == (run.export_id, "done")
    assert "1 files" in event.info["transport_log"]
    run.refresh_from_db()
    assert (run.state, run.warnings) == (RunState.DONE, [])


def test_volumes_that_are_stored_nowhere_are_sent_from_the_plan(cell: Cell, alice: User, ftp, store: Path) -> None:
    """`spec/v1.md §9.2`: `<export name>.<k>.<ext>`, k from 1; a file bigger than the limit gets one of its own."""
    root, options, _ = ftp
    put_files(cell, {f"big/{number}": bytes([number]) * 6_000_000 for number in range(3)})
    run = ran(made(alice, spec(options, packer="zip_10mb")))
    assert list((store / "volumes").rglob("*.zip")) == []
    assert delivery.deliver(delivery_id=only(run).pk).state == DeliveryState.DONE
    assert sorted(path.name for path in root.iterdir()) == ["press.1.zip", "press.2.zip", "press.3.zip"]
    inside = [names(path.read_bytes()) for path in root.iterdir()]
    assert set.union(*inside) == {*CONTENTS, "big/0", "big/1", "big/2", "manifest.json"}


def test_tar_bz2_is_written_first_and_then_sent(cell: Cell, alice: User, ftp) -> None:
    root, options, _ = ftp
    run = ran(made(alice, spec(options, packer="tar_bz2")))
    assert delivery.deliver(delivery_id=only(run).pk).state == DeliveryState.DONE
    assert (root / "press.tar.bz2").stat().st_size == run.volumes.get(packer="tar_bz2").length


def test_without_a_packer_the_files_themselves_are_mirrored(cell: Cell, alice: User, ftp) -> None:
    """C25: `<directory>/<export name>/<path>`; §9.6: extra files there are deleted."""
    root, options, _ = ftp
    export = made(alice, spec(options, packer=None))
    (root / "press").mkdir(parents=True)
    (root / "press" / "old.txt").write_bytes(b"old")
    assert delivery.deliver(delivery_id=only(ran(export)).pk).state == DeliveryState.DONE
    found = {str(path.relative_to(root / "press")): path.read_bytes() for path in root.rglob("*") if path.is_file()}
    assert found == CONTENTS


def test_changes_since_the_last_run_do_not_delete_what_was_delivered_before(cell: Cell, alice: User, ftp) -> None:
    root, options, _ = ftp
    export = made(alice, spec(options, packer=None), type="export_incremental")
    assert delivery.deliver(delivery_id=only(ran(export)).pk).state == DeliveryState.DONE
    put_files(cell, {"new.txt": b"new"})
    assert delivery.deliver(delivery_id=only(ran(export)).pk).state == DeliveryState.DONE
    assert {path.name for path in root.rglob("*") if path.is_file()} == {
        "new.txt",
        *(p.split("/")[-1] for p in CONTENTS),
    }
    assert ran(export).deliveries.count() == 0, "nothing new, nothing to send"


def test_a_transient_fault_is_tried_again_later_and_the_run_stays_done(cell: Cell, alice: User, ftp) -> None:
    root, options, breaker = ftp
    run = ran(made(alice, spec(options)))
    breaker.cut()
    waiting = delivery.deliver(delivery_id=only(run).pk)
    assert (waiting.state, waiting.error["permanent"], waiting.attempts) == (DeliveryState.PENDING, False, 1)
    assert waiting.next_at > timezone.now() + timedelta(seconds=30)
    assert delivery.deliver(delivery_id=waiting.pk) is None, "it is not due"
    assert deliveries_requeue() == 0
    run.refresh_from_db()
    assert run.state == RunState.DONE
    breaker.heal()
    later(waiting)
    assert delivery.deliver(delivery_id=waiting.pk).state == DeliveryState.DONE
    assert names((root / "press.zip").read_bytes()) == {*CONTENTS, "manifest.json"}


def test_after_six_tries_it_has_failed_and_only_then_the_run_has_warnings(cell: Cell, alice: User, ftp) -> None:
    _, options, breaker = ftp
    run = ran(made(alice, spec(options)))
    breaker.cut()
    for number in range(1, TRIES + 1):
        later(only(run))
        tried = delivery.deliver(delivery_id=only(run).pk)
        run.refresh_from_db()
        last = number == TRIES
        assert tried.state == (DeliveryState.FAILED if last else DeliveryState.PENDING)
        assert run.state == (RunState.DONE_WITH_WARNINGS if last else RunState.DONE)
    assert TRIES == 6
    assert Event.objects.filter(type="EXPORT_TRANSPORT_FAILED").count() == 1


def test_a_permanent_fault_is_not_tried_again_and_the_archive_is_not_lost(cell: Cell, alice: User, ftp) -> None:
    root, options, _ = ftp
    run = ran(made(alice, spec(options, password="wrong-hunter3"), spec({**options, "directory": f"{root.name}/2"})))
    finished_at = run.finished_at
    wrong, right = run.deliveries.all()
    failed = delivery.deliver(delivery_id=wrong.pk)
    assert (failed.state, failed.error["permanent"], failed.attempts) == (DeliveryState.FAILED, True, 1)
    run.refresh_from_db()
    assert run.state == RunState.DONE_WITH_WARNINGS
    assert run.warnings == [f"Transport 1 (ftp) failed: {failed.error['message']}"]
    assert run.finished_at == finished_at
    assert run.export.published_run == run
    opened = downloads.open_volume(volume=run.volumes.get(packer="zip"), name="x")
    assert names(b"".join(opened.chunks(0, opened.length))) == {*CONTENTS, "manifest.json"}
    event = Event.objects.get(type="EXPORT_TRANSPORT_FAILED")
    assert event.info["error"]["message"] == failed.error["message"]
    assert delivery.deliver(delivery_id=right.pk).state == DeliveryState.DONE, "the following transports go on"
    assert not (root / "press.zip").exists()


def test_a_failed_delivery_can_be_tried_again_by_hand(cell: Cell, alice: User, ftp) -> None:
    root, options, _ = ftp
    run = ran(made(alice, spec(options, password="wrong-hunter3")))
    failed = delivery.deliver(delivery_id=only(run).pk)
    Delivery.objects.filter(pk=failed.pk).update(secrets=secrets_seal({"password": PASSWORD}))
    delivery_retry(delivery=failed)
    assert delivery.deliver(delivery_id=failed.pk).state == DeliveryState.DONE
    assert (root / "press.zip").exists()
    with pytest.raises(DeliveryNotFailed):
        delivery_retry(delivery=failed)
    assert only(run).state == DeliveryState.DONE


def test_an_expired_run_is_not_delivered_any_more(cell: Cell, alice: User, ftp) -> None:
    _, options, _ = ftp
    run = ran(made(alice, spec(options, password="wrong-hunter3")))
    failed = delivery.deliver(delivery_id=only(run).pk)
    assert retention.expire(now=run.expires_at + timedelta(days=1)) == 1
    with pytest.raises(NothingPublished):
        delivery_retry(delivery=failed)
    assert only(run).state == DeliveryState.FAILED


def test_a_run_does_not_expire_before_its_deliveries_are_over(cell: Cell, alice: User, ftp) -> None:
    _, options, _ = ftp
    run = ran(made(alice, spec(options)))
    past = run.expires_at + timedelta(days=1)
    assert retention.expire(now=past) == 0
    claimed = delivery_lifecycle.claim(delivery_id=only(run).pk)
    assert retention.expire(now=past) == 0
    delivery_lifecycle.finish(claimed, log=[], bytes_done=1)
    assert retention.expire(now=past) == 1


def test_a_lost_delivery_goes_to_another_worker_and_the_first_cannot_finish_it(cell: Cell, alice: User, ftp) -> None:
    _, options, _ = ftp
    run = ran(made(alice, spec(options)))
    lost = delivery_lifecycle.claim(delivery_id=only(run).pk)
    assert delivery_lifecycle.claim(delivery_id=lost.pk) is None
    assert deliveries_requeue(now=timezone.now() + timedelta(minutes=5)) == 1
    later(lost)
    assert delivery.deliver(delivery_id=lost.pk).state == DeliveryState.DONE
    with pytest.raises(LeaseLost):
        delivery_lifecycle.finish(lost, log=[], bytes_done=0)
    with pytest.raises(LeaseLost):
        delivery_lifecycle.fail(lost, message="too late", permanent=True, log=[])
    assert only(run).state == DeliveryState.DONE
    run.refresh_from_db()
    assert run.state == RunState.DONE


def test_an_update_of_the_export_ends_what_was_ordered_before(cell: Cell, alice: User, ftp) -> None:
    root, options, _ = ftp
    export = made(alice, spec(options))
    run = ran(export)
    claimed = delivery_lifecycle.claim(delivery_id=only(run).pk)
    export_update(export=export, user=alice, changes={"name": "renamed"})
    with pytest.raises(LeaseLost):
        delivery_lifecycle.heartbeat(claimed)
    assert (only(run).state, only(run).error["code"]) == (DeliveryState.FAILED, "export_changed")
    assert delivery.deliver(delivery_id=claimed.pk) is None
    assert not root.exists()


def test_a_transport_changed_later_does_not_redirect_what_was_ordered(cell: Cell, alice: User, ftp) -> None:
    root, options, _ = ftp
    run = ran(made(alice, spec(options)))
    Transport.objects.update(options={**options, "directory": f"{root.name}-elsewhere"})
    assert delivery.deliver(delivery_id=only(run).pk).state == DeliveryState.DONE
    assert (root / "press.zip").exists()
    assert not root.with_name(f"{root.name}-elsewhere").exists()


def test_a_test_file_can_be_sent_without_a_run(cell: Cell, alice: User, ftp) -> None:
    root, options, _ = ftp
    (transport,) = made(alice, spec(options)).transports.all()
    assert "read back" in delivery.delivery_test(transport=transport)[-1]
    assert [path for path in root.rglob("*") if path.is_file()] == []
    assert not Run.objects.exists()
    Transport.objects.update(secrets=secrets_seal({"password": "wrong-hunter3"}))
    transport.refresh_from_db()
    with pytest.raises(TransportError) as caught:
        delivery.delivery_test(transport=transport)
    assert caught.value.permanent


class TestSecrets:
    def test_what_is_sealed_opens_again_and_only_with_the_same_key(self, settings) -> None:
        sealed = secrets_seal({"password": "hunter2", "empty": ""})
        assert b"hunter2" not in sealed
        assert secrets_open(sealed) == {"password": "hunter2"}
        assert secrets_seal({"password": "hunter2"}) != sealed, "a nonce is used once"
        assert secrets_seal({}) == b"" and secrets_open(b"") == {}
        settings.SECRET_KEY = "another"
        with pytest.raises(SecretsUnreadable):
            secrets_open(sealed)

    def test_a_changed_byte_is_noticed(self) -> None:
        sealed = bytearray(secrets_seal({"password": "hunter2"}))
        sealed[-1] ^= 1
        with pytest.raises(SecretsUnreadable):
            secrets_open(bytes(sealed))

    def test_an_empty_key_seals_nothing(self, settings) -> None:
        settings.SECRET_KEY = ""
        with pytest.raises(ImproperlyConfigured):
            secrets_seal({"password": "hunter2"})

    def test_with_another_secret_key_the_delivery_says_what_to_do(self, cell: Cell, alice: User, ftp, settings) -> None:
        run = ran(made(alice, spec(ftp[1])))
        settings.SECRET_KEY = "another"
        failed = delivery.deliver(delivery_id=only(run).pk)
        assert (failed.state, failed.error["permanent"]) == (DeliveryState.FAILED, True)
        assert "entered again" in failed.error["message"]

    def test_an_update_that_says_nothing_of_them_keeps_them(self, alice: User, ftp) -> None:
        options = ftp[1]
        export = made(alice, spec(options))
        (before,) = export.transports.all()
        silent = TransportSpec("ftp", "tar", {**options, "directory": "elsewhere"}, None)
        export_update(export=export, user=alice, changes={"transports": [silent]})
        (after,) = export.transports.all()
        assert (after.uuid, after.packer) == (before.uuid, "tar")
        assert secrets_open(after.secrets) == {"password": PASSWORD}

    @pytest.mark.parametrize(
        "change",
        [
            TransportSpec("ftp", "zip", {"server": "ftp.example.org", "login": LOGIN}, None),
            TransportSpec("sftp", "zip", {"server": SHOWN, "login": LOGIN}, None),
            TransportSpec("ftp", "zip", {"server": SHOWN, "login": LOGIN}, None, {"password": ""}),
        ],
        ids=["another server", "another type", "taken away"],
    )
    def test_they_do_not_travel_to_another_server(self, alice: User, change: TransportSpec) -> None:
        export = made(alice, spec({"server": SHOWN, "login": LOGIN}))
        export_update(export=export, user=alice, changes={"transports": [change]})
        (after,) = export.transports.all()
        assert secrets_open(after.secrets) == {}

    def test_hunter2_is_nowhere(self, cell: Cell, alice: User, ftp, caplog, capfd) -> None:
        """After success, failure and a test: no table, log, event, answer or output holds the password."""
        caplog.set_level(logging.DEBUG)
        _, options, _ = ftp
        export = made(alice, spec(options), spec({**options, "server": f"{SHOWN}:{servers.free_ports()[0]}"}))
        run = ran(export)
        for row in run.deliveries.all():
            assert "hunter2" not in f"{row!r} {row} {canary.target(row)!r}"
            delivery.deliver(delivery_id=row.pk)
        delivery.delivery_test(transport=export.transports.first())
        export_update(export=export, user=alice, changes={"name": "again"})
        with connection.cursor() as cursor:
            cursor.execute("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'")
            for (table,) in cursor.fetchall():
                for form in ("hunter2", b"hunter2".hex()):
                    cursor.execute(f"SELECT count(*) FROM {table} t WHERE t::text LIKE %s", [f"%{form}%"])  # noqa: S608
                    assert cursor.fetchone() == (0,), table
        told = serializers.serialize("json", [*Delivery.objects.all(), *Transport.objects.all(), *Event.objects.all()])
        assert "hunter2" not in told
        assert "hunter2" not in caplog.text
        assert "hunter2" not in "".join(capfd.readouterr())
