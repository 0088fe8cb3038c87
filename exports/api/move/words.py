"""What the move API calls our states (`spec/move.md §4.3`); an expired export is one that is not there."""

from exports.states import RunState

EXPORTING, DONE, ERROR = "exporting", "done", "error"

STATE_WORDS: dict[RunState, str | None] = {
    RunState.PENDING: EXPORTING,
    RunState.PROCESSING: EXPORTING,
    RunState.DONE: DONE,
    RunState.DONE_WITH_WARNINGS: DONE,
    RunState.FAILED: ERROR,
    RunState.STOPPED: ERROR,
    RunState.EXPIRED: None,
}
