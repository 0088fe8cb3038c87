"""Writing and reading documents as services."""

import hashlib
import threading

import orjson
import pytest
from django.contrib.auth.models import User
from django.db import connection, connections

from cells import reading, writing
from cells.documents import TOLD_REFUSALS, DocumentsReport
from cells.errors import DocumentNotFound, DocumentRefused, NameRefused, PreconditionFailed, QuotaExceeded
from cells.lines import DEEPEST, LONGEST_LINE
from cells.models import Cell, Document
from cells.quota import bytes_used
from tests.factories import make_cell, put_documents

pytestmark = pytest.mark.django_db


@pytest.fixture
def cell(alice: User) -> Cell:
    return make_cell(alice)


def put(cell: Cell, *lines: bytes | dict, atomic: bool = True) -> DocumentsReport:
    texts = [line if isinstance(line, bytes) else orjson.dumps(line) for line in lines]
    return writing.documents_put(cell=cell, lines=texts, atomic=atomic)


def book(doc_id: str, **body: object) -> dict:
    return {"doctype": "book", "id": doc_id, "body": body}


def stored(cell: Cell) -> dict[str, object]:
    return dict(Document.objects.filter(cell=cell).values_list("doc_id", "body"))


def counts(report: DocumentsReport) -> tuple[int, int, int, int]:
    return report.created, report.updated, report.deleted, report.refused_count


def test_lines_create_update_and_delete(cell: Cell) -> None:
    assert counts(put(cell, book("1", a=1), b"", b"  \r", book("2", a=2))) == (2, 0, 0, 0)
    report = put(cell, book("1", a=3), {"doctype": "book", "id": "2", "deleted": True}, book("3"))
    assert counts(report) == (1, 1, 1, 0)
    assert stored(cell) == {"1": {"a": 3}, "3": {}}


def test_a_rev_counts_the_writes_and_names_the_stored_text(cell: Cell) -> None:
    put(cell, b'{"doctype":"book","id":"1","body":{"b":1,   "a":1.10}}')
    put(cell, b'{"doctype":"book","id":"1","body":{"b":1,   "a":1.20}}')
    document = reading.document_get(cell=cell, doctype="book", doc_id="1")
    assert document.body == b'{"a": 1.20, "b": 1}'
    assert document.rev == f"2-{hashlib.md5(document.body).hexdigest()}"


def test_numbers_keep_their_precision(cell: Cell) -> None:
    put(cell, b'{"doctype":"book","id":"1","body":{"n":123456789012345678901234567890.12345678901234567890}}')
    body = reading.document_get(cell=cell, doctype="book", doc_id="1").body
    assert body == b'{"n": 123456789012345678901234567890.12345678901234567890}'


def test_a_missing_id_is_made_up(cell: Cell) -> None:
    report = put(cell, {"doctype": "book", "body": {"a": 1}}, {"doctype": "book", "id": None, "body": {"a": 2}})
    assert counts(report) == (2, 0, 0, 0)
    assert all(len(doc_id) == 32 for doc_id in stored(cell))


def test_the_last_line_for_an_id_wins(cell: Cell) -> None:
    gone = {"doctype": "book", "id": "2", "deleted": True}
    put(cell, book("1", a=1), book("1", a=2), book("2"), gone, {**gone, "id": "3"}, book("3", a=3))
    assert stored(cell) == {"1": {"a": 2}, "3": {"a": 3}}


def test_what_was_listed_can_be_put_again(cell: Cell) -> None:
    put_documents(cell, [("book", "é/1", {"t": "\u2028\x7f\\"}), ("author", "1", {})])
    lines = [
        orjson.dumps({"doctype": d.doctype, "id": d.doc_id, "rev": d.rev, "body": d.body})
        for d in Document.objects.all()
    ]
    assert counts(put(cell, *lines)) == (0, 2, 0, 0)


def nested(depth: int) -> bytes:
    """A body of so many containers, one inside the other."""
    return b'{"a":' * (depth - 1) + b"{}" + b"}" * (depth - 1)


def line(body: bytes) -> bytes:
    return b'{"doctype":"book","id":"bad","body":' + body + b"}"


REFUSED = {
    "no JSON": b"nonsense",
    "cut off": b'{"doctype":"book","id":"bad","body":{',
    "no object": b"[1]",
    "NaN": line(b'{"a":NaN}'),
    "not UTF-8": line(b'{"a":"\xff"}'),
    "NUL": line(b'{"a":"\\u0000"}'),
    "NUL in a name": line(b'{"a":[{"x\\u0000":1}]}'),
    "lone surrogate": line(b'{"a":"\\ud800"}'),
    "a number beyond double": line(b'{"a":1e400}'),
    "a number beyond numeric": line(b'{"a":1e-99999}'),
    "body is no object": line(b"[]"),
    "no body": b'{"doctype":"book","id":"bad"}',
    "no doctype": b'{"id":"bad","body":{}}',
    "doctype is no string": b'{"doctype":1,"id":"bad","body":{}}',
    "bad doctype": b'{"doctype":"a b","id":"bad","body":{}}',
    "bad id": b'{"doctype":"book","id":"","body":{}}',
    "id is a number": b'{"doctype":"book","id":7,"body":{}}',
    "unknown attribute": b'{"doctype":"book","_id":"bad","body":{}}',
    "deleted is no boolean": b'{"doctype":"book","id":"bad","deleted":1}',
    "deletion without id": b'{"doctype":"book","deleted":true}',
    "too deep": line(nested(DEEPEST + 1)),
    "deep list": line(b'{"a":' + b"[" * 300 + b"]" * 300 + b"}"),
    "two values": b'{"doctype":"book","id":"bad","body":{}} {}',
}


@pytest.mark.parametrize("bad", REFUSED.values(), ids=REFUSED.keys())
def test_a_refused_line_is_named_and_nothing_is_stored(cell: Cell, bad: bytes) -> None:
    put(cell, book("0", old=True))
    report = put(cell, book("0", new=True), b"", bad, book("2"))
    assert counts(report) == (0, 0, 0, 1)
    assert report.refused[0]["line"] == 3 and report.refused[0]["error"]
    assert stored(cell) == {"0": {"old": True}}


@pytest.mark.parametrize("bad", REFUSED.values(), ids=REFUSED.keys())
def test_without_atomic_only_the_refused_line_is_missing(cell: Cell, bad: bytes) -> None:
    report = put(cell, book("1", a=1), bad, book("2", a=2), atomic=False)
    assert counts(report) == (2, 0, 0, 1) and report.refused[0]["line"] == 2
    assert stored(cell) == {"1": {"a": 1}, "2": {"a": 2}}


def test_an_escaped_backslash_before_u0000_is_no_nul(cell: Cell) -> None:
    put(cell, line(b'{"a":"\\\\u0000"}'))
    assert stored(cell) == {"bad": {"a": "\\u0000"}}


def test_the_deepest_and_the_longest_that_may_be(cell: Cell) -> None:
    shell = len(line(b'{"a":""}'))
    longest = line(b'{"a":"' + b"x" * (LONGEST_LINE - shell) + b'"}')
    assert len(longest) == LONGEST_LINE
    assert counts(put(cell, line(nested(DEEPEST)), longest)) == (1, 0, 0, 0)  # both have the id "bad"
    refused = put(cell, longest + b" ")
    assert counts(refused) == (0, 0, 0, 1) and "longer" in refused.refused[0]["error"]


def test_refusals_are_counted_beyond_those_told(cell: Cell) -> None:
    report = put(cell, *[b"bad"] * (TOLD_REFUSALS + 500))
    assert (len(report.refused), report.refused_count) == (TOLD_REFUSALS, TOLD_REFUSALS + 500)
    assert report.refused[-1]["line"] == TOLD_REFUSALS


def test_more_lines_than_a_batch(cell: Cell, monkeypatch) -> None:
    monkeypatch.setattr("cells.lines.BATCH_LINES", 7)
    for atomic, expected in ((True, (50, 0, 0, 0)), (False, (0, 50, 0, 0))):
        report = put(cell, *[book(str(n % 50), n=n) for n in range(50)], atomic=atomic)
        assert counts(report) == expected
    assert len(stored(cell)) == 50


def test_a_body_that_breaks_off_stores_nothing(cell: Cell) -> None:
    def lines():
        yield orjson.dumps(book("1"))
        raise ConnectionError

    with pytest.raises(ConnectionError):
        writing.documents_put(cell=cell, lines=lines())
    assert stored(cell) == {}


def test_the_quota_counts_the_stored_text_of_documents(cell: Cell) -> None:
    put(cell, book("1", a="é" * 10), book("2"))
    assert bytes_used(cell) == len('{"a": ""}') + 20 + len("{}")
    put(cell, book("1"), {"doctype": "book", "id": "2", "deleted": True})
    assert bytes_used(cell) == 2


def test_beyond_the_quota_nothing_is_stored(alice: User) -> None:
    cell = make_cell(alice, quota=100)
    put(cell, book("1", a="x" * 60))
    with pytest.raises(QuotaExceeded) as refusal:
        put(cell, book("2"), book("3", a="x" * 60))
    assert (refusal.value.params["quota"], refusal.value.params["used"]) == (100, 69)
    with pytest.raises(QuotaExceeded):
        writing.document_put(cell=cell, doctype="book", doc_id="4", body=b'{"a":"' + b"x" * 60 + b'"}')
    assert stored(cell) == {"1": {"a": "x" * 60}} and bytes_used(cell) == 69


def test_without_atomic_batches_beyond_the_quota_are_refused_line_by_line(alice: User, monkeypatch) -> None:
    monkeypatch.setattr("cells.lines.BATCH_LINES", 2)
    cell = make_cell(alice, quota=100)
    big = {"a": "x" * 60}
    report = put(cell, book("1", **big), book("2"), book("3", **big), book("4"), book("5"), atomic=False)
    assert counts(report) == (3, 0, 0, 2)
    assert [refusal["line"] for refusal in report.refused] == [3, 4]
    assert sorted(stored(cell)) == ["1", "2", "5"]


def test_a_cell_over_a_lowered_quota_may_still_shrink(alice: User) -> None:
    cell = make_cell(alice)
    put(cell, book("1", a="x" * 60), book("2", a="x" * 60))
    Cell.objects.filter(pk=cell.pk).update(quota=10)
    assert counts(put(cell, book("1", a="x"))) == (0, 1, 0, 0)
    writing.document_delete(cell=cell, doctype="book", doc_id="2")
    with pytest.raises(QuotaExceeded):
        put(cell, book("3", a="xxxxxxxx"))


def test_one_document_with_conditions(cell: Cell) -> None:
    one = {"cell": cell, "doctype": "book", "doc_id": "io/1"}
    rev, created = writing.document_put(**one, body=b'{"a": 1}', if_none_match={"*"})
    assert created and rev.startswith("1-")
    for condition in ({"if_none_match": {"*"}}, {"if_none_match": {rev}}, {"if_match": {"1-x"}}, {"if_match": set()}):
        with pytest.raises(PreconditionFailed):
            writing.document_put(**one, body=b"{}", **condition)
    with pytest.raises(PreconditionFailed):
        writing.document_put(**{**one, "doc_id": "2"}, body=b"{}", if_match={"*"})
    assert stored(cell) == {"io/1": {"a": 1}}
    newer, created = writing.document_put(**one, body=b'{"a": 2}', if_match={rev})
    assert not created and newer.startswith("2-")
    with pytest.raises(PreconditionFailed):
        writing.document_delete(**one, if_match={rev})
    writing.document_delete(**one, if_match={newer})
    with pytest.raises(DocumentNotFound):
        writing.document_delete(**one)
    with pytest.raises(DocumentNotFound):
        reading.document_get(**one)


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"a":1e-99999}', b'{"a":"\\u0000"}', nested(DEEPEST + 1)])
def test_one_bad_document_is_refused(cell: Cell, body: bytes) -> None:
    with pytest.raises(DocumentRefused):
        writing.document_put(cell=cell, doctype="book", doc_id="1", body=body)
    with pytest.raises(NameRefused):
        writing.document_put(cell=cell, doctype="_pool", doc_id="1", body=b"{}")
    assert stored(cell) == {}


def test_other_cells_and_generations_are_left_alone(cell: Cell, bob: User) -> None:
    other = make_cell(bob, "bob-cell")
    put(other, book("1", whose="bob"))
    put(cell, {"doctype": "book", "id": "1", "deleted": True}, book("2"))
    assert stored(other) == {"1": {"whose": "bob"}}
    generation = writing.new_generation(cell)
    writing.switch_generation(cell, generation)
    put(cell, book("3"))
    writing.drop_generation(cell, generation - 1)
    assert stored(cell) == {"3": {}}


@pytest.mark.django_db(transaction=True)
def test_a_list_is_read_from_a_cursor_on(cell: Cell) -> None:
    put(cell, *[{"doctype": d, "id": i, "body": {"x": d + i}} for d in ("b", "a.b", "a-b") for i in ("2", "10", "é")])

    def names(**options: object) -> list[str]:
        found = [orjson.loads(line) for line in reading.documents_list(cell=cell, **options)]
        assert all(one["body"] == {"x": one["doctype"] + one["id"]} and one["rev"].startswith("1-") for one in found)
        return [f"{one['doctype']}/{one['id']}" for one in found]

    everything = names()
    assert everything == [f"{d}/{i}" for d in ("a-b", "a.b", "b") for i in ("10", "2", "é")]
    assert names(doctype="a.b") == everything[3:6]
    assert names(doctype="a.b", after=("a.b", "10"), limit=1) == everything[4:5]
    assert names(after=("a-b", "é"), limit=4) == everything[3:7]
    assert names(limit=0) == [] and names(after=("z", "")) == []


@pytest.mark.django_db(transaction=True)
def test_a_list_that_is_not_read_to_its_end_gives_its_connection_back(cell: Cell) -> None:
    put(cell, *[book(str(n), a="x" * 1000) for n in range(2000)])

    def others() -> int:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            return cursor.fetchone()[0]

    before = others()
    lines = reading.documents_list(cell=cell)
    next(lines)
    assert others() == before + 1
    lines.close()
    for _ in range(100):  # the server notices when it next writes
        if others() == before:
            return
        threading.Event().wait(0.05)
    raise AssertionError("the connection is still open")


@pytest.mark.django_db(transaction=True)
def test_writers_at_the_same_time_lose_nothing_and_keep_the_quota(alice: User) -> None:
    cell = make_cell(alice, quota=40 * len('{"n": 10}'))
    refused: list[int] = []

    def write(writer: int) -> None:
        for n in range(10, 20):
            try:
                put(cell, book(f"{writer}-{n}", n=n), book(f"shared-{n}", n=n))
            except QuotaExceeded:
                refused.append(n)
        connections.close_all()

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    documents = stored(cell)
    assert bytes_used(cell) == len(documents) * len('{"n": 10}') <= cell.quota
    assert len(documents) in (39, 40) and refused  # a put needs room for one or two
