"""`/api/v1[/v1]/export/<id>/zip[/<path>]` and `tar_gz`: archives on the fly, of known length (§5.9, §5.10)."""

from django.http.response import HttpResponseBase
from rest_framework.request import Request

from exports import selectors
from exports.api.v1 import names, openapi, sending
from exports.services import downloads

EXTENSIONS = {"zip": "zip", "tar_gz": "tar.gz"}


class ArchiveViewSet(sending.SendingViews):
    #: A key of EXTENSIONS, set by the route.
    archive = "zip"

    @openapi.archive_get
    def read(self, request: Request, id: str, path: str = "", passkey: str = "") -> HttpResponseBase:
        export = self.export(request, id)
        run = selectors.published_run(export=export)
        selected = sending.findable(path.strip("/"))
        name = names.selection_name(export.display_name, selected, EXTENSIONS[self.archive])
        headers = sending.disposition(request, sending.file_name(request, name))
        opened = downloads.open_selection(run=run, path=selected, format=self.archive, name=name)
        response = sending.send(request, opened, headers=headers)
        sending.note_download(request, response, opened, export=export, run=run, what=f"{self.archive}/{selected}")
        return response
