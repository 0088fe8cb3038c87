"""File names and URLs of downloads: `spec/v1.md §4.6, §5.8, §5.9, §5.11, §9.2`. No database."""

import pytest

from exports.api.v1.names import (
    ArchiveName,
    archive_name,
    base_name,
    extension_of,
    selection_name,
    single_file_url,
    volume_name,
    with_extension,
)
from exports.models import Volume


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("press", "press"),
        ('a/b\\c:d*e?f"g<h>i|j', "a_b_c_d_e_f_g_h_i_j"),
        ("a\r\nb\x85", "a__b_"),
        ("  a   b ", "a b"),
        ("Füße 日本", "Füße 日本"),
        ("x" * 200, "x" * 100),
        ("   ", "export"),
    ],
)
def test_an_export_s_name_becomes_a_file_name(name: str, expected: str) -> None:
    """§8.3: at most 100 characters, unsafe ones replaced."""
    assert base_name(name) == expected


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("press.zip", ArchiveName("zip", None)),
        ("press.1.zip", ArchiveName("zip", 1)),
        ("press.12.zip", ArchiveName("zip", 12)),
        ("any other name.tar", ArchiveName("tar", None)),
        ("press.tar.gz", ArchiveName("tar.gz", None)),
        ("press.2.tar.bz2", ArchiveName("tar.bz2", 2)),
        ("press.zip_2gb.3.zip", ArchiveName("zip_2gb", 3)),
        ("press.0.zip", ArchiveName("zip", None)),
        ("a.b.c.zip", ArchiveName("zip", None)),
        ("press.rar", None),
        ("press", None),
        ("zip", None),
        ("folder/press.zip", None),
        ("press.zip\n", None),
    ],
)
def test_a_download_is_recognised_by_number_and_extension(file: str, expected: ArchiveName | None) -> None:
    """§5.11: the base name is ignored."""
    assert archive_name(file) == expected


def test_one_volume_has_no_number_and_several_count_from_one() -> None:
    """§9.2."""
    assert volume_name("press", Volume(packer="zip", number=1, of=1), ["zip"]) == "press.zip"
    assert volume_name("press", Volume(packer="zip_10mb", number=2, of=3), ["zip", "zip_10mb"]) == "press.2.zip"
    assert volume_name("press", Volume(packer="tar_bz2", number=1, of=1), ["tar_bz2"]) == "press.tar.bz2"


def test_two_splitting_packers_do_not_share_a_name() -> None:
    packers = ["zip", "zip_10mb", "zip_2gb"]
    for packer in ("zip_10mb", "zip_2gb"):
        name = volume_name("press", Volume(packer=packer, number=2, of=3), packers)
        assert archive_name(name) == ArchiveName(packer, 2)


@pytest.mark.parametrize(
    ("path", "expected"), [("", "press.zip"), ("files", "press-files.zip"), ("a/b/files", "press-files.zip")]
)
def test_an_archive_of_a_folder_is_called_after_both(path: str, expected: str) -> None:
    """§5.9."""
    assert selection_name("press", path, "zip") == expected


@pytest.mark.parametrize(
    ("name", "extension", "expected"),
    [("a", "zip", "a.zip"), ("a.ZIP", "zip", "a.ZIP"), ("a", "", "a"), ("a.tar.gz", "tar.gz", "a.tar.gz")],
)
def test_an_extension_is_added_and_never_doubled(name: str, extension: str, expected: str) -> None:
    """§5.8."""
    assert with_extension(name, extension) == expected


@pytest.mark.parametrize(
    ("file", "expected"),
    [("a/b.txt", "txt"), ("x.tar.gz", "tar.gz"), ("x.3.zip", "zip"), ("README", ""), (".hidden", ""), ("a.b/c", "")],
)
def test_the_extension_of_a_file(file: str, expected: str) -> None:
    assert extension_of(file) == expected


def test_a_file_called_like_an_archive_says_that_it_is_a_file() -> None:
    assert single_file_url("holiday.zip") == "holiday.zip?file=1"
    assert single_file_url("a b/holiday.zip") == "a%20b/holiday.zip"
