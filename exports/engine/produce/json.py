"""JSON data files: an answer of the v1 search for each package, or for each object (`spec/v1.md §8.6`)."""

from collections.abc import Iterable, Iterator

from exports.engine.produce.values import dumps


def answer(
    texts: Iterable[bytes], *, objecttypes: Iterable[str], count: int, offset: int, limit: int | None, language: str
) -> Iterator[bytes]:
    """`texts`: documents as JSON. `language` "" is none."""
    head = {
        "type": "objects",
        "format": "long",
        "language": language or None,
        "objecttypes": sorted(objecttypes),
        "offset": offset,
        "limit": limit,
        "count": count,
    }
    yield dumps(head)[:-1] + b',"objects":['
    before = b"\n"
    for text in texts:
        yield before + text
        before = b",\n"
    yield b"\n]}\n"
