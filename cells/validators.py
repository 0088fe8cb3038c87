"""Which names may be. Paths are refused or kept byte for byte; what an archive makes of them is its own layer."""

import re
from functools import cache
from typing import Never
from zoneinfo import available_timezones

from cells.errors import NameRefused

LONGEST_PATH = 4096
LONGEST_SEGMENT = 255
#: First segments of URLs that are ours, so no cell may have them; `tests/house/test_reserved_names.py` compares.
RESERVED_CELL_NAMES = frozenset(
    "__authz __ctl __export __import __mypassword __snapshot __token admin api box files health healthz instances "
    "login logout main metrics move oauth readyz realtime static stored web".split()
)
_CELL = re.compile(r"[a-z0-9][a-z0-9-]{0,127}")
_DOCTYPE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
#: What a name in a DAV collection must not hold (`spec/cell.md §12.3`).
_NO_DAV_NAME = re.compile(r'[\\/:*?"<>|\s\x00-\x1f\x7f-\x9f\ud800-\udfff]')
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@cache
def time_zones() -> frozenset[str]:
    """All of this machine, asked once: `available_timezones` opens 600 files each time (13 ms)."""
    return frozenset(available_timezones())


def normal_path(path: str) -> str:
    """The path of a file or folder without the slash at either end; never empty.

    Refused: NUL, lone surrogates, segments that are empty, `.` or `..`, more than 255 bytes in a segment or
    4,096 in all (UTF-8). Everything else stays as it was given: no Unicode normalisation.
    """
    stripped = path.removeprefix("/").removesuffix("/")
    size = _utf8_length("path", path, stripped)
    if size > LONGEST_PATH:
        _refuse("path", path, f"longer than {LONGEST_PATH} bytes")
    for segment in stripped.split("/"):
        if segment in ("", ".", ".."):
            _refuse("path", path, f"{segment!r} is no name")
        if len(segment) > LONGEST_SEGMENT // 4 and len(segment.encode()) > LONGEST_SEGMENT:
            _refuse("path", path, f"a name in it is longer than {LONGEST_SEGMENT} bytes")
    return stripped


def folder_of(path: str) -> str:
    """The path of the folder that holds it, "" at the top."""
    return path.rpartition("/")[0]


def parents_of(path: str) -> list[str]:
    """The folders above it, the outermost first."""
    segments = path.split("/")
    return ["/".join(segments[:depth]) for depth in range(1, len(segments))]


def cell_name(name: str) -> str:
    """`spec/cell.md §13.1`: 1–128 lower-case letters, digits and hyphens, no hyphen first; no name of ours."""
    if not _CELL.fullmatch(name):
        _refuse("cell name", name, "1 to 128 of a-z, 0-9 and '-', not beginning with '-'")
    if name in RESERVED_CELL_NAMES:
        _refuse("cell name", name, "reserved")
    return name


def doctype_name(doctype: str) -> str:
    """Letters, digits, `_`, `.` and `-`; names with `_` in front are v1's own (`spec/v1.md §7.1`)."""
    if not _DOCTYPE.fullmatch(doctype):
        _refuse("doctype", doctype, "1 to 128 letters, digits, '_', '.' or '-', beginning with a letter or digit")
    return doctype


def document_id(doc_id: str) -> str:
    """1–256 characters without control characters; `/` is allowed inside (`io.cozy.apps/drive`), not at an end."""
    _utf8_length("document id", doc_id, doc_id)
    if not 1 <= len(doc_id) <= 256:
        _refuse("document id", doc_id, "1 to 256 characters")
    if doc_id[0] == "/" or doc_id[-1] == "/" or _CONTROL.search(doc_id):
        _refuse("document id", doc_id, "no control characters, and no '/' at either end")
    return doc_id


def snapshot_name(name: str) -> str:
    """`spec/cell.md §12.3`: 1–255 characters, none of ``\\ / : * ? " < > |``, space or control; not `.` or `..`."""
    if not 1 <= len(name) <= LONGEST_SEGMENT or name in (".", "..") or _NO_DAV_NAME.search(name):
        _refuse("snapshot name", name, '1 to 255 characters, no space or control, none of \\ / : * ? " < > |')
    return name


def _utf8_length(what: str, given: str, text: str) -> int:
    if "\0" in text:
        _refuse(what, given, "a NUL character")
    try:
        return len(text.encode())
    except UnicodeEncodeError:
        _refuse(what, given, "not valid Unicode")


def _refuse(what: str, name: str, reason: str) -> Never:
    shown = name if len(name) <= 200 else name[:200] + "…"
    raise NameRefused(what=what, name=shown.encode(errors="backslashreplace").decode(), reason=reason)
