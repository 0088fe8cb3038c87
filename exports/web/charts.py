"""Small pictures as numbers for an SVG; templates draw them. No inline style: the policy forbids it."""

from collections.abc import Sequence
from typing import NamedTuple

from exports.models import Run
from exports.states import RunState

WIDTH, HEIGHT = 600, 120


class Bar(NamedTuple):
    x: float
    width: float
    height: float
    y: float
    run: Run
    failed: bool


class Chart(NamedTuple):
    bars: list[Bar]
    #: Of a polyline, "x,y x,y …": how long each took.
    line: str
    dots: list[tuple[float, float]]
    largest: int
    longest: float


def runs_chart(runs: Sequence[Run]) -> Chart | None:
    """Sizes as bars, durations as a line, oldest first. None with fewer than two runs to compare."""
    ended = [run for run in runs if run.finished_at and run.started_at]
    if len(ended) < 2:
        return None
    sizes = [run.entry_bytes or 0 for run in ended]
    seconds = [(run.finished_at - run.started_at).total_seconds() for run in ended]
    largest, longest = max(sizes) or 1, max(seconds) or 1.0
    step = WIDTH / max(len(ended), 8)
    bars, dots = [], []
    for place, run in enumerate(ended):
        failed = run.state in (RunState.FAILED, RunState.STOPPED)
        height = round(max(2.0, sizes[place] / largest * (HEIGHT - 10)), 1)
        bars.append(Bar(round(place * step + 2, 1), round(step - 4, 1), height, HEIGHT - height, run, failed))
        dots.append((round(place * step + step / 2, 1), round(HEIGHT - seconds[place] / longest * (HEIGHT - 10), 1)))
    return Chart(bars, " ".join(f"{x},{y}" for x, y in dots), dots, largest, longest)
