"""`spec/v1.md §8.2, §8.3, §8.7, §12`: which files exports ship, in which versions, under which names; over HTTP."""

import csv
import io
from typing import Any

import orjson
import pytest
from django.db import connection
from lxml import etree
from PIL import Image

from cells.frozen import READER
from cells.models import Cell, Document, File
from exports.engine.images.studio import Studio
from exports.models import Event, Export
from tests.clients import V1, content
from tests.engine.pictures import CORNERS, corners, encoded, exif, quarters
from tests.factories import make_cell, put_documents, put_file
from tests.spec.v1.asking import answer, created, id_of, refused, run
from tests.spec.v1.packed import got, unzipped, url

pytestmark = pytest.mark.django_db(transaction=True)

PHOTO, OTHER = encoded(quarters(800, 600), exif=exif(orientation=1)), encoded(quarters(60, 80), "PNG")
ORIGINAL = [{"type": "original"}]
COVERS = {"book.cover": {"files": True}}
SMALL = {"type": "custom", "custom": {"format": "png", "custom_size": "dimension_max", "custom_size_pixel": 400}}


@pytest.fixture
def gallery(alice: Any) -> Cell:
    cell = make_cell(alice, "gallery")
    for path, data in (("in/Berlin.jpg", PHOTO), ("in/back.png", OTHER), ("text.pdf", b"%PDF"), ("alone.txt", b"-")):
        put_file(cell, path, data)
    covers = [{"_file": "in/Berlin.jpg"}, {"_file": "in/back.png"}, {"_file": "text.pdf"}]
    put_documents(cell, [("book", "b1", {"title": "One", "cover": covers, "scan": {"_file": "text.pdf"}})])
    return cell


@pytest.fixture
def sid(gallery: Cell) -> int:
    return Document.objects.get(cell=gallery).pk


def asset(path: str) -> int:
    return File.objects.get(path=path).pk


def ran(client: V1, *, state: str = "done", **attributes: Any) -> tuple[dict[str, Any], dict[str, bytes]]:
    """(export, files of its archive without the manifest)."""
    given = {"name": "press", "eas_fields": COVERS, "classes": {"image": ORIGINAL}, "json": True, **attributes}
    export = run(client, created(client, **given))
    assert export["_state"] == state, export["_log"]
    packed = unzipped(got(client.get(url(export, ".zip"))))
    packed.pop("manifest.json")
    return export, packed


def files(packed: dict[str, bytes]) -> list[str]:
    return [name for name in packed if not name.endswith(".json")]


def block(packed: dict[str, bytes]) -> dict[str, Any]:
    [text] = [text for name, text in packed.items() if name.endswith(".json")]
    [found] = orjson.loads(text)["objects"]
    return found["book"]


def test_a_document_s_file_lies_beside_its_data(as_alice: V1, sid: int) -> None:
    """§8.3: "assets in `files/`", "Observed: ... `files/sid-10-file-10-berlin.jpg`"; §4.5: "for assets also `eas_id`
    (int), `eas_version` ..., `eas_fileclass` (string)"."""
    export, packed = ran(as_alice)
    photo = asset("in/Berlin.jpg")
    name = f"press/files/sid-{sid}-file-{photo}-Berlin.jpg"
    assert files(packed) == [name]
    assert packed[name] == PHOTO
    [shown] = [file for file in export["_files"] if "eas_id" in file]
    assert shown == {
        "path": name,
        "size": len(PHOTO),
        "eas_id": photo,
        "eas_version": "original",
        "eas_fileclass": "image",
    }
    assert block(packed)["cover"][0]["versions"]["original"]["path"] == f"files/sid-{sid}-file-{photo}-Berlin.jpg"


def test_a_field_that_no_rule_speaks_of_gives_nothing(as_alice: V1, sid: int) -> None:
    """§8.2: "1. F not in `eas_fields` → nothing for F, not even links."."""
    _, packed = ran(as_alice, classes={"image": ORIGINAL, "office": ORIGINAL})
    assert "scan" not in block(packed) and b"text.pdf" not in b"".join(packed.values())
    _, packed = ran(as_alice, eas_fields=["book.scan"], classes={"office": ORIGINAL})
    assert files(packed) == [f"press/files/sid-{sid}-file-{asset('text.pdf')}-text.pdf"]


@pytest.mark.parametrize(
    ("rule", "assets", "shipped"),
    [
        ({"files": True}, {}, ["Berlin.jpg"]),
        ({"files": True, "include_non_preferred": True}, {}, ["Berlin.jpg", "back.png"]),
        ({"files": True, "include_non_preferred": True}, {"in/back.png": False}, ["Berlin.jpg"]),
        ({"files": True}, {"in/back.png": True}, ["Berlin.jpg", "back.png"]),
        ({"files": True}, {"in/Berlin.jpg": False}, []),
        ({"files": False}, {"text.pdf": {"versions": [{"type": "current"}]}}, ["text.pdf"]),
        ({"files": True}, {"text.pdf": True}, ["Berlin.jpg"]),
    ],
)
def test_the_procedure_over_http(
    rule: dict[str, Any], assets: dict[str, Any], shipped: list[str], as_alice: V1, sid: int
) -> None:
    """§8.2: "2. If at least one file of this array has an entry in `assets` ("rule mode") ... 3. Otherwise: only the
    preferred file, or all of them with `include_non_preferred`. 4. ... class not listed → no binary for that class"."""
    given = {str(asset(path)): value for path, value in assets.items()}
    _, packed = ran(as_alice, eas_fields={"book.cover": rule}, assets=given)
    assert [name.rpartition("-")[2] for name in files(packed)] == shipped


def test_the_one_marked_as_preferred_is(as_alice: V1, gallery: Cell) -> None:
    covers = [{"_file": "in/Berlin.jpg"}, {"_file": "in/back.png", "preferred": True}]
    put_documents(gallery, [("book", "b1", {"cover": covers})])
    _, packed = ran(as_alice)
    assert [packed[name] for name in files(packed)] == [OTHER]


def test_renditions(as_alice: V1, sid: int) -> None:
    """§8.2: "Size arithmetic: 800×600 with `dimension_max` 400 → 400×300"; §8.3: "If more than one rendition of an
    asset is exported and the template has no `%_asset.version%`, append `-<version>`."."""
    export, packed = ran(as_alice, classes={"image": [*ORIGINAL, SMALL]}, xml=True, csv={})
    stem = f"press/files/sid-{sid}-file-{asset('in/Berlin.jpg')}-Berlin"
    assert [name for name in packed if "/files/" in name] == [f"{stem}-original.jpg", f"{stem}-custom.png"]
    made = Image.open(io.BytesIO(packed[f"{stem}-custom.png"]))
    assert (made.format, made.size, corners(made)) == ("PNG", (400, 300), CORNERS)
    assert [file["eas_version"] for file in export["_files"] if "eas_id" in file] == ["original", "custom"]
    [xml] = [text for name, text in packed.items() if name.endswith(".xml")]
    assert f"{stem.removeprefix('press/')}-custom.png" in etree.fromstring(xml).xpath("string()")
    [table] = [text for name, text in packed.items() if name.endswith(".csv")]
    [row] = csv.DictReader(io.StringIO(table.decode()))
    assert f"{stem.removeprefix('press/')}-original.jpg" in row.values()


def test_the_same_export_gives_the_same_bytes(as_alice: V1, sid: int) -> None:
    export, _ = ran(as_alice, classes={"image": [SMALL]})
    first = got(as_alice.get(url(export, ".zip")))
    again = run(as_alice, export)
    assert got(as_alice.get(url(again, ".zip"))) == first


def test_pictures_are_made_before_the_snapshot_is_taken(
    as_alice: V1, gallery: Cell, sid: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hours of painting inside it would keep PostgreSQL from tidying up for as long."""
    put_file(gallery, "other.jpg", encoded(quarters(100, 100)))
    put_documents(gallery, [("book", "b2", {"cover": {"_file": "other.jpg"}})])
    open_snapshots: list[int] = []
    paint = Studio.paint

    def watched(self: Studio, *arguments: Any, **options: Any) -> dict[str, Any]:
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE application_name = %s", [READER])
            open_snapshots.extend(cursor.fetchone())
        return paint(self, *arguments, **options)

    monkeypatch.setattr(Studio, "paint", watched)
    _, packed = ran(as_alice, classes={"image": [SMALL]}, file_metadata=True)
    assert len(files(packed)) == 2
    assert open_snapshots == [0, 0]


def test_a_picture_that_cannot_be_made_is_named_and_the_rest_arrives(as_alice: V1, gallery: Cell) -> None:
    put_file(gallery, "broken.jpg", PHOTO[:2000])
    put_documents(gallery, [("book", "b2", {"cover": {"_file": "broken.jpg"}})])
    export, packed = ran(as_alice, state="done_with_warnings", classes={"image": [SMALL]}, json=False)
    assert export["_log"][-1]["event"]["info"]["protocol"] == "1 of 2 entries could not be exported whole."
    [missing] = export["_missing"]
    assert missing["path"] == "broken.jpg"
    assert missing["reason"].startswith("its custom version could not be made: no picture could be made of it")
    assert [name.rpartition("-")[2] for name in packed] == ["Berlin.png"]
    manifest = orjson.loads(unzipped(got(as_alice.get(url(export, ".zip"))))["manifest.json"])
    assert (manifest["count"], manifest["missing"]) == (1, [missing])


def test_the_manifest_does_not_take_copies_for_files_of_the_cell(as_alice: V1, sid: int) -> None:
    """An import must not put a thumbnail where the photo was (FORMAT.md, `generated`)."""
    export, _ = ran(as_alice, classes={"image": [SMALL, {"type": "current"}]})
    manifest = orjson.loads(unzipped(got(as_alice.get(url(export, ".zip"))))["manifest.json"])
    assert [entry["generated"] for entry in manifest["entries"]] == [True, True, True]
    assert [entry.get("path") for entry in manifest["entries"]] == ["in/Berlin.jpg", "in/Berlin.jpg", None]


def test_a_version_that_nobody_has_is_a_warning(as_alice: V1, sid: int) -> None:
    """§8.2: "`version` (name) required for `version`"; contents of a file are called by their number here."""
    named = [{"type": "version", "version": "1"}, {"type": "version", "version": "press"}]
    export, packed = ran(as_alice, state="done_with_warnings", classes={"image": named})
    assert export["_missing"] == [{"path": "in/Berlin.jpg", "reason": "it has no version called 'press'"}]
    assert [name.rpartition("-")[2] for name in files(packed)] == ["1.jpg"]


def test_the_original_is_the_first_content_and_current_the_last(as_alice: V1, gallery: Cell, sid: int) -> None:
    put_file(gallery, "in/Berlin.jpg", OTHER)
    _, packed = ran(as_alice, classes={"image": [*ORIGINAL, {"type": "current"}]})
    assert [packed[name] for name in files(packed)] == [PHOTO, OTHER]


def test_metadata_that_is_to_be_removed_is_nowhere(as_alice: V1, sid: int) -> None:
    """§8.2: `metadata` `standard` (default) | `keep` | `remove`."""
    assert b"SERIAL-4711" in PHOTO
    versions = [{"type": "original", "metadata": "remove"}, {**SMALL, "metadata": "remove"}]
    _, packed = ran(as_alice, classes={"image": versions})
    original, small = (packed[name] for name in files(packed))
    assert b"SERIAL" not in original + small and b"Ada" not in original + small
    assert Image.open(io.BytesIO(original)).tobytes() == Image.open(io.BytesIO(PHOTO)).tobytes()


def test_a_picture_goes_out_with_its_watermark_or_not_at_all(as_alice: V1, sid: int, settings, tmp_path) -> None:
    """§8.2, `custom`: `watermark` (bool)."""
    settings.WATERMARK_FILE = str(tmp_path / "mark.png")
    (tmp_path / "mark.png").write_bytes(encoded(Image.new("RGBA", (90, 90), (0, 0, 0, 255)), "PNG"))
    marked = {"image": [{"type": "custom", "custom": {**SMALL["custom"], "watermark": True}}]}
    export, packed = ran(as_alice, classes=marked, json=False)
    [made] = packed.values()
    assert Image.open(io.BytesIO(made)).convert("RGB").getpixel((340, 240)) == (0, 0, 0)
    settings.WATERMARK_FILE = ""
    again = run(as_alice, export)
    assert (again["_state"], again["_files"]) == ("done_with_warnings", [])
    assert again["_missing"][0]["reason"].endswith("the server's watermark was changed or taken away")


def test_names_by_template(as_alice: V1, gallery: Cell, sid: int) -> None:
    """§8.3: "Template variables (`%...%`), extension always added automatically"; "on clash append `-2`, `-3`"."""
    put_documents(gallery, [("book", "b2", {"title": "One", "cover": {"_file": "in/Berlin.jpg"}})])
    template = "%_export.name%: %book.title% %_asset.technical_metadata.width%"
    _, packed = ran(as_alice, filename_template=template)
    assert files(packed) == ["press/files/press_ One 800.jpg", "press/files/press_ One 800-2.jpg"]


def test_original_names(as_alice: V1, gallery: Cell) -> None:
    """§8.3: "`filename_original: true` → original name without extension"; `flat: true`: "everything at the root"."""
    _, packed = ran(as_alice, filename_original=True, flat=True)
    assert files(packed) == ["Berlin.jpg"]
    assert block(packed)["cover"][0]["versions"]["original"]["path"] == "Berlin.jpg"


def test_packages_have_their_own_files(as_alice: V1, gallery: Cell) -> None:
    """§8.3: "`batch_size` n > 0: a new folder (package) per n objects"."""
    put_documents(gallery, [("book", "b2", {"cover": {"_file": "in/Berlin.jpg"}})])
    _, packed = ran(as_alice, filename_original=True, batch_size=1)
    assert files(packed) == ["press/1/files/Berlin.jpg", "press/2/files/Berlin.jpg"]


def test_links_lead_to_the_file(as_alice: V1, sid: int) -> None:
    """§8.2: "5. `data` adds links only (key facts for `long`, bare URL for `short`)."."""
    link = {"book.cover": {"data": [{"type": "current", "format": "short"}]}}
    _, packed = ran(as_alice, eas_fields=link)
    assert files(packed) == []
    [cover] = block(packed)["cover"]
    assert set(cover) == {"_file", "_id", "versions"}
    address = cover["versions"]["current"]["url"]
    assert content(as_alice.get(address.partition("/api/v1/")[2])) == PHOTO
    _, packed = ran(as_alice, eas_fields={"book.cover": {"data": [{"type": "current", "format": "long"}]}})
    assert block(packed)["cover"][0]["original_filename"] == "Berlin.jpg"


def test_measures_are_in_the_data_if_asked_for(as_alice: V1, sid: int) -> None:
    """§4.2 `file_metadata`; §8.5 `technical_metadata/*`."""
    _, packed = ran(as_alice, file_metadata=True)
    assert block(packed)["cover"][0]["technical_metadata"] == {"width": 800, "height": 600}
    _, packed = ran(as_alice)
    assert "technical_metadata" not in block(packed)["cover"][0]


def test_a_reference_to_no_file_is_a_warning_and_no_failure(as_alice: V1, gallery: Cell) -> None:
    put_documents(gallery, [("book", "b1", {"cover": [{"_file": "gone.jpg"}, {"_file": "in/back.png"}]})])
    export, packed = ran(as_alice, state="done_with_warnings")
    assert [packed[name] for name in files(packed)] == [OTHER]
    protocol = export["_log"][-1]["event"]["info"]["protocol"]
    assert "cover refers to 'gone.jpg', and there is no such file" in protocol


def test_two_owners_files_do_not_mix(as_alice: V1, sid: int, bob: Any, as_bob: V1) -> None:
    """A reference is a path in the document's own cell; another's asset id in `assets` reaches nothing."""
    cell = make_cell(bob, "bobs")
    put_documents(cell, [("book", "x", {"cover": {"_file": "in/Berlin.jpg"}})])
    rule = {str(asset("in/Berlin.jpg")): {"versions": ORIGINAL}}
    _, packed = ran(as_bob, state="done_with_warnings", assets=rule)
    assert files(packed) == []


@pytest.mark.parametrize(
    ("attributes", "code"),
    [
        ({"classes": {"image": [{"type": "custom", "custom": {"watermark": True}}]}}, "invalid_value"),
        ({"classes": {"image": [{"type": "custom", "custom": {"size": "custom"}}]}}, "attribute_expected"),
        ({"filename_original": True, "filename_template": "x"}, "invalid_value"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_made(attributes: dict[str, Any], code: str, as_alice: V1) -> None:
    """§8.2: "Violations → `invalid_value` / `attribute_expected`."."""
    body = {"export": {"search": {}, "eas_fields": COVERS, **attributes}}
    refused(as_alice.put("export", body), 400, f"error.api.{code}")
    assert not Export.objects.exists()


@pytest.mark.parametrize(("type", "event"), [("export", "ASSET_EXPORT_DOWNLOAD"), ("download", "ASSET_DOWNLOAD")])
def test_who_fetches_an_asset_leaves_an_event(type: str, event: str, as_alice: V1, as_root: V1, sid: int) -> None:
    """§8.7: "file events use `ASSET_DOWNLOAD` instead of `ASSET_EXPORT_DOWNLOAD`"; §12: "objecttype `asset`, object_id
    = asset id", "`version`, `export` {...}"; DOWNLOAD_EXPORT: "`asset_id`?, `asset_version`?"."""
    export, packed = ran(as_alice, type=type)
    [name] = files(packed)
    Event.objects.all().delete()
    path = f"export/{id_of(export)}/file/{name}"
    assert got(as_alice.get(path)) == PHOTO
    assert as_alice.get(path, HTTP_RANGE="bytes=5-9").status_code == 206
    of = {"_id": id_of(export), "_version": 1}
    [fetched] = answer(as_root.get("event/list?format=json_full&base_type=asset"))["objects"]
    assert (fetched["event"]["type"], fetched["event"]["basetype"]) == (event, "asset")
    assert fetched["event"]["object_id"] == asset("in/Berlin.jpg")
    assert fetched["event"]["info"] == {"asset_id": asset("in/Berlin.jpg"), "version": "original", "export": of}
    [whole] = answer(as_root.get("event/list?format=json_full&base_type=export"))["objects"]
    assert whole["event"]["type"] == "DOWNLOAD_EXPORT"
    assert whole["event"]["info"]["asset_id"] == asset("in/Berlin.jpg")
    assert answer(as_root.get("event/list?base_type=user"))["objects"] == []


def test_who_fetches_an_asset_by_a_transport_leaves_another(as_alice: V1, as_nobody: V1, sid: int) -> None:
    """§12: `ASSET_EXPORT_TRANSPORT_DOWNLOAD` "through a transport"."""
    export, packed = ran(as_alice, _transports=[{"type": "download", "packer": None}])
    [name] = files(packed)
    [address] = [each["url"] for each in export["_transports"][0]["_download"]["_files"] if name in each["url"]]
    assert got(as_nobody.get(f"export/{id_of(export)}/download/{address}")) == PHOTO
    event = Event.objects.get(type__startswith="ASSET_")
    assert (event.type, event.info["version"]) == ("ASSET_EXPORT_TRANSPORT_DOWNLOAD", "original")
    assert event.info["export"]["_transport_id"]
