"""Archives computed while they are sent, over loopback, to a client that throws them away."""

import statistics

from bench.bench import Bench
from bench.filling import cell_of_many
from bench.measure import Trial, in_turn
from bench.table import Result, Target
from bench.web import published, web
from cells.models import Cell

RANGES = 50


def download(bench: Bench) -> list[Result]:
    results: list[Result] = []
    for corpus in ("L", "S"):
        bench.sealed(corpus)
        path, length = published(Cell.objects.get(name=corpus.lower()))
        with web(bench.system) as server:
            server.get(path, length, 1)  # a first request, which loads modules
            idle = server.memory()
            series = in_turn(bench.scale.rounds, {f"ZIP of {corpus}": lambda s=server, p=path: _whole(s, p)})
            seconds = series[f"ZIP of {corpus}"].seconds
            what, note = f"ZIP of {corpus}, {length / 1e6:.0f} MB", "one web process"
            speed = length / 1e6 / seconds
            results.append(Result(what, speed, unit="MB/s", target=Target("least", 400), note=note))
            peak = server.memory()
        results.append(
            Result(f"web process after {what}", peak, unit="MB", note=f"peak resident; {idle:.0f} before, flat wanted")
        )
    return results


def _whole(server: object, path: str) -> Trial:
    return Trial(server.get(path)["seconds"])


def ranges(bench: Bench) -> list[Result]:
    count = bench.scale.entries
    with bench.system.fresh():
        path, length = published(cell_of_many("many", count))
        with web(bench.system) as server:
            server.get(path, length, 1)
            found = [ms for _ in range(bench.scale.rounds) for ms in server.get(path, length, RANGES)]
    what, target = f"first byte of {len(found)} random ranges, {count:,} entries", Target("most", 50)
    return [
        Result(what, max(found), unit="ms", target=target, note="slowest"),
        Result(what, statistics.median(found), unit="ms", note="median"),
    ]
