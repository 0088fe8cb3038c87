"""Which files of documents go out, and what they are called: `spec/v1.md §8.2, §8.3`, without a database."""

from datetime import UTC, datetime
from typing import Any

import pytest

from exports.engine.entries import Entry
from exports.engine.freeze import EMPTY_SHA256
from exports.engine.images.pictures import Picture
from exports.engine.images.recipe import Recipe, Size
from exports.engine.layouts.assets import Document, Place
from exports.engine.layouts.filenames import Naming
from exports.engine.layouts.ruled import RuledFiles, ruled_files
from exports.engine.layouts.rules import Candidate, FieldRule, Rules, Version
from exports.engine.names import Names
from exports.engine.notes import Notes

ORIGINAL, CURRENT = Version("original"), Version("current")
PHOTOS = [Candidate(1, "image", False), Candidate(2, "image", True), Candidate(3, "office", False)]
FILES = FieldRule(files=True)
ALL_FILES = FieldRule(files=True, include_non_preferred=True)
LINKS_ONLY = FieldRule()


def chosen(rules: Rules, rule: FieldRule, files: list[Candidate] = PHOTOS) -> dict[int, list[str]]:
    """{id: labels of its versions}."""
    return {files[index].id: [each.label for each in versions] for index, versions in rules.chosen(rule, files)}


IMAGES = {"image": (ORIGINAL, CURRENT)}


@pytest.mark.parametrize(
    ("assets", "rule", "expected"),
    [
        # "3. Otherwise: only the preferred file, or all of them with `include_non_preferred`."
        ({}, FILES, {2: ["original", "current"]}),
        # "4. ... The renditions are `classes.<class of the file>`; class not listed → no binary for that class."
        ({}, ALL_FILES, {1: ["original", "current"], 2: ["original", "current"], 3: []}),
        # "4. Binaries are shipped if `files` is true (or an object rule applies)."
        ({}, LINKS_ONLY, {2: []}),
        # "2. ... (rule mode): entry `false` → skip"; "file without entry → only if `preferred`"
        ({"2": False}, ALL_FILES, {}),
        ({"3": False}, ALL_FILES, {2: ["original", "current"]}),
        # "entry `true` → treat with the defaults (class attributes), even if not preferred"
        ({"1": True}, FILES, {1: ["original", "current"], 2: ["original", "current"]}),
        ({"1": True}, LINKS_ONLY, {1: [], 2: []}),
        # "entry object → exactly its `versions`, always as binaries"
        ({"3": (CURRENT,)}, FILES, {2: ["original", "current"], 3: ["current"]}),
        ({"3": (CURRENT,), "2": False}, LINKS_ONLY, {3: ["current"]}),
        ({"1": ()}, FILES, {1: [], 2: ["original", "current"]}),
        # An entry of a file that this field does not hold makes no rule mode.
        ({"77": False}, ALL_FILES, {1: ["original", "current"], 2: ["original", "current"], 3: []}),
    ],
)
def test_the_procedure(assets: dict[str, Any], rule: FieldRule, expected: dict[int, list[str]]) -> None:
    """§8.2, items 2 to 4."""
    assert chosen(Rules(classes=IMAGES, assets=assets), rule) == expected


def test_a_field_is_found_with_and_without_its_objecttype() -> None:
    rules = Rules.of({"book.cover": {"files": True}, "photo": {"data": []}}, {}, {})
    assert rules.field("book", "cover") == FieldRule(files=True)
    assert rules.field("film", "cover") is None
    assert rules.field("film", "photo") == rules.field("book", "photo") == FieldRule()


class FakeSnapshot:
    """Files {path: (id, content)}; older contents {id: [(number, content)]}."""

    def __init__(
        self, files: dict[str, tuple[int, str]], older: dict[int, list[tuple[int, str]]] | None = None
    ) -> None:
        self.files, self.older = files, older or {}

    def files_at(self, cell_id: int, paths: list[str]) -> list[tuple]:
        now = datetime(2024, 1, 1, tzinfo=UTC)
        kinds = {"jpg": "image/jpeg", "pdf": "application/pdf"}
        return [
            (path, id, len(text), 7, False, text * 8, 1, "raw", len(text), 1, kinds[path.rpartition(".")[2]], now)
            for path, (id, text) in self.files.items()
            if path in paths
        ]

    def versions_of(self, files: list[int], names: list[str]) -> list[tuple]:
        return [
            (id, number, len(text), 5, text * 8, 1, "raw", len(text), 1, "image/jpeg")
            for id in files
            for at, (number, text) in enumerate(self.older.get(id, []))
            if at == 0 or str(number) in names
        ]


class FakePictures:
    """Makes "made" of everything but the content "broken"."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Recipe]] = []

    def made(self, sha256: str, recipe: Recipe) -> Picture | str:
        self.asked.append((sha256, recipe))
        return "it is broken" if sha256.startswith("broken") else Picture("made", 4, 1, "raw", 4, 1, "png")

    def measured(self, sha256: str) -> dict[str, int]:
        return {"width": 8, "height": 6}


def document(sid: int, **block: Any) -> Document:
    return Document(sid, 1, "book", {"_objecttype": "book", "_system_object_id": sid, "book": {"_id": sid, **block}})


class Shipping:
    def __init__(self, snapshot: FakeSnapshot, *, flat: bool = False, measured: bool = False, **rules: Any) -> None:
        self.pictures, self.notes = FakePictures(), Notes()
        given = {"eas_fields": {"book.cover": {"files": True}}, "classes": {}, "assets": {}, **rules}
        make = ruled_files(
            Rules.of(**given),
            Naming(False, None, "press", "local"),
            self.pictures,
            base_url="https://here.example",
            measured=measured,
        )
        place = Place(snapshot, [(1, "alice")], Names(), None, self.notes, flat)  # type: ignore[arg-type]
        self.assets: RuledFiles = make(place)  # type: ignore[assignment]

    def ship(self, *documents: Document, folder: str = "press/") -> list[Entry]:
        return list(self.assets.ship(documents, folder))


SNAPSHOT = FakeSnapshot(
    {"a/one.jpg": (1, "one"), "two.jpg": (2, "two"), "three.pdf": (3, "three"), "b.jpg": (4, "broken")}
)
EVERY = [{"type": "original"}]


def test_a_file_lies_in_the_package_and_the_data_says_where() -> None:
    shipping = Shipping(SNAPSHOT, classes={"image": [{"type": "current"}]})
    book = document(10, cover={"_file": "a/one.jpg", "caption": "mine"}, title="x")
    [entry] = shipping.ship(book)
    assert (entry.name, entry.path) == ("press/files/sid-10-file-1-one.jpg", "a/one.jpg")
    assert (entry.asset_id, entry.asset_version, entry.asset_class) == (1, "current", "image")
    assert (entry.size, entry.sha256, entry.mtime, entry.pack_offset) == (3, "one" * 8, 7, None)
    [file] = book.block["cover"]
    assert (file["_id"], file["class"], file["caption"], file["preferred"]) == (1, "image", "mine", True)
    assert file["versions"] == {"current": {"path": "files/sid-10-file-1-one.jpg"}}


def test_a_field_without_a_rule_is_gone_from_the_data() -> None:
    """§8.2: "1. F not in `eas_fields` → nothing for F, not even links."."""
    shipping = Shipping(SNAPSHOT, classes={"image": EVERY})
    book = document(10, back={"_file": "two.jpg"}, rows=[{"photo": [{"_file": "two.jpg"}], "text": "stays"}])
    assert shipping.ship(book) == []
    assert book.block == {"_id": 10, "rows": [{"text": "stays"}]}


def test_the_preferred_file_is_the_marked_one_or_the_first() -> None:
    shipping = Shipping(SNAPSHOT, classes={"image": EVERY})
    first = document(10, cover=[{"_file": "two.jpg"}, {"_file": "a/one.jpg"}])
    marked = document(11, cover=[{"_file": "two.jpg"}, {"_file": "a/one.jpg", "preferred": True}])
    assert [entry.asset_id for entry in shipping.ship(first, marked)] == [2, 1]
    assert [file["_id"] for file in marked.block["cover"]] == [1]


def test_all_go_out_with_include_non_preferred() -> None:
    shipping = Shipping(
        SNAPSHOT,
        eas_fields={"cover": {"files": True, "include_non_preferred": True}},
        classes={"image": EVERY, "office": EVERY},
    )
    book = document(10, cover=[{"_file": "two.jpg"}, {"_file": "three.pdf"}])
    assert [entry.asset_class for entry in shipping.ship(book)] == ["image", "office"]
    assert [file["preferred"] for file in book.block["cover"]] == [True, False]


def test_flat_puts_files_at_the_root() -> None:
    """§8.3: "`flat: true`: no directories at all, everything at the root."."""
    shipping = Shipping(SNAPSHOT, flat=True, classes={"image": EVERY})
    book = document(10, cover={"_file": "a/one.jpg"})
    [entry] = shipping.ship(book, folder="")
    assert entry.name == "sid-10-file-1-one.jpg"
    assert book.block["cover"][0]["versions"]["original"]["path"] == entry.name


def test_two_files_of_one_name_are_numbered_with_a_dash_in_each_package() -> None:
    """§8.3: "Names must be unique inside a folder, on clash append `-2`, `-3` … (5.98)."."""
    shipping = Shipping(SNAPSHOT, classes={"image": EVERY})
    shipping.assets._naming = Naming(False, "Cover", "press", "local")
    books = [document(sid, cover={"_file": path}) for sid, path in ((1, "a/one.jpg"), (2, "two.jpg"), (3, "two.jpg"))]
    assert [entry.name for entry in shipping.ship(*books, folder="press/1/")] == [
        "press/1/files/Cover.jpg",
        "press/1/files/Cover-2.jpg",
        "press/1/files/Cover-3.jpg",
    ]
    [other] = shipping.ship(document(4, cover={"_file": "two.jpg"}), folder="press/2/")
    assert other.name == "press/2/files/Cover.jpg"


def test_original_is_the_oldest_content_and_current_the_present_one() -> None:
    snapshot = FakeSnapshot({"two.jpg": (2, "now")}, {2: [(3, "old"), (4, "middle")]})
    shipping = Shipping(snapshot, classes={"image": [{"type": "original"}, {"type": "current"}]})
    book = document(10, cover={"_file": "two.jpg"})
    assert [(entry.asset_version, entry.sha256, entry.mtime) for entry in shipping.ship(book)] == [
        ("original", "old" * 8, 5),
        ("current", "now" * 8, 7),
    ]
    assert list(book.block["cover"][0]["versions"]) == ["original", "current"]


def test_versions_are_named_by_their_number_and_an_unknown_one_is_not_passed_over_in_silence() -> None:
    snapshot = FakeSnapshot({"two.jpg": (2, "now")}, {2: [(3, "old"), (4, "middle")]})
    named = [{"type": "version", "version": "4"}, {"type": "version", "version": "press"}]
    shipping = Shipping(snapshot, classes={"image": named})
    book = document(10, cover={"_file": "two.jpg"})
    there, missing = shipping.ship(book)
    assert (there.asset_version, there.sha256, there.missing) == ("4", "middle" * 8, "")
    assert (missing.path, missing.missing) == ("two.jpg", "it has no version called 'press'")
    assert (missing.size, missing.sha256) == (0, EMPTY_SHA256)
    assert list(book.block["cover"][0]["versions"]) == ["4"]


def test_a_rendition_has_the_extension_of_its_format_or_keeps_the_original_s() -> None:
    small = {"custom_size": "width", "custom_size_pixel": 9}
    custom = [{"type": "custom", "custom": {"format": "png", **small}}, {"type": "custom", "custom": small}]
    shipping = Shipping(SNAPSHOT, classes={"image": custom})
    book = document(10, cover={"_file": "two.jpg"})
    png, kept = shipping.ship(book)
    assert (png.name, kept.name) == (
        "press/files/sid-10-file-2-two-custom.png",
        "press/files/sid-10-file-2-two-custom.jpg",
    )
    assert (png.sha256, png.size, png.asset_version) == ("made", 4, "custom")
    assert shipping.pictures.asked[0] == ("two" * 8, Recipe(format="png", size=Size("width", 9)))
    assert list(book.block["cover"][0]["versions"]) == ["custom", "custom-2"]


def test_a_rendition_that_cannot_be_made_is_missing_with_its_reason() -> None:
    shipping = Shipping(SNAPSHOT, classes={"image": [{"type": "custom", "custom": {}}, {"type": "original"}]})
    book = document(10, cover={"_file": "b.jpg"})
    missing, original = shipping.ship(book)
    assert (missing.path, missing.missing) == ("b.jpg", "its custom version could not be made: it is broken")
    assert (original.missing, list(book.block["cover"][0]["versions"])) == ("", ["original"])


def test_metadata_is_cut_out_of_what_goes_out_as_it_is() -> None:
    """§8.2: `metadata` `standard` (default) | `keep` | `remove`; the first two leave an original alone."""
    for way, asked in (("standard", 0), ("keep", 0), ("remove", 1)):
        shipping = Shipping(SNAPSHOT, classes={"image": [{"type": "original", "metadata": way}]})
        shipping.ship(document(10, cover={"_file": "two.jpg"}))
        assert len(shipping.pictures.asked) == asked
    assert shipping.pictures.asked[0][1].strip


def test_links_are_addresses_and_nothing_is_shipped_for_them() -> None:
    """§8.2: "5. `data` adds links only (key facts for `long`, bare URL for `short`)."."""
    url = "https://here.example/api/v1/cell/alice/files/a/one.jpg"
    for form, facts in (("short", {"_file", "_id", "versions"}), ("long", {"filesize", "class", "original_filename"})):
        links = {"book.cover": {"data": [{"type": "current", "format": form}]}}
        shipping = Shipping(SNAPSHOT, eas_fields=links, classes={"image": EVERY})
        book = document(10, cover={"_file": "a/one.jpg"})
        assert shipping.ship(book) == []
        [file] = book.block["cover"]
        assert file["versions"] == {"current": {"url": url}}
        assert set(file) == facts if form == "short" else facts < set(file)


def test_a_link_to_what_has_no_address_is_left_out_and_told() -> None:
    snapshot = FakeSnapshot({"two.jpg": (2, "now")}, {2: [(1, "old")]})
    names = [{"type": "original"}, {"type": "version", "version": "image.press"}]
    other_class = [{"type": "version", "version": "video.press"}]
    shipping = Shipping(snapshot, eas_fields={"cover": {"data": names + other_class}})
    book = document(10, cover={"_file": "two.jpg"})
    shipping.ship(book)
    assert book.block["cover"][0]["versions"] == {}
    assert shipping.notes.sentences() == [
        "The link to 'two.jpg', original, was left out: it is of an older content, which has no address.",
        "The link to 'two.jpg', press, was left out: it has no such version.",
    ]


@pytest.mark.parametrize("path", ["gone.jpg", "../etc/passwd", "a//b", ""])
def test_a_reference_to_nothing_is_told_and_does_no_harm(path: str) -> None:
    shipping = Shipping(SNAPSHOT, classes={"image": EVERY})
    book = document(10, cover=[{"_file": path}, {"_file": "two.jpg"}])
    assert [entry.asset_id for entry in shipping.ship(book)] == [2]
    assert shipping.notes.sentences() == [f"book 10: cover refers to {path!r}, and there is no such file."]


def test_measures_are_taken_only_if_somebody_wants_them() -> None:
    for measured in (False, True):
        shipping = Shipping(SNAPSHOT, measured=measured, classes={"image": EVERY})
        book = document(10, cover={"_file": "two.jpg"})
        shipping.ship(book)
        expected = {"width": 8, "height": 6} if measured else None
        assert book.block["cover"][0].get("technical_metadata") == expected
