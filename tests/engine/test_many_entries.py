"""Ten million tiny entries (lessons §4.23): archives that really have them are refused, in bounded memory and disk."""

import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.engine.many import ManyZip, many_tar_gz
from tests.engine.processes import in_process

MANY = 10_000_000
#: MiB that a file of the refusing process may have; the headers of the TAR are 5 GB, the names in the index 100 MB.
DISK = 200


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("kind", ["zip", "lying zip", "tar.gz"])
def test_ten_million_tiny_entries(kind: str, tmp_path: Path) -> None:
    if kind == "tar.gz":
        many_tar_gz(tmp_path / "archive", MANY // 50_000, 50_000)
        found = in_process("refusal", DISK, str(tmp_path / "archive"))
    else:
        found = in_process("refusal", DISK, MANY, MANY if kind == "zip" else 1000)
    print(kind, found)
    wanted = {
        "zip": "archive_too_large: The archive has 10000000 entries; 2000000 are allowed.",
        "lying zip": "no_archive: ",
        "tar.gz": "archive_too_large: The archive has more than 2000000 entries; 2000000 are allowed.",
    }
    assert found["told"].startswith(wanted[kind]), found
    assert found["peak"] - found["idle"] < 100, found


def test_they_are_what_other_programs_take_for_archives(tmp_path: Path) -> None:
    with ManyZip(3000, 3000) as source:
        whole = source.read(0, source.length)
        assert whole[1000:100_000] == source.read(1000, 99_000)
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == [f"{number:08}" for number in range(3000)]
    many_tar_gz(tmp_path / "archive", 3, 1000)
    with tarfile.open(tmp_path / "archive") as archive:
        assert len(set(archive.getnames())) == 3000
