"""`python -m bench [ROW …] [--size small|full]`: measures, prints a table, keeps JSON."""

import argparse
import os
import signal
import sys
import time
import traceback
from dataclasses import replace
from pathlib import Path

from bench import rows, table
from bench.scale import SCALES
from bench.system import ROOT, System

FOOT = """
Medians of {rounds}, contestants in turn, page cache warm. Ours ends with fsync and has checked every stored byte; the
peers' times are without fsync (with it: in the JSON file). Targets are meant for BENCH=full.
"""


def main() -> int:
    arguments = _arguments()
    if arguments.list:
        width = max(map(len, rows.ROWS))
        print("\n".join(f"{name.ljust(width)}  {what}" for name, (what, _) in rows.ROWS.items()))
        return 0
    scale, kept = SCALES[arguments.size], arguments.cache / f"result-{arguments.size}.json"
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("Ended."))
    if arguments.rounds:
        scale = replace(scale, rounds=arguments.rounds)
    failed: list[str] = []
    results: list[table.Result] = []
    with System(arguments.cache / f"work-{os.getpid()}") as system:
        from bench.bench import Bench  # needs Django set up

        bench = Bench(system, scale, arguments.cache / "corpora")
        with bench.shared():
            for name in arguments.rows or rows.ROWS:
                found = _measure(bench, name)
                if found is None:
                    failed.append(name)
                else:
                    results += found
                    table.keep(kept, scale.name, results)
    print(table.table(results))
    print(FOOT.format(rounds=scale.rounds))
    print(f"Kept in {kept}")
    if failed:
        print(f"Failed: {', '.join(failed)}")
    return 1 if failed else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("rows", nargs="*", metavar="ROW", help="only these (default: all)")
    parser.add_argument("--list", action="store_true", help="the rows there are")
    parser.add_argument("--size", choices=SCALES, default=os.environ.get("BENCH", "small"), help="default $BENCH")
    parser.add_argument("--rounds", type=int, help="in place of the size's own (5, small 3)")
    parser.add_argument("--cache", type=Path, default=ROOT / "var" / "bench", help="keeps corpora and results")
    arguments = parser.parse_args()
    if unknown := set(arguments.rows) - set(rows.ROWS):
        parser.error(f"no such row: {', '.join(sorted(unknown))} (see --list)")
    if arguments.size not in SCALES:
        parser.error(f"BENCH is {arguments.size!r}: small or full")
    arguments.cache = arguments.cache.absolute()
    return arguments


def _measure(bench: object, name: str) -> list[table.Result] | None:
    """None when the row failed, which the others need not suffer from."""
    print(f"{name}: {rows.ROWS[name][0]}", file=sys.stderr, flush=True)
    begin = time.monotonic()
    try:
        found = rows.find(name)(bench)
    except Exception:
        traceback.print_exc()
        return None
    for result in found:
        result.row = name
    print(f"  {time.monotonic() - begin:.0f} s", file=sys.stderr, flush=True)
    return found


if __name__ == "__main__":
    sys.exit(main())
