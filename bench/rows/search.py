"""Searches of a definition: from the compiled search to the list of what an export takes."""

from typing import Any

from bench.bench import Bench, cell_create
from bench.filling import analyze, documents_fill
from bench.measure import in_turn, timed
from bench.table import Result, Target
from cells.frozen import Snapshot
from cells.models import Cell, Document
from cells.search import compile
from cells.search.indexing import terms_update


def search(bench: Bench) -> list[Result]:
    """Each finds some hundred documents at most; the words of all are known before."""
    count = bench.scale.documents
    with bench.system.fresh():
        cell = cell_create("searched")
        documents_fill(cell, 0, count)
        indexing = timed(_index)
        analyze()
        ids = list(Document.objects.order_by("pk").values_list("pk", flat=True)[count // 2 : count // 2 + 100])
        asked = _asked(ids)
        series = in_turn(
            bench.scale.rounds, {name: lambda e=e: timed(lambda: _ask(cell, e)) for name, e in asked.items()}
        )
    results = [
        Result(
            f"{name} among {count:,} documents", series[name].seconds, target=Target("most", 1),
            samples={"ours": [trial.seconds for trial in series[name].trials]},
        )
        for name in asked
    ]  # fmt: skip
    return [*results, Result(f"words of {count:,} documents, behind their writers", indexing.seconds)]


def _asked(ids: list[int]) -> dict[str, dict[str, Any]]:
    return {
        "100 ids": {"type": "in", "fields": ["_system_object_id"], "in": ids},
        "in a list of 100 numbers": {"type": "in", "fields": ["note.rank"], "in": list(range(5000, 5100))},
        "in a list of 3,000 numbers": {
            "type": "in",
            "fields": ["note.rank"],
            "in": list(range(-2900, 0)) + list(range(5000, 5100)),
        },
        "range of 100 numbers": {"type": "range", "field": "note.rank", "from": 5000, "to": 5099},
        "match in a field": {"type": "match", "fields": ["note.title"], "string": "note 5000"},
        "wildcard with a star in front": {"type": "match", "mode": "wildcard", "string": "*99999"},
        "match in all texts": {"type": "match", "string": "note 5000"},
    }


def _ask(cell: Cell, element: dict[str, Any]) -> None:
    with Snapshot() as snapshot:
        selection = snapshot.selection(compile({"search": [element]}, instance="bench"), [cell.pk])
        found = snapshot.doctypes(cell.pk, selection=selection)
    if not 0 < sum(count for _, count, _ in found) <= 200:
        raise RuntimeError(f"{element} found {found}")


def _index() -> None:
    while terms_update():
        pass
