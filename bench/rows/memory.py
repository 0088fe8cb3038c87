"""Peak memory of a real Celery worker process that exports much."""

import time

from bench.bench import Bench, run_order
from bench.filling import cell_of_bytes, cell_of_many
from bench.measure import children, peak_memory
from bench.table import Result, Target
from cells.models import Blob, Cell
from exports.models import Run
from exports.services import lifecycle
from exports.states import ACTIVE, RunState
from exportsite.management.commands.up import worker_arguments

PATIENCE = 900.0


def many_bytes(bench: Bench) -> list[Result]:
    bench.sealed("L")
    blobs = list(Blob.objects.filter(size__gte=20_000_000))
    size = bench.scale.watched
    with_bytes = cell_of_bytes("bytes", size, blobs)
    return _worker(bench, with_bytes, f"worker that exports {size / 1e9:g} GB", 200)


def many_entries(bench: Bench) -> list[Result]:
    count = bench.scale.entries
    with bench.system.fresh():
        return _worker(bench, cell_of_many("many", count), f"worker that exports {count:,} entries", 400)


def _worker(bench: Bench, cell: Cell, what: str, limit: float) -> list[Result]:
    """The same worker first exports one small cell, so that it is not idle memory that is compared."""
    tiny = cell_of_many(f"{cell.name}-tiny", 10)
    with bench.system.process("worker", "-m", "celery", *worker_arguments(1)) as child:
        _exported(tiny)
        idle = max(map(peak_memory, children(child.pid)))
        _exported(cell)
        peak = max(map(peak_memory, children(child.pid)))
    note = f"peak resident; {idle:.0f} after a tiny one"
    return [Result(what, peak, unit="MB", target=Target("most", limit), note=note)]


def _exported(cell: Cell) -> None:
    run = lifecycle.run_create(export=None, owner=cell.owner, order=run_order([cell], packers=("zip",)))
    until = time.monotonic() + PATIENCE
    while Run.objects.filter(pk=run.pk, state__in=ACTIVE).exists():
        if time.monotonic() > until:
            raise TimeoutError(f"the worker has not finished run {run.pk}")
        time.sleep(0.1)
    run.refresh_from_db()
    if run.state != RunState.DONE:
        raise RuntimeError(f"the run ended {run.state}: {run.error}")
