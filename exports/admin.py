"""For looking, not for changing: states have one writer, definitions one door. Actions go through the services."""

from collections.abc import Callable
from datetime import timedelta

from django.contrib import admin, messages
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from cells.admin import ReadOnly
from cells.errors import DomainError
from exports.models import Arrival, Delivery, Departure, Event, Export, Import, Notification, Run, Schedule, Volume
from exports.services import exports as services
from exports.services import lifecycle, retention
from exports.services.delivery_lifecycle import delivery_retry
from exports.states import DOWNLOADABLE, RunState

#: Of more rows an action would keep a page waiting.
_MOST = 100
#: Characters of a reason in a list.
_WHY = 200


class Operated(ReadOnly):
    """Who may look is a right of Django's; who may act is a superuser."""

    #: Newest first, by a key: what a model is ordered by elsewhere would sort the whole table.
    ordering = ("-pk",)

    def has_operate_permission(self, request: HttpRequest) -> bool:
        return request.user.is_superuser

    def each(self, request: HttpRequest, rows: QuerySet, verb: Callable[[object], object]) -> None:
        done = 0
        for row in rows[:_MOST]:
            try:
                verb(row)
                done += 1
            except DomainError as error:
                self.message_user(request, f"{row}: {error}", messages.ERROR)
        self.message_user(request, f"Done for {done} of {rows.count()}.")

    def asked(self, request: HttpRequest, rows: QuerySet, *, title: str, warning: str) -> HttpResponse | None:
        """A page that asks whether it is meant; None when that was said."""
        if "sure" in request.POST:
            return None
        context = {"title": title, "warning": warning, "rows": rows[:_MOST], "action": request.POST["action"]}
        return render(request, "admin/sure.html", {**self.admin_site.each_context(request), **context})

    @admin.display(description="why")
    def why(self, row: Model) -> str:
        return (row.error or {}).get("message", "")[:_WHY]


@admin.register(Export)
class ExportAdmin(Operated):
    list_display = ("id", "display_name", "owner", "type", "current_run", "published_run", "updated_at")
    list_filter = ("type",)
    list_select_related = ("owner", "current_run", "published_run")
    search_fields = ("=id", "name", "owner__username")
    #: The nonce makes passkeys: not even for admins.
    exclude = ("passkey_nonce",)
    actions = ("start", "stop")

    @admin.action(description="Start", permissions=["operate"])
    def start(self, request: HttpRequest, rows: QuerySet) -> None:
        self.each(request, rows, lambda export: services.export_start(export=export))

    @admin.action(description="Stop", permissions=["operate"])
    def stop(self, request: HttpRequest, rows: QuerySet) -> HttpResponse | None:
        warning = "What they have done so far is lost; archives of earlier runs stay."
        if page := self.asked(request, rows, title="Stop these exports?", warning=warning):
            return page
        self.each(request, rows, lambda export: services.export_stop(export=export))
        return None


@admin.register(Run)
class RunAdmin(Operated):
    list_display = ("id", "export", "owner", "state", "why", "phase", "created_at", "finished_at")
    list_filter = ("state", "created_at")
    list_select_related = ("export", "owner")
    search_fields = ("=id", "=export__id", "owner__username")
    actions = ("requeue", "expire")

    @admin.action(description="Tell the workers again (those that wait, or lost their worker)", permissions=["operate"])
    def requeue(self, request: HttpRequest, rows: QuerySet) -> None:
        rows.filter(state=RunState.PENDING).update(nudged_at=None)
        self.message_user(request, f"{lifecycle.requeue_lost()} had lost their worker.")

    @admin.action(description="Expire now (unless somebody downloads)", permissions=["operate"])
    def expire(self, request: HttpRequest, rows: QuerySet) -> HttpResponse | None:
        warning = "Their archives are deleted, and links to them open nothing any more. The exports can run again."
        if page := self.asked(request, rows, title="Delete the archives of these runs?", warning=warning):
            return page
        now = timezone.now()
        chosen = Run.objects.filter(pk__in=rows.values_list("pk", flat=True)[:_MOST])
        chosen.filter(state__in=DOWNLOADABLE, cell=None).update(expires_at=now - timedelta(seconds=1))
        self.message_user(request, f"{retention.expire(now=now)} expired.")
        return None


@admin.register(Delivery)
class DeliveryAdmin(Operated):
    list_display = ("id", "run_id", "type", "state", "why", "attempts", "next_at", "finished_at")
    list_filter = ("state", "type")
    search_fields = ("=run__id", "=run__export__id")
    exclude = ("secrets",)
    actions = ("retry",)

    @admin.action(description="Deliver again", permissions=["operate"])
    def retry(self, request: HttpRequest, rows: QuerySet) -> None:
        self.each(request, rows, lambda delivery: delivery_retry(delivery=delivery))


@admin.register(Import)
class ImportAdmin(Operated):
    list_display = ("id", "cell", "owner", "mode", "state", "why", "started_at", "undo_until")
    list_filter = ("state", "mode")
    list_select_related = ("cell", "owner")
    search_fields = ("=id", "cell__name", "owner__username")


@admin.register(Departure)
class DepartureAdmin(Operated):
    list_display = ("uid", "cell", "owner", "state", "target_url", "held_at", "heard_at", "finished_at")
    list_filter = ("state", "classic")
    list_select_related = ("cell", "owner")
    search_fields = ("=uid", "cell__name", "owner__username")
    ordering = ("-created_at",)
    #: Tokens of both servers, and what opens them.
    exclude = ("secrets", "secret_digest", "token_digest")


@admin.register(Arrival)
class ArrivalAdmin(Operated):
    """Asked and not decided: the server that it comes from alone knows."""

    list_display = ("imported_id", "source_url", "transfer", "listed", "fetched", "asked_at", "decided_at", "heard_at")
    search_fields = ("=imported__id", "=transfer")
    exclude = ("secrets",)


@admin.register(Volume)
class VolumeAdmin(Operated):
    list_display = ("id", "run_id", "packer", "number", "of", "length", "store_file")
    search_fields = ("=run__id",)
    exclude = ("checkpoints",)

    def get_queryset(self, request: HttpRequest):
        return super().get_queryset(request).defer("checkpoints")


@admin.register(Event)
class EventAdmin(Operated):
    list_display = ("id", "type", "at", "user", "export_id", "run_id")
    list_filter = ("type",)
    list_select_related = ("user",)
    search_fields = ("=export_id",)


@admin.register(Notification)
class NotificationAdmin(Operated):
    list_display = ("id", "kind", "run", "attempts", "next_at", "sent_at", "address", "error")
    list_filter = ("kind",)
    list_select_related = ("run", "imported", "departure")
    raw_id_fields = ("run", "imported", "departure")


@admin.register(Schedule)
class ScheduleAdmin(Operated):
    list_display = ("id", "export", "next_run_at", "last_run_at", "failures", "switched_off_at")
    list_filter = (("switched_off_at", admin.EmptyFieldListFilter),)
    list_select_related = ("export",)
    ordering = ("next_run_at",)
