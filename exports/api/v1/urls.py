"""Mounted under /api/."""

from django.urls import URLPattern, path

from cells.api import sessions
from cells.api.base import routes
from exports import selectors
from exports.api.v1.archives import EXTENSIONS, ArchiveViewSet
from exports.api.v1.carrying import TransportViewSet
from exports.api.v1.downloads import DownloadViewSet, PasskeyArchiveViewSet, PasskeyFileViewSet
from exports.api.v1.events import EventViewSet
from exports.api.v1.exports import ExportViewSet
from exports.api.v1.files import FileViewSet

sessions.max_event_id[0] = selectors.event_last_id  # sessions tell the last event, and cells know of none

_COLLECTION = {"get": "list", "put": "create", "post": "create"}
_ONE = {"get": "retrieve", "post": "update", "delete": "destroy"}
_READ = {"get": "read", "head": "read"}


def _sending(base: str, **described: None) -> list[URLPattern]:
    """The three families that the seed prints under /api/v1/v1/ and clients call under /api/v1/ (§0.2 C1)."""
    return [
        *_opening(f"{base}/<str:id>", FileViewSet, ArchiveViewSet, **described),
        path(f"{base}/<str:id>/download/<str:passkey>/<path:file>", DownloadViewSet.as_view(_READ, **described)),
    ]


def _opening(
    base: str, files: type[FileViewSet], archives: type[ArchiveViewSet], **described: None
) -> list[URLPattern]:
    return [
        path(f"{base}/file/<path:path>", files.as_view(_READ, **described)),
        path(f"{base}/file", files.as_view(_READ, schema=None)),
        path(f"{base}/file/", files.as_view(_READ, schema=None)),
        *(
            path(f"{base}/{archive}{rest}", archives.as_view(_READ, archive=archive, **schema))
            for archive in EXTENSIONS
            for rest, schema in (("", described), ("/", {"schema": None}), ("/<path:path>", described))
        ),
    ]


urlpatterns = [
    *routes("v1/export", ExportViewSet, _COLLECTION),
    *routes("v1/export/<str:id>", ExportViewSet, _ONE),
    *routes("v1/export/<str:id>/start", ExportViewSet, {"post": "start"}, form_parameters=True),
    *routes("v1/export/<str:id>/stop", ExportViewSet, {"post": "stop"}, form_parameters=True),
    *routes("v1/export/<str:id>/transport/<str:uuid>/retry", TransportViewSet, {"post": "retry"}, form_parameters=True),
    *routes("v1/export/<str:id>/transport/<str:uuid>/test", TransportViewSet, {"post": "test"}, form_parameters=True),
    *_sending("v1/export"),
    *_sending("v1/v1/export", schema=None),
    *_opening("v1/export/<str:id>/uuid/<str:passkey>", PasskeyFileViewSet, PasskeyArchiveViewSet),
    *routes("v1/event/list", EventViewSet, {"get": "list"}),
    *routes("v1/event/poll", EventViewSet, {"get": "poll"}),
    *routes("v1/event/poll/<str:last>", EventViewSet, {"get": "poll"}),
    *routes("v1/event/<str:id>", EventViewSet, {"get": "retrieve"}),
]
