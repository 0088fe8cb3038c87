"""Hostile archives of the move API, and what only its imports may write."""

import json
from contextlib import ExitStack
from pathlib import Path

import pytest

from exports.engine import manifest
from exports.engine.restore import Budget, Source, restoring
from exports.errors import ArchiveManifestRefused, ArchiveRefused, ArchiveTooLarge
from tests.engine.hostile import FILES, Part, manifest_part, swallow, zip_of

ROOT = "io.cozy.files.root-dir"
INSTANCE = Part(b"My Cozy/Data/instance.json", b'{"_id": "old"}')


def directory(number: int, parent: str) -> Part:
    told = {"_id": f"d{number}", "type": "directory", "name": "a" * 20, "dir_id": parent}
    return Part(f"My Cozy/Data/io.cozy.files/d{number}.json".encode(), json.dumps(told).encode())


def test_directories_within_directories_without_end(tmp_path: Path) -> None:
    """2,000 of them took a minute."""
    chain = [directory(number, f"d{number - 1}" if number else ROOT) for number in range(10_000)]
    with pytest.raises(ArchiveRefused):
        swallow(zip_of([INSTANCE, *chain]), tmp_path)


def test_directories_may_come_in_any_order(tmp_path: Path) -> None:
    taken = swallow(zip_of([INSTANCE, directory(2, "d1"), directory(1, "d0"), directory(0, ROOT)]), tmp_path)
    assert {row[0] for row in taken} >= {"/".join(["a" * 20] * depth) for depth in (1, 2, 3)}


def test_a_manifest_of_one_line(tmp_path: Path) -> None:
    head = b'{"format": "%b", "version": %d, "entries": [' % (manifest.FORMAT.encode(), manifest.VERSION)
    with pytest.raises(ArchiveManifestRefused):
        swallow(zip_of([INSTANCE, Part(b"manifest.json", head)]), tmp_path)


@pytest.mark.parametrize(
    ("doctype", "doc_id", "body"),
    [
        ("contact", "1", [1]),
        ("contact", "1", None),
        ("_cell.account", "1", "x"),
        ("_cell.movefile", "../../x", {"path": "a", "size": 1, "mtime": 0, "doc": {}}),
        ("_cell.movefile", "x", {"path": "a", "size": 1, "mtime": 0, "doc": 5}),
        ("_cell.movefile", "x", {"path": ["a"], "size": 1, "mtime": 0, "doc": {}}),
        ("_cell.movefile", "x", {}),
    ],
)
def test_documents_that_no_cell_can_hold(doctype: str, doc_id: str, body: object, tmp_path: Path) -> None:
    """Our REST takes objects alone; what a move import keeps becomes names and ids of the next archive."""
    line = json.dumps({"doctype": doctype, "id": doc_id, "rev": "1-a", "body": body}).encode() + b"\n"
    listed = [*FILES, ("documents/x.jsonl", line)]
    made = [Part(name.encode(), data) for name, data in listed]
    with pytest.raises(ArchiveRefused, match="line 1: "):
        swallow(zip_of([*made, manifest_part(listed, generated=["documents/x.jsonl"])]), tmp_path)


def test_all_parts_share_the_budget(tmp_path: Path) -> None:
    """400 parts would else be 400 times what an import may be."""
    first = zip_of([INSTANCE, directory(0, ROOT)])
    paths = [tmp_path / f"part{number}" for number in range(3)]
    others = zip_of([Part(b"My Cozy/x", b"x" * 10)]), zip_of([Part(b"My Cozy/y", b"y")])
    for path, content in zip(paths, (first, *others), strict=True):
        path.write_bytes(content)
    told = len(INSTANCE.data) + len(directory(0, ROOT).data) + 11
    with ExitStack() as opened:
        source, *source.rest = [opened.enter_context(Source(str(path))) for path in paths]
        with restoring(source, Budget(4, told, 250)) as restore:
            assert restore.total == told
        for budget in (Budget(3, told, 250), Budget(4, told - 1, 250)):
            with pytest.raises(ArchiveTooLarge), restoring(source, budget):
                pass
