"""Names and text that every XML parser takes, whatever people wrote."""

import re
from typing import Any

from exports.engine.notes import Notes

#: No XML document may hold these characters, written in whatever way.
_IMPOSSIBLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_REPLACEMENT = "\ufffd"
_START = (
    "A-Z_a-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u02ff\u0370-\u037d\u037f-\u1fff\u200c-\u200d\u2070-\u218f"
    "\u2c00-\u2fef\u3001-\ud7ff\uf900-\ufdcf\ufdf0-\ufffd\U00010000-\U000effff"
)
_NO_NAME = re.compile(f"[^{_START}.0-9\u00b7\u0300-\u036f\u203f-\u2040-]")
_BEGINS = re.compile(f"[{_START}]")
#: Names already made; people choose them, so there is an end.
MOST_NAMES = 10_000
_names: dict[str, str] = {}


def element_name(name: str) -> str:
    """`name` as an element: colons become `__`, what else XML forbids `_` (`spec/v1.md §8.1, §8.5`)."""
    found = _names.get(name)
    if found is None:
        found = _NO_NAME.sub("_", name.replace(":", "__")) or "_"
        found = found if _BEGINS.match(found) else f"_{found}"
        if len(_names) < MOST_NAMES:
            _names[name] = found
    return found


def escaped(text: str, notes: Notes) -> str:
    if "&" in text or "<" in text or ">" in text:
        text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    if not text.isprintable():
        if "\r" in text:
            text = text.replace("\r", "&#13;")
        if _IMPOSSIBLE.search(text):
            notes.warn("XML cannot hold control characters: they are U+FFFD in the XML files.")
            text = _IMPOSSIBLE.sub(_REPLACEMENT, text)
    return text


def attribute(value: Any) -> str:
    """A value between double quotes; white space in it stays what it is."""
    text = _IMPOSSIBLE.sub(_REPLACEMENT, str(value))
    for character, written in (("&", "&amp;"), ("<", "&lt;"), ('"', "&quot;"), ("\n", "&#10;"), ("\t", "&#9;"),
                               ("\r", "&#13;")):  # fmt: skip
        text = text.replace(character, written)
    return text
