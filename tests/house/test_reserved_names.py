"""No cell can take a URL prefix that something is mounted under."""

import re

from django.conf import settings
from django.urls import get_resolver
from django.urls.resolvers import URLPattern, URLResolver

from cells.validators import RESERVED_CELL_NAMES


def first_segments(pattern: URLPattern | URLResolver) -> set[str]:
    text = str(pattern.pattern).lstrip("^")
    if text.startswith("<"):
        return {""}  # a cell's name, which those of all others go before
    literal = re.match(r"[\w.-]*", text)[0]
    if literal or not isinstance(pattern, URLResolver):
        return {literal}
    return set().union(*(first_segments(inner) for inner in pattern.url_patterns))


def test_every_mounted_prefix_is_a_reserved_cell_name() -> None:
    mounted = set().union(*(first_segments(pattern) for pattern in get_resolver().url_patterns)) - {""}
    assert {"admin", "api"} <= mounted
    assert mounted <= RESERVED_CELL_NAMES


def test_prefixes_answered_before_the_urlconf_are_reserved_too() -> None:
    proxy = settings.ACCEL_REDIRECT.strip("/").split("/")[0] or "stored"
    assert {"healthz", "readyz", settings.STATIC_URL.strip("/"), proxy} <= RESERVED_CELL_NAMES


def test_the_names_of_the_other_dialects_are_reserved() -> None:
    assert {"move", "__ctl", "__export", "__import", "__snapshot", "__token"} <= RESERVED_CELL_NAMES
