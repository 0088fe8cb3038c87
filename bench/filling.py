"""Cells that are large by number, filled by SQL: how they come in is measured elsewhere."""

import random

from django.db import connection

from bench.bench import cell_create
from cells.blobs import BlobStore
from cells.models import Blob, Cell

FOLDERS = """
    INSERT INTO cells_file (cell_id, generation, path, folder, is_folder, size, mtime, executable, content_type,
                            version, created_at, updated_at)
    SELECT %(cell)s, 1, format('folder-%%s', to_char(n, 'FM00000')), '', true, 0, now(), false, '', 1, now(), now()
    FROM generate_series(0, (%(count)s - 1) / 1000) n
"""
FILES = """
    INSERT INTO cells_file (cell_id, generation, path, folder, is_folder, sha256, size, mtime, executable,
                            content_type, version, created_at, updated_at)
    SELECT %(cell)s, 1, place || to_char(n, '"/file-"FM0000000".txt"'), place, false, digest, size,
           to_timestamp(1700000000 + n), false, 'text/plain', 1, now(), now()
    FROM unnest(%(digests)s::text[], %(sizes)s::bigint[]) WITH ORDINALITY content (digest, size, number),
         generate_series(number - 1, %(count)s - 1, %(contents)s) n,
         format('folder-%%s', to_char(n / 1000, 'FM00000')) place
"""
DOCUMENTS = """
    INSERT INTO cells_document (cell_id, generation, doctype, doc_id, rev, body, created_at, updated_at)
    SELECT %(cell)s, 1, 'note', to_char(n, '"note-"FM00000000'), '1-' || md5(n::text),
           jsonb_build_object('title', 'Note ' || n, 'done', n %% 2 = 0, 'rank', n, 'tags', jsonb_build_array('a', 'b'),
                              'text', left(repeat(md5(n::text) || ' plain words in between ', 10), 415)),
           now(), now()
    FROM generate_series(%(first)s, %(last)s - 1) n
"""


def cell_of_many(name: str, count: int) -> Cell:
    """`count` small files of distinct contents, 1,000 in each folder."""
    rng = random.Random(name)
    words = [f"word{rng.getrandbits(20)}" for _ in range(500)]
    texts = [" ".join(rng.choices(words, k=110)) for _ in range(1_000)]
    digests, sizes = [], []
    with BlobStore().batch() as batch:
        for number in range(count):
            stored = batch.add(f"{name} {number}: {texts[number % 1_000]}".encode())
            digests.append(stored.sha256)
            sizes.append(stored.size)
    return _files(name, count, digests, sizes)


def cell_of_bytes(name: str, size: int, blobs: list[Blob]) -> Cell:
    """Files with these contents, one after another and again, until `size` bytes are reached."""
    count = -(-size // min(blob.size for blob in blobs))
    return _files(name, count, [blob.sha256 for blob in blobs], [blob.size for blob in blobs])


def _files(name: str, count: int, digests: list[str], sizes: list[int]) -> Cell:
    cell = cell_create(name)
    values = {"cell": cell.pk, "count": count, "digests": digests, "sizes": sizes, "contents": len(digests)}
    with connection.cursor() as cursor:
        cursor.execute(FOLDERS, values)
        cursor.execute(FILES, values)
    analyze()
    return cell


def documents_fill(cell: Cell, first: int, last: int) -> None:
    """Documents `first` to `last` - 1, of about 500 bytes each."""
    with connection.cursor() as cursor:
        cursor.execute(DOCUMENTS, {"cell": cell.pk, "first": first, "last": last})
    analyze()


def analyze() -> None:
    """What autovacuum does in its time."""
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE cells_file, cells_document, cells_documentterms, cells_blob")
