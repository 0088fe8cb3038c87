"""Mutated archives, by seed. For longer: `manage.py shell -c "from tests.engine.fuzzing import main; main(9999)"`."""

import random
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from cells.errors import DomainError
from cells.validators import normal_path
from tests.engine import fuzz_bases as bases
from tests.engine.hostile import Part, parts, swallow, zip_of

#: (its parts, whether what is taken of it has to be what was in the good one).
Made = tuple[list[bytes], bool]

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


def _zip(dice: random.Random) -> Made:
    return ([lying(dice)], True) if dice.random() < 0.33 else ([mutant(bases.ours(), dice)], True)


def _tar(dice: random.Random) -> Made:
    return [bases.lying_tar(dice) if dice.random() < 0.5 else mutant(bases.tar(), dice)], False


def _gz(dice: random.Random) -> Made:
    if dice.random() < 0.5:
        return [mutant(bases.squeezed(bases.tar()), dice)], True
    return [bases.squeezed(_tar(dice)[0][0])], False


def _snapshot(dice: random.Random) -> Made:
    if dice.random() < 0.5:
        return [mutant(bases.zipped(bases.snapshot()), dice)], True
    return [bases.zipped(bases.lying_members(bases.snapshot(), dice, mutant))], False


def _move(dice: random.Random) -> Made:
    parts = bases.move()
    which = dice.randrange(2)
    if dice.random() < 0.5:
        made = [bases.zipped(part) for part in parts]
        made[which] = mutant(made[which], dice)
        return made, True
    parts[which] = bases.lying_members(parts[which], dice, mutant)
    return [bases.zipped(part) for part in parts], False


#: Kind → (parts of a good one, how to make a bad one).
KINDS: dict[str, tuple[Callable[[], list[bytes]], Callable[[random.Random], Made]]] = {
    "zip": (lambda: [bases.ours()], _zip),
    "tar": (lambda: [bases.tar()], _tar),
    "tar.gz": (lambda: [bases.squeezed(bases.tar())], _gz),
    "snapshot": (lambda: [bases.zipped(bases.snapshot())], _snapshot),
    "move": (lambda: [bases.zipped(part) for part in bases.move()], _move),
}


def fuzz(kind: str, count: int, first: int, folder: Path) -> tuple[int, int]:
    """(refused, taken). Anything else than a refusal or a harmless content is an AssertionError with the seed.

    Harmless: the content as it was, and where another archive may have been made by chance, names that a cell may have.
    """
    good, make = KINDS[kind]
    wanted = _swallow(good(), folder)
    refused = taken = 0
    for seed in range(first, first + count):
        made, same = make(random.Random(f"{kind} {seed}"))
        try:
            got = _swallow(made, folder)
        except DomainError:
            refused += 1
            continue
        except Exception as error:
            raise AssertionError(f"{kind}, seed {seed}: {error!r}") from error
        taken += 1
        assert not same or got == wanted, f"{kind}, seed {seed} was taken, with other content"
        for path in (row[0] for row in got if len(row[1]) in (0, 64)):
            assert normal_path(path) == path, f"{kind}, seed {seed}: {path!r}"
    return refused, taken


def _swallow(made: list[bytes], folder: Path) -> list[tuple]:
    rest = tuple(str(folder / f"part{number}") for number in range(1, len(made)))
    for path, part in zip(rest, made[1:], strict=True):
        Path(path).write_bytes(part)
    return swallow(made[0], folder, rest=rest)


def main(count: int, first: int = 0) -> None:
    for kind in KINDS:
        begun = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            refused, taken = fuzz(kind, count, first, Path(folder))
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        spent = f"{kind}: {count} archives in {time.monotonic() - begun:.0f} s"
        print(f"{spent}: {refused} refused, {taken} taken, harmless; {most} MiB", flush=True)
