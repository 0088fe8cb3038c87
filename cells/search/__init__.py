"""A v1 search definition (`spec/v1.md §7`) as a condition in SQL."""

from cells.search.compiling import Condition, compile
from cells.search.refusals import SearchRefused, SearchTooLong

__all__ = ["Condition", "SearchRefused", "SearchTooLong", "compile"]
