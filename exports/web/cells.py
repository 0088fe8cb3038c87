"""Cells: what is in them, putting in and taking out."""

import json
from datetime import UTC, datetime
from itertools import islice

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods, require_POST

from cells import reading, writing
from cells.blobs import BlobStore
from cells.errors import DomainError, FileNotFound
from cells.models import Cell, File
from cells.quota import bytes_kept
from exports.services import browsing, overview
from exports.web.contents import IMAGES, PAGE, TEXT, crumbs, kind_of, send
from exports.web.errors import patient, status_of, text
from exports.web.people import member

#: Documents on one page, each whole; characters shown of one.
DOCUMENTS, DOCUMENT = 50, 20_000


class CellForm(forms.Form):
    name = forms.CharField(
        label=_("Name of a new cell"),
        max_length=128,
        help_text=_("Small letters, digits and hyphens."),
        widget=forms.TextInput(attrs={"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}),
    )


@member
def cells_list(request: HttpRequest) -> HttpResponse:
    form = CellForm(request.POST or None)
    if form.is_valid():
        try:
            cell = writing.cell_create(name=form.cleaned_data["name"], owner=request.user)
        except DomainError as error:
            form.add_error("name", text(error))
        else:
            return redirect("web:cell", name=cell.name)
    cells = list(reading.cells_of(request.user))
    used = overview.cells_used(cells=cells)
    return render(request, "web/cells.html", {"cells": [(cell, used.get(cell.pk, 0)) for cell in cells], "form": form})


@member
def cell_show(request: HttpRequest, name: str) -> HttpResponse:
    """A folder of the cell, or with the path of a file that file."""
    cell = reading.cell_get(name=name, user=request.user)
    path = request.GET.get("path", "").strip("/")
    if path and not (file := reading.file_get(cell=cell, path=path)).is_folder:
        return _file_page(request, cell, file)
    after = request.GET.get("after", "").replace("\0", "") or None
    rows = reading.files_list(cell=cell, folder=path, after=after, limit=PAGE + 1)
    context = {
        "cell": cell,
        "folder": path,
        "crumbs": crumbs(path),
        "rows": [(row, row.path.rpartition("/")[2]) for row in rows[:PAGE]],
        "following": rows[PAGE - 1].path if len(rows) > PAGE else "",
        "used": overview.cells_used(cells=[cell]).get(cell.pk, 0),
        "kept": bytes_kept(cell),
    }
    return render(request, "web/cell.html", context)


@member
def cell_counts(request: HttpRequest, name: str) -> HttpResponse:
    """Documents by doctype: counted after the page is there, as a large cell takes a moment."""
    cell = reading.cell_get(name=name, user=request.user)
    return render(request, "web/cell_counts.html", {"cell": cell, "counts": overview.doctypes(cells=[cell])})


@member
def cell_documents(request: HttpRequest, name: str) -> HttpResponse:
    cell = reading.cell_get(name=name, user=request.user)
    doctype, after = request.GET.get("doctype", "").replace("\0", ""), request.GET.get("after", "").replace("\0", "")
    lines = reading.documents_list(
        cell=cell, doctype=doctype, after=(doctype, after) if after else None, limit=DOCUMENTS + 1
    )
    documents = [_shown(line) for line in lines]
    context = {
        "cell": cell,
        "doctype": doctype,
        "documents": documents[:DOCUMENTS],
        "following": documents[DOCUMENTS - 1][0] if len(documents) > DOCUMENTS else "",
    }
    return render(request, "web/documents.html", context)


@member
def cell_raw(request: HttpRequest, name: str) -> HttpResponseBase:
    """As `contents.content_raw`, of what the cell holds now."""
    cell = reading.cell_get(name=name, user=request.user)
    file = reading.file_get(cell=cell, path=request.GET.get("path", ""))
    if file.blob is None:
        raise FileNotFound(path=file.path)
    shown = request.GET.get("show") == "1" and file.content_type in IMAGES
    return send(
        request,
        name=file.path.rpartition("/")[2],
        length=file.size,
        etag=file.blob_id,
        content_type=file.content_type,
        chunks=lambda start, end: BlobStore().open(file.blob, start, end),
        as_attachment=not shown,
    )


@member
@require_http_methods(["PUT", "POST"])
def cell_upload(request: HttpRequest, name: str) -> HttpResponse:
    """PUT: one file as it arrives, its path in `path`. POST: the files of a form, into the folder `folder`."""
    cell = reading.cell_get(name=name, user=request.user)
    if request.method == "PUT":
        return _put(request, cell)
    folder = request.POST.get("folder", "")
    try:
        for upload in request.FILES.getlist("files"):
            writing.file_put(cell=cell, path=f"{folder}/{upload.name}", stream=upload.file, length=upload.size)
    except DomainError as error:
        messages.error(request, text(error))
    return redirect(_folder_url(cell, folder))


@member
@require_POST
def cell_folder(request: HttpRequest, name: str) -> HttpResponse:
    cell = reading.cell_get(name=name, user=request.user)
    folder = request.POST.get("folder", "")
    try:
        writing.folder_create(cell=cell, path=f"{folder}/{request.POST.get('new', '').strip()}")
    except DomainError as error:
        messages.error(request, text(error))
    return redirect(_folder_url(cell, folder))


@member
def cell_remove(request: HttpRequest, name: str) -> HttpResponse:
    """A file, or a folder with all that is in it; without `path` the whole cell. GET asks whether it is meant."""
    path = (request.POST if request.method == "POST" else request.GET).get("path", "").strip("/")
    cell = reading.cell_get(name=name, user=request.user, left=not path)
    file = reading.file_get(cell=cell, path=path) if path else None
    if request.method != "POST":
        below = reading.files_below(cell, path).filter(is_folder=False).count() if not file or file.is_folder else 0
        return render(request, "web/cell_remove.html", {"cell": cell, "file": file, "below": below})
    if file is not None:
        writing.file_delete(cell=cell, path=path)
        messages.success(request, gettext("“{name}” has been deleted.").format(name=path))
        return redirect(_folder_url(cell, path.rpartition("/")[0]))
    if request.POST.get("name") != cell.name:
        messages.error(request, gettext("The name was not the cell's. Nothing has been deleted."))
        return redirect("web:cell", name=cell.name)
    writing.cell_delete(cell=cell)
    messages.success(request, gettext("“{name}” has been deleted.").format(name=cell.name))
    return redirect("web:cells")


def _shown(line: bytes) -> tuple[str, str, bool]:
    """(id, the beginning of its body, whether that is not all); whole bodies are let go one by one."""
    try:
        each = json.loads(line)
        body = json.dumps(each["body"], indent=2, ensure_ascii=False)
    except ValueError:  # PostgreSQL keeps numbers of more digits than Python reads
        return "?", line[:DOCUMENT].decode(errors="replace"), len(line) > DOCUMENT
    return each["id"], body[:DOCUMENT], len(body) > DOCUMENT


def _put(request: HttpRequest, cell: Cell) -> HttpResponse:
    length = request.META.get("CONTENT_LENGTH") or ""
    if not length.isdecimal():
        return HttpResponse(gettext("The browser did not say how large the file is."), status=411)
    path, mtime = request.GET.get("path", ""), _moment(request.headers.get("X-Mtime", ""))
    try:
        writing.file_put(cell=cell, path=path, stream=request, length=int(length), mtime=mtime)
    except DomainError as error:
        return patient(error, HttpResponse(text(error), status=status_of(error), content_type="text/plain"))
    return HttpResponse(status=204)


def _moment(given: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(given)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _file_page(request: HttpRequest, cell: Cell, file: File) -> HttpResponse:
    kind, end = kind_of(file.content_type, file.size), min(file.size, TEXT)
    shown = browsing.beginning(BlobStore().open(file.blob, 0, end), TEXT) if kind == "text" and end else ""
    context = {
        "cell": cell,
        "file": file,
        "name": file.path.rpartition("/")[2],
        "crumbs": crumbs(file.path),
        "kind": kind,
        "text": shown,
        "is_cut": file.size > TEXT,
        "versions": list(islice(file.versions.order_by("-version").iterator(), 20)),
    }
    return render(request, "web/cell_file.html", context)


def _folder_url(cell: Cell, folder: str) -> str:
    folder = folder.strip("/")
    return reverse("web:cell", args=[cell.name]) + ("?" + urlencode({"path": folder}) if folder else "")
