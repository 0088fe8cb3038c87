"""`/api/v1[/v1]/export/<id>/file/<path>`: one file of an export (`spec/v1.md §5.8`)."""

from django.http.response import HttpResponseBase
from rest_framework.request import Request

from cells.api.errors import ApiError
from exports import selectors
from exports.api.v1 import openapi, sending
from exports.services import downloads


class FileViewSet(sending.SendingViews):
    @openapi.file_get
    def read(self, request: Request, id: str, path: str = "") -> HttpResponseBase:
        if not path:
            raise ApiError("positional_parameter_expected", "The path of a file is missing.")
        export = self.export(request, id)
        run = selectors.published_run(export=export)
        opened = downloads.open_entry(run=run, path=sending.findable(path))
        headers = sending.disposition(request, sending.file_name(request, opened.name))
        response = sending.send(request, opened, headers=headers)
        sending.note_download(request, response, opened, export=export, run=run, what=f"file/{path}")
        return response
