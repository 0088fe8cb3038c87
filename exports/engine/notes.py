"""What people should know of a run that went on all the same: sentences that end as its warnings."""

#: Distinct sentences kept; of the rest it is told how many.
MOST = 100


class Notes:
    """Collects warnings while a run is frozen. A sentence that is said again is kept once."""

    def __init__(self) -> None:
        self._sentences: dict[str, None] = {}
        self._dropped = 0

    def warn(self, sentence: str) -> None:
        if sentence in self._sentences:
            return
        if len(self._sentences) < MOST:
            self._sentences[sentence] = None
        else:
            self._dropped += 1

    def sentences(self) -> list[str]:
        more = [f"And {self._dropped} more warnings of this kind."] if self._dropped else []
        return [*self._sentences, *more]
