"""Mounted last, at the root: a first segment that nothing else has is the name of a cell (`spec/cell.md §1`)."""

from django.urls import URLPattern, re_path

from exports.api.cell.base import DialectViews, UnknownViews
from exports.api.cell.cells import RootViews
from exports.api.cell.control import CellsViews, CellViews
from exports.api.cell.exports import ExportViews
from exports.api.cell.imports import ImportViews, UndoViews
from exports.api.cell.snapshots import AreaViews, FileViews
from exports.api.cell.tokens import TokenViews

_CELL = r"^(?P<cell>[^/]+)"
_STATUS = {"get": "read", "head": "read", "post": "create"}


def _at(pattern: str, views: type[DialectViews], actions: dict[str, str], **schema: None) -> list[URLPattern]:
    """One slash behind it addresses the same resource; the API description tells of the other one."""
    return [
        re_path(pattern + r"\Z", views.as_view(actions, **schema)),
        re_path(pattern + r"/\Z", views.as_view(actions, schema=None)),
    ]


urlpatterns = [
    *_at(r"^__ctl/Cell", CellsViews, {"get": "list", "head": "list", "post": "create"}, schema=None),
    *_at(
        r"^__ctl/Cell\((?P<key>[^/]*)\)",
        CellViews,
        {"get": "read", "head": "read", "put": "update", "merge": "update", "delete": "destroy"},
        schema=None,
    ),
    re_path(r"^__ctl(?:/[\s\S]*)?\Z", UnknownViews.as_view({"get": "options"}, schema=None)),
    *_at(_CELL, RootViews, {"get": "read", "head": "read", "propfind": "propfind", "delete": "destroy"}),
    *_at(_CELL + "/__export", ExportViews, _STATUS),
    *_at(_CELL + "/__import", ImportViews, {**_STATUS, "delete": "destroy"}),
    *_at(_CELL + "/__import/undo", UndoViews, {"post": "create"}),
    *_at(_CELL + "/__snapshot", AreaViews, {"propfind": "propfind"}, schema=None),
    *_at(
        _CELL + "/__snapshot/(?P<name>[^/]+)",
        FileViews,
        {"get": "read", "head": "read", "put": "update", "delete": "destroy", "propfind": "propfind"},
    ),
    *_at(_CELL + "/__token", TokenViews, {"post": "create"}),
    re_path(_CELL + r"/[\s\S]*\Z", UnknownViews.as_view({"get": "options"}, schema=None)),
]
