"""What archives and files are called, in URLs and on other people's servers (`spec/v1.md §8.3, §9.2`)."""

from collections.abc import Collection
from urllib.parse import quote

from exports.engine.names import LONGEST_BASE, cleaned
from exports.models import Volume

MAX_BASE = LONGEST_BASE
EXTENSIONS: dict[str, str] = {
    "zip": "zip",
    "zip_10mb": "zip",
    "zip_2gb": "zip",
    "tar": "tar",
    "tar_gz": "tar.gz",
    "tar_bz2": "tar.bz2",
}
#: Both cut into `<name>.<n>.zip`; an export that has both needs a word more in the name.
SPLIT = ("zip_10mb", "zip_2gb")


def base_name(name: str) -> str:
    """An export's name as part of a file name (§8.3)."""
    return cleaned(name) or "export"


def volume_name(display_name: str, volume: Volume, packers: Collection[str]) -> str:
    """`press.zip`, `press.2.zip`. `packers` are all that the export has."""
    twins = volume.packer in SPLIT and all(packer in packers for packer in SPLIT)
    marked = f".{volume.packer}" if twins and volume.of > 1 else ""
    number = f".{volume.number}" if volume.of > 1 else ""
    return f"{base_name(display_name)}{marked}{number}.{EXTENSIONS[volume.packer]}"


def quoted(path: str) -> str:
    return quote(path, safe="/~!$&'()*,;=@")
