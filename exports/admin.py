"""For looking, not for changing: states have one writer, definitions one door. Actions go through the services."""

from collections.abc import Callable
from datetime import timedelta

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from cells.errors import DomainError
from exports.models import Delivery, Event, Export, Import, Run, Volume
from exports.services import exports as services
from exports.services import lifecycle, retention
from exports.services.delivery_lifecycle import delivery_retry
from exports.states import DOWNLOADABLE, RunState

#: Of more rows an action would keep a page waiting.
_MOST = 100


class ReadOnly(admin.ModelAdmin):
    """Who may look is a right of Django's; who may act is a superuser."""

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

    def has_add_permission(self, request: HttpRequest, *_: object) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, *_: object) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, *_: object) -> bool:
        return False


@admin.register(Export)
class ExportAdmin(ReadOnly):
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
    def stop(self, request: HttpRequest, rows: QuerySet) -> None:
        self.each(request, rows, lambda export: services.export_stop(export=export))


@admin.register(Run)
class RunAdmin(ReadOnly):
    list_display = ("id", "export", "owner", "state", "phase", "bytes_done", "bytes_planned", "created_at")
    list_filter = ("state", "created_at")
    list_select_related = ("export", "owner")
    search_fields = ("=id", "=export__id", "owner__username")
    actions = ("requeue", "expire")

    @admin.action(description="Tell the workers again (those that wait, or lost their worker)", permissions=["operate"])
    def requeue(self, request: HttpRequest, rows: QuerySet) -> None:
        rows.filter(state=RunState.PENDING).update(nudged_at=None)
        self.message_user(request, f"{lifecycle.requeue_lost()} had lost their worker.")

    @admin.action(description="Expire now (unless somebody downloads)", permissions=["operate"])
    def expire(self, request: HttpRequest, rows: QuerySet) -> None:
        now = timezone.now()
        rows.filter(state__in=DOWNLOADABLE, cell=None).update(expires_at=now - timedelta(seconds=1))
        self.message_user(request, f"{retention.expire(now=now)} expired.")


@admin.register(Delivery)
class DeliveryAdmin(ReadOnly):
    list_display = ("id", "run_id", "type", "packer", "state", "attempts", "next_at", "finished_at")
    list_filter = ("state", "type")
    search_fields = ("=run__id", "=run__export__id")
    exclude = ("secrets",)
    actions = ("retry",)

    @admin.action(description="Deliver again", permissions=["operate"])
    def retry(self, request: HttpRequest, rows: QuerySet) -> None:
        self.each(request, rows, lambda delivery: delivery_retry(delivery=delivery))


@admin.register(Import)
class ImportAdmin(ReadOnly):
    list_display = ("id", "cell", "owner", "mode", "state", "done", "total", "started_at", "undo_until")
    list_filter = ("state", "mode")
    list_select_related = ("cell", "owner")
    search_fields = ("=id", "cell__name", "owner__username")


@admin.register(Volume)
class VolumeAdmin(ReadOnly):
    list_display = ("id", "run_id", "packer", "number", "of", "length", "store_file")
    search_fields = ("=run__id",)
    exclude = ("checkpoints",)
    show_full_result_count = False

    def get_queryset(self, request: HttpRequest):
        return super().get_queryset(request).defer("checkpoints")


@admin.register(Event)
class EventAdmin(ReadOnly):
    list_display = ("id", "type", "at", "user", "export_id", "run_id")
    list_filter = ("type",)
    list_select_related = ("user",)
    search_fields = ("=export_id",)
    show_full_result_count = False
