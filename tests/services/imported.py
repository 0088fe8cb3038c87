"""What a cell holds, to be compared before and after; and cells of chance."""

import io
from pathlib import Path
from typing import Any

from django.core.management import call_command
from hypothesis import strategies as st

from cells.models import Cell, Document, File, FileVersion, Usage
from exports.models import Import
from exports.services import imports


def holding(cell: Cell) -> dict[str, Any]:
    """All that people can see of it, with dates and revs."""
    cell.refresh_from_db()
    here = {"cell": cell, "generation": cell.generation}
    files = File.objects.filter(**here)
    columns = "path", "is_folder", "blob_id", "size", "mtime", "executable", "content_type", "version", "created_at"
    documents = Document.objects.filter(**here)
    return {
        "files": sorted(files.values_list(*columns)),
        "versions": sorted(FileVersion.objects.filter(file__in=files).values_list("file__path", "version", "blob_id")),
        "documents": sorted(documents.values_list("doctype", "doc_id", "rev", "created_at", "updated_at"), key=repr),
    }


def contents(cell: Cell) -> tuple[dict[str, str], dict[str, Any]]:
    """({path: SHA-256}, {doctype/id: body}), files alone."""
    cell.refresh_from_db()
    here = {"cell": cell, "generation": cell.generation}
    files = dict(File.objects.filter(**here, is_folder=False).values_list("path", "blob_id"))
    documents = Document.objects.filter(**here)
    return files, {f"{each.doctype}/{each.doc_id}": each.body for each in documents}


def generations(cell: Cell) -> list[int]:
    """Those that have anything at all."""
    found: set[int] = set()
    for model in (Usage, File, Document):
        found |= set(model.objects.filter(cell=cell).values_list("generation", flat=True))
    return sorted(found)


def command(name: str, *arguments: str | Path) -> str:
    out = io.StringIO()
    call_command(name, *map(str, arguments), stdout=out, stderr=io.StringIO())
    return out.getvalue()


def run(cell: Cell, archive: Path | str, mode: str = "replace") -> Import:
    source = archive if isinstance(archive, str) else f"file:{archive}"
    row = imports.import_start(cell=cell, owner=cell.owner, archive=source, mode=mode, name="test", nudge=False)
    done = imports.run_import(import_id=row.pk)
    assert done is not None
    return done


_NAME = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="/\0"), min_size=1, max_size=12).filter(
    lambda name: name not in (".", "..") and len(name.encode()) <= 200
)
_PATH = st.lists(_NAME, min_size=1, max_size=4).map("/".join)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abcde"), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip

#: ([(path, content, executable)], [folder], [(doctype, id, body)])
CELLS = st.tuples(
    st.lists(st.tuples(_PATH, st.binary(max_size=300) | st.just(b"text " * 5000), st.booleans()), max_size=6),
    st.lists(_PATH, max_size=2),
    st.lists(
        st.tuples(
            st.sampled_from(["contact", "io.cozy.bills", "A-b_c"]),
            st.text(st.characters(blacklist_categories=["Cs", "Cc"]), min_size=1, max_size=8).map(lambda x: f"i{x}i"),
            st.dictionaries(st.sampled_from(["n", "s", "c", "b", "é"]), _JSON, max_size=4),
        ),
        max_size=6,
    ),
)
