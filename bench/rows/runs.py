"""Whole runs: freeze, manifest and volume, from start to `done`."""

from collections.abc import Callable

from bench import peers
from bench.bench import Bench, cell_create, cell_load, run_done, run_remove
from bench.measure import Series, Trial, bytes_read, in_turn, timed, timed_output
from bench.table import Result, Target, versus
from cells.models import Cell
from exports.services import planning

PACKERS = ("zip",)


def run_s(bench: Bench) -> list[Result]:
    folder, sealed = bench.corpus("S"), bench.sealed("S")
    plan, cell = planning.volume_only(sealed, "zip"), Cell.objects.get(name="s")
    zipped = peers.ZIPFILE_6
    series = in_turn(
        bench.scale.rounds,
        {
            "run": lambda: _run(cell),
            "engine": lambda: bench.engine(sealed, plan),
            zipped.name: lambda: timed_output(lambda out: zipped.work(folder, out), bench.out / "theirs.zip"),
        },
    )
    what = "run of S with a stored ZIP"
    return [
        versus(what, series["run"], "its engine time", series["engine"], Target("within", 3)),
        versus(what, series["run"], zipped.name, series[zipped.name], Target("faster", 4)),
    ]


def _run(cell: Cell) -> Trial:
    done = []
    trial = timed(lambda: done.append(run_done([cell], packers=PACKERS)))
    run_remove(done[0])
    return trial


def second_run(bench: Bench) -> list[Result]:
    """The first and the second run of the same cell, newly loaded in each round."""
    folder = bench.corpus("S")
    first: list[Trial] = []
    second: list[Trial] = []
    read: list[float] = []

    def both() -> Trial:
        with bench.system.fresh():
            cell = cell_create("s")
            cell_load(cell, folder)
            first.append(timed(lambda: run_done([cell], packers=PACKERS)))
            again = _reading(lambda: run_done([cell], packers=PACKERS))
            second.append(again[0])
            read.append(again[1])
        return second[-1]

    in_turn(bench.scale.rounds, {"first and second run": both})
    target = Target("within", 1)
    return [
        versus("second run of S, unchanged", Series(second), "the first", Series(first), target),
        Result(
            "bytes read from files ÷ bytes of the archive", sorted(read)[len(read) // 2], unit="×",
            target=Target("most", 1.2), note="each blob once is 1",
        ),
    ]  # fmt: skip


def _reading(work: Callable) -> tuple[Trial, float]:
    before, made = bytes_read(), []
    trial = timed(lambda: made.append(work()))
    return trial, (bytes_read() - before) / made[0].volumes.get(packer="zip").length
