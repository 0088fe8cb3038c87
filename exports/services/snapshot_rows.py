"""What the end of a run puts into the snapshot area of its cell, in the transaction that ends it."""

from cells import snapshots
from exports.models import Run
from exports.states import DOWNLOADABLE, RunState

ARCHIVE, ERROR = ".zip", ".error"


def outcome_place(*, run: Run, state: RunState) -> None:
    """Whoever sees that nothing runs any more sees the archive too, or why there is none (`spec/cell.md §7`)."""
    if run.cell is None:
        return
    if state in DOWNLOADABLE:
        snapshots.snapshot_publish(run_id=run.pk, size=run.volumes.get(packer="zip", number=1).length)
    elif state in (RunState.FAILED, RunState.STOPPED):
        snapshots.snapshot_release(run_id=run.pk)
        snapshots.snapshot_fail(cell=run.cell, name=run.order["name"] + ERROR, error=run.error)
