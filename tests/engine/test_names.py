"""Names that cells may hold, and what archives make of them: unique, harmless, and told in the manifest."""

import hashlib
import json
import random
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cells.errors import NameRefused
from cells.validators import normal_path
from exports.engine import manifest
from exports.engine.formats import FORMATS
from exports.engine.names import Names, numbered
from tests.engine.judges import PAIRS, Judge
from tests.engine.making import MTIME, Making
from tests.engine.processes import in_process

LEAVES = (
    "a", "A", "a;1", "A;1", "a;", "a.txt", "A.TXT", "a (2).txt", "a (2)", "a\\b", "a_b", "\\", "..\\..\\x", "CON",
    "con", "nul.txt", "aux.", "trailing.", "trailing", "trailing ", " ", "…", "...", ".hidden", ".HIDDEN", "-rf", "~",
    "straße", "STRASSE", "Straße", "é", "e\u0301", "É", "\u00c5", "\u212b", "ﬁ", "fi", "\u202egnp.exe", "👩‍👩‍👧",
    "日本", "x\ny", "x\ry", "x\ty", "x_y", "\x1b[31mred", "\x7f", "\x80", "\x85", "\x9f", "\u2028", "\ufeffbom",
    "\u200b",
    "C:", "C:\\x", "a:b", "\"q\"", "'q'", "*", "?", "%2e%2e", "%00", "$(x)", "`x`", "&#x41;", "n" * 255, "N" * 255,
    "é" * 127, "e\u0301" * 85, "n" * 251 + ".txt", "N" * 251 + ".TXT", "." + "n" * 254, "x." + "e" * 253,
    "X." + "e" * 253,
)  # fmt: skip


def legal(path: str) -> bool:
    try:
        return normal_path(path) == path
    except NameRefused:
        return False


def hostile(count: int) -> list[tuple[str, bool]]:
    """(path, is folder) as a cell may hold them, in the order in which it is read: no file is also a folder."""
    draw = random.Random(1)
    paths: dict[str, bool] = {}
    parents: set[str] = set()
    while len(paths) < count:
        path = "/".join(
            draw.choice(LEAVES) + draw.choice(("", "", "1", "é", ".txt")) for _ in range(draw.randint(1, 4))
        )
        above = {path[:at] for at, sign in enumerate(path) if sign == "/"}
        if legal(path) and path not in parents and not above & paths.keys():
            paths[path] = draw.random() < 0.1
            parents |= above
    # As by `ORDER BY path COLLATE "C"`.
    return sorted(paths.items(), key=lambda each: each[0].encode())


def named(paths: list[tuple[str, bool]]) -> dict[str, str]:
    """path → name"""
    names = Names()
    return {path: names.folder(path) if is_folder else names.file(path) for path, is_folder in paths}


@pytest.fixture(scope="module")
def paths() -> list[tuple[str, bool]]:
    return hostile(10_000)


@pytest.fixture(scope="module")
def names(paths: list[tuple[str, bool]]) -> dict[str, str]:
    return named(paths)


def folded(name: str) -> str:
    return unicodedata.normalize("NFC", name.rstrip("/")).casefold()


def folders(names: list[str]) -> list[str]:
    return [name[:at] for name in names for at, sign in enumerate(name) if sign == "/"]


def test_10_000_hostile_names_are_unique_after_nfc_and_case_folding(names: dict[str, str]) -> None:
    given = list(names.values())
    assert len({folded(name) for name in given}) == len(given) == 10_000
    # Nor is a file, folded, a folder on the way to others; nor are two folders one.
    on_the_way = set(folders(given))
    files = {folded(name) for name in given if not name.endswith("/")}
    assert not files & {folded(each) for each in on_the_way}
    assert len({folded(each) for each in on_the_way}) == len(on_the_way)


def test_two_paths_share_a_folder_in_the_archive_exactly_when_they_do_in_the_cell(names: dict[str, str]) -> None:
    seen: dict[str, str] = {}
    for path, name in names.items():
        given = name.rstrip("/")
        assert path.count("/") == given.count("/")
        while path:
            assert seen.setdefault(path, given) == given
            path, given = path.rpartition("/")[0], given.rpartition("/")[0]
    assert len(set(seen.values())) == len(seen)


def test_no_name_has_a_control_character_a_backslash_a_version_number_or_a_drive(names: dict[str, str]) -> None:
    for name in names.values():
        assert not any(unicodedata.category(sign) == "Cc" for sign in name), name
        assert "\\" not in name and not name.startswith("/") and "//" not in name
        for part in name.rstrip("/").split("/"):
            assert part not in ("", ".", "..") and not (part[1:2] == ":" and part[0].isascii() and part[0].isalpha())
            _stem, semicolon, version = part.rpartition(";")
            assert not (semicolon and (not version or (version.isascii() and version.isdigit()))), name


def test_no_part_of_a_name_is_longer_than_a_file_system_takes(names: dict[str, str]) -> None:
    assert max(len(part.encode()) for name in names.values() for part in name.split("/")) <= 255


def test_the_entries_of_one_folder_stay_together(names: dict[str, str]) -> None:
    closed: set[str] = set()
    open_: list[str] = []
    for name in names.values():
        here = folders([name])
        closed |= set(open_) - set(here)
        assert not closed & set(here), name
        open_ = here


def test_harmless_names_stay_as_they_are() -> None:
    harmless = ["Übung/日本語 (1).txt", "a/b.c/d", "a; b", "a;1.txt", "e\u0301", "tschüß", "🏳️‍🌈", "n" * 255]
    assert named([(path, False) for path in sorted(harmless)]) == {path: path for path in harmless}


def test_names_do_not_depend_on_the_process(paths: list[tuple[str, bool]], names: dict[str, str]) -> None:
    for seed in ("0", "1"):
        assert in_process("names_digest", environment={"PYTHONHASHSEED": seed}) == digest(names)


def digest(names: dict[str, str]) -> str:
    return hashlib.sha256("\0".join(names.values()).encode()).hexdigest()


def test_a_hundred_thousand_twins_take_no_hundred_thousand_squared_tries() -> None:
    names = Names()
    given = {names.beside("", "twin.txt") for _ in range(100_000)}
    assert len(given) == 100_000 and "twin (100000).txt" in given


@given(st.lists(st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=12), max_size=30))
@settings(max_examples=300, deadline=None)
def test_whatever_leaves_there_are_their_names_are_unique(leaves: list[str]) -> None:
    paths = sorted({leaf for leaf in leaves if legal(leaf) and "/" not in leaf}, key=str.encode)
    given = named([(path, False) for path in paths])
    assert len({folded(name) for name in given.values()}) == len(paths)


@pytest.mark.parametrize("leaf", ["é" * 127, "n" * 255, "x." + "e" * 253, "n" * 251 + ".txt", ".n", "a.b.c"])
@pytest.mark.parametrize("number", [2, 100_000])
def test_a_numbered_name_keeps_its_extension_and_fits(leaf: str, number: int) -> None:
    name = numbered(leaf, number)
    assert len(name.encode()) <= 255 and f" ({number})" in name
    if leaf.endswith(".txt"):
        assert name.endswith(f" ({number}).txt")


@pytest.mark.parametrize(("judge", "kind"), PAIRS)
def test_hostile_names_are_unpacked_inside_the_root_and_all_of_them(
    judge: Judge, kind: str, names: dict[str, str], tmp_path: Path
) -> None:
    made = Making(tmp_path)
    some = dict(random.Random(2).sample(sorted(names.items()), 700))
    for path, name in sorted(some.items(), key=lambda each: each[0].encode()):
        if len(name.encode()) > 900:
            continue
        if name.endswith("/"):
            made.folder(name)
        else:
            made.file(name, path.encode())
    root = tmp_path / "around" / "root"
    root.mkdir(parents=True)
    archive = made.archive(kind, tmp_path / f"hostile{FORMATS[kind].extension}")
    judge.called().check(archive)
    judge.extract(archive, root)
    found = judge.found(root)
    files = {judge.spells(name): data for name, data in made.plain.items()}
    assert {name: each.data for name, each in found.items() if not each.is_folder} == files
    asked = {judge.spells(entry.name) for entry in made.entries if entry.is_folder}
    assert asked <= found.keys() and len(made.entries) > 600
    assert [each.name for each in root.parent.iterdir()] == ["root"]


def test_the_path_in_the_cell_stands_in_the_manifest_exactly_where_it_differs(
    paths: list[tuple[str, bool]], names: dict[str, str], tmp_path: Path
) -> None:
    made = Making(tmp_path)
    for path, is_folder in paths:
        name = names[path]
        entry = made.folder(name) if is_folder else made.file(name, b"")
        made.entries[-1] = entry._replace(path=None if name.rstrip("/") == path else path)
    missing = [('gone "quoted" \\ \n', "the store has no such blob")]
    text = b"".join(manifest.lines(made.entries, missing))
    found = json.loads(text)
    assert found["format"] == "exportsite-archive" and found["version"] == 1
    assert (found["count"], found["bytes"]) == (10_000, 0)
    assert [each["name"] for each in found["entries"]] == list(names.values())
    assert [each.get("path", each["name"].rstrip("/")) for each in found["entries"]] == [path for path, _ in paths]
    assert all("path" not in each or each["path"] != each["name"].rstrip("/") for each in found["entries"])
    assert found["missing"] == [{"path": missing[0][0], "reason": missing[0][1]}]


def test_the_manifest_tells_all_that_is_known_of_an_entry(tmp_path: Path) -> None:
    made = Making(tmp_path)
    made.file("a", b"hello", mode=0o100755)
    made.folder("b/", mtime=-1)
    made.file("far", b"", mtime=-62_135_596_800 * 10**6)
    assert json.loads(b"".join(manifest.lines(made.entries)))["entries"] == [
        {
            "name": "a", "size": 5, "crc32": "3610a686", "mtime": "2023-11-14T22:13:21.234567Z", "executable": True,
            "sha256": "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
        },
        {"name": "b/", "mtime": "1969-12-31T23:59:59.999999Z"},
        {
            "name": "far", "size": 0, "crc32": "00000000", "mtime": "0001-01-01T00:00:00.000000Z",
            "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        },
    ]  # fmt: skip
    assert made.entries[0].mtime == MTIME
