"""Looking into a finished run without unpacking anything: folders, search by name, beginnings of files."""

from collections.abc import Iterator
from typing import NamedTuple

from django.db import connection

from exports.models import Run, RunEntry
from exports.services import planning

#: Children of one level, by name behind the cursor; a folder's row says how much is below it.
_CHILDREN = """
    SELECT child, bool_or(deep) AS is_folder, sum(size)::bigint, count(*) FILTER (WHERE NOT ends) AS files
    FROM (
        SELECT split_part(substr(name, %(skip)s), '/', 1) AS child, strpos(substr(name, %(skip)s), '/') > 0 AS deep,
               size, name LIKE '%%/' AS ends
        FROM exports_runentry
        WHERE run_id = %(run)s AND ordinal >= %(first)s AND ordinal < %(last)s AND missing = ''
          AND length(name) >= %(skip)s
    ) below
    WHERE child COLLATE "C" > %(after)s
    GROUP BY child COLLATE "C", child
    ORDER BY child COLLATE "C"
    LIMIT %(limit)s
"""


class Child(NamedTuple):
    """One file or folder of a level; `size` and `files` count all that is below a folder."""

    name: str
    path: str
    is_folder: bool
    size: int
    files: int


def children(*, run: Run, folder: str = "", after: str = "", limit: int) -> list[Child]:
    """At most `limit` of what is directly in the folder ("" is the top), by name behind `after`.

    Reads the folder's part of the manifest once: about a second for a million entries.
    """
    prefix = f"{folder}/" if folder else ""
    first, last = planning.selection_range(run, prefix)
    params = {"skip": len(prefix) + 1, "run": run.pk, "first": first, "last": last, "after": after, "limit": limit}
    with connection.cursor() as cursor:
        cursor.execute(_CHILDREN, params)
        return [Child(name, prefix + name, *rest) for name, *rest in cursor.fetchall()]


def folder_exists(*, run: Run, folder: str) -> bool:
    first, last = planning.selection_range(run, f"{folder}/") if folder else (0, 1)
    return first < last


def search(*, run: Run, text: str, limit: int) -> list[Child]:
    """Files and folders whose own name holds the text, in any case."""
    rows = RunEntry.objects.filter(run=run, missing="", ordinal__lt=run.entry_count - 1, name__icontains=text)
    found = []
    for name, size in rows.order_by("ordinal").values_list("name", "size").iterator(chunk_size=500):
        path = name.rstrip("/")
        if text.casefold() in path.rpartition("/")[2].casefold():
            found.append(Child(path.rpartition("/")[2], path, name.endswith("/"), size, 1))
        if len(found) == limit:
            break
    return found


def beginning(chunks: Iterator[bytes], most: int) -> str:
    """The first `most` bytes as text; what is not UTF-8 shows as �."""
    read = bytearray()
    for chunk in chunks:
        read += chunk[: most - len(read)]
        if len(read) >= most:
            break
    return bytes(read).decode(errors="replace").replace("\0", "�")
