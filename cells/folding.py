"""Folding text for search: what is left when case, accents and compatibility forms do not count (`spec/v1.md §7.4`).

The database folds documents by the same rules (`migrations/0003_search.py`); a test compares the two on all of Unicode.
"""

import unicodedata

#: Parts of words: letters, numbers, and the marks that NFKD leaves and nobody drops (Indic and Thai vowels).
_WORDLY = "LNM"


def fold(text: str) -> str:
    """NFKD without combining marks, case-folded; ß is ss."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return plain.casefold().lower()


def words(text: str, keep: str = "") -> list[str]:
    """The folded words of a text; characters of `keep` count as letters."""
    return "".join(c if c in keep or unicodedata.category(c)[0] in _WORDLY else " " for c in fold(text)).split()
