"""Mounted under /move/ and /<cell>/move/. An export's data stands before its manifest, which would take its name."""

from django.conf import settings
from django.urls import path, re_path, register_converter
from django.urls.converters import StringConverter

from exports.api.move.admin import AdminViewSet
from exports.api.move.base import unknown_call
from exports.api.move.exports import ExportViewSet
from exports.api.move.imports import ImportViewSet
from exports.api.move.steps import StepViewSet
from exports.api.move.transfers import TransferViewSet

#: Of a move between two servers (§7): URL → (method, action).
_STEPS = {
    "authorize": ("get", "authorize"),
    "go": ("get", "go"),
    "vault": ("get", "vault"),
    "initialize": ("post", "initialize"),
    "request": ("post", "ask"),
    "finalize": ("post", "finalize"),
    "abort": ("post", "abort"),
}
#: Between two exportsites.
_TRANSFERS = {
    "": ("get", "retrieve"),
    "/listing": ("get", "listing"),
    "/contents": ("post", "contents"),
    "/hold": ("post", "hold"),
    "/finalize": ("post", "finalize"),
    "/abort": ("post", "abort"),
}


class _Domain(StringConverter):
    """Of a cell, while there is an admin API. Otherwise its URLs are nobody's, and fall to those of cells."""

    def to_python(self, value: str) -> str:
        if not settings.ADMIN_API:
            raise ValueError
        return value


register_converter(_Domain, "domain")
_READ = {"get": "retrieve", "head": "retrieve"}


def _patterns(**schema: None) -> list:
    """`schema=None` for what the API description tells under /move/ already."""
    return [
        path("exports", ExportViewSet.as_view({"post": "create"}, **schema)),
        path("exports/data/<str:opaque>", ExportViewSet.as_view({"get": "data", "head": "data"}, **schema)),
        path("exports/<str:opaque>", ExportViewSet.as_view(_READ, **schema)),
        path("imports", ImportViewSet.as_view({"post": "create"}, **schema)),
        path("imports/precheck", ImportViewSet.as_view({"post": "precheck"}, **schema)),
        path("importing", ImportViewSet.as_view({"get": "importing", "post": "announce"}, **schema)),
        path("importing/realtime", ImportViewSet.as_view({"get": "realtime"}, schema=None)),
        *(path(step, StepViewSet.as_view({method: verb}, **schema)) for step, (method, verb) in _STEPS.items()),
        *(
            path(f"transfers/<str:uid>{step}", TransferViewSet.as_view({method: verb}, schema=None))
            for step, (method, verb) in _TRANSFERS.items()
        ),
        path("downloads/<str:opaque>", ExportViewSet.as_view({"get": "page"}, schema=None)),
        re_path(r"", unknown_call),
    ]


urlpatterns = _patterns()
cell_urlpatterns = _patterns(schema=None)
#: Mounted under /instances/ (§9.4).
admin_urlpatterns = [
    path("<domain:domain>/export", AdminViewSet.as_view({"post": "export"})),
    path("<domain:domain>/exports/<str:uid>/data", AdminViewSet.as_view({"get": "data", "head": "data"})),
    path("<domain:domain>/import", AdminViewSet.as_view({"post": "bring"})),
]
