"""Names and text that every XML parser takes, whatever people wrote."""

import re
from typing import Any

from exports.engine.notes import Notes

#: No XML document may hold these characters, written in whatever way.
_IMPOSSIBLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_REPLACEMENT = "\ufffd"
#: Letters that both editions of XML 1.0 take in names: expat goes by the fourth, libxml2 by the fifth.
_START = (
    "A-Z_a-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u0131\u0134-\u013e\u0141-\u0148\u014a-\u017e\u0180-\u01c3\u01cd-\u01f0"
    "\u01fa-\u0217\u0250-\u02a8\u038e-\u03a1\u03a3-\u03ce\u0401-\u040c\u040e-\u044f\u0451-\u045c\u045e-\u0481"
    "\u05d0-\u05ea\u0621-\u063a\u0641-\u064a\u0905-\u0939\u3041-\u3094\u30a1-\u30fa\u4e00-\u9fa5\uac00-\ud7a3"
)
_NO_NAME = re.compile(f"[^{_START}.0-9-]")
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
