"""kill -9 of the only worker in mid-export, seen in the browser: the page says so, and sees the end all the same."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import expect

from cells.models import Cell
from exports.models import Run
from exports.services import exports as services
from exports.services import overview
from exports.states import ACTIVE, RunState
from tests.journey.test_kill import large_cell, wait
from tests.journey.workers import Worker

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]
__all__ = ["large_cell"]


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_page_tells_of_a_killed_worker_and_of_the_end(
    people, alice: User, large_cell: Cell, process_env: dict[str, str], tmp_path: Path
) -> None:
    given = {"cells": None, "definition": {"search": {}}, "transports": [], "schedules": []}
    export = services.export_create(owner=alice, type="export", name="large", **given)
    page = people().sign_in(alice).go(f"/web/exports/{export.pk}/")
    live = page.locator("#live")
    with Worker(process_env, tmp_path / "first.log", heartbeat=True) as worker:
        until(overview.worker_alive)
        page.get_by_role("button", name="Start", exact=True).click()
        until(Run.objects.exists)
        run = wait(Run.objects.get(), lambda run: bool(run.phase) or run.state not in ACTIVE)
        worker.kill()
    run.refresh_from_db()
    assert run.state == RunState.PROCESSING, "the kill came too late: the cell is too small for this machine"
    expect(live).to_contain_text("running")
    expect(live).to_contain_text("No worker is alive", timeout=60_000)

    with Worker(process_env, tmp_path / "second.log", heartbeat=True):
        wait(run, lambda run: run.state not in ACTIVE, poke=True)
    assert (run.state, run.fence) == (RunState.DONE, 2)
    expect(page.get_by_role("link", name="large.zip")).to_be_visible()
    expect(page.get_by_text("Its worker was lost")).to_be_visible()
    assert not page.locator("#live[hx-get]").count()
