"""Two cells of two people, one of which moves into the other over real HTTP; and a worker for what is frozen."""

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.contrib.auth.models import User
from django.db import connection

from cells import tokens
from cells.models import Cell
from cells.writing import folder_create
from exports.models import Arrival, Departure, Import, Run
from exports.services import arrivals, departure_lifecycle, departures, imports, lifecycle, running, transfers
from exports.services.secrets import secrets_open, secrets_seal
from exports.states import ACTIVE, IMPORT_ACTIVE, RunState
from tests.factories import make_cell, put_documents, put_file, put_files

TEXT = b"".join(b"line %d of a text that can be packed\n" % number for number in range(4_000))
#: What cannot be packed.
NOISE = random.Random(1).randbytes(600_000)


def filled(owner: User, name: str = "source") -> Cell:
    """Files of several kinds, old versions, empty folders, documents."""
    cell = make_cell(owner, name)
    put_files(cell, {f"d{n % 7}/e{n % 3}/{n}.txt": b"content %d" % n for n in range(40)})
    put_files(cell, {"text.txt": TEXT, "empty": b"", "Ü 100%/ß\\x": NOISE, "same": b"content 1"})
    put_file(cell, "text.txt", b"a newer text", executable=True)
    put_file(cell, "text.txt", TEXT[:50_000])
    folder_create(cell=cell, path="nothing/in/here")
    put_documents(cell, [("note", f"n{n}", {"n": n, "t": "ü\n" * (n % 50), "f": 1.10}) for n in range(1500)])
    put_documents(cell, [("io.cozy.apps", "io.cozy.apps/drive", {"slug": None, "deep": [[{"a": "\\"}]]})])
    return cell


def asked(cell: Cell, base_url: str, target: Cell | None = None) -> Departure:
    """Confirmed by its owner; its export waits for a worker. Without a target nobody is there to be told."""
    url, opens = "http://127.0.0.1:9/elsewhere", "t"
    if target is not None:
        url = f"{base_url}/{target.name}"
        opens = tokens.token_create(user=target.owner, cell=target, scopes=["io.cozy.imports"])
    departure, _ = departures.departure_request(
        cell=cell, owner=cell.owner, target_url=url, target_token=opens, base_url=base_url
    )
    token = tokens.token_create(user=cell.owner, cell=cell, scopes=[departures.SCOPE])
    departure_lifecycle.departure_confirm(
        departure,
        token_digest=tokens.digest(token),
        secrets=secrets_seal({"target_token": opens, "token": token}),
        run=lifecycle.run_create(export=None, owner=cell.owner, order=transfers.order(cell)),
    )
    return departure


def offered(cell: Cell, base_url: str, target: Cell | None = None) -> Departure:
    departure = asked(cell, base_url, target)
    running.run_export(run_id=departure.run_id)
    departure.refresh_from_db()
    return departure


def token_of(departure: Departure) -> str:
    return secrets_open(departure.secrets)["token"]


def arrive(departure: Departure, target: Cell, source_url: str, **changes: Any) -> Import:
    told = {"source_url": source_url, "token": token_of(departure), "transfer": departure.uid} | changes
    return arrivals.arrival_start(cell=target, owner=target.owner, **told)


@contextmanager
def freezer() -> Iterator[None]:
    """A worker that freezes what is held, as long as the block lasts."""
    over = threading.Event()

    def work() -> None:
        try:
            while not over.wait(0.02):
                for pk in Run.objects.filter(state=RunState.PENDING, order__layout="transfer").values_list(
                    "pk", flat=True
                ):
                    running.run_export(run_id=pk)
        finally:
            connection.close()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def run(row: Import) -> Import:
    with freezer():
        imports.run_import(import_id=row.pk)
    row.refresh_from_db()
    return row


def all_told() -> None:
    for uid in Departure.objects.exclude(tell="").values_list("uid", flat=True):
        Departure.objects.filter(uid=uid).update(tell_at="2020-01-01T00:00Z")
        departures.tell_target(uid=uid)
    for pk in Arrival.objects.exclude(tell="").values_list("pk", flat=True):
        Arrival.objects.filter(pk=pk).update(tell_at="2020-01-01T00:00Z")
        arrivals.tell_source(import_id=pk)


def nothing_runs() -> bool:
    return (
        not Run.objects.filter(state__in=ACTIVE).exists()
        and not Import.objects.filter(state__in=IMPORT_ACTIVE).exists()
    )
