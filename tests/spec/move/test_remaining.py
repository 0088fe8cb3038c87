"""`spec/move.md §9.1, §9.2, §12, §13`: figures, methods, and faults of the old server that we do not have."""

import json
import random

import pytest

from cells.errors import BlobDamaged
from cells.models import Blob, File
from exports.api.move import base
from exports.services import move_exports
from exports.services.departure_lifecycle import ASKED_TTL
from tests.factories import make_cell, put_documents, put_file
from tests.spec.move.asking import EMPTY, Move, exported, mailed, manifest, opaque_of, parts, plain, unzipped

pytestmark = pytest.mark.django_db(transaction=True)


def test_figures() -> None:
    """§9.1, its table. There are no timeouts of jobs: a job lives as long as its heart beats."""
    assert move_exports.WEEK.days == 7 and move_exports.WEEK_NS == 7 * 24 * 3600 * 10**9
    assert move_exports.GIB == 1_073_741_824
    assert move_exports.CONFLICT.total_seconds() == 24 * 3600
    assert base.LIMIT == 5
    assert ASKED_TTL.total_seconds() == 5 * 60


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("move/exports", "POST"),
        ("move/exports/QUFB", "GET"),
        ("move/exports/data/QUFB", "GET"),
        ("move/imports", "POST"),
        ("move/imports/precheck", "POST"),
        ("move/importing", "GET POST"),
    ],
)
def test_only_the_listed_methods_exist(as_alice, path: str, methods: str) -> None:
    """§9.2: "Only the listed methods exist; others 405"."""
    for below in ("", "alice/"):
        for method in {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"} - set(
            methods.replace("GET", "GET HEAD").split()
        ):
            response = as_alice.call(method, below + path, EMPTY)
            if method == "HEAD":
                assert response.status_code == 405
            else:
                plain(response, 405, "Method Not Allowed")
        for method in methods.split():
            assert as_alice.call(method, below + path, b"").status_code != 405


def test_a_path_is_decoded_once(as_nobody) -> None:
    """§9.2: "Path segment is percent-decoded once (`%3D` = `=`)"; data "must be matched before" manifests."""
    plain(as_nobody.get("move/exports/QQ%3D%3D"), 401, "exports: invalid mac")
    plain(as_nobody.get("move/exports/QQ%253D%253D"), 400, "illegal base64 data")
    plain(as_nobody.get("move/exports/data/QQ%3D%3D"), 401, "exports: invalid mac")


def test_ids_are_in_the_order_of_their_bytes(as_alice, alice, cell) -> None:
    """§13: "Sort ids by UTF-8 bytes, not by locale collation"."""
    ids = ["a", "B", "é", "z", "_1", "10", "9", "Z", "ﬀ", "😀"]
    put_documents(cell, [("note", each, {}) for each in ids])
    exported(as_alice, with_doctypes=["note"])
    [part] = parts(Move(), opaque_of(mailed()))
    told = [json.loads(data)["_id"] for info, data in unzipped(part) if "/note/" in info.filename]
    assert told == sorted(ids, key=str.encode)


def test_the_limit_is_asked_before_anything_else(as_alice, as_nobody, cell) -> None:
    """§13: "Put the rate limiter before authentication"; §4.1: the "Order of checks is observable"."""
    weak = Move(cell.owner, cell=cell, scopes=("io.cozy.files",))
    for _ in range(5):
        assert weak.post("move/exports", b"no json").status_code == 403
    plain(weak.post("move/exports", b"no json"), 404, "Not found")
    plain(as_nobody.post("move/exports", b"no json"), 404, "Not found")
    assert as_alice.post("move/exports", b"no json").status_code == 400


def test_a_quota_counts_files_and_versions(alice) -> None:
    """§13: "Files' quota = Σ current files + Σ versions"."""
    cell = make_cell(alice, "sums")
    put_file(cell, "a", b"x" * 1000)
    put_file(cell, "a", b"y" * 500)
    put_file(cell, "b", b"z" * 30)
    assert move_exports.bytes_used(cell) == 1530


def test_a_content_that_is_lost_after_the_export_breaks_the_connection(as_alice, cell, store) -> None:
    """§12, §4.9.4: "Truncated-but-valid ZIPs" are not made; "**abort the connection** on a later error, so that clients
    see a broken transfer"; §13: "raise inside the generator to abort the connection"."""
    put_file(cell, "z.bin", random.Random(9).randbytes(8_000_000))
    exported(as_alice)
    opaque = opaque_of(mailed())
    blob = Blob.objects.get(pk=File.objects.get(cell=cell, path="z.bin").blob_id)
    with (store / "blobs" / blob.store_file).open("r+b") as stored:
        stored.truncate(blob.offset + blob.stored_size - 1000)
    response, got = Move().get(f"move/exports/data/{opaque}"), 0
    assert response.status_code == 200
    with pytest.raises(BlobDamaged):
        for chunk in response.streaming_content:
            got += len(chunk)
    assert 0 < got < int(response.headers["Content-Length"])
    assert manifest(Move(), opaque)["attributes"]["state"] == "done"
