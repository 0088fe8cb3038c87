"""A TAR.GZ or TAR.BZ2 is read as the TAR in it, to its end, and no further than it is taken."""

import bz2
import gzip
import io
import random
import tarfile
from pathlib import Path

import pytest

from exports.engine.archives.tar import TarArchive, plain_tar
from exports.engine.restore import Budget, Source
from exports.errors import ArchiveTooLarge, NoArchive
from tests.engine.hostile import BUDGET

PACKERS = {"gz": gzip.compress, "bz2": bz2.compress}


def tar_of(members: list[tuple[str, bytes]]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, data in members:
            told = tarfile.TarInfo(name)
            told.size = len(data)
            archive.addfile(told, io.BytesIO(data))
    return out.getvalue()


def contents(tar: bytes, tmp_path: Path, budget: Budget = BUDGET) -> list[tuple[str, int, bytes]]:
    archive = tmp_path / "archive.tar"
    archive.write_bytes(tar)
    with Source(str(archive)) as source, plain_tar(source, budget) as plain:
        taken = TarArchive(plain, budget)
        try:
            return [(each.name, each.offset, taken.open(each).read(each.size)) for each in taken.members()]
        finally:
            taken.close()


@pytest.mark.parametrize("packer", PACKERS)
def test_a_packed_tar_is_read_as_the_plain_one(packer: str, tmp_path: Path) -> None:
    """Contents longer than what is inflated at once, none, long names, members found again in any order."""
    members = [
        ("a", b""),
        ("ä" * 120, b"x"),
        ("long", random.Random(1).randbytes(700_000)),
        ("b", b""),
        ("c", b"y" * 512),
    ]
    plain = tar_of(members)
    wanted = contents(plain, tmp_path)
    assert [(name, data) for name, _, data in wanted] == members
    assert contents(PACKERS[packer](plain), tmp_path) == wanted
    for tail in (bytes(1), bytes(300_000)):
        assert contents(PACKERS[packer](plain + tail), tmp_path) == contents(plain + tail, tmp_path) == wanted


@pytest.mark.parametrize("packer", [None, *PACKERS])
def test_a_tar_is_read_to_its_very_end(packer: str | None, tmp_path: Path) -> None:
    packed = PACKERS.get(packer, bytes)
    members = [("ä" * 120, b"x" * 700), ("b", b"")]
    plain = tar_of(members)
    end = len(plain.rstrip(b"\0")) + -len(plain.rstrip(b"\0")) % 512
    for length in range(512, end + 1024, 256):
        with pytest.raises(NoArchive):
            contents(packed(plain[:length]), tmp_path)
    assert [name for name, *_ in contents(packed(plain[: end + 1024]), tmp_path)] == [name for name, _ in members]
    for tail in (b"x", bytes(300_000) + b"x", plain):
        with pytest.raises(NoArchive, match="something follows its end"):
            contents(packed(plain + tail), tmp_path)
    if packer:
        for broken in (packed(plain)[:-6], packed(plain)[:-6] + b"wrong!"):
            with pytest.raises(NoArchive, match="it does not inflate"):
                contents(broken, tmp_path)


@pytest.mark.parametrize("packer", PACKERS)
def test_a_packed_tar_is_inflated_no_further_than_it_is_taken(packer: str, tmp_path: Path) -> None:
    """What follows the entries that are too many would not inflate, and nobody gets there."""
    head = tar_of([(f"{number:05}", b"") for number in range(6000)])[: 6000 * 512]
    packed = PACKERS[packer](head) + PACKERS[packer](random.Random(1).randbytes(900_000))[:-9]
    with pytest.raises(ArchiveTooLarge, match="more than 5 entries; 5 are allowed"):
        contents(packed, tmp_path, BUDGET._replace(entries=5))
    with pytest.raises(ArchiveTooLarge, match="more than 1000000 bytes unpacked; 1000000 are allowed"):
        contents(packed, tmp_path, BUDGET._replace(bytes=1_000_000))
    with pytest.raises(NoArchive, match="a header of it is damaged"):
        contents(packed, tmp_path)
