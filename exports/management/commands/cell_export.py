"""Export one cell to a file, in this process, without web or broker."""

import sys
from argparse import ArgumentParser
from pathlib import Path

from django.core.management.base import BaseCommand, CommandError

from cells.errors import DomainError
from cells.models import Cell
from exports.engine import volumes
from exports.models import Run
from exports.services import lifecycle, manifest, planning, retention, running
from exports.services.move_exports import MOVE
from exports.services.progressbar import Bar
from exports.services.snapshot_layout import SNAPSHOT
from exports.states import RunState

DONE_WITH_WARNINGS = 3


_ENDINGS = {".tar": "tar", ".tar.gz": "tar_gz", ".tgz": "tar_gz", ".tar.bz2": "tar_bz2", ".tbz2": "tar_bz2"}


class Command(BaseCommand):
    help = "Export CELL to FILE as a verified archive. Exit codes: 0 done, 1 failed, 2 usage, 3 done with warnings."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("cell", metavar="CELL")
        parser.add_argument("-o", "--output", metavar="FILE", required=True, type=Path)
        parser.add_argument(
            "--format", choices=("zip", "tar", "tar_gz", "tar_bz2"), help="default: as FILE ends, else zip"
        )
        parser.add_argument(
            "--layout",
            choices=(SNAPSHOT, MOVE),
            help="cell: a snapshot for servers of the cell API, move: an archive for those of the move API (ZIPs)",
        )

    def handle(self, *, cell: str, output: Path, format: str | None, layout: str | None, **options: object) -> None:
        found = Cell.objects.select_related("owner").filter(name=cell).first()
        if found is None:
            raise CommandError(f"There is no cell called {cell!r}.")
        if not output.absolute().parent.is_dir():
            raise CommandError(f"{output.absolute().parent} is not a folder.")
        if output.exists() and not output.is_file():
            raise CommandError(f"{output} is no file that could be replaced.")  # /dev/stdout would be, for good
        if layout and (format or _format_of(output)) != "zip":
            raise CommandError(f"An archive of the {layout} API is a ZIP.")
        order = {"cells": [found.name], "definition": {"documents": "lines"}, "name": found.name, "layout": layout}
        run = lifecycle.run_create(export=None, owner=found.owner, order=order, nudge=False)
        try:
            missing = self._run(run, format or _format_of(output), output.absolute())
        except KeyboardInterrupt:
            lifecycle.run_stop(run=run)
            lifecycle.run_end_stopped(Run.objects.get(pk=run.pk))
            raise CommandError("Stopped; no file was written.") from None
        except (OSError, DomainError) as error:
            raise CommandError(f"The export failed: {error}") from error
        finally:
            run.refresh_from_db()
            if run.state in (RunState.DONE, RunState.DONE_WITH_WARNINGS):
                retention.run_expire(run)
            elif run.state in (RunState.FAILED, RunState.STOPPED):
                retention.run_purge(run)
        if missing:
            sys.exit(DONE_WITH_WARNINGS)

    def _run(self, run: Run, format: str, output: Path) -> int:
        with Bar(self.stderr) as bar:
            finished = running.run_export(run_id=run.pk, watch=bar.show)
            if finished is None or finished.state not in (RunState.DONE, RunState.DONE_WITH_WARNINGS):
                why = finished.error["message"] if finished and finished.error else "another process took it"
                raise CommandError(f"The export failed: {why}")
            missing = self._missing(finished)
            plan = planning.volume_only(finished, format)
            planned, done = plan.length or finished.entry_bytes, 0

            def tick(count: int) -> None:
                nonlocal done
                done += count
                bar.show("write", done, planned)

            length = volumes.write(plan, planning.run_source(finished), str(output), tick)
        self.stdout.write(f"{output}: {finished.entry_count - 1} entries, {length} bytes")
        return missing

    def _missing(self, run: Run) -> int:
        count = 0
        for path, reason in manifest.missing_iter(run_id=run.pk):
            count += 1
            self.stderr.write(f"missing: {path}: {reason}")
        return count


def _format_of(output: Path) -> str:
    name = output.name.lower()
    return next((format for ending, format in _ENDINGS.items() if name.endswith(ending)), "zip")
