"""Parts of a move archive (`spec/move.md §4.7`): cut between files, never inside of one."""

from exports.engine.entries import Entry
from exports.engine.layouts.move import is_content
from exports.engine.plan import Packer, Planner, VolumePlan


class PartPlanner(Planner):
    """Cuts before a pair of document and content when the content is larger than what is left of the part.

    Only contents count. What they take may be more than the part has: a file larger than a part has one of its own.
    """

    def __init__(self, packer: Packer, *, seal: str) -> None:
        assert packer.limit is not None
        super().__init__(packer, seal=seal)
        self._limit = self._left = packer.limit
        #: The document of a content comes before one knows how large that is.
        self._held: Entry | None = None

    def add(self, entry: Entry) -> None:
        held, self._held = self._held, entry
        if held is None:
            self._begin(entry.ordinal)
            return
        if is_content(entry.name):
            if entry.size > self._left and self._left != self._limit:
                self._end(held.ordinal)
                self._begin(held.ordinal)
                self._left = self._limit
            self._left -= entry.size
        self._take(held)

    def finish(self) -> list[VolumePlan]:
        if self._held is not None:
            self._take(self._held)
        return super().finish()
