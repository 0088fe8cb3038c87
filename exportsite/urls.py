"""Mounts the interfaces. `/{cell}/` (spec/cell.md) will come last: it would take every other prefix for a cell."""

from importlib.util import find_spec

from django.contrib import admin
from django.shortcuts import render
from django.urls import include, path, re_path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView

from cells.api.errors import handler400, handler404, handler500, unknown_call

__all__ = ["handler400", "handler404", "handler500", "urlpatterns"]


def mounted(prefix: str, module: str) -> list:
    return [path(prefix, include(module))] if find_spec(module.partition(".")[0]) and _exists(module) else []


def _exists(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


urlpatterns = [
    path("", lambda request: render(request, "exportsite/index.html"), name="index"),
    path("admin", RedirectView.as_view(url="/admin/")),
    path("admin/", admin.site.urls),
    path("api/schema", SpectacularAPIView.as_view(permission_classes=[], authentication_classes=[]), name="schema"),
    path(
        "api/docs",
        SpectacularSwaggerView.as_view(url_name="schema", permission_classes=[], authentication_classes=[]),
        name="docs",
    ),
    *mounted("api/v1/", "cells.api.urls"),
    *mounted("api/", "exports.api.v1.urls"),
    re_path(r"^api(/|$)", unknown_call),
]
