"""Asking the database for what a search finds."""

from dataclasses import replace
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from cells.models import Cell, Document
from cells.search import Condition, compile
from cells.search.indexing import terms_update
from cells.selecting import selection_query

INSTANCE = "here"


def found(cell: Cell, search: dict[str, Any]) -> set[str]:
    """The ids that a search finds, by all ways there are: the same, whether words are known, or wait to be."""
    condition = compile(search, instance=INSTANCE)
    ways = {name: _ids(cell, way) for name, way in _ways(condition).items()}
    assert len(set(map(frozenset, ways.values()))) == 1, (ways, search)
    return set(ways["plain"])


def in_order(cell: Cell, search: dict[str, Any]) -> list[str]:
    return _ids(cell, compile(search, instance=INSTANCE))


def _ways(condition: Condition) -> dict[str, Condition]:
    return {
        "plain": replace(condition, terms=None, guard=None),
        "by words": condition,
        "guarded": replace(condition, terms=None),
    }


def _ids(cell: Cell, condition: Condition) -> list[str]:
    query, values = selection_query(condition, [cell.pk])
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            f"SELECT d.doc_id FROM ({query}) s JOIN cells_document d ON d.id = s.document_id ORDER BY s.position",  # noqa: S608
            values,
        )
        return [doc_id for (doc_id,) in cursor.fetchall()]


def store(cell: Cell, documents: list[tuple[str, Any]], first: int = 0) -> None:
    """As rows: a body that is no object has no other way in, and is searched all the same."""
    now, times = timezone.now(), {"cell": cell, "generation": cell.generation, "rev": "3-x"}
    Document.objects.bulk_create(
        Document(doctype=doctype, doc_id=f"d{number}", body=body, created_at=now, updated_at=now, **times)
        for number, (doctype, body) in enumerate(documents, first)
    )


def store_anew(cell: Cell, documents: list[tuple[str, Any]]) -> None:
    """In place of all others; half of them still wait for their words to be known."""
    Document.objects.all().delete()
    half = len(documents) // 2
    store(cell, documents[:half])
    terms_update()
    store(cell, documents[half:], half)
