"""Typed readers of the environment. A bad value ends the process with one sentence."""

import ipaddress
import os
import re
from datetime import timedelta
from pathlib import Path
from typing import Never
from urllib.parse import parse_qsl, urlencode, urlsplit
from zoneinfo import available_timezones

import environ

#: Every variable that was asked for, in order; tests/house/test_env.py compares it with .env.example.
READ: list[str] = []

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
#: A century; of durations, and of numbers of days.
MOST_DAYS = 36_500
_WORDS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


class SettingError(SystemExit):
    """One sentence on standard error and exit code 1: whoever starts the server is not helped by a traceback."""


def refuse(name: str, why: str) -> Never:
    raise SettingError(f"{name}: {why} (see .env.example)")


def _raw(name: str) -> str:
    """The value, or "" when unset: an empty value in an .env file means "the default"."""
    if name not in READ:
        READ.append(name)
    return os.environ.get(name, "").strip()


def load_file(path: Path) -> None:
    """Adds the variables of an .env file; what the environment already has wins."""
    if path.is_file():
        environ.Env.read_env(path)


def text(name: str, default: str = "") -> str:
    return _raw(name) or default


def flag(name: str, default: bool = False) -> bool:
    raw = _raw(name).lower()
    if raw and raw not in _WORDS:
        refuse(name, f"{raw!r} is neither true nor false")
    return _WORDS[raw] if raw else default


def integer(name: str, default: int, minimum: int = 0, maximum: int | None = None) -> int:
    raw = _raw(name)
    if raw and not (raw.isascii() and raw.isdigit()):
        refuse(name, f"{raw!r} is not a whole number")
    value = int(raw) if raw else default
    if value < minimum:
        refuse(name, f"{value} is less than {minimum}")
    if maximum is not None and value > maximum:
        refuse(name, f"{value} is more than {maximum}")
    return value


def time_zone(name: str, default: str) -> str:
    """An IANA name, as in Europe/Berlin."""
    raw = _raw(name) or default
    if raw not in available_timezones():
        refuse(name, f"{raw!r} is no time zone like Europe/Berlin")
    return raw


def duration(name: str, default: str, units: str = "mhd", minimum: str = "1m") -> timedelta:
    """A number and one unit, as in `3d`; `units` names the letters allowed."""
    raw = _raw(name) or default
    found = re.fullmatch(rf"([0-9]{{1,6}})([{units}])", raw)
    if not found:
        refuse(name, f"{raw!r} is not a number followed by one of {', '.join(units)}")
    value = timedelta(**{_UNITS[found[2]]: int(found[1])})
    if value < timedelta(**{_UNITS[minimum[-1]]: int(minimum[:-1])}):
        refuse(name, f"{raw!r} is shorter than {minimum}")
    if value.days > MOST_DAYS:  # 999999d before today there was no year
        refuse(name, f"{raw!r} is longer than {MOST_DAYS}d")
    return value


def path(name: str, default: Path) -> Path:
    raw = _raw(name)
    return Path(raw).expanduser().absolute() if raw else default


def names(name: str, default: str = "") -> list[str]:
    """A list separated by commas."""
    return [part.strip() for part in (_raw(name) or default).split(",") if part.strip()]


def networks(name: str, default: str = "") -> list[str]:
    """A list of IP networks like 10.0.0.0/8, separated by commas."""
    found = names(name, default)
    for network in found:
        try:
            ipaddress.ip_network(network)
        except ValueError:
            refuse(name, f"{network!r} is not a network like 10.0.0.0/8")
    return found


def size(name: str, default: str) -> int:
    """Bytes: a number and KB, MB or GB (of 1024)."""
    raw = _raw(name) or default
    found = re.fullmatch(r"([0-9]{1,6})(KB|MB|GB)", raw)
    if not found:
        refuse(name, f"{raw!r} is not a number followed by one of KB, MB, GB")
    return int(found[1]) << {"KB": 10, "MB": 20, "GB": 30}[found[2]]


def folders(name: str) -> list[Path]:
    """Absolute paths, separated by commas."""
    found = names(name)
    for folder in found:
        if not folder.startswith("/"):
            refuse(name, f"{folder!r} is not an absolute path")
    return [Path(folder) for folder in found]


def choice(name: str, default: str, allowed: tuple[str, ...]) -> str:
    raw = _raw(name) or default
    if raw not in allowed:
        refuse(name, f"{raw!r} is not one of {', '.join(allowed)}")
    return raw


def base_url(name: str, default: str) -> str:
    """An http(s) address without a slash at its end; "" for none, where that is the default."""
    raw = (_raw(name) or default).rstrip("/")
    if not raw:
        return raw
    try:
        parts = urlsplit(raw)
        is_one = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # of brackets or a port that cannot be
        is_one = False
    if not is_one or parts.query or parts.fragment:
        refuse(name, f"{raw!r} is not an address like https://exports.example.org")
    return raw


def database(name: str, default: str) -> dict[str, object]:
    """A Django DATABASES entry; a socket directory goes into the query, as in `postgres:///db?host=/run/pg`."""
    raw = _raw(name) or default
    if urlsplit(raw).scheme not in ("postgres", "postgresql"):
        refuse(name, "is not an address like postgres://user:password@host:5432/name")
    config = dict(environ.Env.db_url_config(raw))
    if "host" in config.get("OPTIONS", {}):
        config["HOST"] = config["OPTIONS"].pop("host")
    return config


def redis(name: str, default: str) -> tuple[str, str]:
    """(address for redis-py, address for Celery): the two spell a Unix socket differently."""
    raw = _raw(name) or default
    parts = urlsplit(raw)
    if parts.scheme in ("redis", "rediss") and parts.hostname:
        return raw, raw
    if parts.scheme not in ("unix", "redis+socket") or not parts.path:
        refuse(name, "is not an address like redis://host:6379/0 or unix:///run/redis.sock?db=0")
    query = dict(parse_qsl(parts.query))
    db = query.pop("virtual_host", None) or query.pop("db", None) or "0"
    secret = f"{parts.netloc}" if parts.netloc else ""
    return (
        f"unix://{secret}{parts.path}?{urlencode({**query, 'db': db})}",
        f"redis+socket://{secret}{parts.path}?{urlencode({**query, 'virtual_host': db})}",
    )
