"""Mounted under /api/v1/."""

from django.urls import path, re_path

from cells.api.base import routes
from cells.api.cells import CellViewSet
from cells.api.documents import DocumentsViewSet
from cells.api.files import FilesViewSet
from cells.api.sessions import SessionViewSet

_DOCUMENT = {"get": "read", "head": "read", "put": "update", "delete": "destroy"}
_FILE = {"get": "read", "head": "read", "put": "update", "delete": "destroy"}

urlpatterns = [
    *routes("session", SessionViewSet, {"get": "read"}),
    *routes("session/authenticate", SessionViewSet, {"post": "authenticate"}),
    *routes("session/deauthenticate", SessionViewSet, {"post": "deauthenticate"}),
    *routes("cell", CellViewSet, {"get": "list", "post": "create"}),
    *routes("cell/<str:name>", CellViewSet, {"get": "read", "delete": "destroy"}),
    *routes("cell/<str:name>/move", CellViewSet, {"post": "move"}),
    *routes("cell/<str:name>/documents", DocumentsViewSet, {"get": "list", "post": "create"}),
    path("cell/<str:name>/documents/<str:doctype>/<path:doc_id>", DocumentsViewSet.as_view(_DOCUMENT)),
    *routes("cell/<str:name>/files", FilesViewSet, {"get": "read", "head": "read"}, schema=None),
    path("cell/<str:name>/files/<path:path>", FilesViewSet.as_view(_FILE)),
    # `path:` knows no newline, which a name that `cell_load` found may well hold.
    re_path(r"^cell/(?P<name>[^/]+)/files/(?P<path>(?s:.+))\Z", FilesViewSet.as_view(_FILE, schema=None)),
]
