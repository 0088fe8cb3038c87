"""Results: one line for each comparison, as a table for people and JSON for programs."""

import json
import os
import platform
import subprocess
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from bench.measure import Series


class Target(NamedTuple):
    """`faster`: at least so many times as fast as the peer. `within`: at most so many times as long as the peer.
    `least`, `most`: bounds of our figure itself."""

    kind: str
    value: float

    def text(self, unit: str) -> str:
        sign = "≤" if self.kind in ("within", "most") else "≥"
        return f"{sign} {self.value:g}" + ("×" if self.kind in ("faster", "within") else f" {unit}")


@dataclass
class Result:
    """One comparison. `theirs` None: the peer is `skipped` (with the reason), or there is none."""

    what: str
    ours: float | None
    peer: str = ""
    theirs: float | None = None
    unit: str = "s"
    target: Target | None = None
    skipped: str = ""
    note: str = ""
    #: With the peer's output brought to disk, as ours is.
    theirs_synced: float | None = None
    samples: dict[str, list[float]] = field(default_factory=dict)
    row: str = ""
    at: str = ""
    commit: str = ""

    @property
    def ratio(self) -> float | None:
        if not self.ours or not self.theirs:
            return None
        return self.ours / self.theirs if self.target and self.target.kind == "within" else self.theirs / self.ours

    @property
    def reached(self) -> bool | None:
        """None where nothing was measured or asked for."""
        if self.target is None or self.skipped:
            return None
        figure = self.ours if self.target.kind in ("least", "most") else self.ratio
        if figure is None:
            return None
        return figure <= self.target.value if self.target.kind in ("within", "most") else figure >= self.target.value


def versus(what: str, ours: Series, peer: str, theirs: Series, target: Target | None = None, **more: object) -> Result:
    return Result(
        what,
        ours.seconds,
        peer,
        theirs.seconds,
        target=target,
        theirs_synced=theirs.synced,
        samples={"ours": [t.seconds for t in ours.trials], "theirs": [t.seconds for t in theirs.trials]},
        **more,
    )


HEAD = ("row", "what", "ours", "peer", "theirs", "ratio", "target", "reached")


def table(results: list[Result]) -> str:
    lines = [HEAD, *map(_cells, results)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEAD))]
    text = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    text.insert(1, "  ".join("─" * width for width in widths))
    return "\n".join(text)


def _cells(result: Result) -> tuple[str, ...]:
    way = "as long" if result.target and result.target.kind == "within" else "as fast"
    return (
        result.row,
        result.what + (f" ({result.note})" if result.note else ""),
        _figure(result.ours, result.unit),
        result.peer,
        f"skipped: {result.skipped}" if result.skipped else _figure(result.theirs, result.unit),
        "" if result.ratio is None else f"{result.ratio:.3g}× {way}",
        result.target.text(result.unit) if result.target else "",
        {None: "", True: "yes", False: "NO"}[result.reached],
    )


def _figure(value: float | None, unit: str) -> str:
    if value is None:
        return ""
    return f"{value:.3f} {unit}" if unit == "s" else f"{value:.4g} {unit}"


def keep(path: Path, scale: str, results: list[Result]) -> list[Result]:
    """Write JSON; rows measured earlier and not now stay in it. Gives all rows."""
    now, commit = datetime.now(UTC).isoformat(timespec="seconds"), _commit()
    for result in results:
        result.at, result.commit = now, commit
    measured = {result.row for result in results}
    older = [result for result in load(path) if result.row not in measured]
    everything = {
        "size": scale,
        "machine": {"cpus": os.cpu_count(), "system": platform.platform(), "python": platform.python_version()},
        "results": [asdict(r) | {"ratio": r.ratio, "reached": r.reached} for r in [*older, *results]],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(everything, indent=1, ensure_ascii=False))
    return [*older, *results]


def load(path: Path) -> list[Result]:
    if not path.exists():
        return []
    found = []
    for kept in json.loads(path.read_text())["results"]:
        target = Target(*kept.pop("target")) if kept["target"] else None
        kept.pop("ratio"), kept.pop("reached")
        found.append(Result(target=target, **{k: v for k, v in kept.items() if k != "target"}))
    return found


def _commit() -> str:
    argv = ["git", "describe", "--always", "--dirty"]
    done = subprocess.run(argv, cwd=Path(__file__).parent, capture_output=True, text=True)
    return done.stdout.strip()
