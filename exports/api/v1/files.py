"""`/api/v1[/v1]/export/<id>/file/<path>`: one file of an export, or for browsers what is in a folder (§5.8)."""

from urllib.parse import quote, urlencode

from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.template.loader import render_to_string
from rest_framework.request import Request

from cells.api.errors import ApiError
from exports import selectors
from exports.api.v1 import openapi, sending
from exports.errors import EntryNotFound
from exports.models import Export, Run
from exports.services import browsing, downloads

#: Of a folder, on one page.
PAGE = 1000
_POLICY = {"Content-Security-Policy": "default-src 'none'", "Vary": "Accept"}


class FileViewSet(sending.SendingViews):
    @openapi.file_get
    def read(self, request: Request, id: str, path: str = "", passkey: str = "") -> HttpResponseBase:
        is_index = path == "" or path.endswith("/")
        wanted = is_index and "text/html" in request.headers.get("Accept", "")
        if path == "" and not wanted:
            raise ApiError("positional_parameter_expected", "The path of a file is missing.")
        export = self.export(request, id)
        run = selectors.published_run(export=export)
        path = sending.findable(path)
        if wanted:
            return _index(request, export, run, path.rstrip("/"))
        opened = downloads.open_entry(run=run, path=path)
        headers = sending.disposition(request, sending.file_name(request, opened.name))
        response = sending.send(request, opened, headers=headers)
        sending.note_download(request, response, opened, export=export, run=run, what=f"file/{path}")
        return response


def _index(request: Request, export: Export, run: Run, folder: str) -> HttpResponse:
    if not browsing.folder_exists(run=run, folder=folder):
        raise EntryNotFound(what="folder", path=folder)
    query = request.query_params
    found = browsing.children(run=run, folder=folder, after=sending.findable(query.get("after", "")), limit=PAGE + 1)
    kept = {"token": query["token"]} if "token" in query else {}  # the only way in that a link can carry
    base = "" if request.path.endswith("/") else "file/"
    context = {
        "title": f"{export.display_name}/{folder}",
        "folder": folder,
        "parent": _link("../", kept),
        "rows": [(_link(f"{base}{_address(child)}", kept), child) for child in found[:PAGE]],
        "following": _link(base, {**kept, "after": found[PAGE - 1].name}) if len(found) > PAGE else "",
    }
    return HttpResponse(render_to_string("exports/v1/index.html", context), headers=_POLICY)


def _address(child: browsing.Child) -> str:
    """`./` keeps a name with a colon from being a scheme."""
    return f"./{quote(child.name, safe='')}{'/' if child.is_folder else ''}"


def _link(address: str, query: dict[str, str]) -> str:
    return f"{address}?{urlencode(query)}" if query else address
