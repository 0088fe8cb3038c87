"""What shipped files are called: `spec/v1.md §8.3`."""

from typing import Any

import pytest

from exports.engine.layouts.assets import Document
from exports.engine.layouts.filenames import Naming, Shipped
from exports.engine.names import cleaned

SHIPPED = Shipped(31, "image", "Berlin, Tor", "jpg", "current", False, lambda: {"width": 800, "height": 600})
BLOCK = {
    "_id": 10,
    "title": {"de-DE": "Tür", "en-US": "Door"},
    "author": {"name": "A/B", "books": [{"year": 1999}, {"year": 2001}]},
    "free": True,
    "list": ["one", "two"],
}


def named(
    template: str | None = None, *, original: bool = False, file: Shipped = SHIPPED, language: str = "", **block: Any
) -> str:
    naming = Naming(original, template, "press", "local", language)
    document = Document(10, 1, "book", {"_objecttype": "book", "book": {**BLOCK, **block}})
    return naming.base(document, "cover", file)


def test_the_name_of_a_file_when_nobody_says_how() -> None:
    """§8.3: "else `sid-<sid>-file-<asset id>-<original base>`"; observed: `files/sid-10-file-10-berlin.jpg`."""
    assert named() == "sid-10-file-31-Berlin, Tor"


def test_the_original_s_name() -> None:
    """§8.3: "`filename_original: true` → original name without extension"."""
    assert named(original=True) == "Berlin, Tor"


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("%_asset.id%", "31"),
        ("%_asset.class%", "image"),
        ("%_asset.extension%", "jpg"),
        ("%_asset.original_filename%", "Berlin, Tor"),
        ("%_asset.technical_metadata.width%x%_asset.technical_metadata.height%", "800x600"),
        ("%_asset.technical_metadata.max_dimension%", "800"),
        ("%_asset.version%", "current"),
        ("%_export.name%", "press"),
        ("%_global_object_id%", "10@local"),
        ("%_system_object_id%", "10"),
        ("%_system.easydb.name%", "local"),
        ("%book.title%", "Tür"),
        ("%title%", "Tür"),
        ("%book.title.en-US%", "Door"),
        ("%book.author.name%", "A_B"),
        ("%book.author.books.1.year%", "2001"),
        ("%book.author.books.year%", "1999"),
        ("%book.free% %book.list%", "true one"),
        ("a %film.title% b", "a b"),
        ("100% of %_asset.id%", "100% of 31"),
    ],
)
def test_template_variables(template: str, expected: str) -> None:
    """§8.3: "Template variables (`%...%`) ... Unset → empty string"."""
    assert named(template) == expected


def test_a_name_that_is_empty_becomes_the_original_one() -> None:
    """§8.3: "a result that is empty overall falls back to the original name"."""
    assert named("%book.nothing%") == named(" %book.nothing% ") == "Berlin, Tor"


def test_translated_values_are_in_the_owner_s_language_if_there_is_one() -> None:
    assert named("%title%", language="en-US") == "Door"
    assert named("%title%", language="fr-FR") == "Tür"


def test_an_object_may_say_how_its_files_are_called() -> None:
    """§8.3: "else the objecttype's `_export_asset_filenames.<field>.<language>`", before the default."""
    own = {"_export_asset_filenames": {"cover": {"de-DE": "Bild %_asset.id%", "en-US": "Picture %_asset.id%"}}}
    assert named(**own) == "Bild 31"
    assert named(language="en-US", **own) == "Picture 31"
    assert named("%_asset.id%", **own) == "31"
    assert named(original=True, **own) == "Berlin, Tor"
    assert named(_export_asset_filenames={"other": "x"}) == "sid-10-file-31-Berlin, Tor"


def test_several_versions_of_a_file_are_told_apart() -> None:
    """§8.3: "If more than one rendition of an asset is exported and the template has no `%_asset.version%`, append
    `-<version>`."."""
    several = SHIPPED.__class__(31, "image", "Berlin", "jpg", "current", True, dict)
    assert named(file=several) == "sid-10-file-31-Berlin-current"
    assert named(original=True, file=several) == "Berlin-current"
    assert named("%_asset.id%", file=several) == "31-current"
    assert named("%_asset.version% %_asset.id%", file=several) == "current 31"
    assert len(named("x" * 200, file=several)) == 100 and named("x" * 200, file=several).endswith("x-current")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ('a/b\\c:d*e?f"g<h>i|j', "a_b_c_d_e_f_g_h_i_j"),
        ("a\0b\x1fc\x7fd\ne", "a_b_c_d_e"),
        ("  much   space  ", "much space"),
        ("x" * 300, "x" * 100),
        (".", "_"),
        ("..", "__"),
        ("...", "___"),
        ("../../etc", ".._.._etc"),
        ("", ""),
        (" ", ""),
        ("Füße", "Füße"),
    ],
)
def test_names_are_cleaned(given: str, expected: str) -> None:
    """§8.3: "Sanitise `/ \\ : * ? " < > |` and control characters to `_`; collapse spaces; max 100 characters"."""
    assert cleaned(given) == expected


def test_a_name_fits_a_file_system_in_any_script() -> None:
    assert len((cleaned("日" * 100) + "-12345.extension").encode()) <= 255
    assert cleaned("😀" * 100) == "😀" * 55
