"""Make an account."""

import sys
from argparse import ArgumentParser

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError


class Command(BaseCommand):
    help = "Make the account NAME. Without a password nobody can log in with it: make a token for it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", metavar="NAME")
        secret = parser.add_mutually_exclusive_group()
        secret.add_argument("--password", metavar="P", help="seen by whoever lists processes: better from stdin")
        secret.add_argument("--password-stdin", action="store_true", help="the first line of standard input")
        parser.add_argument("--root", action="store_true", help="may see every cell and use the admin pages")
        parser.add_argument("--email", metavar="E", default="")

    def handle(
        self,
        *,
        name: str,
        password: str | None = None,
        password_stdin: bool = False,
        root: bool = False,
        email: str = "",
        **options: object,
    ) -> None:
        if password_stdin:
            password = sys.stdin.readline().rstrip("\r\n")
        if password == "":
            raise CommandError("The password must not be empty.", returncode=2)
        user = User(username=name, email=email, is_staff=root, is_superuser=root)
        user.set_password(password)
        try:
            user.full_clean(exclude=["password"])
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from error
        user.save()
        if password is None:
            self.stderr.write(f"{name} has no password and can be used through tokens only.")
        self.stdout.write(name)
