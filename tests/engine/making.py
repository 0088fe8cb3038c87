"""Manifests without a database: contents in one file, entries in a list."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from cells.encoding import Encoder, Stored, encode
from exports.engine.entries import FILE_MODE, FOLDER_MODE, Entry, Source
from exports.engine.plan import PACKERS, Packer, Planner, VolumePlan, plan
from exports.engine.volumes import stream, write

MTIME = 1_700_000_001_234_567


class Making:
    """Collects entries; contents are encoded as the blob store would."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "contents"
        self.entries: list[Entry] = []
        self._file = self.path.open("ab")
        self.plain: dict[str, bytes] = {}

    def file(self, name: str, data: bytes, *, mtime: int = MTIME, mode: int = FILE_MODE) -> Entry:
        stored, body = encode(data)
        offset = self._file.tell()
        self._file.write(body)
        self._file.flush()
        self.plain[name] = data
        return self._add(name, mode, mtime, stored, offset)

    def encoded(self, name: str, chunks: Iterable[bytes]) -> Entry:
        """As `file`, for content that does not fit the memory."""
        offset = self._file.tell()
        encoder = Encoder(self._file.write)
        for chunk in chunks:
            encoder.feed(chunk)
        stored = encoder.finish()
        self._file.flush()
        return self._add(name, FILE_MODE, MTIME, stored, offset)

    def again(self, name: str, entry: Entry, **changes: object) -> Entry:
        """Another entry with the content of `entry`."""
        copy = entry._replace(ordinal=len(self.entries), name=name, **changes)
        self.entries.append(copy)
        return copy

    def folder(self, name: str, *, mtime: int = MTIME) -> Entry:
        stored, _ = encode(b"")
        return self._add(name, FOLDER_MODE, mtime, stored, 0)

    def _add(self, name: str, mode: int, mtime: int, stored: Stored, offset: int) -> Entry:
        entry = Entry(
            len(self.entries), name, None, mode, mtime, stored.size, stored.crc32, stored.sha256, stored.encoding,
            stored.stored_size, stored.stored_crc32, None, stored.points, str(self.path), offset,
        )  # fmt: skip
        self.entries.append(entry)
        return entry

    @property
    def source(self) -> Source:
        def entries(first: int, last: int) -> Iterator[Entry]:
            yield from self.entries[first:last]

        return entries

    def plans(
        self, packer: str | Packer, *, closing: Entry | None = None, strip: int = 0, seal: str = "seal"
    ) -> list[VolumePlan]:
        packer = PACKERS[packer] if isinstance(packer, str) else packer
        planner = Planner(packer, seal=seal, closing=closing, strip=strip)
        plan((entry for entry in self.entries if entry is not closing), [planner])
        return planner.finish()

    def only(self, packer: str | Packer) -> VolumePlan:
        (only,) = self.plans(packer)
        return only

    def archive(self, packer: str, path: Path, tick: Callable[[int], object] = lambda count: None) -> Path:
        plan = self.only(packer)
        length = write(plan, self.source, str(path), tick)
        assert path.stat().st_size == length == (plan.length or length)
        return path

    def bytes(self, packer: str) -> bytes:
        """The whole archive of a format whose length is known beforehand."""
        return b"".join(stream(self.only(packer), self.source))
