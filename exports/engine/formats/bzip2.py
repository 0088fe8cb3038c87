"""TAR.BZ2: the TAR, compressed while it is written. Its length is known only afterwards."""

import bz2
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from exports.engine.formats.tar import Tar

#: One bzip2 block of level 9; independent streams of this size may be joined, and cost nothing in ratio.
PIECE = 900_000


class TarBz2(Tar):
    name = "tar_bz2"
    extension = ".tar.bz2"
    content_type = "application/x-bzip2"
    edition = "tar_bz2.1"
    computed = False

    @staticmethod
    def compress(plain: Iterable[bytes], threads: int = 2) -> Iterator[bytes]:
        """Joined bzip2 streams of `PIECE` bytes each; the same for any chunking of `plain` and any `threads`."""
        with ThreadPoolExecutor(threads) as pool:
            waiting: deque[Future[bytes]] = deque()
            for piece in _pieces(plain):
                waiting.append(pool.submit(bz2.compress, piece))
                if len(waiting) > threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()


def _pieces(plain: Iterable[bytes]) -> Iterator[bytes]:
    held = bytearray()
    for chunk in plain:
        held += chunk
        while len(held) >= PIECE:
            yield bytes(held[:PIECE])
            del held[:PIECE]
    if held:
        yield bytes(held)
