"""Does twice as much take twice as long?"""

from collections.abc import Callable
from functools import partial

from bench.bench import Bench, run_done
from bench.filling import cell_of_many
from bench.measure import Trial, in_turn, timed
from bench.table import Result, Target
from exports.models import Run
from exports.services import planning


def growth(bench: Bench) -> list[Result]:
    """Time per entry, and the largest archive's against the best of the smaller ones."""
    engines: dict[str, Callable[[], Trial]] = {}
    frozen: list[float] = []
    with bench.system.fresh():
        for count in bench.scale.growth:
            made: list[Run] = []
            cell = cell_of_many(f"many-{count}", count)
            frozen.append(timed(lambda cell=cell, made=made: made.append(run_done([cell]))).seconds / count * 1e6)
            engines[f"{count:,}"] = partial(bench.engine, made[0], planning.volume_only(made[0], "zip"))
        series = in_turn(bench.scale.rounds, engines)
    counts = zip(engines, bench.scale.growth, strict=True)
    figures = [series[name].seconds / count * 1e6 for name, count in counts]
    results = [
        Result(f"engine, ZIP of {name} entries", figure, unit="µs an entry")
        for name, figure in zip(engines, figures, strict=True)
    ]
    results += [
        Result(f"freeze, manifest and proof of {name} entries", figure, unit="µs an entry", note="once")
        for name, figure in zip(engines, frozen, strict=True)
    ]
    worst = figures[-1] / min(figures[:-1])
    what = "engine: the largest ÷ the best of the smaller"
    return [*results, Result(what, worst, unit="×", target=Target("most", 1.2))]
