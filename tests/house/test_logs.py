"""No secret of a URL reaches a log, in plain lines or in JSON (design §6)."""

import io
import json
import logging
import logging.config
from collections.abc import Iterator

import pytest
from django.test import Client

from exportsite import logs

PASSKEY = "hK3v9Zc0-_passkey-nobody-may-see"


@pytest.fixture(params=[False, True], ids=["plain", "json"])
def written(request: pytest.FixtureRequest) -> Iterator[io.StringIO]:
    """What the handler of the settings writes, as a process would that has just started."""
    out = io.StringIO()
    config = logs.config(level="DEBUG", as_json=request.param)
    config["handlers"]["stderr"]["stream"] = out
    kept = logging.getLogger().handlers[:], logging.getLogger().level
    logging.config.dictConfig(config)
    yield out
    logging.getLogger().handlers, logging.getLogger().level = kept
    for name in ("django", "django.server"):
        logging.getLogger(name).handlers = []
        logging.getLogger(name).setLevel(logging.NOTSET)
        logging.getLogger(name).propagate = True


@pytest.mark.parametrize(
    "path",
    [
        f"/api/v1/nowhere/1/download/{PASSKEY}/archive.zip",
        f"/nowhere?token={PASSKEY}",
        f"/api/v1/nowhere/export/1/uuid/{PASSKEY}/file/a.txt",
        f"/nowhere/download/{PASSKEY}/x.zip?token={PASSKEY}&disposition=inline",
    ],
)
@pytest.mark.django_db
def test_a_refused_request_is_logged_without_its_secrets(client: Client, written: io.StringIO, path: str) -> None:
    client.get(path)
    assert "nowhere" in written.getvalue()
    assert PASSKEY not in written.getvalue()


def test_arguments_and_tracebacks_are_redacted_too(written: io.StringIO) -> None:
    url = f"https://exports.example.org/api/v1/export/7/download/{PASSKEY}/a.zip?token={PASSKEY}"
    try:
        raise ValueError(url)
    except ValueError:
        logging.getLogger("exports").exception("could not send %s", url)
    assert "could not send https://exports.example.org/api/v1/export/7/download/…/a.zip?…" in written.getvalue()
    assert "ValueError" in written.getvalue()
    assert PASSKEY not in written.getvalue()


def test_json_lines_are_one_object_each() -> None:
    record = logging.LogRecord("exports", logging.WARNING, "", 0, "two\nlines of %s", ("Müller",), None)
    line = logs.JSONLines().format(record)
    assert "\n" not in line
    found = json.loads(line)
    assert (found["level"], found["logger"], found["message"]) == ("WARNING", "exports", "two\nlines of Müller")
    assert found["time"].endswith("+00:00")


def test_a_line_without_urls_stays_as_it_is() -> None:
    assert logs.redact("run 7: 3 of 9 entries, 50% (what now?)") == "run 7: 3 of 9 entries, 50% (what now?)"


@pytest.mark.parametrize(("level", "told"), [("INFO", False), ("DEBUG", True)])
def test_ticks_and_tasks_are_told_to_who_asks_for_all(level: str, told: bool) -> None:
    quiet = logs.config(level=level, as_json=False)["loggers"]
    for name in ("celery.beat", "celery.app.trace", "celery.worker.strategy"):
        assert (quiet.get(name, {}).get("level") != "WARNING") == told
