"""Has pictures measured and made by a child process, which a hostile one may kill."""

import json
import os
import select
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Any, Self

from exports.engine.images.recipe import Recipe

#: Address space of the child: 100 million pixels in four colours, twice, and the libraries.
MEMORY = 1536 << 20
#: Of a processor, for one picture; and by the clock, should it wait for something.
SECONDS, PATIENCE = 120, 240
BEAT_SECONDS = 0.5
#: A child that has made so many is replaced: what its libraries did not give back goes with it.
PICTURES = 500


class Studio:
    """One child at most, begun with the first picture. `tick` is called twice a second, and may raise to stop."""

    def __init__(
        self, tick: Callable[[], object] = lambda: None, *, memory: int = MEMORY, seconds: int = SECONDS
    ) -> None:
        self._tick, self._memory, self._seconds = tick, memory, seconds
        self._child: subprocess.Popen[bytes] | None = None
        self._made = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()

    def measure(self, source: str) -> dict[str, Any]:
        """{"width", "height"} as people see it, or {"reason"} why it has none."""
        return self._ask({"source": source})

    def paint(self, source: str, target: str, recipe: Recipe, *, watermark: str = "") -> dict[str, Any]:
        """{"extension"} of the picture that is at `target` then, or {"reason"} why there is none. Paths all."""
        return self._ask({"source": source, "target": target, "recipe": recipe.text(), "watermark": watermark})

    def close(self) -> None:
        child, self._child = self._child, None
        if child is None:
            return
        child.kill()
        child.wait()
        for pipe in (child.stdin, child.stdout):
            with suppress(OSError):
                pipe.close()

    def _ask(self, asked: dict[str, Any]) -> dict[str, Any]:
        if self._made >= PICTURES:
            self.close()
        self._made += 1
        child = self._child or self._begin()
        try:
            child.stdin.write(json.dumps(asked).encode() + b"\n")
            child.stdin.flush()
            line = self._line(child)
        except BrokenPipeError:
            line = b""
        except BaseException:
            self.close()
            raise
        if not line.endswith(b"\n"):
            self.close()
            return {"reason": "reading it as a picture took too long, or broke the reader"}
        return json.loads(line)

    def _line(self, child: subprocess.Popen[bytes]) -> bytes:
        """What the child answers, or a part of it when it died or did not answer in time."""
        line, until = b"", monotonic() + PATIENCE
        while not line.endswith(b"\n") and monotonic() < until:
            self._tick()
            if select.select([child.stdout], [], [], BEAT_SECONDS)[0]:
                more = os.read(child.stdout.fileno(), 1 << 16)
                if not more:
                    break
                line += more
        return line

    def _begin(self) -> subprocess.Popen[bytes]:
        """Nothing of our environment goes to it: secrets are there, and a picture has no use for them."""
        self._made = 0
        self._child = subprocess.Popen(
            [sys.executable, "-m", "exports.engine.images.child", str(self._memory), str(self._seconds)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=Path(__file__).resolve().parents[3],
            env={"LC_ALL": "C.UTF-8"},
            bufsize=0,
        )
        return self._child
