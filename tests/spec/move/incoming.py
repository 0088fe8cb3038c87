"""Parts as other servers make them, imports of them, and what a cell holds afterwards."""

import io
import json
import zipfile
from typing import Any

from cells.models import Cell, Document, File, FileVersion
from exports.models import Import
from exports.services import imports
from tests.clients import content
from tests.spec.move.asking import Move, attributes, exported, mailed, manifest, opaque_of, parts
from tests.spec.move.other import other_server

ROOT = "io.cozy.files.root-dir"


def shown(cell: Cell) -> dict[str, Any]:
    """Everything that a cell holds, without what a copy may not share."""
    cell.refresh_from_db()
    rows = {"cell": cell, "generation": cell.generation}
    files = File.objects.filter(**rows)
    versions = FileVersion.objects.filter(file__in=files)
    return {
        "files": {each.path: (each.is_folder, each.blob_id, each.executable, each.content_type) for each in files},
        "times": {each.path: each.mtime for each in files if not each.is_folder},
        "versions": sorted(versions.values_list("file__path", "version", "blob_id", "mtime")),
        "documents": {(each.doctype, each.doc_id): each.body for each in Document.objects.filter(**rows)},
    }


def zipped(*entries: tuple[str, Any]) -> bytes:
    """A part as others make it: names below `My Cozy/`, JSON or bytes."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, value in (("Data/instance.json", {"domain": "old.example"}), *entries):
            archive.writestr(f"My Cozy/{name}", value if isinstance(value, bytes) else json.dumps(value))
    return out.getvalue()


def document(doctype: str, doc_id: str, **body: Any) -> tuple[str, Any]:
    return f"Data/{doctype}/{doc_id}.json", {"_id": doc_id, "_rev": "3-abc", **body}


def file(doc_id: str, name: str, data: bytes, **more: Any) -> list[tuple[str, Any]]:
    told = {"type": "file", "name": name, "dir_id": ROOT, "size": str(len(data)), "mime": "text/plain",
            "updated_at": "2020-02-29T10:00:00.123456789+02:00", "executable": False, **more}  # fmt: skip
    return [document("io.cozy.files", doc_id, **told), (f"Files/{name}", data)]


def directory(doc_id: str, name: str, parent: str = ROOT, **more: Any) -> tuple[str, Any]:
    return document("io.cozy.files", doc_id, type="directory", name=name, dir_id=parent, **more)


def ran(client: Move, link: str) -> Import:
    response = client.post("move/imports", attributes(url=link))
    assert response.status_code == 303, content(response)
    row = imports.run_import(import_id=Import.objects.latest("pk").pk)
    assert row is not None
    return row


def imported(client: Move, part: bytes) -> Import:
    with other_server({"": part}) as other:
        return ran(client, other.link)


def exported_parts(as_alice: Move, **options: Any) -> dict[str, bytes]:
    exported(as_alice, **options)
    opaque = opaque_of(mailed())
    cursors = ["", *manifest(Move(), opaque)["attributes"]["parts_cursors"]]
    return dict(zip(cursors, parts(Move(), opaque), strict=True))
