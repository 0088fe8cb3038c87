"""Memory does not grow with what the user chooses."""

import random
from pathlib import Path

import pytest

from exports.engine.formats import FORMATS
from tests.engine.making import Making
from tests.engine.processes import in_process

MIB = 1 << 20


def row(made: Making) -> list:
    (entry,) = made.entries
    return [*entry[:12], entry.points.hex(), *entry[13:]]


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", FORMATS)
def test_300_000_entries_take_less_than_400_mb(kind: str, tmp_path: Path) -> None:
    made = Making(tmp_path)
    made.file("one", b"a small text, but for its name the same in all of them\n" * 9)
    found = in_process("memory", kind, 300_000, row(made), str(tmp_path))
    assert found["peak"] < 400, found


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("content", ["noise", "text"])
@pytest.mark.parametrize("kind", FORMATS)
def test_3_gb_take_less_than_200_mb_above_idle(kind: str, content: str, tmp_path: Path) -> None:
    made = Making(tmp_path)
    draw = random.Random(1)
    if content == "noise":
        made.encoded("one", (draw.randbytes(MIB) for _ in range(100)))
    else:
        made.encoded("one", (draw.randbytes(MIB // 2).hex().encode() for _ in range(100)))
    assert made.entries[0].encoding == {"noise": "raw", "text": "deflate"}[content]
    # bzip2 takes 100 times as long, and what it holds does not depend on the length.
    count = 2 if kind == "tar_bz2" else 31
    found = in_process("memory", kind, count, row(made), str(tmp_path))
    assert found["peak"] - found["idle"] < 200, found
    assert found["length"] > count * 50 * MIB
