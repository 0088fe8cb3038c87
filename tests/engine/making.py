"""Manifests without a database: contents in one file, entries in a list."""

from collections.abc import Iterator
from pathlib import Path

from cells.encoding import encode
from exports.engine.entries import FILE_MODE, FOLDER_MODE, Entry, Source
from exports.engine.plan import PACKERS, Packer, Planner, VolumePlan, plan
from exports.engine.volumes import stream

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

    def folder(self, name: str) -> Entry:
        stored, _ = encode(b"")
        return self._add(name, FOLDER_MODE, MTIME, stored, 0)

    def _add(self, name: str, mode: int, mtime: int, stored, offset: int) -> Entry:
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

    def plans(self, packer: str | Packer, *, closing: Entry | None = None, strip: int = 0) -> list[VolumePlan]:
        packer = PACKERS[packer] if isinstance(packer, str) else packer
        planner = Planner(packer, seal="seal", closing=closing, strip=strip)
        plan((entry for entry in self.entries if entry is not closing), [planner])
        return planner.finish()

    def archive(self, packer: str, path: Path) -> Path:
        (only,) = self.plans(packer)
        with path.open("wb") as file:
            for chunk in stream(only, self.source):
                file.write(chunk)
        assert path.stat().st_size == only.length
        return path
