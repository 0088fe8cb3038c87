"""How large everything is: `full` as in the performance targets, `small` a tenth of it or less."""

from dataclasses import dataclass

MB = 1_000_000


@dataclass(frozen=True, slots=True)
class Scale:
    name: str
    #: Each contestant runs so often, in turn; medians count.
    rounds: int
    #: Corpus S: files of 2 to 20 KB.
    notes: int
    #: Corpora L and T: files of 20 MB each.
    large: int
    #: Corpus M: bytes of a real file tree.
    tree: int
    documents: int
    #: Manifest rows by COPY; by bulk_create a tenth.
    manifest: int
    #: Entries of the archive for random ranges and for memory.
    entries: int
    #: Bytes of the export whose memory is watched.
    watched: int
    growth: tuple[int, ...]


SMALL = Scale("small", 3, 5_000, 6, 150 * MB, 100_000, 100_000, 30_000, 300 * MB, (1_000, 10_000, 100_000))
FULL = Scale(
    "full", 5, 50_000, 60, 1500 * MB, 1_000_000, 1_000_000, 300_000, 3000 * MB, (1_000, 10_000, 100_000, 1_000_000)
)
SCALES = {scale.name: scale for scale in (SMALL, FULL)}
