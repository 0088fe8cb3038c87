"""Cells for administrators: to look at. What changes them are services, so nothing here does."""

from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest

from cells.models import AccessToken, Cell, File
from cells.quota import bytes_used


class ReadOnly(admin.ModelAdmin):
    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


@admin.register(Cell)
class CellAdmin(ReadOnly):
    list_display = ("name", "owner", "quota", "used", "generation", "created_at")
    search_fields = ("name", "owner__username")
    list_select_related = ("owner",)

    @admin.display(description="bytes used")
    def used(self, cell: Cell) -> int:
        return bytes_used(cell)


@admin.register(File)
class FileAdmin(ReadOnly):
    list_display = ("path", "cell", "generation", "is_folder", "size", "mtime", "version")
    list_select_related = ("cell",)
    fields = ("cell", "generation", "path", "size", "mtime", "executable", "content_type", "version", "blob_id")
    ordering = ("-id",)


@admin.register(AccessToken)
class AccessTokenAdmin(ReadOnly):
    """Can be taken away from its bearer, not given; the digest is of no use here."""

    list_display = ("user", "cell", "scopes", "created_at", "last_used_at", "expires_at")
    list_select_related = ("user", "cell")
    fields = ("user", "cell", "scopes", "created_at", "authenticated_at", "last_used_at", "expires_at", "language")

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return request.user.is_superuser

    def get_queryset(self, request: HttpRequest) -> QuerySet[AccessToken]:
        return super().get_queryset(request).exclude(user=None)
