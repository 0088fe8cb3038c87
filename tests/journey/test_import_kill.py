"""kill -9 during an import, anywhere: the cell is wholly old or wholly new, and nothing is left behind."""

import os
import random
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from cells.models import Cell
from cells.writing import cell_delete
from exports.models import Import
from exports.services import import_lifecycle, imports
from exports.states import IMPORT_ACTIVE, ImportState
from tests.engine.hostile import Part, manifest_part, zip_of
from tests.factories import make_cell, put_documents, put_files
from tests.services.imported import contents, generations

ROOT = Path(__file__).resolve().parents[2]
FILES = 3_000
pytestmark = pytest.mark.django_db(transaction=True)


def archive(path: Path) -> Path:
    lines = b"".join(
        b'{"doctype": "note", "id": "%d", "rev": "1-a", "body": {"n": %d}}\n' % (n, n) for n in range(FILES)
    )
    listed = [(f"d{n % 7}/{n}", b"content %d" % n * 30) for n in range(FILES)]
    listed = [*sorted(listed), ("documents/note.jsonl", lines)]
    made = [Part(name.encode(), content, True) for name, content in listed]
    path.write_bytes(zip_of([*made, manifest_part(listed, ["documents/note.jsonl"])]))
    return path


def killed(cell: Cell, source: Path, mode: str, after: float, env: dict[str, str]) -> bool:
    """Whether the kill came in time, `after` seconds of the import's own work."""
    argv = [sys.executable, "manage.py", "cell_import", cell.name, str(source), "--mode", mode]
    with subprocess.Popen(argv, cwd=ROOT, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 120
        while process.poll() is None and not Import.objects.filter(cell=cell, state=ImportState.PROCESSING).exists():
            assert time.monotonic() < deadline
            time.sleep(0.005)
        time.sleep(after)  # the point itself is chance, seeded
        if process.poll() is not None:
            return False
        os.kill(process.pid, signal.SIGKILL)
    return True


def settled(cell: Cell) -> tuple[Import, tuple]:
    """PostgreSQL may be about to commit what the killed process had sent."""
    while True:
        row = Import.objects.get(cell=cell)
        seen = contents(cell)
        if Import.objects.get(cell=cell).state == row.state:
            return row, seen


@pytest.mark.parametrize(
    "kills",
    [
        pytest.param(2, id="two points"),
        pytest.param(20, id="twenty points", marks=[pytest.mark.slow, pytest.mark.timeout(1200)]),
    ],
)
def test_a_killed_import_leaves_the_old_or_the_new_cell(
    kills: int, alice: User, tmp_path: Path, process_env: dict[str, str]
) -> None:
    source, dice, in_time = archive(tmp_path / "new.zip"), random.Random(11), 0
    for number in range(kills):
        cell = make_cell(alice, f"cell-{number}")
        put_files(cell, {"old": b"old", "d0/0": b"other"})
        put_documents(cell, [("note", "0", {"old": True})])
        old = contents(cell)
        mode = ("replace", "merge")[number % 2]
        in_time += killed(cell, source, mode, dice.random() * 1.5, process_env)
        row, seen = settled(cell)
        assert (seen == old) == (row.state in IMPORT_ACTIVE)
        assert len(seen[0]) == (2 if seen == old else FILES + (mode == "merge"))
        Import.objects.filter(pk=row.pk, state=ImportState.PROCESSING).update(
            heartbeat_at=datetime(2020, 1, 1, tzinfo=UTC)
        )
        import_lifecycle.imports_requeue()
        imports.run_import(import_id=row.pk)
        row.refresh_from_db()
        assert (row.state, row.error) == (ImportState.DONE, None)
        files, documents = contents(cell)
        assert (len(files), len(documents)) == (FILES + (mode == "merge"), FILES)
        imports.imports_sweep(now=timezone.now() + timedelta(days=30))
        assert generations(cell) == [cell.generation]
        cell_delete(cell=cell)
    assert in_time, "no kill hit an import at work: the archive is too small for this machine"
