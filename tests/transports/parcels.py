"""What the contract sends: a shipment of known bytes that can be made to misbehave on the way."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from exports.transports.base import Item


@dataclass
class Parcel:
    """`contents`: name → bytes; a name ending in "/" is an empty folder. `halfway` is called in the middle of each.
    `old` are names of archives that are not part of it any more."""

    contents: dict[str, bytes]
    name: str = "press"
    folder: str = ""
    complete: bool = True
    halfway: Callable[[], object] = lambda: None
    old: tuple[str, ...] = ()

    def items(self) -> Iterator[Item]:
        for name, data in self.contents.items():
            yield Item(name, len(data), self._reader(data), mtime=1_600_000_000_000_000)

    def names_among(self, names: Iterable[str]) -> set[str]:
        return set(names) & set(self.contents)

    def stale(self) -> Iterator[str]:
        yield from self.old

    def links(self) -> list[tuple[str, str, int | None]]:
        return [(name, f"https://exports.example.org/{name}", len(data)) for name, data in self.contents.items()]

    def _reader(self, data: bytes) -> Callable[[int, int], Iterator[bytes]]:
        def chunks(start: int, end: int) -> Iterator[bytes]:
            middle = (start + end) // 2
            for position in range(start, end, 64 * 1024):
                if position <= middle < position + 64 * 1024:
                    self.halfway()
                yield data[position : min(position + 64 * 1024, end)]

        return chunks


@dataclass
class Reports:
    """Keeps what a carrier reports."""

    bytes: int = 0
    lines: list[str] = field(default_factory=list)
    keys: set[str] = field(default_factory=set)

    def tick(self, count: int) -> None:
        self.bytes += count

    def note(self, line: str) -> None:
        self.lines.append(line)

    def finished(self, key: str) -> bool:
        return key in self.keys

    def finish(self, key: str) -> None:
        self.keys.add(key)


def data(size: int, seed: str = "") -> bytes:
    """Incompressible, the same each time."""
    return hashlib.shake_128(f"{size} {seed}".encode()).digest(size)
