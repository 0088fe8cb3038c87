"""Writing cells: the cell itself, its files and folders. Documents and generations: modules of these names."""

import hashlib
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import BinaryIO, NamedTuple

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import Func, QuerySet, TextField, Value
from django.db.models.functions import Concat, Substr
from django.utils import timezone

from cells.blobs import BlobStore
from cells.conditions import conditions_check
from cells.documents import DocumentsReport, document_delete, document_put, documents_put
from cells.errors import BodyIncomplete, CellNotEmpty, DigestMismatch, FileNotFound, NameTaken, PathTaken
from cells.generations import drop_generation, new_generation, switch_generation
from cells.mediatypes import media_type_of
from cells.models import Blob, Cell, Document, File, FileVersion
from cells.quota import cell_holding, cell_writing, quota_check, writable_check
from cells.reading import files_below, files_of
from cells.removing import cell_remove
from cells.validators import cell_name, folder_of, normal_path, parents_of

__all__ = [
    "DocumentsReport", "FilePut", "cell_create", "cell_delete", "cell_rename", "content_store", "document_delete",
    "document_put", "documents_put", "drop_generation", "file_delete", "file_move", "file_put", "folder_create",
    "folders_make", "new_generation", "switch_generation",
]  # fmt: skip

_CHUNK = 256 * 1024


def cell_create(*, name: str, owner: User, quota: int | None = None) -> Cell:
    """`quota` in bytes, None is no limit. Raises NameRefused, NameTaken."""
    try:
        with transaction.atomic():
            return Cell.objects.create(name=cell_name(name), owner=owner, quota=quota)
    except IntegrityError as error:
        raise NameTaken(name=name) from error


def cell_rename(*, cell: Cell, name: str) -> Cell:
    """Raises NameRefused, NameTaken."""
    name = cell_name(name)
    try:
        with cell_writing(cell) as locked:
            locked.name, locked.version, locked.updated_at = name, locked.version + 1, timezone.now()
            locked.save(update_fields=["name", "version", "updated_at"])
    except IntegrityError as error:
        raise NameTaken(name=name) from error
    return locked


def cell_delete(*, cell: Cell, only_empty: bool = False) -> None:
    """The cell with all generations and its snapshot area. Blobs that nobody else refers to go with the next sweep.

    Of a large one only the sight is gone when this returns (`cells.removing`).

    `only_empty`: raises CellNotEmpty for one with documents, files or folders.
    """
    with cell_holding(cell) as locked:
        if not locked.moved_to:
            writable_check(locked)
        if only_empty and (files_of(locked).exists() or _documents_of(locked).exists()):
            raise CellNotEmpty(name=locked.name)
        cell_remove(locked)


def _documents_of(cell: Cell) -> QuerySet[Document]:
    return Document.objects.filter(cell=cell, generation=cell.generation)


class FilePut(NamedTuple):
    file: File
    is_new: bool


def file_put(
    *,
    cell: Cell,
    path: str,
    stream: BinaryIO,
    length: int | None = None,
    mtime: datetime | None = None,
    executable: bool = False,
    content_type: str | None = None,
    digests: Mapping[str, bytes] | None = None,
    if_match: Collection[str] | None = None,
    if_none_match: Collection[str] | None = None,
) -> FilePut:
    """Stores one file; folders above it are made, a content it had before is kept as FileVersion.

    `length`: of the stream, which then must have it exactly. `digests`: what the content must have, by the names of
    hashlib. Conditions are SHA-256 of the stored content, or "*". Whatever can be refused before a byte is read, is.
    """
    path = normal_path(path)
    quota_check(cell, length or 0)
    _check_place(cell, path, if_match, if_none_match)
    blob = content_store(stream, length, digests or {})
    with cell_writing(cell) as locked:
        now = timezone.now()  # not before: who waits for the cell must not be dated back to before an export
        changes = {
            "blob": blob,
            "size": blob.size,
            "mtime": mtime or now,
            "executable": executable,
            "content_type": content_type or media_type_of(path),
            "updated_at": now,
        }
        file = _check_place(locked, path, if_match, if_none_match)
        if file is None:
            folders_make(locked, [path], now)
            place = {"cell": locked, "generation": locked.generation, "path": path, "folder": folder_of(path)}
            return FilePut(File.objects.create(**place, **changes, created_at=now), True)
        _keep_version(file, blob, now)
        for name, value in changes.items():
            setattr(file, name, value)
        file.save()
        return FilePut(file, False)


def folder_create(*, cell: Cell, path: str) -> bool:
    """Makes the folder and those above it; gives whether it is new. Raises PathTaken."""
    path = normal_path(path)
    with cell_writing(cell) as locked:
        file = files_of(locked).filter(path=path).first()
        if file is not None and not file.is_folder:
            raise PathTaken(path=path, reason="it is a file")
        folders_make(locked, [path + "/"], timezone.now())
    return file is None


def file_move(*, cell: Cell, source: str, target: str) -> None:
    """Moves a file, or a folder with all that is in it, at once or not at all. Nothing is overwritten."""
    source, target = normal_path(source), normal_path(target)
    with cell_writing(cell) as locked:
        now = timezone.now()
        file = files_of(locked).filter(path=source).first()
        if file is None:
            raise FileNotFound(path=source)
        if source == target:
            return
        if target.startswith(source + "/"):
            raise PathTaken(path=target, reason="it is inside of what is moved")
        if files_of(locked).filter(path=target).exists():
            raise PathTaken(path=target, reason="there is something already")
        below = files_below(locked, source)
        _check_lengths(below, source, target)
        folders_make(locked, [target], now)
        tail = len(source) + 1
        below.update(
            path=Concat(Value(target), Substr("path", tail), output_field=TextField()),
            folder=Concat(Value(target), Substr("folder", tail), output_field=TextField()),
            updated_at=now,
        )
        files_of(locked).filter(pk=file.pk).update(path=target, folder=folder_of(target), updated_at=now)


def file_delete(*, cell: Cell, path: str, if_match: Collection[str] | None = None) -> int:
    """Removes a file, or a folder with all that is in it, and their versions; gives how many files and folders."""
    path = normal_path(path)
    with cell_writing(cell) as locked:
        file = files_of(locked).filter(path=path).first()
        if file is None:
            raise FileNotFound(path=path)
        conditions_check(file.blob_id, if_match, None)
        removed = _remove_files(files_below(locked, path)) if file.is_folder else 0
        return removed + _remove_files(files_of(locked).filter(pk=file.pk))


def folders_make(cell: Cell, paths: Iterable[str], now: datetime) -> None:
    """Makes the missing folders above each path; of a path that ends in "/" itself too. Call inside `cell_writing`.

    Raises PathTaken where a file is in the way.
    """
    wanted = {parent for path in paths for parent in parents_of(path)}
    if not wanted:
        return
    present = dict(files_of(cell).filter(path__in=wanted).values_list("path", "is_folder"))
    if blocked := [path for path, is_folder in present.items() if not is_folder]:
        raise PathTaken(path=min(blocked), reason="it is a file, not a folder")
    shared = {"cell": cell, "generation": cell.generation, "is_folder": True, "mtime": now}
    times = {"created_at": now, "updated_at": now}
    missing = sorted(wanted - present.keys())
    File.objects.bulk_create(
        (File(path=path, folder=folder_of(path), content_type="", **shared, **times) for path in missing),
        batch_size=1000,
    )


def _check_place(
    cell: Cell, path: str, if_match: Collection[str] | None, if_none_match: Collection[str] | None
) -> File | None:
    """The file at the path, if there is one and it may be replaced."""
    around = {file.path: file for file in files_of(cell).filter(path__in=[path, *parents_of(path)])}
    file = around.pop(path, None)
    if file is not None and file.is_folder:
        raise PathTaken(path=path, reason="it is a folder")
    if blocked := [parent.path for parent in around.values() if not parent.is_folder]:
        raise PathTaken(path=min(blocked), reason="it is a file, not a folder")
    conditions_check(file.blob_id if file else None, if_match, if_none_match)
    return file


def content_store(stream: BinaryIO, length: int | None, digests: Mapping[str, bytes] = {}) -> Blob:
    """What arrives as a blob; `length` and `digests` as for `file_put`."""
    hashes = {name: hashlib.new(name) for name in digests if name != "sha256"}
    received = 0
    with BlobStore().writer() as writer:
        while length is None or received < length:
            chunk = stream.read(_CHUNK if length is None else min(_CHUNK, length - received))
            if not chunk:
                break
            received += len(chunk)
            writer.write(chunk)
            for running in hashes.values():
                running.update(chunk)
        if length is not None and received != length:
            raise BodyIncomplete(received=received, expected=length)
        for name, running in hashes.items():
            _check_digest(name, running.digest(), digests[name])
        blob = writer.finish()
    if "sha256" in digests:
        _check_digest("sha256", bytes.fromhex(blob.sha256), digests["sha256"])
    return blob


def _check_digest(name: str, actual: bytes, expected: bytes) -> None:
    if actual != expected:
        raise DigestMismatch(algorithm=name, actual=actual.hex(), expected=expected.hex())


def _keep_version(file: File, blob: Blob, now: datetime) -> None:
    if file.blob_id == blob.pk:
        return
    FileVersion.objects.create(
        file=file,
        version=file.version,
        blob_id=file.blob_id,
        size=file.size,
        mtime=file.mtime,
        content_type=file.content_type,
        created_at=now,
    )
    file.version += 1


def _check_lengths(below: QuerySet[File], source: str, target: str) -> None:
    """Refuses a move that would make the path of something inside too long."""
    longest = below.order_by(Func("path", function="OCTET_LENGTH").desc()).values_list("path", flat=True).first()
    normal_path(target + (longest or source)[len(source) :])


def _remove_files(files: QuerySet[File]) -> int:
    FileVersion.objects.filter(file__in=files).delete()
    return files._raw_delete(files.db)
