"""Proving archives and blobs again: everything is read, nothing is taken on trust."""

import bz2
import gzip
import hashlib
import io
import json
import tarfile
import zipfile
import zlib
from collections import deque
from collections.abc import Iterator
from contextlib import closing
from tempfile import TemporaryFile
from typing import IO

from cells.blobs import blob_verify
from cells.errors import BlobDamaged, DomainError
from cells.models import Blob
from exports.engine import manifest as text
from exports.engine import volumes
from exports.engine.contents import CHUNK
from exports.engine.layouts.cell import MANIFEST as SNAPSHOT_MANIFEST
from exports.engine.restore import Source, restoring
from exports.models import Run, Volume
from exports.services import planning, store
from exports.services.archives import budget
from exports.states import DOWNLOADABLE


def blobs_verify() -> Iterator[tuple[str, str | None]]:
    """(digest, None or what is wrong) of every blob."""
    for blob in Blob.objects.order_by("store_file", "offset").iterator():
        wrong = None
        try:
            blob_verify(blob)
        except BlobDamaged as error:
            wrong = str(error.params["reason"])
        yield f"blob {blob.sha256}", wrong


def runs_verify() -> Iterator[tuple[str, str | None]]:
    for run in Run.objects.filter(state__in=DOWNLOADABLE).order_by("pk").iterator():
        yield from run_verify(run=run)


def run_verify(*, run: Run) -> Iterator[tuple[str, str | None]]:
    """(archive, None or what is wrong): stored archives against their manifest and plan, computed ones by computing."""
    for volume in run.volumes.order_by("pk"):
        label = f"run {run.pk} {volume.packer} {volume.number}/{volume.of}"
        try:
            if volume.store_file:
                wrong = "; ".join(file_verify(store.volume_path(volume))) or None
            else:
                wrong = _compute(run, volume)
        except (OSError, BlobDamaged) as error:
            wrong = str(error)
        yield label, wrong


def _compute(run: Run, volume: Volume) -> str | None:
    sent = sum(len(chunk) for chunk in volumes.stream(planning.volume_plan(run, volume), planning.run_source(run)))
    return None if sent == volume.length else f"{sent} bytes instead of {volume.length}"


def file_verify(path: str) -> list[str]:
    """What is wrong with an archive file, judged by the manifest inside. Needs neither database nor store."""
    try:
        if zipfile.is_zipfile(path):
            if _is_snapshot(path):
                return _snapshot_faults(path)
            return list(_compare(_zip_members(path), _zip_manifest(path)))
        return list(_compare(_tar_members(path), _tar_manifest(path)))
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, ValueError, KeyError) as error:
        return [f"{error.__class__.__name__}: {error}"]
    except OSError as error:
        if error.errno is not None:
            raise
        return [str(error)]  # how gzip and bz2 speak of bad data


def _is_snapshot(path: str) -> bool:
    with zipfile.ZipFile(path) as archive:
        return SNAPSHOT_MANIFEST in archive.NameToInfo


def _snapshot_faults(path: str) -> list[str]:
    """A snapshot has no digests: it is read as an import reads it, and every CRC-32 with it."""
    try:
        with Source(path) as source, restoring(source, budget(), snapshots_only=True) as restore:
            restore.prepare(lambda: None)
            for item in restore.items():
                if item.open is not None:
                    with item.open() as content:
                        _digest(content)
            deque(restore.documents(), maxlen=0)
    except DomainError as error:
        return [str(error)]
    return []


#: (name, size, SHA-256 or "" for a folder)
Member = tuple[str, int, str]


def _compare(members: Iterator[Member], lines: IO[bytes]) -> Iterator[str]:
    """Members but the last (the manifest) must be consecutive lines of it: so a volume of a set passes too."""
    with closing(lines):
        expected = _entries(lines)
        member, found = next(members, None), False
        if member is None:
            yield "it holds nothing, not even a manifest"
            return
        for following in members:
            wanted = next(expected, None)
            while not found and wanted is not None and wanted[0] != member[0]:
                wanted = next(expected, None)
            found = True
            if wanted is None or wanted[0] != member[0]:
                yield f"{member[0]} is not what follows in the manifest" + (f" ({wanted[0]} is)" if wanted else "")
                return
            if member != wanted:
                yield f"{member[0]}: its content is not what the manifest says"
            member = following


def _entries(lines: IO[bytes]) -> Iterator[Member]:
    head = json.loads(lines.readline() + b"]}")
    if head.get("format") != text.FORMAT or head.get("version") != text.VERSION:
        raise ValueError(f"manifest of format {head.get('format')} {head.get('version')} cannot be read here")
    for line in lines:
        if line.startswith(b"]"):
            return
        entry = json.loads(line.rstrip(b",\n"))
        yield entry["name"], entry.get("size", 0), entry.get("sha256", "")


def _digest(stream: IO[bytes]) -> tuple[int, str]:
    digest, size = hashlib.sha256(), 0
    while chunk := stream.read(CHUNK):
        digest.update(chunk)
        size += len(chunk)
    return size, digest.hexdigest()


def _zip_members(path: str) -> Iterator[Member]:
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            with archive.open(info) as stream:
                size, digest = _digest(stream)
            yield info.filename, size, "" if info.is_dir() else digest


def _zip_manifest(path: str) -> IO[bytes]:
    kept = TemporaryFile()  # noqa: SIM115
    with zipfile.ZipFile(path) as archive:
        if not archive.infolist():
            raise ValueError("the archive has no manifest")
        with archive.open(archive.infolist()[-1]) as stream:
            _copy(stream, kept)
    return kept


def _tar_walk(path: str) -> Iterator[tuple[tarfile.TarFile, tarfile.TarInfo]]:
    with _decompressed(path) as plain, tarfile.open(fileobj=plain, mode="r|") as archive:
        while (info := archive.next()) is not None:
            yield archive, info
            archive.members.clear()  # Python 3.11 keeps every member it has seen.
        while plain.read(CHUNK):  # A TAR ends before its file does: what was compressed must be whole to the end.
            pass


def _decompressed(path: str) -> IO[bytes]:
    """tarfile's own "r|gz" stops after the first of joined gzip members, and "r|bz2" after the first stream."""
    with open(path, "rb") as file:
        head = file.read(3)
    openers = {b"\x1f\x8b\x08": gzip.open, b"BZh": bz2.open}
    return openers.get(head, open)(path, "rb")


def _tar_members(path: str) -> Iterator[Member]:
    for archive, info in _tar_walk(path):
        if info.isdir():
            yield info.name + "/", 0, ""
        else:
            yield info.name, *_digest(_content(archive, info))


def _tar_manifest(path: str) -> IO[bytes]:
    """A TAR has no directory: each member that may be the manifest is kept until the next one comes."""
    stem = text.NAME.partition(".")[0]
    kept: IO[bytes] = io.BytesIO()
    for archive, info in _tar_walk(path):
        if info.isreg() and info.name.startswith(stem):
            kept.close()
            kept = TemporaryFile()  # noqa: SIM115
            _copy(_content(archive, info), kept)
    return kept


def _content(archive: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    stream = archive.extractfile(info)
    if stream is None:
        raise ValueError(f"{info.name} is neither file nor folder")
    return stream


def _copy(stream: IO[bytes], kept: IO[bytes]) -> None:
    while chunk := stream.read(CHUNK):
        kept.write(chunk)
    kept.seek(0)
