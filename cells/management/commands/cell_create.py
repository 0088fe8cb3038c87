"""Make a cell."""

from argparse import ArgumentParser

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError

from cells import writing
from cells.errors import DomainError
from cells.management.arguments import size


class Command(BaseCommand):
    help = "Make the empty cell NAME for the user OWNER."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", metavar="NAME")
        parser.add_argument("--owner", metavar="USER", required=True)
        parser.add_argument("--quota", metavar="10GB", type=size, help="bytes of documents, files and old versions")

    def handle(self, *, name: str, owner: str, quota: int | None = None, **options: object) -> None:
        user = User.objects.filter(username=owner).first()
        if user is None:
            raise CommandError(f"There is no user {owner!r}.")
        try:
            writing.cell_create(name=name, owner=user, quota=quota)
        except DomainError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(name)
