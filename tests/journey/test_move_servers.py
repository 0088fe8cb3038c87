"""A cell moves between two complete servers, over a wire that is cut, while processes are killed (docs/moving.md)."""

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import NamedTuple

import psycopg
import pytest

from exportsite import embedded
from tests.journey.moving import Content, Site, Wire, await_true

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

PREPARE = """
import json
from django.contrib.auth.models import User
from cells import tokens
from cells.writing import cell_create
owner = User.objects.create_user("{owner}", "{owner}@example.org", "a password of {owner}")
cell = cell_create(name="{cell}", owner=owner)
print(json.dumps([tokens.token_create(user=owner, cell=cell, scopes=[{scope!r}]), tokens.token_create(user=owner)]))
"""
GO = """
import json
from cells.models import Cell
from exports.services import departures
cell = Cell.objects.get(name="{cell}")
departure, secret = departures.departure_request(
    cell=cell, owner=cell.owner, target_url="{target}", target_token="{token}", base_url="{base}")
departures.departure_go(secret=secret, user=cell.owner)
print(json.dumps(departure.uid))
"""


#: What a cut may take along (the buffer of `Wire`, which Linux doubles); of a small cell it may be more than 2 %.
LOST_BYTES = 128 << 10


class Move(NamedTuple):
    uid: str
    cell: str
    #: Opens the cell at the target, for reading.
    token: str


class Pair:
    def __init__(self) -> None:
        self.source, self.target = (Site(Path(tempfile.mkdtemp(prefix=f"exportsite-{n}-"))) for n in "st")
        self.wire = Wire(self.source.up.port)

    def prepare(self, cell: str, content: Content) -> tuple[str, str]:
        """The target's token, and one of its owner."""
        self.source.shell(PREPARE.format(owner=f"{cell}-owner", cell=cell, scope="io.cozy.exports"))
        content.load(self.source, cell)
        return self.target.shell(PREPARE.format(owner=f"{cell}-new", cell=cell, scope="io.cozy.imports"))

    def go(self, cell: str, tokens: tuple[str, str]) -> Move:
        target = f"{self.target.url}/{cell}"
        code = GO.format(cell=cell, target=target, token=tokens[0], base=self.wire.url)
        asked = Thread(target=self.source.shell, args=(code,))  # it takes longer to end than a small cell to move
        asked.start()
        found = "SELECT d.uid FROM exports_departure d JOIN cells_cell c ON c.id = d.cell_id WHERE c.name = %s"
        await_true(lambda: self.source.row(found + " AND d.state <> 'asked'", cell), "it begins")
        return Move(self.source.row(found, cell)[0], cell, tokens[1])

    def departure(self, move: Move) -> str:
        return self.source.row("SELECT state FROM exports_departure WHERE uid = %s", move.uid)[0]

    def arrival(self, move: Move) -> tuple[str, int, int, bool, bool, bool]:
        """(state, fetched, listed, fills or filled, asked, decided)."""
        return self.target.row(
            "SELECT i.state, fetched, listed, generation IS NOT NULL, asked_at IS NOT NULL, decided_at IS NOT NULL "
            "FROM exports_arrival a JOIN exports_import i ON i.id = a.imported_id WHERE a.transfer = %s",
            move.uid,
        ) or ("", 0, 0, False, False, False)

    def over(self, move: Move) -> bool:
        arrival = self.arrival(move)[0]
        return self.departure(move) in ("moved", "aborted") and arrival in ("done", "failed", "")

    def end(self) -> None:
        self.wire.close()
        self.source.end()
        self.target.end()


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    pair = Pair()
    yield pair
    pair.end()


@pytest.fixture
def folder() -> Iterator[Path]:
    found = Path(tempfile.mkdtemp(prefix="exportsite-content-"))
    yield found
    shutil.rmtree(found)


@pytest.mark.parametrize(
    ("big", "text", "small", "documents", "cuts"),
    [pytest.param(10, 8, 500, 2_000, 5, id="20 MB"), pytest.param(1536, 384, 20_000, 100_000, 20, id="2 GB")],
)
def test_a_cell_moves_over_a_wire_that_is_cut(
    big: int, text: int, small: int, documents: int, cuts: int, pair: Pair, folder: Path
) -> None:
    content = Content(folder, seed=cuts, big=big, text=text, small=small, documents=documents)
    cell = f"cut-{cuts}"
    tokens = pair.prepare(cell, content)
    [expected] = pair.source.row(
        "SELECT sum(stored_size)::int8 FROM cells_blob WHERE sha256 IN "
        "(SELECT sha256 FROM cells_file f JOIN cells_cell c ON c.id = f.cell_id WHERE c.name = %s)",
        cell,
    )
    pair.wire.count, pair.wire.cut = 0, 0
    pair.wire.cuts = [expected * number // (cuts + 1) for number in range(1, cuts + 1)]
    began = time.monotonic()
    move = pair.go(cell, tokens)
    await_true(lambda: pair.over(move), "the move ends")
    seconds = time.monotonic() - began
    assert (pair.departure(move), pair.arrival(move)[0]) == ("moved", "done"), told(pair, move)
    assert pair.wire.cut == cuts
    content.same(pair.target, cell, move.token, whole=200)
    digest = pair.source.row("SELECT digest FROM exports_departure WHERE uid = %s", move.uid)
    assert digest == pair.target.row("SELECT digest FROM exports_arrival WHERE transfer = %s", move.uid)
    [held] = pair.source.row(
        "SELECT extract(epoch FROM finished_at - held_at)::float FROM exports_departure WHERE uid = %s", move.uid
    )
    [needed] = pair.target.row("SELECT listed FROM exports_arrival WHERE transfer = %s", move.uid)
    again = pair.wire.count / needed - 1
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    print(
        f"\n{size / 1e6:.0f} MB in {seconds:.0f} s ({size / 1e6 / seconds:.0f} MB/s), held for {held:.1f} s, "
        f"{cuts} cuts: {pair.wire.count} bytes came of {needed} that were needed, {again:.2%} more, listings and all"
    )
    assert pair.wire.count - needed < max(needed // 50, cuts * LOST_BYTES)
    assert pair.source.row("SELECT moved_to FROM cells_cell WHERE name = %s", cell)[0] == f"{pair.target.url}/{cell}"


def told(pair: Pair, move: Move) -> str:
    departure = pair.source.row("SELECT state, error, tell FROM exports_departure WHERE uid = %s", move.uid)
    arrival = pair.target.row(
        "SELECT i.state, i.error, a.tell, a.lost FROM exports_arrival a JOIN exports_import i ON i.id = a.imported_id "
        "WHERE a.transfer = %s",
        move.uid,
    )
    return f"{departure} {arrival}\n{pair.source.up.said()[-3000:]}\n{pair.target.up.said()[-3000:]}"


def state(*states: str) -> Callable[[Pair, Move], bool]:
    return lambda pair, move: pair.departure(move) in states


#: (who, word of the processes that are killed, when).
KILLS: dict[str, tuple[str, str, Callable[[Pair, Move], bool]]] = {
    "source worker, freezing": ("source", " worker ", state("exporting")),
    "source web, offered": ("source", "granian", state("offered")),
    "source whole, offered": ("source", "", state("offered")),
    "target worker, listing": ("target", " worker ", lambda pair, move: pair.arrival(move)[0] == "processing"),
    "target worker, fetching": ("target", " worker ", lambda pair, move: pair.arrival(move)[1] > 0),
    "source web, fetching": ("source", "granian", lambda pair, move: pair.arrival(move)[1] > 0),
    "target whole, fetching": ("target", "", lambda pair, move: pair.arrival(move)[1] > 0),
    "source worker, holding": ("source", " worker ", state("holding", "held")),
    "source whole, held": ("source", "", state("held")),
    "target web, held": ("target", "granian", state("held")),
    "target worker, filling": ("target", " worker ", lambda pair, move: pair.arrival(move)[3]),
    "target whole, filling": ("target", "", lambda pair, move: pair.arrival(move)[3]),
}


@pytest.fixture(scope="module")
def content() -> Iterator[Content]:
    found = Path(tempfile.mkdtemp(prefix="exportsite-content-"))
    yield Content(found, seed=3, big=10, text=10, small=1_000, documents=30_000)
    shutil.rmtree(found)


@pytest.mark.parametrize("name", KILLS)
def test_a_killed_process_ends_no_move_badly(name: str, pair: Pair, content: Content) -> None:
    who, word, when = KILLS[name]
    cell = name.replace(", ", "-").replace(" ", "-")
    tokens = pair.prepare(cell, content)
    move = pair.go(cell, tokens)
    await_true(lambda: when(pair, move) or pair.over(move), name)
    site = getattr(pair, who)
    in_time = not pair.over(move)
    site.kill(word)
    if not word:
        site.start()
    finish(pair, move, content)
    assert in_time, "the kill came too late: the cell is too small for this machine"


@pytest.mark.parametrize(
    ("who", "word"), [("target", " worker "), ("source", "")], ids=["target worker", "source whole"]
)
def test_a_process_killed_between_the_question_and_the_decision(
    who: str, word: str, pair: Pair, content: Content
) -> None:
    cell = f"asked-{who}"
    tokens = pair.prepare(cell, content)
    move = pair.go(cell, tokens)
    await_true(lambda: pair.arrival(move)[3], "it fills")
    with suppress(psycopg.OperationalError), psycopg.connect(embedded.database_url(pair.source.data)) as holder:
        holder.execute("SELECT FROM exports_departure WHERE uid = %s FOR UPDATE", [move.uid])  # nobody decides now
        await_true(lambda: pair.arrival(move)[4], "it has asked")
        assert (pair.departure(move), pair.arrival(move)[5]) == ("held", False)
        site = getattr(pair, who)
        site.kill(word)
        if not word:
            site.start()
    finish(pair, move, content)


def test_a_worker_killed_between_the_decision_and_the_switch(pair: Pair, content: Content) -> None:
    """The source has given the cell away, and nobody shows it: the one moment at which a doubt would lose it."""
    cell = "in-doubt"
    tokens = pair.prepare(cell, content)
    move = pair.go(cell, tokens)
    await_true(lambda: pair.arrival(move)[3], "it fills")
    with psycopg.connect(embedded.database_url(pair.target.data)) as holder:
        holder.execute("SELECT FROM cells_cell WHERE name = %s FOR NO KEY UPDATE", [cell])  # nobody switches now
        await_true(lambda: pair.arrival(move)[5], "it is decided")
        assert (pair.departure(move), pair.arrival(move)[0]) == ("moved", "processing")
        pair.target.kill(" worker ")
    finish(pair, move, content)
    assert pair.departure(move) == "moved"


#: As the hours and days after it would.
SWEEP = """
from datetime import timedelta
from django.utils import timezone
from cells.sweeping import blobs_sweep
from exports.services import imports
later = timezone.now() + timedelta(days=3)
imports.imports_sweep()
blobs_sweep(now=later), blobs_sweep(now=later + timedelta(days=1))
print("{}")
"""
#: Generations that nobody sees, or can go back to.
ORPHANS = """
    SELECT count(*) FROM cells_usage u JOIN cells_cell c ON c.id = u.cell_id WHERE c.name = %s AND u.bytes > 0
    AND u.generation <> c.generation AND u.generation NOT IN (
        SELECT previous_generation FROM exports_import WHERE cell_id = c.id AND previous_generation IS NOT NULL)
"""
UNUSED = """
    SELECT count(*) FROM cells_blob b WHERE NOT EXISTS (SELECT FROM cells_file f WHERE f.sha256 = b.sha256)
    AND NOT EXISTS (SELECT FROM cells_fileversion v WHERE v.sha256 = b.sha256)
    AND NOT EXISTS (SELECT FROM exports_runentry e WHERE e.sha256 = b.sha256 AND e.pack_offset IS NULL)
"""


def finish(pair: Pair, move: Move, content: Content) -> None:
    """Moved wholly, or both as they were; nothing is left behind, and nobody waits."""
    await_true(lambda: pair.over(move) and not waiting(pair, move), move.cell, 300)
    departure, arrival = pair.departure(move), pair.arrival(move)[0]
    print(f"\n{move.cell}: {departure}, {arrival}")
    assert (departure, arrival) in {("moved", "done"), ("aborted", "failed"), ("aborted", "")}, told(pair, move)
    held = "SELECT held_at IS NOT NULL, moved_to <> '' FROM cells_cell WHERE name = %s"
    if departure == "moved":
        content.same(pair.target, move.cell, move.token, whole=20)
        assert pair.source.row(held, move.cell) == (True, True)
    else:
        assert pair.source.row(held, move.cell) == (False, False)
    assert pair.target.row(held, move.cell) == (False, False)
    for site in (pair.source, pair.target):
        await_true(lambda site=site: swept(site), f"contents that nobody uses are gone after {move.cell}", 60)
        assert site.row(ORPHANS, move.cell) == (0,)
        assert not list((site.data / "store" / "imports").glob("transfer-*"))


def swept(site: Site) -> bool:
    """A sweep leaves what an open transaction may want, and the index of words is at work after a move."""
    site.shell(SWEEP)
    return site.row(UNUSED) == (0,)


def waiting(pair: Pair, move: Move) -> bool:
    departure = pair.source.row("SELECT tell FROM exports_departure WHERE uid = %s", move.uid)
    arrival = pair.target.row("SELECT tell FROM exports_arrival WHERE transfer = %s", move.uid)
    return departure != ("",) or arrival not in ((), ("",))
