"""Content coming in: everything that is done once so that exports need not do it."""

from bench import peers
from bench.bench import Bench, cell_create, cell_load, run_done
from bench.measure import Trial, in_turn, timed, timed_output
from bench.table import Result, Target, versus


def ingest_s(bench: Bench) -> list[Result]:
    return _ingest(bench, "S", 3)


def ingest_t(bench: Bench) -> list[Result]:
    return _ingest(bench, "T", 10)


def _ingest(bench: Bench, corpus: str, times: float) -> list[Result]:
    folder, zipped = bench.corpus(corpus), peers.ZIPFILE_6
    both: list[Trial] = []

    def load() -> Trial:
        with bench.system.fresh():
            cell = cell_create(corpus.lower())
            trial = timed(lambda: cell_load(cell, folder))
            both.append(Trial(trial.seconds + timed(lambda: run_done([cell], packers=("zip",))).seconds))
        return trial

    series = in_turn(
        bench.scale.rounds,
        {
            "ours": load,
            zipped.name: lambda: timed_output(lambda out: zipped.work(folder, out), bench.out / "theirs.zip"),
        },
    )
    first = sorted(trial.seconds for trial in both)[len(both) // 2]
    go = peers.GO_ZIP
    return [
        versus(f"cell_load of {corpus}", series["ours"], zipped.name, series[zipped.name], Target("faster", times)),
        Result(
            f"cell_load of {corpus} and first run", first, go.name, target=Target("faster", 1), skipped=go.missing()
        ),
    ]
