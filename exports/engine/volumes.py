"""Volumes as bytes: any range of one as a stream, or the whole of it as a verified file."""

import contextlib
import errno
import os
import secrets
from collections.abc import Callable, Iterator
from tempfile import SpooledTemporaryFile

from cells.errors import BlobDamaged, NoSpace
from exports.engine.contents import CHUNK, Contents, damage
from exports.engine.entries import Entry, Mark, Source
from exports.engine.formats import FORMATS, Format
from exports.engine.formats.bzip2 import TarBz2
from exports.engine.plan import VolumePlan
from exports.errors import EntriesDamaged

#: Written bytes are sent to the disk at every so many, so that the closing fsync finds little left: 390 MB took 0.23 s
#: without, 0.15 s with it. DONTNEED starts the writing of dirty pages, and drops only pages that are clean already.
WRITEBACK = 8 * 1024 * 1024
#: 256 KiB of tiny entries are some thousand rows: somebody who waits for a first byte is not to wait for all of them.
FIRST_CHUNK = 4 * 1024
#: Directory records of about 150,000 entries; more of them go to a temporary file.
DIRECTORY_IN_MEMORY = 16 * 1024 * 1024


def stream(plan: VolumePlan, source: Source, start: int = 0, end: int | None = None) -> Iterator[bytes]:
    """Bytes [start, end) of the volume, in pieces that soon have at least `CHUNK` bytes; the first comes early.

    Raises BlobDamaged when content is not what the manifest says: the reader then has fewer bytes than announced.
    """
    if plan.length is None:
        raise ValueError(f"a {plan.format} cannot be computed in part")
    end = plan.length if end is None else end
    held, least = bytearray(), FIRST_CHUNK
    left = end - start
    for piece in _from(plan, source, start):
        if left <= len(piece):
            held += memoryview(piece)[:left]
            break
        left -= len(piece)
        if len(held) + len(piece) < least:
            held += piece
            continue
        least = min(least * 4, CHUNK)
        if held:
            held += piece
            yield bytes(held)
            held.clear()
        else:
            yield piece
    if held:
        yield bytes(held)


def _from(plan: VolumePlan, source: Source, start: int) -> Iterator[bytes]:
    """All bytes of the volume from `start` on, in whatever pieces."""
    archive_format = FORMATS[plan.format]
    with Contents() as contents, SpooledTemporaryFile(DIRECTORY_IN_MEMORY) as directory:
        keep = directory.write if archive_format.has_directory and start == 0 else None
        if start < plan.end.offset:
            mark = plan.mark_before(start)
            yield from _bodies(archive_format, plan.entries(source, mark.ordinal), mark, start, contents, keep)
        skip = max(start - plan.end.offset, 0)
        if keep:
            directory.seek(0)
            yield from iter(lambda: directory.read(CHUNK), b"")
        elif archive_format.has_directory and skip < plan.end.aux:
            yield from _directory(archive_format, plan, source, skip)
        skip -= plan.end.aux if archive_format.has_directory else 0
        yield archive_format.closing(plan.end)[max(skip, 0) :]


def _bodies(
    archive_format: Format,
    entries: Iterator[Entry],
    mark: Mark,
    start: int,
    contents: Contents,
    keep: Callable[[bytes], object] | None,
) -> Iterator[bytes]:
    position = mark.offset
    for entry in entries:
        begin = position
        for piece in archive_format.pieces(entry, mark):
            if keep and position == begin:
                keep(archive_format.directory(entry, begin, piece))
            length = len(piece) if type(piece) is bytes else piece.length
            if position + length <= start:
                position += length
                continue
            skip = max(start - position, 0)
            position += length
            if type(piece) is bytes:
                yield piece[skip:] if skip else piece
            elif not skip and length <= CHUNK and piece.entry.stored_size <= CHUNK:
                yield contents.short(piece)
            else:
                yield from contents.chunks(piece, skip, length)
        mark = Mark(entry.ordinal + 1, position, archive_format.owed(entry), mark.count + 1)


def _directory(archive_format: Format, plan: VolumePlan, source: Source, skip: int) -> Iterator[bytes]:
    mark = plan.mark_before_aux(skip)
    position = mark.aux
    for entry in plan.entries(source, mark.ordinal):
        record = archive_format.directory(entry, mark.offset, next(archive_format.pieces(entry, mark)))
        mark = archive_format.after(entry, mark)
        if position + len(record) > skip:
            yield record[max(skip - position, 0) :]
        position += len(record)


def write(plan: VolumePlan, source: Source, path: str, tick: Callable[[int], object] = lambda count: None) -> int:
    """Write the volume to `path` by way of a `.part` beside it; its length. Nothing half-written has the final name.

    Two may write the same volume at once (one of them with a lost lease): both write the same bytes.

    `tick` hears of written bytes, and may raise to stop. Raises EntriesDamaged with *every* damaged entry of the
    volume, NoSpace, or whatever `tick` raised; then no file is left.
    """
    path = os.path.abspath(path)
    part = f"{path}.{secrets.token_hex(4)}.part"
    chunks = stream(plan, source) if plan.length is not None else _compressed(plan, source)
    try:
        written = _write(part, chunks, plan.length, tick)
        os.replace(part, path)
    except BlobDamaged:
        _remove(part)
        raise EntriesDamaged(dict(damage(plan.entries(source), FORMATS[plan.format].reads))) from None
    except OSError as error:
        _remove(part)
        raise named(error, path) from error
    except BaseException:
        _remove(part)
        raise
    _sync_folder(os.path.dirname(path))
    return written


def _compressed(plan: VolumePlan, source: Source) -> Iterator[bytes]:
    archive_format = FORMATS[plan.format]
    assert isinstance(archive_format, TarBz2)
    return archive_format.compress(_from(plan, source, 0))


def _write(part: str, chunks: Iterator[bytes], length: int | None, tick: Callable[[int], object]) -> int:
    written = sent = 0
    fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o640)
    try:
        if length is not None and length > _free(fd):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        for chunk in chunks:
            view = memoryview(chunk)
            while view:
                view = view[os.write(fd, view) :]
            written += len(chunk)
            if written - sent >= WRITEBACK:
                os.posix_fadvise(fd, sent, written - sent, os.POSIX_FADV_DONTNEED)
                sent = written
            tick(len(chunk))
        if length is not None and written != length:
            raise AssertionError(f"{written} bytes written, {length} planned")
        os.fsync(fd)
    finally:
        os.close(fd)
    return written


def _free(fd: int) -> int:
    stat = os.fstatvfs(fd)
    return stat.f_bavail * stat.f_frsize


def named(error: OSError, path: str) -> Exception:
    """NoSpace if that is why `path` could not be written, else the error itself."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return NoSpace(mount=_mount(os.path.dirname(os.path.abspath(path))))
    return error


def _mount(folder: str) -> str:
    while not os.path.ismount(folder):
        folder = os.path.dirname(folder)
    return folder


def _remove(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def _sync_folder(folder: str) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
