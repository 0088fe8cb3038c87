"""Make an access token for a program."""

from argparse import ArgumentParser
from datetime import timedelta

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError

from cells import tokens
from cells.management.arguments import duration
from cells.models import Cell


class Command(BaseCommand):
    help = "Print a new token of USER, and nothing else: it cannot be shown again. Send it as `Authorization: Bearer`."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("user", metavar="USER")
        parser.add_argument("--cell", metavar="CELL", help="good for this cell only, whoever owns it")
        parser.add_argument(
            "--scope",
            metavar="S",
            nargs="+",
            action="extend",
            default=[],
            help="default: root with --cell, else session",
        )
        parser.add_argument("--expires", metavar="30d", type=duration, help="s, m, h or d; default: never")

    def handle(
        self,
        *,
        user: str,
        cell: str | None = None,
        scope: list[str] | None = None,
        expires: timedelta | None = None,
        **options: object,
    ) -> None:
        bearer = User.objects.filter(username=user).first()
        if bearer is None:
            raise CommandError(f"There is no user {user!r}.")
        place = Cell.objects.filter(name=cell).first() if cell is not None else None
        if cell is not None and place is None:
            raise CommandError(f"There is no cell called {cell!r}.")
        if tokens.LOGIN in (scope or ()):
            raise CommandError(f"The scope {tokens.LOGIN!r} is for sessions that people log into.", returncode=2)
        self.stdout.write(tokens.token_create(user=bearer, cell=place, scopes=scope or (), expires=expires))
