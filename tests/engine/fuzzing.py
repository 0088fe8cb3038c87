"""Mutated archives, by seed: run as a program for longer (`python -m tests.engine.fuzzing 100000 [first seed]`)."""

import random
import resource
import sys
import tempfile
import time
from pathlib import Path

from cells.errors import DomainError
from tests.engine.hostile import Part, parts, swallow, zip_of

#: Numbers that sizes and offsets like to be, little-endian.
NUMBERS = [0, 1, 22, 30, 46, 255, 0x7FFF, 0xFFFF, 0x10000, 0x7FFFFFFF, 0xFFFFFFFE, 0xFFFFFFFF]
MAGICS = [b"PK\1\2", b"PK\3\4", b"PK\5\6", b"PK\6\6", b"PK\6\7", b"PK\7\x08", b"\1\0\x10\0", b"../", b"\0", b"\xff"]


def mutant(base: bytes, dice: random.Random) -> bytes:
    """One to four changes, more of them near the end, where the directory is."""
    made = bytearray(base)
    for _ in range(dice.choice((1, 1, 1, 2, 3, 4))):
        size = len(made)
        at = dice.randrange(size) if dice.random() < 0.5 else max(0, size - 1 - int(dice.expovariate(1 / 300)))
        until = min(size, at + dice.choice((1, 2, 4, 8, 40, 400)))
        kind = dice.randrange(9)
        if kind == 0:
            made[at] ^= 1 << dice.randrange(8)
        elif kind == 1:
            made[at : at + 4] = dice.choice(NUMBERS).to_bytes(4, "little")
        elif kind == 2:
            made[at : at + 2] = (dice.choice(NUMBERS) & 0xFFFF).to_bytes(2, "little")
        elif kind == 3:
            made[at:at] = dice.choice(MAGICS)
        elif kind == 4:
            made[at : at + 4] = dice.choice(MAGICS)
        elif kind == 5:
            del made[at:until]
        elif kind == 6:
            made[at:at] = made[at:until]
        elif kind == 7:
            del made[at:]
        else:
            other = dice.randrange(size)
            made[at:until] = made[other : other + until - at]
        if not made:
            break
    return bytes(made)


def lying(dice: random.Random) -> bytes:
    """A well-formed archive in which one header says something else."""
    made = parts()
    part = dice.choice(made)
    fields = [
        "needed",
        "flags",
        "method",
        "crc",
        "packed",
        "size",
        "attributes",
        "offset",
        "disk",
        "extra_size",
        "name_size",
    ]
    lie = {dice.choice(fields): dice.choice(NUMBERS) & 0xFFFF}
    where = dice.randrange(3)
    if where != 1:
        part.local = lie
    if where != 0:
        part.central = lie
    if dice.random() < 0.3:
        part.data = bytes(dice.randrange(256) for _ in range(len(part.data)))
    if dice.random() < 0.2:
        made.insert(
            dice.randrange(len(made)), Part(dice.choice([b"a.txt", b"../x", b"x" * 300, b"b/", b"\xc3\xa9"]), b"x")
        )
    return zip_of(made)


def fuzz(count: int, first: int, folder: Path) -> tuple[int, int]:
    """(refused, taken). Anything else than a refusal or the content as it was is an AssertionError with the seed."""
    base = zip_of(parts())
    wanted = swallow(base, folder)
    refused = taken = 0
    for seed in range(first, first + count):
        dice = random.Random(seed)
        made = lying(dice) if seed % 3 == 0 else mutant(base, dice)
        try:
            got = swallow(made, folder)
        except DomainError:
            refused += 1
            continue
        except Exception as error:
            raise AssertionError(f"seed {seed}: {error!r}") from error
        taken += 1
        assert got == wanted, f"seed {seed} was taken, with other content"
    return refused, taken


if __name__ == "__main__":
    count, first = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        refused, taken = fuzz(count, first, Path(folder))
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    spent = f"{count} archives in {time.monotonic() - begun:.0f} s"
    print(f"{spent}: {refused} refused, {taken} taken as they were; {most} MiB")
