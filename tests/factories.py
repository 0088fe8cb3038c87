"""Making what tests need through the services, with real bytes in the real store."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from io import BytesIO
from typing import Any

import orjson
from django.contrib.auth.models import User

from cells import writing
from cells.models import Cell, File

MTIME = datetime(2024, 2, 29, 12, 30, 45, 678900, tzinfo=UTC)


def make_cell(owner: User, name: str = "alice-cell", **options: Any) -> Cell:
    return writing.cell_create(name=name, owner=owner, **options)


def put_file(cell: Cell, path: str, content: bytes = b"content", **options: Any) -> File:
    options = {"mtime": MTIME, "length": len(content), **options}
    return writing.file_put(cell=cell, path=path, stream=BytesIO(content), **options).file


def put_files(cell: Cell, files: Mapping[str, bytes]) -> None:
    for path, content in files.items():
        put_file(cell, path, content)


def put_documents(cell: Cell, documents: Iterable[tuple[str, str, dict[str, Any]]]) -> writing.DocumentsReport:
    """(doctype, id, body) each."""
    lines = (orjson.dumps({"doctype": doctype, "id": doc_id, "body": body}) for doctype, doc_id, body in documents)
    report = writing.documents_put(cell=cell, lines=lines)
    assert not report.refused_count, report.refused
    return report
