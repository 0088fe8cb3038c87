"""However much a person has, a page asks the database as often, and no page counts what may be millions."""

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from exports.models import Event, Export
from exports.services import exports as services
from exports.services import running
from tests.factories import make_cell, put_documents, put_file

pytestmark = pytest.mark.django_db
FEW, MANY = 3, 30
#: Of any page: what it asks for at all, with 3 rows of everything or 30.
MOST = 30
PATHS = (
    "/web/", "/web/exports/new", "/web/exports/{export}/", "/web/exports/{export}/live", "/web/exports/{export}/edit",
    "/web/exports/{export}/contents", "/web/exports/{export}/contents?q=f", "/web/cells/", "/web/cells/cell-0/",
    "/web/cells/cell-0/?path=f0.txt", "/web/cells/cell-0/counts", "/web/cells/cell-0/documents?doctype=note",
    "/web/cells/cell-0/import", "/web/cells/cell-0/snapshots", "/web/account",
)  # fmt: skip


@pytest.fixture
def client(alice: User) -> Client:
    client = Client()
    client.force_login(alice)
    return client


def grow(alice: User, first: int, last: int) -> Export:
    """`last` cells, exports, schedules and deliveries, files and documents, and events of the first export."""
    for number in range(first, last):
        cell = make_cell(alice, f"cell-{number}")
        services.export_create(
            owner=alice, type="export", name=f"e{number}", cells=[cell.name], definition={}, transports=[],
            schedules=[{"hours": [1], "timezone": "UTC"}],
        )  # fmt: skip
    main = Export.objects.order_by("pk").first()
    cell = make_cell(alice, "cell-0") if not main.owner.cells.exists() else main.owner.cells.get(name="cell-0")
    for number in range(first, last):
        put_file(cell, f"f{number}.txt", b"text")
    put_documents(cell, [("note", str(number), {"n": number}) for number in range(first, last)])
    Event.objects.bulk_create(Event(type="DOWNLOAD_EXPORT", export_id=main.pk) for _ in range(first, last))
    running.run_export(run_id=services.export_start(export=main).pk)
    return main


def asked(client: Client, path: str) -> list[str]:
    with CaptureQueriesContext(connection) as queries:
        assert client.get(path).status_code in (200, 204), path
    return [query["sql"] for query in queries]


def test_pages_ask_as_often_for_thirty_rows_as_for_three(client: Client, alice: User) -> None:
    number = grow(alice, 0, FEW).pk
    few = {path: asked(client, path.format(export=number)) for path in PATHS}
    grow(alice, FEW, MANY)
    many = {path: asked(client, path.format(export=number)) for path in PATHS}
    grown = {path: len(many[path]) - len(few[path]) for path in PATHS if len(many[path]) != len(few[path])}
    assert grown == {}
    assert max(map(len, many.values())) <= MOST, {path: len(queries) for path, queries in many.items()}


@pytest.mark.parametrize("path", [path for path in PATHS if not path.endswith("/counts")])
def test_no_page_counts_documents_or_files_before_it_comes(client: Client, alice: User, path: str) -> None:
    number = grow(alice, 0, 1).pk
    counted = [
        sql
        for sql in asked(client, path.format(export=number))
        if "COUNT(" in sql and any(table in sql for table in ("cells_document", "cells_file", "exports_runentry"))
    ]
    assert counted == []
