"""What the cell dialect calls our states (`spec/cell.md §6, §8.2, §9`)."""

from exports.states import ImportState, RunState

READY = "ready"
NORMAL, IMPORT_FAILED = "normal", "import failed"
RUN_WORDS: dict[RunState, str] = dict.fromkeys(RunState, READY) | {
    RunState.PENDING: "exportation in progress",
    RunState.PROCESSING: "exportation in progress",
}
IMPORT_WORDS: dict[ImportState, str] = dict.fromkeys(ImportState, READY) | {
    ImportState.PENDING: "importation in progress",
    ImportState.PROCESSING: "importation in progress",
    ImportState.FAILED: IMPORT_FAILED,
}
