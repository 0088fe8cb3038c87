"""ZIPs of our own layout made byte by byte, so that any byte can lie; and a reader of all that is in them."""

import hashlib
import struct
import zlib
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from exports.engine import manifest
from exports.engine.entries import FILE_MODE, FOLDER_MODE, Entry
from exports.engine.restore import Budget, Source, restoring
from exports.errors import ArchiveRefused

BUDGET = Budget(entries=200_000, bytes=4 << 30, ratio=250)
LOCAL, CENTRAL, END = struct.Struct("<4sHHHIIIIHH"), struct.Struct("<4sHHHHIIIIHHHHHII"), struct.Struct("<4sHHHHIIH")
LOCAL_FIELDS = "magic needed flags method time crc packed size name_size extra_size".split()
CENTRAL_FIELDS = (
    "magic made needed flags method time crc packed size name_size extra_size comment_size disk inner attributes offset"
).split()


@dataclass
class Part:
    """One member; `local` and `central` overwrite what its headers say."""

    name: bytes
    data: bytes = b""
    deflate: bool = False
    local: dict[str, object] = field(default_factory=dict)
    central: dict[str, object] = field(default_factory=dict)
    #: Bytes put before the local header, and behind the data.
    before: bytes = b""
    behind: bytes = b""
    packed: bytes | None = None

    def body(self) -> bytes:
        if self.packed is not None:
            return self.packed
        if not self.deflate:
            return self.data
        packer = zlib.compressobj(6, zlib.DEFLATED, -15)
        return packer.compress(self.data) + packer.flush()


def zip_of(parts: Iterable[Part], *, end: dict[str, object] | None = None, tail: bytes = b"") -> bytes:
    out, directory, count = bytearray(), bytearray(), 0
    for part in parts:
        out += part.before
        body, offset = part.body(), len(out)
        told = {
            "magic": b"PK\3\4", "made": 3 << 8 | 20, "needed": 20, "flags": 0 if part.name.isascii() else 0x800,
            "method": 8 if part.deflate else 0, "time": 0x21 << 16, "crc": zlib.crc32(part.data), "packed": len(body),
            "size": len(part.data), "comment_size": 0, "disk": 0, "inner": 0,
            "attributes": (0o040755 if part.name.endswith(b"/") else 0o100644) << 16, "offset": offset,
        }  # fmt: skip
        for header, fields, values, target in (
            (LOCAL, LOCAL_FIELDS, part.local, out),
            (CENTRAL, CENTRAL_FIELDS, {"magic": b"PK\1\2", **part.central}, directory),
        ):
            name, extra = values.get("name", part.name), values.get("extra", b"")
            sizes = {"name_size": len(name), "extra_size": len(extra)}
            target += header.pack(*(values.get(each, {**told, **sizes}.get(each)) for each in fields)) + name + extra
        out += body + part.behind
        count += 1
    told = {"magic": b"PK\5\6", "disk": 0, "first": 0, "here": count, "count": count, "length": len(directory)}
    told |= {"offset": len(out), "comment": 0, **(end or {})}
    return bytes(out + directory + END.pack(*told.values())) + tail


def manifest_part(entries: Iterable[tuple[str, bytes]], generated: Iterable[str] = (), **more: object) -> Part:
    """`manifest.json` for (name, content); the names in `generated` are documents."""
    rows = [entry(name, data, generated=name in generated) for name, data in entries]
    return Part(b"manifest.json", b"".join(manifest.lines(rows)), True, **more)


def entry(name: str, data: bytes, *, generated: bool = False) -> Entry:
    mode = FOLDER_MODE if name.endswith("/") else FILE_MODE
    digest = hashlib.sha256(data).hexdigest()
    place = 0 if generated else None
    return Entry(0, name, None, mode, 10**15, len(data), zlib.crc32(data), digest, "raw", len(data), 0, place, b"")


FILES = [("a.txt", b"alpha\n" * 50), ("b/c.bin", bytes(range(256)) * 3), ("b/empty", b""), ("d/", b"")]
DOCUMENTS = ("documents/contact.jsonl", b'{"doctype": "contact", "id": "1", "rev": "1-aa", "body": {"n": 1}}\n')


def parts() -> list[Part]:
    """A good archive: some files, a folder, a document, the manifest."""
    listed = [*FILES, DOCUMENTS]
    made = [Part(name.encode(), data, deflate=name == "a.txt") for name, data in listed]
    return [*made, manifest_part(listed, generated=[DOCUMENTS[0]])]


def swallow(content: bytes | Path, folder: Path, budget: Budget = BUDGET, rest: tuple[str, ...] = ()) -> list[tuple]:
    """All that an import would take from the archive, in order; raises what it would fail with.

    `rest`: paths of further parts.
    """
    path = content if isinstance(content, Path) else folder / "archive"
    if isinstance(content, bytes):
        path.write_bytes(content)
    taken: list[tuple] = []
    with ExitStack() as opened:
        source = opened.enter_context(Source(str(path)))
        source.rest = [opened.enter_context(Source(part)) for part in rest]
        restore = opened.enter_context(restoring(source, budget))
        restore.prepare(lambda: None)
        for item in restore.items():
            digest = ""
            if item.open is not None:
                with item.open() as opened:
                    digest = digest_of(opened)
                if item.sha256 not in ("", digest):  # as `files_load` does
                    raise ArchiveRefused(entry=item.path, reason="its SHA-256 is another than it should be")
            taken.append((item.path, digest, item.mtime, item.executable))
        taken.extend((each.doctype, each.doc_id, each.rev, each.line) for each in restore.documents())
    return sorted(taken, key=repr)


def digest_of(opened) -> str:
    digest = hashlib.sha256()
    while chunk := opened.read(1 << 20):
        digest.update(chunk)
    return digest.hexdigest()
