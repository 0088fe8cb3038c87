"""Celery's doors: an id comes in, one service is called. Each is harmless when it runs twice, at once."""

from celery import shared_task
from django.utils import timezone

from cells.removing import cells_remove
from cells.search.indexing import terms_sweep, terms_update
from cells.sweeping import blobs_sweep
from cells.tokens import tokens_sweep
from exports import queue
from exports.services import (
    arrivals,
    delivery,
    delivery_lifecycle,
    departures,
    import_checks,
    import_lifecycle,
    imports,
    incremental,
    lifecycle,
    notifications,
    retention,
    running,
    schedules,
    writing,
)


@shared_task(name=queue.RUN_EXPORT)
def run_export(run_id: int) -> None:
    running.run_export(run_id=run_id)


@shared_task(name=queue.RUN_IMPORT)
def run_import(import_id: int) -> None:
    imports.run_import(import_id=import_id)


@shared_task(name=queue.CHECK_IMPORT)
def check_import(check_id: int) -> None:
    import_checks.run_check(check_id=check_id)


@shared_task(name=queue.WRITE_VOLUMES)
def write_volumes(run_id: int) -> None:
    writing.volumes_help(run_id=run_id)


@shared_task(name=queue.DELIVER)
def deliver(delivery_id: int) -> None:
    delivery.deliver(delivery_id=delivery_id)


@shared_task(name=queue.NOTIFY)
def notify(notification_id: int) -> None:
    notifications.notification_send(notification_id=notification_id)


@shared_task(name=queue.TELL_TARGET)
def tell_target(uid: str) -> None:
    departures.tell_target(uid=uid)


@shared_task(name=queue.TELL_SOURCE)
def tell_source(import_id: int) -> None:
    arrivals.tell_source(import_id=import_id)


@shared_task(name=queue.REQUEUE_LOST)
def requeue_lost() -> None:
    lifecycle.requeue_lost()
    departures.departures_sweep()
    arrivals.arrivals_sweep()
    delivery_lifecycle.deliveries_requeue()
    import_lifecycle.imports_requeue()
    import_checks.checks_requeue()
    notifications.notifications_requeue()


@shared_task(name=queue.DISPATCH_SCHEDULES)
def dispatch_schedules() -> None:
    schedules.dispatch_due()


@shared_task(name=queue.EXPIRE)
def expire() -> None:
    retention.expire()


@shared_task(name=queue.INDEX)
def index() -> None:
    terms_update()


@shared_task(name=queue.REMOVE_CELLS)
def remove_cells() -> None:
    cells_remove()


@shared_task(name=queue.SWEEP)
def sweep() -> None:
    retention.sweep()
    imports.imports_sweep()
    import_checks.checks_sweep(now=timezone.now())
    blobs_sweep()
    terms_sweep()
    incremental.deletions_sweep(now=timezone.now())
    tokens_sweep(now=timezone.now())
