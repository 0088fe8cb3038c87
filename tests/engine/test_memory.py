"""Memory does not grow with what the user chooses.

bzip2 is left out of the gigabytes: it would take minutes for each, and its 300,000 entries are 300 MB of TAR already.
"""

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
    assert 5 < found["idle"] <= found["peak"] < 400, found
    assert found["peak"] - found["idle"] < 200, found


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("content", ["noise", "text"])
@pytest.mark.parametrize("kind", [name for name, each in FORMATS.items() if each.computed])
def test_3_gb_take_less_than_200_mb_above_idle(kind: str, content: str, tmp_path: Path) -> None:
    made = Making(tmp_path)
    draw = random.Random(1)
    if content == "noise":
        made.encoded("one", (draw.randbytes(MIB) for _ in range(100)))
    else:
        made.encoded("one", (draw.randbytes(MIB // 2).hex().encode() for _ in range(100)))
    assert made.entries[0].encoding == {"noise": "raw", "text": "deflate"}[content]
    found = in_process("memory", kind, 31, row(made), str(tmp_path))
    assert 0 <= found["peak"] - found["idle"] < 200, found
    assert found["length"] > 31 * 50 * MIB
