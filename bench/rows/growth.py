"""Does twice as much take twice as long?"""

from bench.bench import Bench, run_done
from bench.filling import cell_of_many
from bench.measure import in_turn, timed
from bench.table import Result, Target
from exports.services import planning


def growth(bench: Bench) -> list[Result]:
    """Time per entry, and the largest archive's against the best of the smaller ones."""
    results: list[Result] = []
    per_entry: list[float] = []
    frozen: list[float] = []
    with bench.system.fresh():
        for count in bench.scale.growth:
            cell = cell_of_many(f"many-{count}", count)
            made = []
            begun = timed(lambda cell=cell, made=made: made.append(run_done([cell]))).seconds
            plan = planning.volume_only(made[0], "zip")
            engine = in_turn(bench.scale.rounds, {"engine": lambda made=made, plan=plan: bench.engine(made[0], plan)})
            per_entry.append(engine["engine"].seconds / count * 1e6)
            frozen.append(begun / count * 1e6)
            results.append(Result(f"engine, ZIP of {count:,} entries", per_entry[-1], unit="µs an entry"))
            results.append(
                Result(f"freeze, manifest and proof of {count:,} entries", frozen[-1], unit="µs an entry", note="once")
            )
    for what, figures in (("engine", per_entry), ("freeze, manifest and proof", frozen)):
        results.append(
            Result(
                f"{what}: the largest ÷ the best of the smaller",
                figures[-1] / min(figures[:-1]),
                unit="×",
                target=Target("most", 1.2),
            )
        )
    return results
