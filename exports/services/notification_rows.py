"""Ordering mails to owners, in the transaction that they speak of."""

from exports import queue, selectors
from exports.models import Departure, Import, MoveExport, Notification, NotificationKind, Notify, Run
from exports.states import ImportState, RunState

KINDS = {
    RunState.DONE: NotificationKind.DONE,
    RunState.DONE_WITH_WARNINGS: NotificationKind.WARNINGS,
    RunState.FAILED: NotificationKind.FAILED,
}


def outcome_notify(*, run: Run, kind: NotificationKind | None) -> None:
    """A mail to the owner, if he wants it: the export's `notify` counts, else his own preference.

    One that is still to go out will tell what is new as well.
    """
    if kind is None or not (run.export_id or _is_move(run)):
        return
    wanted = run.order.get("definition", {}).get("notify") or selectors.preference_get(user=run.owner).notify
    if _is_move(run):
        wanted = run.order.get("notify", Notify.ALL)  # nothing but this mail ever tells the link
    if wanted == Notify.NONE or (wanted == Notify.PROBLEMS and kind == NotificationKind.DONE):
        return
    if Notification.objects.filter(run=run, kind=kind, attempts=0).exists():
        return
    row = Notification.objects.create(run=run, kind=kind)
    queue.enqueue(queue.NOTIFY, row.pk)


def import_notify(*, row: Import, state: ImportState) -> None:
    """A mail about an import that was fetched from elsewhere: whoever asked for it went away (`spec/move.md §6.9`)."""
    kind = {ImportState.DONE: NotificationKind.DONE, ImportState.FAILED: NotificationKind.FAILED}.get(state)
    if kind is not None and row.source.startswith(("link:", "move:")):
        queue.enqueue(queue.NOTIFY, Notification.objects.create(imported=row, kind=kind).pk)


def departure_notify(*, departure: Departure) -> None:
    """A mail that a move away has ended, and the cell is as it was."""
    queue.enqueue(queue.NOTIFY, Notification.objects.create(departure=departure, kind=NotificationKind.FAILED).pk)


def _is_move(run: Run) -> bool:
    """Of a cell that moves to another server, that server is told, and nobody else."""
    made = run.order.get("layout") == "move" and MoveExport.objects.filter(run=run).exists()
    return made and not Departure.objects.filter(run=run).exists()
