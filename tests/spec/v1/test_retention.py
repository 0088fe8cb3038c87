"""An archive that somebody is fetching does not expire (issue 3, point 7; `spec/v1.md §6.2`)."""

from datetime import timedelta

import pytest
from django.utils import timezone

from cells.models import Cell
from exports.models import Run
from exports.services import retention
from tests.clients import V1
from tests.factories import put_files
from tests.spec.v1.asking import answer, created, run
from tests.spec.v1.packed import path_to, unzipped, url

pytestmark = pytest.mark.django_db(transaction=True)

LARGE = bytes(range(256)) * 8000


@pytest.mark.parametrize("packer", [None, "zip"], ids=["computed", "stored"])
def test_a_running_download_is_not_cut_off(as_alice: V1, as_nobody: V1, cell: Cell, packer: str | None) -> None:
    """§6.2: `done` | janitor | `expired` | "files deleted, `_files` empty": after the reader has gone."""
    put_files(cell, {"large.bin": LARGE})
    transports = [{"type": "download", "packer": packer}] if packer else []
    export = run(as_alice, created(as_alice, name="press", _transports=transports))
    response = as_nobody.get(url(export, ".zip"))
    pieces = iter(response.streaming_content)
    first = next(pieces)
    Run.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert retention.expire() == 0
    assert answer(as_alice.get(path_to(export)))["_state"] == "done"
    whole = first + b"".join(pieces)
    assert len(whole) == int(response.headers["Content-Length"]) and unzipped(whole)["large.bin"] == LARGE
    assert retention.expire(now=timezone.now() + retention.READ_GRACE + timedelta(seconds=1)) == 1
    expired = answer(as_alice.get(path_to(export)))
    assert (expired["_state"], expired["_files"]) == ("expired", [])
    assert as_nobody.get(url(export, ".zip")).status_code == 400


def test_a_download_that_a_proxy_sends_is_one_too(as_alice: V1, as_nobody: V1, cell: Cell, settings) -> None:
    """The proxy has the file open; whoever goes on with a range asks us again."""
    settings.ACCEL_REDIRECT = "/stored/"
    export = run(as_alice, created(as_alice, name="press", _transports=[{"type": "download", "packer": "zip"}]))
    assert Run.objects.get().last_read_at is None
    assert "X-Accel-Redirect" in as_nobody.get(url(export, ".zip"), HTTP_RANGE="bytes=100-").headers
    Run.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert retention.expire() == 0
    assert retention.expire(now=timezone.now() + retention.READ_GRACE + timedelta(seconds=1)) == 1
