"""Rows of the database: documents out, manifests in."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection, transaction

from bench.bench import Bench, cell_create, run_done, run_remove
from bench.filling import documents_fill
from bench.measure import Series, Trial, in_turn, timed, timed_output
from bench.table import Result, Target, versus
from cells.models import Cell
from exports.engine.entries import FILE_MODE, Entry
from exports.models import Run, RunEntry
from exports.services import lifecycle, manifest

COPY = (
    r"\copy (SELECT doctype, doc_id, rev, body FROM cells_document WHERE cell_id = {cell} AND generation = 1 "
    r"ORDER BY doctype, doc_id) TO '{out}'"
)


def documents(bench: Bench) -> list[Result]:
    """dumpdata sees a tenth, since it has no selection and no haste; its time is scaled."""
    count = bench.scale.documents
    with bench.system.fresh():
        cell = cell_create("documents")
        documents_fill(cell, 0, count // 10)
        dumped = in_turn(bench.scale.rounds, {"dumpdata of a tenth": lambda: _dumpdata(bench)})["dumpdata of a tenth"]
        documents_fill(cell, count // 10, count)
        contestants = {"ours": lambda: _run(cell)}
        if psql := bench.system.psql():
            contestants["psql"] = lambda: _psql(bench, psql, cell)
        series = in_turn(bench.scale.rounds, contestants)
    scaled = Series([Trial(trial.seconds * 10) for trial in dumped.trials])
    what, within = f"run of {count:,} documents", Target("within", 3)
    return [
        versus(what, series["ours"], r"psql \copy", series["psql"], within)
        if psql
        else Result(what, series["ours"].seconds, r"psql \copy", target=within, skipped="psql is not installed"),
        versus(what, series["ours"], "dumpdata (a tenth, ×10)", scaled, Target("faster", 10)),
    ]


def _run(cell: Cell) -> Trial:
    done: list[Run] = []
    trial = timed(lambda: done.append(run_done([cell], packers=("zip",), documents="lines")))
    run_remove(done[0])
    return trial


def _dumpdata(bench: Bench) -> Trial:
    return timed_output(
        lambda out: call_command("dumpdata", "cells.document", output=str(out), verbosity=0), bench.out / "dump.json"
    )


def _psql(bench: Bench, psql: str, cell: Cell) -> Trial:
    def copy(out: Path) -> None:
        command = COPY.format(cell=cell.pk, out=out)
        subprocess.run([psql, bench.system.database_url(), "-q", "-c", command], check=True)

    return timed_output(copy, bench.out / "documents.txt")


def manifest_rows(bench: Bench) -> list[Result]:
    """Both with commit; bulk_create gets a tenth of the rows, and time per row counts."""
    count = bench.scale.manifest
    with bench.system.fresh():
        series = in_turn(
            bench.scale.rounds,
            {
                "COPY": lambda: _rows(count, lambda run: manifest.manifest_write(run_id=run, entries=_entries(count))),
                "bulk_create": lambda: _rows(count // 10, lambda run: _bulk_create(run, count // 10)),
            },
        )
    scaled = Series([Trial(trial.seconds * 10) for trial in series["bulk_create"].trials])
    what, peer = f"{count:,} manifest rows by COPY", "bulk_create (a tenth, ×10)"
    return [versus(what, series["COPY"], peer, scaled, Target("faster", 5))]


def _rows(count: int, write: object) -> Trial:
    run = lifecycle.run_create(export=None, owner=User.objects.get(username="bench"), order={}, nudge=False)
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE exports_runentry")
    trial = timed(lambda: write(run.pk))
    found = RunEntry.objects.filter(run=run).count()
    if found != count:
        raise RuntimeError(f"{found} rows instead of {count}")
    return trial


def _bulk_create(run_id: int, count: int) -> None:
    names = RunEntry._meta.get_fields()
    fields = [field.name for field in names if field.name in Entry._fields]
    rows = (RunEntry(run_id=run_id, **{field: getattr(entry, field) for field in fields}) for entry in _entries(count))
    with transaction.atomic():
        RunEntry.objects.bulk_create(rows, batch_size=1000)


def _entries(count: int) -> Iterator[Entry]:
    for n in range(count):
        yield Entry(
            n, f"folder-{n // 1000:05d}/file-{n:07d}.txt", None, FILE_MODE, 1_700_000_000_000_000 + n, 1000, n,
            f"{n:064x}", "deflate", 500, n, None, b"",
        )  # fmt: skip
