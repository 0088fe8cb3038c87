"""Read archives and blobs again and compare their digests."""

import sys
from argparse import ArgumentParser
from collections.abc import Iterator

from django.core.management.base import BaseCommand, CommandError

from exports.models import Run
from exports.services import verification

FAILED = 1


class Command(BaseCommand):
    help = "Verify one archive FILE, one RUN by number, or with --all every blob and every run on offer."

    def add_arguments(self, parser: ArgumentParser) -> None:
        what = parser.add_mutually_exclusive_group(required=True)
        what.add_argument("--all", action="store_true", help="every blob, and the archives of every run on offer")
        what.add_argument("target", nargs="?", metavar="RUN|FILE")

    def handle(self, *, all: bool, target: str | None, **options: object) -> None:
        count = bad = 0
        for label, wrong in self._results(all, target):
            count += 1
            if wrong:
                bad += 1
                self.stderr.write(f"BAD {label}: {wrong}")
        self.stdout.write(f"{count} verified, {bad} bad")
        if bad:
            sys.exit(FAILED)

    def _results(self, all: bool, target: str | None) -> Iterator[tuple[str, str | None]]:
        if all:
            yield from verification.blobs_verify()
            yield from verification.runs_verify()
        elif target and target.isdigit():
            run = Run.objects.filter(pk=target).first()
            if run is None:
                raise CommandError(f"There is no run {target}.")
            yield from verification.run_verify(run=run)
        else:
            try:
                problems = verification.file_verify(str(target))
            except OSError as error:
                raise CommandError(f"{target}: {error.strerror}") from error
            yield str(target), "; ".join(problems) or None
