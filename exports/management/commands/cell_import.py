"""Import an archive into a cell, in this process, without web or broker."""

import json
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from cells.errors import DomainError
from cells.models import Cell
from exports.models import Import, ImportMode
from exports.services import imports
from exports.services.archives import FILE, FILES
from exports.services.progressbar import Bar
from exports.services.upload_parts import parts_check
from exports.states import ImportState

DONE_WITH_WARNINGS = 3
USAGE = 2


class Command(BaseCommand):
    help = (
        "Fill CELL from the archive FILE: all of it, or nothing. Exit codes: 0 done, 1 failed, 2 usage, "
        "3 done, but the archive says that something is missing in it."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("cell", metavar="CELL")
        parser.add_argument(
            "files",
            metavar="FILE",
            type=Path,
            nargs="+",
            help="several: all parts of an export of the move API, in any order",
        )
        parser.add_argument("--check", action="store_true", help="say what would change, and change nothing")
        parser.add_argument(
            "--mode",
            choices=ImportMode.values,
            default=ImportMode.REPLACE,
            help="what becomes of what the cell has: it is replaced; or, where both have something of one name, merge "
            "lets the archive win, skip the cell, keep_both neither",
        )

    def handle(self, *, cell: str, files: list[Path | str], check: bool, mode: str, **options: object) -> None:
        found = Cell.objects.select_related("owner").filter(name=cell).first()
        if found is None:
            raise CommandError(f"There is no cell called {cell!r}.", returncode=USAGE)
        for file in files:
            if not Path(file).is_file():
                raise CommandError(f"{file} is no file.", returncode=USAGE)
        archive = (FILES if files[1:] else FILE) + "\n".join(str(Path(file).absolute()) for file in files)
        if len(archive) > Import._meta.get_field("source").max_length:
            raise CommandError("These are too many files for one import.", returncode=USAGE)
        try:
            parts_check([(file.name, str(file.resolve())) for file in map(Path, files)])
            if check:
                self._check(found, archive)
                return
            row = imports.import_start(
                cell=found, owner=found.owner, archive=archive, mode=mode, name=Path(files[0]).stem, nudge=False
            )
        except DomainError as error:
            raise CommandError(f"Nothing was imported: {error}") from error
        self._import(row)

    def _check(self, cell: Cell, archive: str) -> None:
        report = imports.import_check(cell=cell, archive=archive)
        self.stdout.write(json.dumps(report, indent=1, ensure_ascii=False))
        if report["refused"]["count"]:
            raise CommandError(f"{report['refused']['count']} entries would be refused, and nothing imported.")

    def _import(self, row: Import) -> None:
        try:
            with Bar(self.stderr) as bar:
                done = imports.run_import(import_id=row.pk, watch=bar.show)
        except KeyboardInterrupt:
            imports.import_stop(import_id=row.pk)
            raise CommandError("Stopped; the cell is as it was.") from None
        if done is None or done.state != ImportState.DONE:
            why = done.error["message"] if done and done.error else "another process took it"
            raise CommandError(f"Nothing was imported: {why}")
        report: dict[str, Any] = done.report
        self.stdout.write(f"{report['files']} files and folders, {report['documents']} documents")
        for each in report["missing"]:
            self.stderr.write(f"missing in the archive: {each['path']}: {each['reason']}")
        if report["missing"]:
            sys.exit(DONE_WITH_WARNINGS)
