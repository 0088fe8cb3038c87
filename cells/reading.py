"""Reading cells: who may see which, one document or file, and lists by cursor. Whole cells: `cells.frozen`."""

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from django.contrib.auth.models import AnonymousUser, User
from django.db import connections
from django.db.models import QuerySet, TextField
from django.db.models.functions import Cast

from cells.errors import AccessDenied, CellMoved, CellNotFound, DocumentNotFound, FileNotFound
from cells.fields import start_of
from cells.frozen import SHAPES
from cells.models import AccessToken, Cell, Document, File
from cells.tokens import ROOT, SESSION
from cells.validators import normal_path

_LIST = """
    COPY (SELECT {shape} FROM cells_document d WHERE d.cell_id = %(cell)s AND d.generation = %(generation)s {filter}
          ORDER BY d.doctype, d.doc_id LIMIT %(limit)s)
    TO STDOUT (FORMAT csv, QUOTE E'\\x01', DELIMITER E'\\x02')
"""


def cells_of(user: User, token: AccessToken | None = None) -> QuerySet[Cell]:
    """The cells that the user owns, by name; through a token for one cell, that one."""
    if token is not None and token.cell_id is not None:
        return Cell.objects.filter(pk=token.cell_id)
    return Cell.objects.filter(owner=user).order_by("name")


def cell_get(*, name: str, user: User | AnonymousUser, token: AccessToken | None = None, left: bool = False) -> Cell:
    """The cell, for its owner, a superuser, or the bearer of a token for it; CellNotFound for everybody else.

    Raises AccessDenied when the token's scopes are too narrow, CellMoved for one that is on another server now, unless
    what it has `left` here is meant.
    """
    cell = _cell_known(name, user, token)
    if cell.moved_to and not left:
        raise CellMoved(name=cell.name, url=cell.moved_to)
    return cell


def _cell_known(name: str, user: User | AnonymousUser, token: AccessToken | None) -> Cell:
    cell = Cell.objects.select_related("owner").filter(name=name).first() if "\0" not in name else None
    if token is not None and token.cell_id is not None:
        if cell is None or token.cell_id != cell.pk:
            raise CellNotFound(name=name)
        if ROOT not in token.scopes:
            raise AccessDenied(what="reading and filling the cell")
        return cell
    if cell is None or not (cell.owner_id == user.pk or user.is_superuser):
        raise CellNotFound(name=name)
    if token is not None and SESSION not in token.scopes:
        raise AccessDenied(what="reading and filling cells")
    return cell


class DocumentText(NamedTuple):
    rev: str
    #: JSON as stored, UTF-8.
    body: bytes
    updated_at: datetime


def document_get(*, cell: Cell, doctype: str, doc_id: str) -> DocumentText:
    found = None
    if "\0" not in doctype + doc_id:
        documents = Document.objects.filter(cell=cell, generation=cell.generation, doctype=doctype, doc_id=doc_id)
        found = documents.annotate(text=Cast("body", TextField())).values_list("rev", "text", "updated_at").first()
    if found is None:
        raise DocumentNotFound(doctype=doctype, doc_id=doc_id)
    rev, text, updated_at = found
    return DocumentText(rev, text.encode(), updated_at)


def documents_list(
    *, cell: Cell, doctype: str | None = None, after: tuple[str, str] | None = None, limit: int | None = None
) -> Iterator[bytes]:
    """Lines {"doctype", "id", "rev", "body"} by doctype and id, behind (doctype, id); all of one moment.

    Has a connection of its own until the last line or `close`, and holds one line at a time.
    """
    filters = "AND d.doctype = %(doctype)s" if doctype is not None else ""
    if after is not None:
        filters += " AND (d.doctype, d.doc_id) > (%(after_doctype)s, %(after_id)s)"
    params = {
        "cell": cell.pk,
        "generation": cell.generation,
        "doctype": doctype,
        "after_doctype": after[0] if after else None,
        "after_id": after[1] if after else None,
        "limit": limit,
    }
    database = connections["default"].copy()
    try:
        with (
            database.cursor() as cursor,
            cursor.copy(_LIST.format(shape=SHAPES["lines"], filter=filters), params) as copy,
        ):
            for line in copy:
                yield bytes(line)
    finally:
        database.close()


def files_of(cell: Cell) -> QuerySet[File]:
    """The visible files and folders."""
    return File.objects.filter(cell=cell, generation=cell.generation)


def files_below(cell: Cell, folder: str) -> QuerySet[File]:
    """All that is in the folder and its folders; "" is the whole cell."""
    if not folder:
        return files_of(cell)
    return files_of(cell).filter(path__gte=f"{folder}/", path__lt=f"{folder}0")  # "0" comes next to "/"


def file_get(*, cell: Cell, path: str) -> File:
    """The file or folder, with its blob."""
    file = files_of(cell).select_related("blob").filter(path=normal_path(path)).first()
    if file is None:
        raise FileNotFound(path=path)
    return file


def files_list(
    *, cell: Cell, folder: str = "", after: str | None = None, limit: int, recursive: bool = False
) -> list[File]:
    """At most `limit` files and folders of a folder ("" is the top), by path bytewise, behind the path `after`."""
    if folder and not file_get(cell=cell, path=folder).is_folder:
        raise FileNotFound(path=f"{folder}/")
    files = files_below(cell, folder) if recursive else files_of(cell).filter(folder=folder)
    if after is not None:
        files = files.filter(path__gt=after)
    return list(files.select_related("blob").defer("blob__points").order_by(start_of("path"), "path")[:limit])
