"""The Celery app. A message is a nudge: the truth is a row, so no result backend and no long promises."""

import os
import warnings

from celery import Celery
from celery.platforms import SecurityWarning
from celery.schedules import crontab
from celery.signals import beat_init, before_task_publish, heartbeat_sent

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "exportsite.settings")

# Celery warns root because pickled messages could run anything; ours are JSON.
warnings.filterwarnings("ignore", category=SecurityWarning)

app = Celery("exportsite", set_as_current=True)
app.config_from_object("django.conf:settings", namespace="CELERY")


def _tick(task: str, every: int) -> dict[str, object]:
    """A tick that nobody took before the next one is worth nothing: it expires a second earlier."""
    return {"task": task, "schedule": float(every), "options": {"expires": every - 1}}


app.conf.update(
    task_serializer="json",
    accept_content=["json"],
    result_backend=None,
    task_ignore_result=True,
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_create_missing_queues=True,
    task_default_queue="exports",
    worker_prefetch_multiplier=1,
    worker_max_tasks_per_child=200,
    worker_soft_shutdown_timeout=20,
    worker_cancel_long_running_tasks_on_connection_loss=False,  # True leaves them unacked until the visibility timeout
    worker_hijack_root_logger=False,
    broker_connection_retry_on_startup=True,
    broker_transport_options={"visibility_timeout": 6 * 3600},
    timezone="UTC",
    beat_scheduler="celery.beat:Scheduler",  # in memory: ticks need no state file that a kill could spoil
    beat_schedule={
        "requeue_lost": _tick("exports.requeue_lost", 15),
        "expire": _tick("exports.expire", 60),
        "sweep": _tick("exports.sweep", 3600),
        "remove_cells": _tick("exports.remove_cells", 30),
        "index": _tick("exports.index", 10),
        # At the full minute, for schedules are promised to the minute.
        "dispatch_schedules": {
            "task": "exports.dispatch_schedules",
            "schedule": crontab(),
            "options": {"expires": 59},
        },
    },
)
app.autodiscover_tasks(["exports"])


@beat_init.connect
def _watch_beat(**_: object) -> None:
    """Each tick touches DATA/run/beat-alive: the health check of a process that nobody can ask anything."""
    from django.conf import settings

    alive = settings.DATA / "run" / "beat-alive"
    alive.parent.mkdir(parents=True, exist_ok=True)
    alive.touch()
    before_task_publish.connect(lambda **_: alive.touch(), weak=False)


@heartbeat_sent.connect
def _note_worker(**_: object) -> None:
    """From the worker's main process, however busy its children are: pages say when no worker is alive."""
    from exports.services import overview

    overview.worker_noted()
