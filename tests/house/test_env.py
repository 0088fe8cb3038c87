"""The environment: every variable documented, every bad value one sentence (design §3, §6)."""

import os
import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from exportsite import env

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = (ROOT / ".env.example").read_text()
COMPOSE = (ROOT / "docker-compose.yml").read_text()


def documented() -> list[str]:
    return re.findall(r"^#? ?([A-Z][A-Z0-9_]*)=", EXAMPLE, re.MULTILINE)


def test_every_variable_that_is_read_is_in_env_example() -> None:
    assert set(env.READ) - set(documented()) == set()
    assert len(documented()) == len(set(documented()))


def test_every_documented_variable_is_read_by_the_settings_or_by_compose() -> None:
    for name in documented():
        assert name in env.READ or f"${{{name}" in COMPOSE, f"{name} is in .env.example, and nobody reads it"


def test_nobody_reads_the_environment_but_the_settings() -> None:
    """Processes hand their environment on to children; only `env.py` looks a value up."""
    allowed = {"exportsite/env.py"}
    for path in [*ROOT.glob("exportsite/**/*.py"), *ROOT.glob("cells/**/*.py"), *ROOT.glob("exports/**/*.py")]:
        name = str(path.relative_to(ROOT))
        if name not in allowed:
            assert not re.search(r"os\.environ\.get|os\.environ\[\"[A-Z_]+\"\](?! =)|getenv", path.read_text()), name


def start(**values: str) -> subprocess.CompletedProcess[str]:
    """Loads the settings in a process of its own, with these variables on top."""
    environment = {**os.environ, **values}
    command = [sys.executable, "manage.py", "shell", "--no-imports", "-c", "print('started')"]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("EXPORT_EXPIRE", "3 days", "EXPORT_EXPIRE: '3 days' is not a number followed by one of m, h, d"),
        ("EXPORT_EXPIRE", "0m", "EXPORT_EXPIRE: '0m' is shorter than 1m"),
        ("MOVE_HOLD", "999999d", "MOVE_HOLD: '999999d' is longer than 36500d"),
        ("IMPORT_UNDO_DAYS", "99999999999", "IMPORT_UNDO_DAYS: 99999999999 is more than 36500"),
        ("PORT", "70000", "PORT: 70000 is more than 65535"),
        ("MOVE_WIZARD_URL", "http://[", "MOVE_WIZARD_URL: 'http://[' is not an address like"),
        ("PUBLIC_URL", "http://here:99999999", "PUBLIC_URL: 'http://here:99999999' is not an address like"),
        ("LOGIN_ATTEMPTS", "ten", "LOGIN_ATTEMPTS: 'ten' is not a whole number"),
        ("LOGIN_ATTEMPTS", "0", "LOGIN_ATTEMPTS: 0 is less than 1"),
        ("DEBUG", "maybe", "DEBUG: 'maybe' is neither true nor false"),
        ("PUBLIC_URL", "exports.example.org", "PUBLIC_URL: 'exports.example.org' is not an address like"),
        ("DATABASE_URL", "mysql://somewhere/db", "DATABASE_URL: is not an address like postgres://"),
        ("REDIS_URL", "http://somewhere", "REDIS_URL: is not an address like redis://"),
        ("ACCEL_REDIRECT", "stored", "ACCEL_REDIRECT: must begin and end with a slash"),
        ("SCHEDULER_TIME_ZONE", "Mars", "SCHEDULER_TIME_ZONE: 'Mars' is no time zone like Europe/Berlin"),
        ("STANDARD_HOUR", "24", "STANDARD_HOUR: 24 is more than 23"),
        ("LOG_LEVEL", "loud", "LOG_LEVEL: 'loud' is not one of DEBUG, INFO, WARNING, ERROR"),
        ("SECRET_KEY", "", "SECRET_KEY: must be set when DATABASE_URL is, unless DEBUG is true"),
    ],
)
def test_a_bad_value_stops_the_start_with_one_sentence(name: str, value: str, sentence: str) -> None:
    done = start(**{name: value})
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(sentence)
    assert done.stderr.endswith("(see .env.example)\n") and done.stderr.count("\n") == 1


def test_a_password_in_an_address_is_not_repeated_in_the_refusal() -> None:
    assert "hunter2" not in start(DATABASE_URL="mysql://me:hunter2@somewhere/db").stderr


def test_an_empty_value_is_the_default_and_a_good_value_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXPORT_LEASE", "")
    assert env.duration("EXPORT_LEASE", "30s", units="smhd", minimum="5s") == timedelta(seconds=30)
    monkeypatch.setenv("EXPORT_LEASE", "2m")
    assert env.duration("EXPORT_LEASE", "30s", units="smhd", minimum="5s") == timedelta(minutes=2)


def test_a_file_named_by_env_file_is_read_and_the_environment_wins(tmp_path: Path) -> None:
    (tmp_path / "site.env").write_text("LOG_LEVEL=ERROR\nINSTANCE_NAME=from the file\n")
    command = [sys.executable, "manage.py", "shell", "--no-imports", "-c"]
    ask = "from django.conf import settings; print(settings.LOG_LEVEL, settings.INSTANCE_NAME)"
    environment = {**os.environ, "ENV_FILE": str(tmp_path / "site.env"), "LOG_LEVEL": "DEBUG"}
    done = subprocess.run([*command, ask], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.stdout == "DEBUG from the file\n"


@pytest.mark.parametrize(
    ("given", "for_redis_py", "for_celery"),
    [
        ("redis://:pw@host:6379/3", "redis://:pw@host:6379/3", "redis://:pw@host:6379/3"),
        ("unix:///run/r.sock?db=4", "unix:///run/r.sock?db=4", "redis+socket:///run/r.sock?virtual_host=4"),
        ("redis+socket:///r.sock?virtual_host=5", "unix:///r.sock?db=5", "redis+socket:///r.sock?virtual_host=5"),
        ("unix:///run/r.sock", "unix:///run/r.sock?db=0", "redis+socket:///run/r.sock?virtual_host=0"),
    ],
)
def test_redis_py_and_celery_get_the_same_database(monkeypatch, given: str, for_redis_py: str, for_celery: str) -> None:
    monkeypatch.setenv("REDIS_URL", given)
    assert env.redis("REDIS_URL", "") == (for_redis_py, for_celery)


def test_a_socket_folder_in_the_database_address_becomes_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgres://me:p%40ss@/db?host=%2Frun%2Fpg")
    found = env.database("DATABASE_URL", "")
    assert (found["HOST"], found["USER"], found["PASSWORD"], found["NAME"]) == ("/run/pg", "me", "p@ss", "db")
