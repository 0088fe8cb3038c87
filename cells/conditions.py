"""`If-Match` and `If-None-Match` of the services: versions are revs of documents or SHA-256 of files, "*" is any."""

from collections.abc import Collection

from cells.errors import PreconditionFailed


def conditions_check(
    actual: str | None, if_match: Collection[str] | None, if_none_match: Collection[str] | None
) -> None:
    """`actual` is the stored version, None when there is nothing; a condition of None is none."""
    if if_match is not None and (actual is None or not {"*", actual} & set(if_match)):
        raise PreconditionFailed(actual=actual or "none", expected=", ".join(sorted(if_match)))
    if if_none_match is not None and actual is not None and {"*", actual} & set(if_none_match):
        raise PreconditionFailed(actual=actual, expected="none" if "*" in if_none_match else "another")
