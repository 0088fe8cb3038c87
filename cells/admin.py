"""Cells for administrators: to look at. What changes them are services, so nothing here does."""

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import User
from django.core.paginator import Paginator
from django.db.models import Model, OuterRef, QuerySet, Subquery
from django.http import HttpRequest
from django.utils.functional import cached_property

from cells.models import AccessToken, Cell, File, Usage

admin.site.site_header = admin.site.site_title = "exportsite"
admin.site.index_title = "Administration"


class BoundedPaginator(Paginator):
    """Counts no further than people leaf: a table of millions is not read for a number. A search finds the rest."""

    most = 10_000

    @cached_property
    def count(self) -> int:
        return self.object_list.order_by()[: self.most].count()


class ReadOnly(admin.ModelAdmin):
    show_full_result_count = False
    paginator = BoundedPaginator

    def has_add_permission(self, request: HttpRequest, *_: object) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, *_: object) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, *_: object) -> bool:
        return False


@admin.register(Cell)
class CellAdmin(ReadOnly):
    list_display = ("name", "owner", "quota", "used", "generation", "created_at")
    search_fields = ("name", "owner__username")
    list_select_related = ("owner",)

    @admin.display(description="bytes used")
    def used(self, cell: Cell) -> int:
        return cell.used or 0

    def get_queryset(self, request: HttpRequest) -> QuerySet[Cell]:
        shown = Usage.objects.filter(cell=OuterRef("pk"), generation=OuterRef("generation"))
        return super().get_queryset(request).annotate(used=Subquery(shown.values("bytes")))


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


admin.site.unregister(User)


@admin.register(User)
class MemberAdmin(UserAdmin):
    """A click does not delete cells with all that is in them: their owners are made inactive, or the cells go first."""

    paginator = BoundedPaginator
    show_full_result_count = False

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        owns = obj is None or Cell.objects.filter(owner=obj).exists()
        return not owns and super().has_delete_permission(request, obj)
