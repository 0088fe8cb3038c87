"""What the rows share: corpora, cells filled with them, runs, a place for archives."""

import contextlib
import functools
import io
from collections.abc import Iterator
from pathlib import Path

from django.contrib.auth.models import User
from django.core.management import call_command

from bench.corpora import corpus, warm
from bench.measure import Trial, timed_output
from bench.scale import Scale
from bench.system import System
from cells.models import Cell
from exports.engine import volumes
from exports.engine.plan import VolumePlan
from exports.models import Export, Run
from exports.services import lifecycle, planning, retention, running
from exports.states import RunState


class Bench:
    """One call of the bench."""

    def __init__(self, system: System, scale: Scale, cache: Path) -> None:
        self.system, self.scale = system, scale
        self._cache = cache
        self._sealed: dict[str, Run] = {}
        self.out = system.data / "out"
        self.out.mkdir()

    @functools.cache  # noqa: B019
    def corpus(self, name: str) -> Path:
        """The folder of corpus S, L, T or M, in the page cache."""
        folder = corpus(self._cache, name, self.scale)
        warm(folder)
        return folder

    def sealed(self, name: str) -> Run:
        """A finished run, without stored volumes, of a cell that holds corpus `name`; made once."""
        if name not in self._sealed:
            cell = cell_create(name.lower())
            cell_load(cell, self.corpus(name))
            self._sealed[name] = run_done([cell])
        return self._sealed[name]

    @contextlib.contextmanager
    def shared(self) -> Iterator[None]:
        """The database and the store of `sealed`."""
        with self.system.fresh():
            yield
            self._sealed.clear()

    def engine(self, run: Run, plan: VolumePlan, what: str = "ours") -> Trial:
        """From sealed plan to finished, verified volume on local disk."""
        source = planning.run_source(run)
        return timed_output(lambda out: volumes.write(plan, source, str(out)), self.out / what)


def cell_create(name: str) -> Cell:
    return Cell.objects.create(name=name, owner=User.objects.get(username="bench"))


def cell_load(cell: Cell, folder: Path) -> None:
    """Through the door that everybody's data comes in."""
    call_command("cell_load", cell.name, str(folder), stdout=io.StringIO(), stderr=io.StringIO())


def run_order(cells: list[Cell], *, packers: tuple[str, ...] = (), documents: str = "") -> dict[str, object]:
    definition = {"documents": documents} if documents else {}
    return {"cells": [cell.name for cell in cells], "definition": definition, "name": "bench", "packers": list(packers)}


def run_done(
    cells: list[Cell], *, packers: tuple[str, ...] = (), documents: str = "", export: Export | None = None
) -> Run:
    """Everything that an export is, in this process; raises unless it ends in `done`."""
    order = run_order(cells, packers=packers, documents=documents)
    run = lifecycle.run_create(export=export, owner=cells[0].owner, order=order, nudge=False)
    finished = running.run_export(run_id=run.pk)
    if finished is None or finished.state != RunState.DONE:
        raise RuntimeError(f"the run ended {finished and finished.state}: {finished and finished.error}")
    return finished


def run_remove(run: Run) -> None:
    retention.run_expire(run)
