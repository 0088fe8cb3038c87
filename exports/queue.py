"""The queue's task names, and how work is announced. The row is the truth; a message is only a nudge."""

import logging

from django.db import transaction

log = logging.getLogger(__name__)

RUN_EXPORT = "exports.run_export"
RUN_IMPORT = "exports.run_import"
CHECK_IMPORT = "exports.check_import"
WRITE_VOLUMES = "exports.write_volumes"
DELIVER = "exports.deliver"
NOTIFY = "exports.notify"
REQUEUE_LOST = "exports.requeue_lost"
EXPIRE = "exports.expire"
SWEEP = "exports.sweep"
REMOVE_CELLS = "exports.remove_cells"
DISPATCH_SCHEDULES = "exports.dispatch_schedules"
INDEX = "exports.index"
#: To the other server of a move: what a departure, or an arrival, has to tell it.
TELL_TARGET = "exports.tell_target"
TELL_SOURCE = "exports.tell_source"

#: A nudge that nobody took by then is worth nothing: the sweep repeats it.
NUDGE_SECONDS = 55


def enqueue(name: str, *ids: int | str) -> None:
    """Tell the workers, once the transaction at hand is committed. A dead broker is logged, not raised."""

    # Not functools.partial: Django 5.2 asks a failing robust callback for its __qualname__.
    def send() -> None:
        from celery import current_app

        current_app.send_task(name, args=ids, expires=NUDGE_SECONDS, retry=False)

    transaction.on_commit(send, robust=True)
