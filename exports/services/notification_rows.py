"""Ordering mails to owners, in the transaction that they speak of."""

from exports import queue, selectors
from exports.models import Notification, NotificationKind, Notify, Run
from exports.states import RunState

KINDS = {
    RunState.DONE: NotificationKind.DONE,
    RunState.DONE_WITH_WARNINGS: NotificationKind.WARNINGS,
    RunState.FAILED: NotificationKind.FAILED,
}


def outcome_notify(*, run: Run, kind: NotificationKind | None) -> None:
    """A mail to the owner, if he wants it: the export's `notify` counts, else his own preference.

    One that is still to go out will tell what is new as well.
    """
    if kind is None or run.export_id is None:
        return
    wanted = run.order.get("definition", {}).get("notify") or selectors.preference_get(user=run.owner).notify
    if wanted == Notify.NONE or (wanted == Notify.PROBLEMS and kind == NotificationKind.DONE):
        return
    if Notification.objects.filter(run=run, kind=kind, attempts=0).exists():
        return
    row = Notification.objects.create(run=run, kind=kind)
    queue.enqueue(queue.NOTIFY, row.pk)
