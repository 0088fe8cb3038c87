"""Looking inside a finished export: folders, search, previews that cannot act, files and folders to take along."""

import re
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils.http import content_disposition_header

from cells.api.ranges import ranged_response
from exports import selectors
from exports.errors import EntryNotFound
from exports.models import Export, Run
from exports.services import browsing, downloads, filenames
from exports.services.downloads import Opened
from exports.web.people import member

PAGE = 200
#: Bytes of a text that are shown.
TEXT = 64 * 1024
#: What a browser may draw by itself. No SVG: it is a program.
IMAGES = ("image/png", "image/jpeg", "image/gif", "image/webp", "image/avif", "image/bmp")
#: Bytes beyond which an image is not shown without being asked for.
IMAGE = 20 * 1024 * 1024
_LINE_BREAK = re.compile(r"[\r\n]")
_TEXTS = ("application/json", "application/xml", "application/javascript", "application/x-sh", "image/svg+xml")
#: People's content must not act in our name: no scripts, no forms, an origin of its own.
SANDBOX = {
    "Content-Security-Policy": "sandbox; default-src 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "private, no-cache",  # not no-store: a download that broke off shall be resumed
}


@member
def contents(request: HttpRequest, id: int) -> HttpResponse:
    export, run = _published(request, id)
    folder = _path(request)
    text = request.GET.get("q", "").strip().replace("\0", "")
    if not browsing.folder_exists(run=run, folder=folder):
        return _file_page(request, export, run, folder)
    after = request.GET.get("after", "").replace("\0", "")
    if text:
        rows = browsing.search(run=run, text=text, limit=PAGE + 1)
    else:
        rows = browsing.children(run=run, folder=folder, after=after, limit=PAGE + 1)
    context = {
        "export": export,
        "run": run,
        "folder": folder,
        "crumbs": crumbs(folder),
        "rows": rows[:PAGE],
        "largest": max((row.size for row in rows), default=0),
        "following": rows[PAGE - 1].name if len(rows) > PAGE else "",
        "text": text,
    }
    return render(request, "web/contents.html", context)


@member
def content_raw(request: HttpRequest, id: int) -> HttpResponseBase:
    """A file as it is: an image to be drawn, else to be saved. Whatever it holds, it cannot act."""
    _, run = _published(request, id)
    opened = downloads.open_entry(run=run, path=_path(request))
    shown = request.GET.get("show") == "1" and opened.content_type in IMAGES
    return _send(request, opened, as_attachment=not shown)


@member
def content_archive(request: HttpRequest, id: int) -> HttpResponseBase:
    """A folder, or a file, as a ZIP made on the way; it can be resumed."""
    export, run = _published(request, id)
    path = _path(request)
    name = filenames.base_name(path.rpartition("/")[2] or export.display_name) + ".zip"
    return _send(request, downloads.open_selection(run=run, path=path, format="zip", name=name), as_attachment=True)


def crumbs(folder: str) -> list[tuple[str, str]]:
    """(name, path) from the outermost folder on."""
    parts = folder.split("/") if folder else []
    return [(part, "/".join(parts[: place + 1])) for place, part in enumerate(parts)]


def kind_of(content_type: str, size: int) -> str:
    """What a preview can be: image, text or nothing."""
    if content_type in IMAGES:
        return "image" if size <= IMAGE else ""
    return "text" if content_type.startswith("text/") or content_type in _TEXTS else ""


def _file_page(request: HttpRequest, export: Export, run: Run, path: str) -> HttpResponse:
    opened = downloads.open_entry(run=run, path=path)
    kind = kind_of(opened.content_type, opened.length)
    end = min(opened.length, TEXT)
    context = {
        "export": export,
        "path": path,
        "crumbs": crumbs(path),
        "opened": opened,
        "kind": kind,
        "text": browsing.beginning(opened.chunks(0, end), TEXT) if kind == "text" and end else "",
        "is_cut": opened.length > TEXT,
    }
    return render(request, "web/content_file.html", context)


def _published(request: HttpRequest, id: int) -> tuple[Export, Run]:
    export = selectors.export_get(id=id, user=request.user)
    return export, selectors.published_run(export=export)


def _path(request: HttpRequest) -> str:
    path = request.GET.get("path", "").strip("/")
    if "\0" in path:
        raise EntryNotFound(what="file or folder", path=path)
    return path


def _send(request: HttpRequest, opened: Opened, *, as_attachment: bool) -> HttpResponseBase:
    return send(
        request,
        name=opened.name,
        length=opened.length,
        etag=opened.etag,
        content_type=opened.content_type,
        chunks=opened.chunks,
        as_attachment=as_attachment,
    )


def send(
    request: HttpRequest, *, name: str, content_type: str, as_attachment: bool, **content: Any
) -> HttpResponseBase:
    """Bytes of people's own. `content`: length, etag and chunks, as `ranged_response` takes them."""
    disposition = content_disposition_header(as_attachment, _LINE_BREAK.sub("_", name))
    return ranged_response(
        request,
        content_type="application/octet-stream" if as_attachment else content_type,
        headers={**SANDBOX, "Content-Disposition": disposition or "inline"},
        **content,
    )
