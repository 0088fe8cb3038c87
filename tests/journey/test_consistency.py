"""Exports while others write: each archive is one committed state of the cell, and nobody waited for it."""

import io
import json
import random
import threading
import zipfile
from collections.abc import Iterator

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction

from cells.documents import documents_put
from cells.models import Cell
from cells.writing import cell_create, file_delete, file_put
from exports.models import Export, Run
from exports.services import downloads, lifecycle, running
from exports.states import RunState

pytestmark = pytest.mark.django_db(transaction=True)

WRITERS = 4
EXPORTS = 20


class History:
    """Every committed change, in the order of commits: change n sets or removes one file and sets two documents."""

    def __init__(self, cell: Cell) -> None:
        self.cell = cell
        self.changes: list[tuple[str, bytes | None]] = []
        self.stop = threading.Event()
        self.failures: list[BaseException] = []

    def write(self, seed: int) -> None:
        dice = random.Random(seed)
        try:
            while not self.stop.is_set():
                path = f"folder {dice.randrange(5)}/{dice.randrange(12)}.txt"
                data = None if dice.random() < 0.2 else dice.randbytes(dice.randrange(5000))
                self._commit(path, data)
        except BaseException as error:
            self.failures.append(error)
            raise
        finally:
            connection.close()

    def _commit(self, path: str, data: bytes | None) -> None:
        with transaction.atomic():
            Cell.objects.select_for_update().get(pk=self.cell.pk)  # one commit at a time: their order is known
            number = len(self.changes) + 1
            if data is not None:
                file_put(cell=self.cell, path=path, stream=io.BytesIO(data))
            elif path in self.state(number - 1):
                file_delete(cell=self.cell, path=path)
            line = '{"doctype": "clock", "id": "%s", "body": {"now": %d}}\n'
            documents_put(cell=self.cell, lines=[(line % (name, number)).encode() for name in ("begin", "end")])
            self.changes.append((path, data))

    def state(self, number: int) -> dict[str, bytes]:
        files: dict[str, bytes] = {}
        for path, data in self.changes[:number]:
            if data is None:
                files.pop(path, None)
            else:
                files[path] = data
        return files


@pytest.fixture
def busy(alice: User) -> Iterator[History]:
    history = History(cell_create(name="busy", owner=alice))
    writers = [threading.Thread(target=history.write, args=(seed,)) for seed in range(WRITERS)]
    for writer in writers:
        writer.start()
    yield history
    history.stop.set()
    for writer in writers:
        writer.join()


def archive_of(run: Run) -> zipfile.ZipFile:
    opened = downloads.open_volume(volume=run.volumes.get(packer="zip"), name="x")
    return zipfile.ZipFile(io.BytesIO(b"".join(opened.chunks(0, opened.length))))


def test_each_archive_equals_one_committed_state(busy: History, alice: User) -> None:
    export = Export.objects.create(owner=alice, name="busy", passkey_nonce=b"n" * 32)
    moments = []
    for _ in range(EXPORTS):
        order = {"version": 1, "definition": {"json": True}}
        run = running.run_export(run_id=lifecycle.run_create(export=export, owner=alice, order=order, nudge=False).pk)
        assert run is not None and (run.state, run.error) == (RunState.DONE, None)
        with archive_of(run) as archive:
            names = [name for name in archive.namelist() if name.startswith("folder") and not name.endswith("/")]
            files = {name: archive.read(name) for name in names}
            clocks = []
            if "documents/clock.json" in archive.namelist():
                objects = json.loads(archive.read("documents/clock.json"))["objects"]
                clocks = [each["clock"]["now"] for each in objects]
        moment = max(clocks, default=0)
        assert set(clocks) <= {moment}, "two documents of one transaction disagree"
        assert files == busy.state(moment)
        moments.append(moment)
    assert not busy.failures
    assert moments == sorted(moments)
    assert len(set(moments)) > EXPORTS / 2, f"the writers stood still: {moments}"
