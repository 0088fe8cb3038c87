"""Words of the command line, as argparse types: what they do not understand is a usage error (exit code 2)."""

import re
from argparse import ArgumentTypeError
from datetime import timedelta

_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_UNITS |= {"KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40}
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def size(text: str) -> int:
    """Bytes: `500`, `10GB`, `1.5 GiB`."""
    found = re.fullmatch(r"(\d{1,15}(?:\.\d{1,6})?)\s*([A-Za-z]*)", text.strip(), re.ASCII)
    if (
        found is None
        or found[2].upper() not in _UNITS
        or (value := float(found[1]) * _UNITS[found[2].upper()]) >= 2**63
    ):
        raise ArgumentTypeError(
            f"{text!r} is no size: a number with {', '.join(list(_UNITS)[2:6])}, KiB, MiB, GiB or TiB"
        )
    return int(value)


def duration(text: str) -> timedelta:
    """`90s`, `15m`, `12h`, `30d`."""
    found = re.fullmatch(r"(\d{1,6})([smhd])", text.strip(), re.ASCII)
    if found is None or not int(found[1]):
        raise ArgumentTypeError(f"{text!r} is no duration: a number with s, m, h or d, as in 30d")
    return timedelta(seconds=int(found[1]) * _SECONDS[found[2]])
