"""Our extensions of §9: one transport alone delivers again, or is tested."""

from pathlib import Path
from uuid import uuid4

import pytest
from django.core.cache import cache

from cells.models import Cell
from exports.models import Delivery, Event, Run
from exports.services import delivery, retention
from tests.clients import V1
from tests.spec.v1.asking import answer, created, id_of, refused, run

pytestmark = pytest.mark.django_db(transaction=True)

#: No server listens there, and users may not reach it.
FORBIDDEN = {"type": "ftp", "packer": "zip", "options": {"server": "127.0.0.1", "login": "a", "password": "hunter2"}}


@pytest.fixture
def folder(settings, tmp_path: Path) -> Path:
    folder = tmp_path / "allowed"
    folder.mkdir()
    settings.EXPORT_LOCAL_FOLDERS = [folder]
    return folder


def to(folder: Path) -> dict[str, object]:
    return {"type": "rsync", "packer": "zip", "options": {"destination": str(folder)}}


def call(export: dict, position: int, verb: str) -> str:
    return f"export/{id_of(export)}/transport/{export['_transports'][position]['uuid']}/{verb}"


@pytest.fixture
def half(as_alice: V1, cell: Cell, folder: Path) -> dict:
    """An export whose first transport has failed and whose second has delivered."""
    export = run(as_alice, created(as_alice, name="press", _transports=[FORBIDDEN, to(folder)]))
    for row in Delivery.objects.all():
        delivery.deliver(delivery_id=row.pk)
    return answer(as_alice.get(f"export/{id_of(export)}"))


def states(export: dict) -> list[str]:
    return [transport["_state"] for transport in export["_transports"]]


def test_a_failed_delivery_is_tried_again_alone(as_alice: V1, half: dict, settings) -> None:
    """Issue 3, point 5: "a failed transport … can be retried alone"."""
    assert states(half) == ["failed", "done"]
    again = answer(as_alice.post(call(half, 0, "retry")))
    assert (states(again), again["_state"]) == (["pending", "done"], "done_with_warnings")
    first, second = Delivery.objects.order_by("position")
    assert (first.attempts, second.attempts) == (0, 1)
    assert Run.objects.count() == 1, "nothing is run again"


def test_only_what_has_failed_is_tried_again(as_alice: V1, half: dict) -> None:
    before = list(Delivery.objects.values())
    refused(as_alice.post(call(half, 1, "retry")), 400, "error.api.generic")
    fresh = created(as_alice, name="other", _transports=[FORBIDDEN])
    told = refused(as_alice.post(call(fresh, 0, "retry")), 400, "error.api.generic")
    assert "new" in told["description"]
    assert list(Delivery.objects.values()) == before


def test_what_has_expired_is_not_delivered_again(as_alice: V1, half: dict) -> None:
    retention.run_expire(Run.objects.get())
    before = list(Delivery.objects.values())
    refused(as_alice.post(call(half, 0, "retry")), 400, "error.api.generic")
    assert list(Delivery.objects.values()) == before


def test_a_test_file_is_written_read_and_deleted(as_alice: V1, folder: Path) -> None:
    """Issue 3, point 5: "Send a test file now"."""
    export = created(as_alice, name="press", _transports=[to(folder)])
    assert "read back" in answer(as_alice.post(call(export, 0, "test")))["_transport_log"]
    assert list(folder.iterdir()) == []
    assert not Delivery.objects.exists() and not Run.objects.exists()


def test_a_test_that_fails_says_why_and_no_password(as_alice: V1, half: dict) -> None:
    before = (list(Delivery.objects.values()), Event.objects.count())
    told = refused(as_alice.post(call(half, 0, "test")), 400, "error.api.generic")
    assert "not for users to reach" in told["description"] and "hunter2" not in str(told)
    assert (list(Delivery.objects.values()), Event.objects.count()) == before


def test_what_nobody_foresaw_is_told_without_what_the_other_side_was_told(as_alice: V1, folder, monkeypatch) -> None:
    export = created(as_alice, name="press", _transports=[to(folder)])

    def broken(*_: object) -> None:
        raise RuntimeError("password hunter2")

    monkeypatch.setattr("exports.transports.rsync.RsyncCarrier.canary", broken)
    for _ in range(2):  # the first one gives the place free
        told = refused(as_alice.post(call(export, 0, "test")), 400, "error.api.generic")
        assert told["description"] == "Internal error."


def test_one_test_at_a_time(as_alice: V1, as_bob: V1, alice, folder: Path) -> None:
    """A test holds a thread of the server as long as the other side likes."""
    export = created(as_alice, name="press", _transports=[to(folder)])
    cache.set(f"transport-test:{alice.pk}", 1)
    told = refused(as_alice.post(call(export, 0, "test")), 400, "error.api.generic")
    assert "running already" in told["description"] and list(folder.iterdir()) == []
    other = created(as_bob, name="press", _transports=[to(folder)])
    answer(as_bob.post(call(other, 0, "test")))


@pytest.mark.parametrize("verb", ["retry", "test"])
def test_an_unknown_transport_and_one_of_another_export(as_alice: V1, half: dict, verb: str) -> None:
    other = created(as_alice, name="other")
    for uuid in (str(uuid4()), half["_transports"][0]["uuid"]):
        path = f"export/{id_of(other)}/transport/{uuid}/{verb}"
        refused(as_alice.post(path), 404, "error.user.transport_not_found", id=uuid)
    refused(as_alice.post(f"export/{id_of(half)}/transport/1/{verb}"), 400, "error.api.type_mismatch")
    assert Delivery.objects.filter(state="failed").count() == 1


@pytest.mark.parametrize("verb", ["retry", "test"])
def test_a_stranger_is_told_of_no_export_and_root_may(as_bob: V1, as_nobody: V1, as_root: V1, half, verb: str) -> None:
    """C5, §2.8."""
    before = list(Delivery.objects.values())
    refused(as_bob.post(call(half, 0, verb)), 404, "error.user.export_not_found", id=str(id_of(half)))
    refused(as_nobody.post(call(half, 0, verb)), 403, "error.user.not_authenticated")
    assert list(Delivery.objects.values()) == before
    if verb == "retry":
        assert states(answer(as_root.post(call(half, 0, verb))))[0] == "pending"
