"""Hostile archives: each lie is refused by name, before it costs time or memory."""

import io
import random
import struct
import tarfile
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from cells.errors import DomainError
from exports.engine.restore import Source, restoring
from exports.errors import (
    ArchiveEntryMissing,
    ArchiveManifestRefused,
    ArchiveRefused,
    ArchiveTooLarge,
    ArchiveVersionUnknown,
    NoArchive,
)  # fmt: skip
from tests.engine.hostile import BUDGET, DOCUMENTS, FILES, Part, manifest_part, parts, swallow, zip_of

S64 = struct.Struct("<HHQQ")


def changed(number: int, **values: object) -> bytes:
    made = parts()
    for name, value in values.items():
        setattr(made[number], name, value)
    return zip_of(made)


def named(name: bytes) -> bytes:
    """With one more entry, which the manifest names too."""
    part = Part(name, b"evil")
    return zip_of([part, *parts()[:-1], manifest_part([(name.decode(), b"evil"), *FILES, DOCUMENTS], [DOCUMENTS[0]])])


def with_documents(lines: bytes, *, deflate: bool = True) -> bytes:
    name = DOCUMENTS[0]
    return zip_of([Part(name.encode(), lines, deflate), manifest_part([(name, lines)], [name])])


def two_ends() -> bytes:
    whole = zip_of(parts())
    inner = zip_of([])
    return zip_of(parts(), end={"comment": len(inner)}, tail=inner) if whole else b""


def zip64_end(**lies: int) -> bytes:
    """A ZIP64 end record where none is needed, and what it says."""
    plain = zip_of(parts())
    end = plain[-22:]
    count, length, offset = struct.unpack("<HII", end[10:20])
    told = {"count": count, "length": length, "offset": offset, "at": len(plain) - 22, "disks": 1, **lies}
    record = struct.pack(
        "<4sQHHIIQQQQ", b"PK\6\6", 44, 45, 45, 0, 0, told["count"], told["count"], told["length"], told["offset"]
    )
    return plain[:-22] + record + struct.pack("<4sIQI", b"PK\6\7", 0, told["at"], told["disks"]) + end


def bomb(size: int, packed: bytes) -> bytes:
    crc = zlib.crc32(bytes(size))
    part = Part(b"zeros", b"", True, packed=packed)
    part.local = part.central = {"size": size, "crc": crc}
    return zip_of([part, manifest_part([])])


def overlapping() -> bytes:
    """As zbsm.zip: every entry quotes the header of the next, all end in one kernel."""
    made = parts()
    first = zip_of(made)
    made[1].central = {"offset": 0}
    assert len(zip_of(made)) == len(first)
    return zip_of(made)


# fmt: off
# ruff: noqa: E501 -- a table
HOSTILE: dict[str, tuple[Callable[[], bytes], type[DomainError], str]] = {
    "empty file": (lambda: b"", NoArchive, "no end record"),
    "random bytes": (lambda: random.Random(1).randbytes(5000), NoArchive, "no end record"),
    "prefixed": (lambda: b"#!/bin/sh\n" + zip_of(parts()), NoArchive, "something was put before"),
    "something behind": (lambda: zip_of(parts()) + b"\0", NoArchive, "something follows its end"),
    "two end records": (two_ends, NoArchive, "is not where|two end records|no archive"),
    "two archives": (lambda: zip_of(parts()) + zip_of(parts()), NoArchive, "something was put before"),
    "truncated in the directory": (lambda: zip_of(parts())[:-60], NoArchive, "no end record"),
    "fewer entries than announced": (lambda: zip_of(parts(), end={"here": 9, "count": 9}), NoArchive, "announces"),
    "more entries than announced": (lambda: zip_of(parts(), end={"here": 2, "count": 2}), NoArchive, "something between"),
    "several disks": (lambda: zip_of(parts(), end={"disk": 1}), NoArchive, "disks"),
    "10 M entries announced": (lambda: zip64_end(count=10**7), NoArchive, "contradict"),
    "ZIP64 end elsewhere": (lambda: zip64_end(at=0), NoArchive, "not where it should be"),
    "ZIP64 end with another offset": (lambda: zip64_end(offset=7), NoArchive, "contradict"),
    "ZIP64 end missing": (lambda: zip_of(parts(), end={"offset": 0xFFFFFFFF}), NoArchive, "ZIP64 end record is missing"),
    "forged ZIP64 field": (
        lambda: changed(0, central={"size": 0xFFFFFFFF, "extra": S64.pack(1, 16, 7, 7)}), ArchiveRefused, "forged"),
    "ZIP64 field in the local header alone": (
        lambda: changed(1, local={"extra": S64.pack(1, 16, 1 << 40, 1 << 40)}), ArchiveRefused, "forged ZIP64"),
    "ZIP64 sizes missing": (lambda: changed(1, central={"size": 0xFFFFFFFF}), ArchiveRefused, "sizes are missing"),
    "ZIP64 offset beyond all": (
        lambda: changed(1, central={"offset": 0xFFFFFFFF, "extra": struct.pack("<HHQ", 1, 8, 2**64 - 1)}),
        ArchiveRefused, "reaches into the directory"),
    "overlap": (overlapping, ArchiveRefused, "local header|overlaps"),
    "a gap": (lambda: changed(1, before=b"hidden"), ArchiveRefused, "6 bytes before it belong to nothing"),
    "bytes before the directory": (lambda: changed(-1, behind=b"hidden"), NoArchive, "does not begin where"),
    "another local name": (lambda: changed(0, local={"name": b"b.txt"}), ArchiveRefused, "another name"),
    "another local method": (lambda: changed(1, local={"method": 8}), ArchiveRefused, "another name, method"),
    "another local size": (lambda: changed(1, local={"size": 5}), ArchiveRefused, "another size or CRC"),
    "another local CRC": (lambda: changed(1, local={"crc": 5}), ArchiveRefused, "another size or CRC"),
    "no local header": (lambda: changed(1, local={"magic": b"PK\3\5"}), ArchiveRefused, "no local header"),
    "a lying descriptor": (
        lambda: changed(1, local={"flags": 8, "crc": 0, "packed": 0, "size": 0}, central={"flags": 8},
                        behind=b"PK\7\x08" + bytes(12)), ArchiveRefused, "data descriptor"),
    "encrypted": (lambda: changed(1, local={"flags": 1}, central={"flags": 1}), ArchiveRefused, "encrypted"),
    "strongly encrypted": (lambda: changed(1, local={"flags": 64}, central={"flags": 64}), ArchiveRefused, "encrypted"),
    "LZMA": (lambda: changed(1, local={"method": 14}, central={"method": 14}), ArchiveRefused, "method 14"),
    "patched data": (lambda: changed(1, local={"flags": 32}, central={"flags": 32}), ArchiveRefused, "no ordinary ZIP"),
    "two names": (
        lambda: changed(0, central={"extra": struct.pack("<HHBI", 0x7075, 8, 1, 0) + b"x/y"}), ArchiveRefused, "two names"),
    "broken extra fields": (lambda: changed(0, central={"extra": b"\1\2\xff\xff"}), ArchiveRefused, "extra fields"),
    "a name that is not UTF-8": (lambda: changed(0, name=b"\xff\xfe"), ArchiveRefused, "not UTF-8"),
    "twice": (lambda: zip_of([parts()[0], *parts()]), ArchiveRefused, "there twice"),
    "absolute": (lambda: named(b"/etc/passwd"), ArchiveRefused, "absolute"),
    "drive": (lambda: named(b"C:/x"), ArchiveRefused, "absolute"),
    "dotted": (lambda: named(b"a/../../x"), ArchiveRefused, "'..'"),
    "dot": (lambda: named(b"./x"), ArchiveRefused, "'.'"),
    "nothing as a part": (lambda: named(b"a//x"), ArchiveRefused, "nothing as part"),
    "backslash": (lambda: named(b"..\\x"), ArchiveRefused, "backslash"),
    "newline": (lambda: named(b"a\nb"), ArchiveRefused, "control characters"),
    "NUL": (lambda: named(b"a\0b"), ArchiveRefused, "control characters"),
    "escape": (lambda: named(b"a\x1b[2Jb"), ArchiveRefused, "control characters"),
    "C1": (lambda: named("a\u0085b".encode()), ArchiveRefused, "control characters"),
    "symbolic link": (lambda: changed(1, central={"attributes": 0o120777 << 16}), ArchiveRefused, "a link"),
    "device": (lambda: changed(1, central={"attributes": 0o060644 << 16}), ArchiveRefused, "a device"),
    "pipe": (lambda: changed(1, central={"attributes": 0o010644 << 16}), ArchiveRefused, "neither file nor folder"),
    "folder with content": (
        lambda: zip_of([Part(b"f/", b"x"), manifest_part([])]), ArchiveRefused, "a folder with content"),
    "a bit of content": (lambda: zip_of(parts()).replace(bytes(range(256)), bytes(255) + b"\1", 1), ArchiveRefused, "CRC-32"),
    "a compressed bit": (lambda: flipped(36), ArchiveRefused, "inflate|CRC-32|less|more|early|follows"),
    "compressed bytes behind the end": (
        lambda: changed(0, packed=parts()[0].body() + b"\0" * 9), ArchiveRefused, "follows its compressed"),
    "flat bomb": (lambda: bomb(600 << 20, b"\0" * 500_000), ArchiveTooLarge, "bytes unpacked"),
    "more than announced": (lambda: grown(), ArchiveRefused, "more than it announces"),
    "not in the manifest": (
        lambda: zip_of([Part(b"more", b"x"), *parts()]), ArchiveRefused, "manifest does not name it"),
    "only in the manifest": (
        lambda: zip_of([*parts()[1:]]), ArchiveEntryMissing, "a.txt"),
    "another size in the manifest": (
        lambda: zip_of([*parts()[:-1], manifest_part([("a.txt", b"x"), *FILES[1:], DOCUMENTS], [DOCUMENTS[0]])]),
        ArchiveRefused, "not what the manifest says"),
    "no manifest": (lambda: zip_of(parts()[:-1]), ArchiveEntryMissing, "manifest.json"),
    "another version": (
        lambda: zip_of([Part(b"manifest.json", b'{"format": "exportsite-archive", "version": 2, "entries": [\n]}')]),
        ArchiveVersionUnknown, "is 2"),
    "a manifest cut off": (
        lambda: zip_of([Part(b"manifest.json", b'{"format": "exportsite-archive", "version": 1, "entries": [\n')]),
        ArchiveManifestRefused, "ends too early"),
    "a path outside": (lambda: replaced(b'"name": "a.txt"', b'"name": "a.txt", "path": "../a"'), ArchiveRefused, "path"),
    "two with one path": (
        lambda: replaced(b'"name": "a.txt"', b'"name": "a.txt", "path": "b/empty"'), ArchiveRefused, "twice"),
    "a line of 1 GB": (lambda: bomb(1 << 30, b"\0" * 500_000), ArchiveTooLarge, "bytes unpacked"),
    "10,000 deep": (lambda: with_documents(b"[" * 10_000 + b"]" * 10_000 + b"\n"), ArchiveRefused, "line 1"),
    "300 deep": (
        lambda: with_documents(
            b'{"doctype": "x", "id": "1", "rev": "1-a", "body": {"a": ' + b"[" * 300 + b"]" * 300 + b"}}\n"),
        ArchiveRefused, "nested deeper"),
    "no JSON": (lambda: with_documents(b"{nonsense\n"), ArchiveRefused, "line 1: not JSON"),
    "no object": (lambda: with_documents(b"17\n"), ArchiveRefused, "not an object"),
    "a doctype that cannot be": (
        lambda: with_documents(b'{"doctype": "_x", "id": "1", "rev": "1-a", "body": {}}\n'), ArchiveRefused, "doctype"),
}
# fmt: on


def flipped(position: int) -> bytes:
    whole = bytearray(zip_of(parts()))
    whole[position] ^= 16
    return bytes(whole)


def grown() -> bytes:
    made = parts()
    made[0].local = made[0].central = {"size": 10}
    made[-1].data = made[-1].data.replace(b'"size": 300', b'"size": 10')
    return zip_of(made)


def replaced(old: bytes, new: bytes) -> bytes:
    made = parts()
    assert old in made[-1].data
    made[-1].data = made[-1].data.replace(old, new)
    return zip_of(made)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_zip_is_refused_by_name(name: str, tmp_path: Path) -> None:
    make, kind, reason = HOSTILE[name]
    with pytest.raises(kind, match=reason):
        swallow(make(), tmp_path)


def test_a_good_archive_is_not(tmp_path: Path) -> None:
    """All the others differ from this one by one lie."""
    taken = swallow(zip_of(parts()), tmp_path)
    assert len(taken) == len(FILES) + 1


def test_a_nested_bomb_is_a_file_like_any_other(tmp_path: Path) -> None:
    inner = bomb(600 << 20, b"\0" * 500_000)
    taken = swallow(zip_of([Part(b"inner.zip", inner), manifest_part([("inner.zip", inner)])]), tmp_path)
    assert [path for path, *_ in taken] == ["inner.zip"]


def test_a_line_that_is_too_long_is_not_held(tmp_path: Path) -> None:
    """Where the administrator allows such ratios, the line is what is refused, when 32 MiB of it were read."""
    archive = tmp_path / "archive.zip"
    archive.write_bytes(with_documents(b"[" * (1 << 26)))
    tracemalloc.start()
    try:
        with pytest.raises(ArchiveRefused, match="line 1 is longer than"):
            swallow(archive, tmp_path, BUDGET._replace(ratio=10**6))
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 160 << 20


def test_many_tiny_entries_cost_no_memory(tmp_path: Path) -> None:
    """Names lie in a temporary file: five times as many entries take the same memory."""
    most = []
    for count in (1_000, 6_000):
        listed = [(f"{n:06}", b"") for n in range(count)]
        archive = tmp_path / f"{count}.zip"
        archive.write_bytes(zip_of([*(Part(name.encode()) for name, _ in listed), manifest_part(listed)]))
        tracemalloc.start()
        with_budget = BUDGET._replace(entries=6_001)
        with Source(str(archive)) as source, restoring(source, with_budget) as restore:
            restore.prepare(lambda: None)
            assert sum(1 for _ in restore.items()) == count
        most.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert most[1] < most[0] + (4 << 20)


def test_more_entries_than_allowed_are_refused_before_they_are_read(tmp_path: Path) -> None:
    with pytest.raises(ArchiveTooLarge, match="6 entries; 5 are allowed"):
        swallow(zip_of(parts()), tmp_path, BUDGET._replace(entries=5))


def test_more_bytes_than_allowed_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ArchiveTooLarge, match="bytes unpacked; 1000 are allowed"):
        swallow(zip_of(parts()), tmp_path, BUDGET._replace(bytes=1000))


def test_an_archive_that_python_packed_again_is_read(tmp_path: Path) -> None:
    """Also in another order, and streamed: with data descriptors."""

    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

        def tell(self) -> int:
            raise OSError

    wanted = swallow(zip_of(parts()), tmp_path)
    for target in (io.BytesIO(), Pipe()):
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
            for part in reversed(parts()):
                archive.writestr(part.name.decode(), part.data)
        assert swallow(target.getvalue(), tmp_path) == wanted


TARS = {
    "symbolic link": (tarfile.SYMTYPE, "x", ArchiveRefused, "a link"),
    "hard link": (tarfile.LNKTYPE, "x", ArchiveRefused, "a link"),
    "device": (tarfile.BLKTYPE, "x", ArchiveRefused, "a device"),
    "pipe": (tarfile.FIFOTYPE, "x", ArchiveRefused, "neither file nor folder"),
    "absolute": (tarfile.REGTYPE, "/etc/passwd", ArchiveRefused, "absolute"),
    "dotted": (tarfile.REGTYPE, "../x", ArchiveRefused, "'..'"),
    "GNU long name": (tarfile.REGTYPE, "n" * 200, ArchiveRefused, "neither file nor folder"),
}


@pytest.mark.parametrize("name", TARS)
def test_a_hostile_tar_is_refused_by_name(name: str, tmp_path: Path) -> None:
    kind, member, error, reason = TARS[name]
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as archive:
        info = tarfile.TarInfo("good")
        archive.addfile(info)
        info = tarfile.TarInfo(member)
        info.type, info.linkname = kind, "/etc/passwd"
        archive.addfile(info)
    with pytest.raises(error, match=reason):
        swallow(made_ustar(out.getvalue()), tmp_path)


def made_ustar(tar: bytes) -> bytes:
    """GNU's magic is refused for itself; the headers inside are what is tried here."""
    out = bytearray(tar)
    for at in range(0, len(out), 512):
        if out[at + 257 : at + 265] == b"ustar  \0":
            out[at + 257 : at + 265] = b"ustar\x0000"
            out[at + 148 : at + 156] = b" " * 8
            out[at + 148 : at + 156] = b"%06o\0 " % sum(out[at : at + 512])
    return bytes(out)
