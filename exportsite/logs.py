"""Logging: plain lines or JSON, on standard error, with the secrets of URLs taken out."""

import json
import logging
import re
from datetime import UTC, datetime
from typing import Any

_PASSKEY = re.compile(
    r"(/download/|/export/[^/\s]+/uuid/|/move/(?:exports/(?:data/)?|downloads/)|#/exports/)[^/\s\"'?]+"
)
_QUERY = re.compile(r"(/[^\s\"'?]*)\?[^\s\"']*")


def redact(line: str) -> str:
    """Without query strings (`token=…`) and without the passkey of a download path."""
    return _QUERY.sub(r"\1?…", _PASSKEY.sub(r"\1…", line))


class RedactURLs(logging.Filter):
    """Renders the message, so that arguments are redacted too, and drops the request object some handlers print."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = redact(record.getMessage()), ()
        if record.exc_info and not record.exc_text:
            record.exc_text = redact(logging.Formatter().formatException(record.exc_info))
        return True


class JSONLines(logging.Formatter):
    """One object a line: time (UTC), level, logger, message, and exception where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_text:
            line["exception"] = record.exc_text
        return json.dumps(line, ensure_ascii=False)


#: What these tell at INFO are ticks and tasks; that something happened is told by what happened (`exports.events`).
_TICKING = ("celery.beat", "celery.worker.strategy", "celery.app.trace", "celery.worker.consumer.connection")


def config(*, level: str, as_json: bool) -> dict[str, Any]:
    """The value of LOGGING; `runserver` and granian write no access lines of their own beside it."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"redact": {"()": RedactURLs}},
        "formatters": {
            "json": {"()": JSONLines},
            "plain": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"},
        },
        "handlers": {
            "stderr": {
                "class": "logging.StreamHandler",
                "filters": ["redact"],
                "formatter": "json" if as_json else "plain",
            }
        },
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {
            "django": {"handlers": [], "level": level, "propagate": True},
            "django.server": {"handlers": ["stderr"], "level": level, "propagate": False},
            **({name: {"level": "WARNING"} for name in _TICKING} if level == "INFO" else {}),
        },
    }
