"""What `manage.py up` does between the database and the web server. Run again, it does only what is missing."""

import shutil
from argparse import ArgumentParser
from io import StringIO
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.core.management import call_command
from django.core.management.base import BaseCommand
from django.db.utils import OperationalError

from exportsite.demo import write_demo
from exportsite.embedded import keep_secret

ADMIN = "admin"
DEMO = "demo"


class Command(BaseCommand):
    help = "Migrates, makes the user admin (password kept in DATA/admin-password), loads the demo cell once."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--no-demo", action="store_true")

    def handle(self, *, no_demo: bool, **_: Any) -> None:
        try:
            call_command("migrate", verbosity=0)
        except OperationalError as error:
            raise SystemExit(f"The database cannot be used: {' '.join(str(error).split())}") from error
        settings.EXPORTS_STORE.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._make_admin()
        done = settings.DATA / "demo-loaded"
        if not no_demo and not done.exists():
            self._load_demo()
            done.touch()

    def _make_admin(self) -> None:
        if User.objects.filter(username=ADMIN).exists():
            return
        kept = settings.DATA / "admin-password"
        password = keep_secret(kept)
        User.objects.create_superuser(ADMIN, password=password)
        self.stdout.write(f"Made the user {ADMIN} with the password {password} (kept in {kept})")

    def _load_demo(self) -> None:
        """The folder is made on disk first: the demo comes in by the same door as everybody's data."""
        from cells.models import Cell

        self.stdout.write(f"Loading the demo cell {DEMO} …")
        self.stdout.flush()
        folder = settings.DATA / "demo"
        shutil.rmtree(folder, ignore_errors=True)
        write_demo(folder)
        if not Cell.objects.filter(name=DEMO).exists():
            call_command("cell_create", DEMO, owner=ADMIN, stdout=StringIO())
        call_command("cell_load", DEMO, str(folder), documents=True)
        shutil.rmtree(folder)
