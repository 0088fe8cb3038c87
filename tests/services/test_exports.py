"""The verbs on a definition, where requests and workers meet: `exports/services/exports.py`."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connections

from exports.errors import (
    AlreadyRunning,
    DefinitionRefused,
    ExportNameRequired,
    ExportNameTaken,
    ExportNotFound,
    ExportNotRunning,
    LeaseLost,
    RunStopped,
    VersionMismatch,
)
from exports.models import Event, Export, Run
from exports.services import exports, lifecycle
from exports.services.exports import TransportSpec
from exports.states import RunState


def make(owner: User, **changes: Any) -> Export:
    arguments: dict[str, Any] = {
        "type": "export",
        "name": "",
        "cells": None,
        "definition": {"search": {}},
        "transports": [],
        "schedules": [],
    }
    return exports.export_create(owner=owner, **{**arguments, **changes})


def download(packer: str | None) -> TransportSpec:
    return TransportSpec(type="download", packer=packer, options={}, email=None)


def both(first: Callable[[], object], second: Callable[[], object]) -> list[object]:
    """What two threads that begin together return or raise."""
    barrier = threading.Barrier(2)

    def one(call: Callable[[], object]) -> object:
        barrier.wait()
        try:
            return call()
        except Exception as error:
            return error
        finally:
            connections.close_all()

    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(one, (first, second)))


def test_passkeys_of_two_exports_have_nothing_in_common(alice: User) -> None:
    """`spec/v1.md §5.3`: unguessable."""
    first, second = make(alice), make(alice)
    assert len(first.passkey_nonce) == 32
    assert bytes(first.passkey_nonce) != bytes(second.passkey_nonce)


def test_an_order_is_frozen_at_start(alice: User) -> None:
    export = make(alice, name="press", transports=[download("zip"), download(None), download("zip"), download("tar")])
    run = exports.export_start(export=export)
    assert run.order == {
        "type": "export",
        "name": "press",
        "version": 1,
        "cells": None,
        "definition": {"search": {}},
        "packers": ["zip", "tar"],
        "delivered": [],
    }
    assert run.owner == alice
    export.refresh_from_db()
    assert export.current_run == run


@pytest.mark.django_db(transaction=True)
def test_of_two_starts_at_once_one_wins(alice: User) -> None:
    export = make(alice)
    results = both(lambda: exports.export_start(export=export), lambda: exports.export_start(export=export))
    assert sorted(type(result).__name__ for result in results) == ["AlreadyRunning", "Run"]
    assert Run.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_of_two_exports_of_one_name_made_at_once_one_wins(alice: User, settings) -> None:
    settings.EXPORT_UNIQUE_NAMES = True
    results = both(lambda: make(alice, name="press"), lambda: make(alice, name="press"))
    assert sorted(type(result).__name__ for result in results) == ["Export", "ExportNameTaken"]
    assert Export.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_of_two_updates_to_one_version_at_once_one_wins(alice: User) -> None:
    export = make(alice)

    def update() -> Export:
        return exports.export_update(export=export, user=alice, changes={"name": "x"}, version=2)

    results = both(update, update)
    assert sorted(type(result).__name__ for result in results) == ["Export", "VersionMismatch"]
    export.refresh_from_db()
    assert export.version == 2
    assert Event.objects.filter(type="EXPORT_UPDATE").count() == 1


def test_an_update_takes_the_run_on_offer_away(alice: User) -> None:
    export = make(alice)
    run = exports.export_start(export=export)
    lifecycle.publish(lifecycle.claim(run_id=run.pk), warnings=[], missing=0)
    export.refresh_from_db()
    assert export.published_run == run
    updated = exports.export_update(export=export, user=alice, changes={})
    assert updated.published_run is None
    assert updated.current_run is None


def test_a_run_that_was_purged_is_never_published(alice: User) -> None:
    """The worker may have been told too late: its publication finds that the export has moved on."""
    export = make(alice)
    run = lifecycle.claim(run_id=exports.export_start(export=export).pk)
    exports.export_update(export=export, user=alice, changes={})
    lifecycle.publish(run, warnings=[], missing=0)
    export.refresh_from_db()
    assert export.published_run is None


@pytest.mark.django_db(transaction=True)
def test_updates_and_publications_do_not_lock_each_other_out(alice: User) -> None:
    """Both touch the run and the export; in two orders this would be a deadlock."""
    for _ in range(20):
        export = make(alice)
        run = lifecycle.claim(run_id=exports.export_start(export=export).pk)
        results = both(
            lambda run=run: lifecycle.publish(run, warnings=[], missing=0),
            lambda export=export: exports.export_update(export=export, user=alice, changes={}),
        )
        assert [type(result) for result in results] == [type(None), Export]
        export.refresh_from_db()
        assert export.published_run is None


@pytest.mark.django_db(transaction=True)
def test_a_start_after_an_update_waits_for_the_purged_run_to_end(alice: User) -> None:
    export = make(alice)
    purged = lifecycle.claim(run_id=exports.export_start(export=export).pk)
    exports.export_update(export=export, user=alice, changes={})

    def worker() -> None:
        with pytest.raises(RunStopped):
            lifecycle.heartbeat(purged)
        lifecycle.run_end_stopped(purged)

    _, run = both(worker, lambda: exports.export_start(export=export))
    assert isinstance(run, Run), run
    assert run.pk != purged.pk


@pytest.mark.django_db(transaction=True)
def test_stop_returns_when_the_worker_has_ended_the_run(alice: User) -> None:
    """`spec/v1.md §5.7`: waits up to 4 seconds."""
    export = make(alice)
    run = lifecycle.claim(run_id=exports.export_start(export=export).pk)

    def worker() -> None:
        while True:
            try:
                lifecycle.heartbeat(run)
            except RunStopped:
                lifecycle.run_end_stopped(run)
                return

    both(worker, lambda: exports.export_stop(export=export))
    run.refresh_from_db()
    assert run.state == RunState.STOPPED


def test_stop_does_not_wait_for_ever(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "STOP_PATIENCE", 0.2)
    export = make(alice)
    run = lifecycle.claim(run_id=exports.export_start(export=export).pk)
    exports.export_stop(export=export)
    run.refresh_from_db()
    assert run.state == RunState.PROCESSING
    assert run.stop_requested


def test_stop_of_nothing_is_an_error(alice: User) -> None:
    with pytest.raises(ExportNotRunning):
        exports.export_stop(export=make(alice))


def test_the_worker_of_a_deleted_export_finds_its_lease_gone(alice: User) -> None:
    export = make(alice)
    run = lifecycle.claim(run_id=exports.export_start(export=export).pk)
    exports.export_delete(export=export)
    with pytest.raises(LeaseLost):
        lifecycle.heartbeat(run)
    assert not Run.objects.exists()


def test_whatever_is_done_to_an_export_that_is_gone_says_so(alice: User) -> None:
    export = make(alice)
    Export.objects.all().delete()
    for verb in (
        lambda: exports.export_start(export=export),
        lambda: exports.export_stop(export=export),
        lambda: exports.export_delete(export=export),
        lambda: exports.export_update(export=export, user=alice, changes={}),
    ):
        with pytest.raises(ExportNotFound):
            verb()


def test_what_is_refused_changes_nothing(alice: User, bob: User, settings) -> None:
    settings.EXPORT_UNIQUE_NAMES = True
    make(alice, name="taken")
    export = make(alice, name="mine", transports=[download("zip")])
    exports.export_start(export=export)
    before = Export.objects.filter(pk=export.pk).values().get()
    for error, changes, version in (
        (VersionMismatch, {"name": "x"}, 7),
        (ExportNameTaken, {"definition": {"json": True}, "name": "taken", "transports": []}, None),
        (DefinitionRefused, {"cells": ["absent"], "transports": []}, None),
        (ExportNameRequired, {"name": "", "schedules": [{}], "transports": []}, None),
    ):
        with pytest.raises(error):
            exports.export_update(export=export, user=alice, changes=changes, version=version)
    assert Export.objects.filter(pk=export.pk).values().get() == before
    assert export.transports.count() == 1
    assert Run.objects.get().state == RunState.PENDING
    with pytest.raises(AlreadyRunning):
        exports.export_start(export=export)
