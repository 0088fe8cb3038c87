"""Volumes of one run written by several workers: each once, and the run waits for all (design §4.8)."""

import os
import zipfile
from datetime import timedelta
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from cells.models import Cell
from exports.models import Run, Volume
from exports.services import lifecycle, running, store, writing
from exports.states import RunState
from tests.factories import make_cell, put_files

pytestmark = pytest.mark.django_db(transaction=True)

FILES = {f"part {number}.bin": os.urandom(7_000_000) for number in range(4)}


@pytest.fixture
def wide(alice: User) -> Cell:
    cell = make_cell(alice, "wide")
    put_files(cell, FILES)
    return cell


def start(owner: User) -> Run:
    return lifecycle.run_create(export=None, owner=owner, order={"packers": ["zip_10mb"]}, nudge=False)


def names_in(run: Run) -> list[list[str]]:
    found = []
    for volume in run.volumes.filter(packer="zip_10mb").order_by("number"):
        with zipfile.ZipFile(store.volume_path(volume)) as archive:
            assert archive.testzip() is None
            found.append(archive.namelist())
    return found


EXPECTED = [[name, "manifest.json"] for name in FILES]


def test_a_helper_takes_volumes_off_the_runs_worker(wide: Cell, alice: User) -> None:
    run = start(alice)
    helped = []

    def help_once(phase: str, done: int, planned: int) -> None:
        if phase == "write" and not helped:
            helped.append(True)
            writing.volumes_help(run_id=run.pk)
            assert not Volume.objects.filter(run=run, stored=True, written_at=None).exists()

    done = running.run_export(run_id=run.pk, watch=help_once)
    assert helped and done is not None and done.state == RunState.DONE
    assert names_in(done) == EXPECTED


def test_a_volume_in_dead_hands_is_taken_when_its_claim_is_older_than_the_lease(
    wide: Cell, alice: User, settings
) -> None:
    run = start(alice)

    def claim_as_the_dead_do(phase: str, done: int, planned: int) -> None:
        if phase == "write" and not Volume.objects.filter(run=run, claimed_at__isnull=False).exists():
            volume = writing.volume_claim(run)
            assert volume is not None
            long_ago = timezone.now() - settings.EXPORT_LEASE - timedelta(seconds=1)
            Volume.objects.filter(pk=volume.pk).update(claimed_at=long_ago)

    done = running.run_export(run_id=run.pk, watch=claim_as_the_dead_do)
    assert done is not None and done.state == RunState.DONE
    assert names_in(done) == EXPECTED


def test_nobody_helps_a_run_that_is_over(wide: Cell, alice: User) -> None:
    run = start(alice)
    done = running.run_export(run_id=run.pk)
    assert done is not None
    Volume.objects.filter(run=run, stored=True).update(written_at=None, claimed_at=None)
    before = sorted(path.stat().st_mtime_ns for path in Path(store.folder("volumes")).rglob("*.zip"))
    writing.volumes_help(run_id=run.pk)
    assert sorted(path.stat().st_mtime_ns for path in Path(store.folder("volumes")).rglob("*.zip")) == before
