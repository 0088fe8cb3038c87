"""For looking, not for changing: states have one writer, definitions one door."""

from django.contrib import admin
from django.http import HttpRequest

from exports.models import Event, Export, Run, Volume


class ReadOnly(admin.ModelAdmin):
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


@admin.register(Run)
class RunAdmin(ReadOnly):
    list_display = ("id", "export", "owner", "state", "phase", "bytes_done", "bytes_planned", "created_at")
    list_filter = ("state",)
    list_select_related = ("export", "owner")
    search_fields = ("=id", "=export__id", "owner__username")


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
