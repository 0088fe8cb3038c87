"""File names and URLs of what can be downloaded (`spec/v1.md §4.6, §5.8, §5.11, §8.3, §9.2`)."""

import re
from typing import NamedTuple

from exports.services.filenames import EXTENSIONS, MAX_BASE, SPLIT, base_name, quoted, volume_name

_ARCHIVE = re.compile(
    r"(?s:.*?)(?:\.(?P<packer>zip_10mb|zip_2gb))?(?:\.(?P<number>[1-9][0-9]{0,8}))?"
    r"\.(?P<extension>zip|tar|tar\.gz|tar\.bz2)"
)


__all__ = ["EXTENSIONS", "MAX_BASE", "SPLIT", "base_name", "quoted", "volume_name"]


class ArchiveName(NamedTuple):
    #: One of SPLIT, or an extension for whatever packer makes such files.
    packer: str
    number: int | None


def archive_name(file_name: str) -> ArchiveName | None:
    """What `<file>` of a download URL asks for. The base name says nothing: exports get renamed (§5.11)."""
    match = None if "/" in file_name else _ARCHIVE.fullmatch(file_name)
    if match is None:
        return None
    number = match["number"]
    return ArchiveName(match["packer"] or match["extension"], int(number) if number else None)


def selection_name(display_name: str, path: str, extension: str) -> str:
    """`press.zip`, or `press-files.zip` for the folder `a/files` (§5.9)."""
    leaf = path.strip("/").rpartition("/")[2]
    return f"{base_name(f'{display_name}-{leaf}' if leaf else display_name)}.{extension}"


def with_extension(name: str, extension: str) -> str:
    """`extension` without dot, "" for none; never doubled (§5.8)."""
    if not extension or name.lower().endswith(f".{extension.lower()}"):
        return name
    return f"{name}.{extension}"


def extension_of(file_name: str) -> str:
    """Of an archive's or a file's name, without the dot: `tar.gz` is one."""
    leaf = file_name.rpartition("/")[2]
    asked = archive_name(leaf)
    if asked is not None:
        return EXTENSIONS.get(asked.packer, asked.packer)
    stem, _, extension = leaf.rpartition(".")
    return extension if stem else ""


def single_file_url(path: str) -> str:
    """`?file=1` tells a file that is called like an archive from the archive."""
    return quoted(path) + ("?file=1" if archive_name(path) else "")
