"""The whole system in one command: PostgreSQL, Redis, migrations, admin, demo cell, web, worker, beat."""

import functools
import os
import signal
import socket
import sys
import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from exportsite import embedded
from exportsite.celery import app
from exportsite.processes import Child, StartError
from exportsite.supervisor import Supervisor, check_port, lock_folder, say

_LOOPBACK = ("127.0.0.1", "localhost", "::1")


class Command(BaseCommand):
    help = "Starts everything and stops it on Ctrl-C. Servers named by DATABASE_URL and REDIS_URL are used as they are."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default="127.0.0.1", help="where to listen (default 127.0.0.1)")
        parser.add_argument("--port", type=int, default=settings.PORT, help="default PORT, or 8000")
        parser.add_argument("--data", type=Path, default=settings.DATA, help="folder that keeps everything (./var)")
        parser.add_argument("--workers", type=int, default=max(2, os.cpu_count() or 2), help="runs worked on at once")
        parser.add_argument("--realtime-port", type=int, help="of the websockets, for a proxy (default: none)")
        parser.add_argument("--no-demo", action="store_true", help="do not load the demo cell")

    def handle(
        self, *, host: str, port: int, data: Path, workers: int, realtime_port: int | None, no_demo: bool, **_: Any
    ) -> None:
        if data.absolute() != settings.DATA:  # the settings have read another DATA: begin again with this one
            os.environ["DATA"] = str(data.absolute())
            os.execv(sys.executable, [sys.executable, *sys.argv])  # noqa: S606
        try:
            with lock_folder(settings.DATA), Supervisor() as supervisor:
                for wanted in (port, realtime_port):
                    if wanted is not None:
                        check_port(host, wanted)
                _start(supervisor, host, port, max(1, workers), realtime_port, demo=not no_demo)
                supervisor.watch()
        except StartError as error:
            sys.exit(str(error))
        except OSError as error:
            sys.exit(f"Cannot start: {error.filename or ''} {error.strerror or error}".strip())
        except KeyboardInterrupt:
            say("Stopped.")


def _start(
    supervisor: Supervisor, host: str, port: int, workers: int, realtime_port: int | None, *, demo: bool
) -> None:
    began = time.monotonic()
    data = settings.DATA
    embedded.keep_secret(data / "secret-key")
    if settings.EMBEDDED_DATABASE:
        say(f"PostgreSQL   {embedded.postgres_folder(data)}")
        supervisor.add(functools.partial(embedded.start_postgres, data))
    if settings.EMBEDDED_REDIS:
        say(f"Redis        {data / 'redis'}")
        supervisor.add(functools.partial(embedded.start_redis, data), again=True)
    child = functools.partial(_child, env=_environment(host, port))
    prepare = ["manage.py", "prepare", *([] if demo else ["--no-demo"])]
    supervisor.finish(lambda: child("prepare", prepare), "The database could not be prepared: see above.")
    web = supervisor.add(lambda: child("web", ["-m", "granian", *web_arguments(host, port)]), again=True)
    worker = supervisor.add(lambda: child("worker", ["-m", "celery", *worker_arguments(workers)]), again=True)
    supervisor.add(lambda: child("beat", ["-m", "celery", *BEAT_ARGUMENTS]), again=True)
    address = f"http://{_named(host)}:{port}"
    supervisor.await_answer(web, f"{address}/healthz")
    if realtime_port is not None:
        realtime = supervisor.add(lambda: child("realtime", realtime_arguments(host, realtime_port)), again=True)
        supervisor.await_answer(realtime, f"http://{_named(host)}:{realtime_port}/healthz")
    _await_worker(worker)
    say(f"Ready after {time.monotonic() - began:.1f} s. Stop with Ctrl-C.\n")
    say(f"    {address}/           exports and cells: sign in as admin, password in {data / 'admin-password'}")
    say(f"    {address}/admin/     how the server is")
    say(f"    {address}/api/docs   the API\n")


BEAT_ARGUMENTS = ["-q", "-A", "exportsite", "beat", "-l", settings.LOG_LEVEL, "--pidfile="]


def web_arguments(host: str, port: int) -> list[str]:
    """No access log: it would print query strings and passkeys."""
    web = ["--interface", "wsgi", "exportsite.wsgi:application", "--host", host, "--port", str(port)]
    return [*web, "--workers", "1", "--blocking-threads", "64", "--no-access-log", "--log-level", "error"]


def realtime_arguments(host: str, port: int) -> list[str]:
    return ["manage.py", "realtime", "--host", host, "--port", str(port)]


def worker_arguments(workers: int) -> list[str]:
    worker = ["-q", "-A", "exportsite", "worker", "-l", settings.LOG_LEVEL, "-c", str(workers)]
    return [*worker, "--without-mingle", "--without-gossip"]


def _child(name: str, arguments: list[str], env: dict[str, str]) -> Child:
    # With the supervisor the broker dies too, and Celery asks for it again and again before it hears of any other
    # signal. A killed worker costs nothing: its runs go to the next one.
    orphan = signal.SIGKILL if "celery" in arguments else None
    return Child(name, [sys.executable, *arguments], orphan_signal=orphan, cwd=settings.BASE_DIR, env=env)


def _environment(host: str, port: int) -> dict[str, str]:
    env = {**os.environ, "DATA": str(settings.DATA), "PORT": str(port), "REMAP_SIGTERM": "SIGQUIT"}
    env.setdefault("PUBLIC_URL", f"http://{_named(host)}:{port}")
    if host not in _LOOPBACK and not env.get("ALLOWED_HOSTS"):
        env["ALLOWED_HOSTS"] = ",".join({*settings.ALLOWED_HOSTS, host, *_own_names()})
    return env


def _await_worker(worker: Child, patience: float = 60.0) -> None:
    """Celery does not stop cleanly while it is still starting, so "Ready" means the worker too."""
    until = time.monotonic() + patience
    while time.monotonic() < until and worker.poll() is None:
        if app.control.broadcast("ping", reply=True, limit=1, timeout=0.5):
            return
    raise StartError("The worker does not answer: see above.")


def _own_names() -> set[str]:
    name = socket.gethostname()
    try:
        return {name, *(str(found[4][0]) for found in socket.getaddrinfo(name, None))}
    except OSError:
        return {name}


def _named(host: str) -> str:
    if host in ("", "0.0.0.0", "::", *_LOOPBACK):  # noqa: S104
        return "localhost"
    return f"[{host}]" if ":" in host else host
