"""Starts PostgreSQL and Redis once per test run, before pytest-django reads the settings (hence a `-p` plugin).

`TEST_DATABASE_URL` and `TEST_REDIS_URL` (redis://host:port, without a database number) name servers that run already.
Workers of xdist share the servers; each has a PostgreSQL database (pytest-django) and a Redis database of its own.
"""

import atexit
import os
import shutil
import sys
from pathlib import Path

from exportsite import embedded
from exportsite.processes import Child
from tests import ram

_FAST = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "wal_level=minimal", "max_wal_senders=0")
_SIZE = 6 << 30
_ROOT = Path(__file__).resolve().parent.parent


def _start() -> None:
    _forget_own_settings()
    data = ram.make_folder(_SIZE)
    data.chmod(0o711)
    children: list[Child] = []
    atexit.register(_stop, children, data)
    os.environ.update(
        DATA=str(data),
        PYTEST_DEBUG_TEMPROOT=str(_temporary(data)),
        ENV_FILE="/dev/null",
        SECRET_KEY="only for tests",
        PASSWORD_HASHER="md5",
        LOG_LEVEL="WARNING",
        ALLOWED_HOSTS="localhost,127.0.0.1,testserver",
    )
    if "TEST_DATABASE_URL" not in os.environ:
        children.append(embedded.start_postgres(data, *_FAST))
        os.environ["TEST_DATABASE_URL"] = embedded.database_url(data)
    os.environ["DATABASE_URL"] = os.environ["TEST_DATABASE_URL"]
    if "TEST_REDIS_URL" not in os.environ:
        children.append(embedded.start_redis(data))
        os.environ["TEST_REDIS_URL"] = embedded.redis_url(data).partition("?")[0]


def _temporary(data: Path) -> Path:
    """Where `tmp_path` begins. Of what failed the files are gone with all others: `--basetemp` keeps them."""
    folder = data / "tmp"
    folder.mkdir()
    return folder


def _forget_own_settings() -> None:
    """What a developer exports in the shell must not decide whether tests pass."""
    for line in (_ROOT / ".env.example").read_text().splitlines():
        os.environ.pop(line.lstrip("# ").partition("=")[0], None)


def _stop(children: list[Child], data: Path) -> None:
    for child in reversed(children):
        child.stop()
    shutil.rmtree(data, ignore_errors=True)


def _own_redis_database() -> None:
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw-1").removeprefix("gw")) + 1
    url = os.environ["TEST_REDIS_URL"]
    os.environ["REDIS_URL"] = f"{url}?db={number}" if url.startswith("unix:") else f"{url.rstrip('/')}/{number}"


# Each of some 200 processes would compile the site again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
if "PYTEST_XDIST_WORKER" not in os.environ:
    _start()
_own_redis_database()
