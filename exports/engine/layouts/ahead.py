"""Which pictures a run will want, found before its own snapshot is taken.

Making them may take hours, and so long an open snapshot would keep the database from tidying up. What changes between
the two snapshots is made within the second one.
"""

import json
from collections.abc import Callable, Iterator
from itertools import islice
from typing import IO

from exports.engine.images.pictures import Picture, Pictures
from exports.engine.images.recipe import Recipe
from exports.engine.layouts.assets import AssetsMaker, Document, Place
from exports.engine.layouts.packages import BATCH, HAS_FILES
from exports.engine.produce.values import loads

#: (id, cell id, doctype, time, JSON) of each document, as `Snapshot.objects` gives it.
Rows = Iterator[tuple[int, int, str, int, bytes]]


class Wanted:
    """`Pictures` that are not made but noted, one a line: they may be too many for the memory."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def made(self, sha256: str, recipe: Recipe) -> Picture | str:
        self._note(sha256, recipe.text())
        return "not yet"

    def measured(self, sha256: str) -> dict[str, int]:
        self._note(sha256, "")
        return {}

    def _note(self, sha256: str, recipe: str) -> None:
        self._file.write(json.dumps([sha256, recipe]).encode() + b"\n")

    def make(self, pictures: Pictures) -> None:
        """All of them, for whoever asks next."""
        self._file.seek(0)
        for line in self._file:
            sha256, recipe = json.loads(line)
            if recipe:
                pictures.made(sha256, Recipe.read(recipe))
            else:
                pictures.measured(sha256)


def look_ahead(place: Place, assets: AssetsMaker, rows: Rows, tick: Callable[[], object]) -> None:
    """Have `assets` ask for every picture that the documents will need; all else that it gives is dropped."""
    files = assets(place)
    while batch := list(islice(rows, BATCH)):
        tick()
        having = (row for row in batch if HAS_FILES in row[4])
        documents = [Document(sid, cell_id, objecttype, loads(text)) for sid, cell_id, objecttype, _, text in having]
        for _ in files.ship(documents, ""):
            pass
