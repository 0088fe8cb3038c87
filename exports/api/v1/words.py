"""What v1 calls our states (`spec/v1.md §6.1`, C11)."""

from django.conf import settings

from exports.models import Export
from exports.states import DeliveryState, RunState

STATE_WORDS: dict[RunState, str] = {
    RunState.PENDING: "pending",
    RunState.PROCESSING: "processing",
    RunState.DONE: "done",
    RunState.DONE_WITH_WARNINGS: "done_with_warnings",
    RunState.FAILED: "failed",
    RunState.STOPPED: "failed",
    RunState.EXPIRED: "expired",
}
DELIVERY_WORDS: dict[DeliveryState, str] = {
    DeliveryState.PENDING: "pending",
    DeliveryState.PROCESSING: "processing",
    DeliveryState.DONE: "done",
    DeliveryState.FAILED: "failed",
}
NEW = "new"


def export_word(export: Export) -> str:
    return NEW if export.current_run is None else state_word(RunState(export.current_run.state))


def state_word(state: RunState) -> str:
    if settings.EXPORT_STRICT_EASYDB_STATES and state is RunState.DONE_WITH_WARNINGS:
        return STATE_WORDS[RunState.DONE]
    return STATE_WORDS[state]


def status_words() -> tuple[str, ...]:
    """What `filter=status:` may ask for; the strict setting hides a word from answers, not from questions."""
    return (NEW, *dict.fromkeys(STATE_WORDS.values()))


def states_of(word: str) -> frozenset[RunState | None]:
    """The states shown as `word`, None for "no run yet"."""
    if word == NEW:
        return frozenset({None})
    return frozenset(state for state in RunState if word in (state_word(state), STATE_WORDS[state]))
