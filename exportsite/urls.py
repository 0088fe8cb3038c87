"""Mounts the interfaces. `/{cell}/` (spec/cell.md) comes last: it takes every other prefix for a cell."""

from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import include, path, re_path
from django.views.decorators.vary import vary_on_headers
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from cells.api.errors import handler400, handler404, handler500, unknown_call
from exports.api.cell.cells import UnitViews
from exports.api.move import base as move
from exports.api.move.imports import ImportViewSet
from exports.api.move.urls import admin_urlpatterns, cell_urlpatterns
from exports.web.welcome import welcome

__all__ = ["handler400", "handler404", "handler500", "urlpatterns"]

_unit = UnitViews.as_view({"get": "read", "head": "read"}, schema=None)


@vary_on_headers("Accept")
def index(request: HttpRequest) -> HttpResponseBase:
    """A page; what the unit is (spec/cell.md §13.1) for who would rather have JSON."""
    wanted = request.get_preferred_type(["text/html", "application/json"])
    return _unit(request) if wanted == "application/json" else welcome(request)


urlpatterns = [
    path("", index, name="index"),
    path("web", RedirectView.as_view(url="/web/")),
    path("web/", include("exports.web.urls")),
    path("admin", RedirectView.as_view(url="/admin/")),
    path("admin/login/", RedirectView.as_view(url=settings.LOGIN_URL, query_string=True)),
    path("admin/", admin.site.urls),
    path("api/schema", SpectacularAPIView.as_view(permission_classes=[], authentication_classes=[]), name="schema"),
    path(
        "api/docs",
        SpectacularSwaggerSplitView.as_view(url_name="schema", permission_classes=[], authentication_classes=[]),
        name="docs",
    ),
    path("api/v1/", include("cells.api.urls")),
    path("api/", include("exports.api.v1.urls")),
    re_path(r"^api(/|$)", unknown_call),
    path("move", move.unknown_call),
    path("move/", include("exports.api.move.urls")),
    path("<str:cell>/move/", include(cell_urlpatterns)),
    path("instances/", include(admin_urlpatterns)),
    path("realtime/", ImportViewSet.as_view({"get": "realtime"}, schema=None)),
    # Last: whatever no other prefix took is a cell's name.
    path("", include("exports.api.cell.urls")),
]
