"""The corpora, made once and kept: the same bytes on every machine, but for M, which is a part of its /usr.

S many small compressible texts · L random bytes · T log text · M a real file tree.
"""

import os
import random
import shutil
import sys
from collections.abc import Callable, Iterator
from itertools import accumulate
from pathlib import Path

from bench.scale import MB, Scale

#: Changes when a generator does: what older ones made is made anew.
EDITION = 1
LARGE_FILE = 20 * MB
#: Every file's mtime counts on from here.
MTIME = 1_700_000_000


def corpus(root: Path, name: str, scale: Scale) -> Path:
    """The folder with corpus S, L, T or M."""
    folder = root / scale.name / name
    stamp = folder.with_name(f"{name}.edition-{EDITION}")
    if not stamp.exists():
        print(f"making corpus {name} ({scale.name}) …", file=sys.stderr, flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        MAKERS[name](folder, scale)
        os.sync()
        stamp.touch()
    return folder


def files_of(folder: Path) -> Iterator[Path]:
    """Every file below, in one order."""
    for place, folders, names in os.walk(folder):
        folders.sort()
        yield from (Path(place, name) for name in sorted(names))


def warm(folder: Path) -> int:
    """Read all of it into the page cache; how many bytes it holds."""
    size = 0
    for path in files_of(folder):
        with path.open("rb", buffering=0) as file:
            while chunk := file.read(MB):
                size += len(chunk)
    return size


def _notes(folder: Path, scale: Scale) -> None:
    rng = random.Random("S")
    pool = _sentences(rng)
    for number in range(scale.notes):
        place = folder / f"year-{number // 5000:03d}" / f"topic-{number // 100 % 50:02d}"
        place.mkdir(parents=True, exist_ok=True)
        wanted = rng.randint(2_000, 20_600)
        text = " ".join(rng.choices(pool, k=wanted // 80 + 8))[:wanted]
        _write(place / f"note-{number:06d}.txt", text.encode(), number)


def _sentences(rng: random.Random) -> list[str]:
    """Sentences of made-up words, frequent ones often: they deflate to about 0.39, as prose does."""
    syllables = [a + b for a in "b d f g k l m n p r s t v st pr".split() for b in "a e i o u an er is".split()]
    words = ["".join(rng.choices(syllables, k=rng.choice((1, 2, 2, 3, 4)))) for _ in range(6_000)]
    weights = list(accumulate(1 / (rank + 6) for rank in range(len(words))))
    return [
        " ".join(rng.choices(words, cum_weights=weights, k=rng.randint(6, 18))).capitalize() + "."
        for _ in range(60_000)
    ]


def _random(folder: Path, scale: Scale) -> None:
    for number in range(scale.large):
        _write(folder / f"random-{number:03d}.bin", random.Random(f"L{number}").randbytes(LARGE_FILE), number)


def _logs(folder: Path, scale: Scale) -> None:
    rng = random.Random("T")
    pool = [_log_line(rng) for _ in range(150_000)]
    for number in range(scale.large):
        rng, lines, size = random.Random(f"T{number}"), [], 0
        while size < LARGE_FILE:
            second = 0
            for tail in rng.choices(pool, k=10_000):
                second += rng.random() < 0.3
                lines.append(f"2026-{number % 12 + 1:02d}-11T{_clock(second)}Z {tail}")
            size = sum(map(len, lines)) + len(lines)
        _write(folder / f"access-{number:03d}.log", "\n".join(lines).encode()[:LARGE_FILE], number)


def _clock(second: int) -> str:
    return f"{second // 3600 % 24:02d}:{second // 60 % 60:02d}:{second % 60:02d}"


def _log_line(rng: random.Random) -> str:
    address = f"10.{rng.randrange(4)}.{rng.randrange(256)}.{rng.randrange(256)}"
    path = f"/{rng.choice(('api', 'files', 'static', 'admin'))}/{rng.choice(('v1', 'v2', 'export', 'cell', 'user'))}"
    method = rng.choices(("GET", "POST", "PUT", "DELETE"), (80, 12, 6, 2))[0]
    status = rng.choices((200, 304, 404, 201, 500), (75, 12, 7, 5, 1))[0]
    agent = rng.choice(("Mozilla/5.0 (X11; Linux x86_64)", "curl/8.5.0", "python-requests/2.31", "okhttp/4.12.0"))
    return (
        f'web-{rng.randrange(8)} {address} "{method} {path}/{rng.randrange(100_000)} HTTP/1.1" {status} '
        f'{rng.randrange(200, 90_000)} {rng.randrange(4_000)}us "{agent}" id={rng.getrandbits(96):024x}'
    )


def _tree(folder: Path, scale: Scale) -> None:
    size = count = 0
    for path in files_of(Path("/usr")):
        if path.is_symlink() or not path.is_file() or not os.access(path, os.R_OK):
            continue
        if size + path.stat().st_size > scale.tree:
            continue
        size += path.stat().st_size
        target = folder / path.relative_to("/usr")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
        os.utime(target, (MTIME + count, MTIME + count))
        count += 1


def _write(path: Path, data: bytes, number: int) -> None:
    path.write_bytes(data)
    os.utime(path, (MTIME + number, MTIME + number))


MAKERS: dict[str, Callable[[Path, Scale], None]] = {"S": _notes, "L": _random, "T": _logs, "M": _tree}
