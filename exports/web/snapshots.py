"""The snapshot area of a cell: archives of all of it, made, taken along, brought back from and deleted."""

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from cells import reading
from cells.errors import DomainError, FileNotFound
from cells.models import Cell
from cells.snapshots import snapshot_etag, snapshot_get, snapshots_of
from exports.services import overview, snapshots
from exports.web.contents import send
from exports.web.errors import stored_text, text
from exports.web.people import member


class SnapshotForm(forms.Form):
    #: As `spec/cell.md §5` allows.
    name = forms.RegexField(
        r"^[a-zA-Z0-9_-]{1,192}\Z",
        label=_("Name"),
        required=False,
        help_text=_("Letters, digits, hyphens and underscores. Without one, it is named after the moment."),
        widget=forms.TextInput(attrs={"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}),
    )


@member
def snapshots_page(request: HttpRequest, name: str) -> HttpResponse:
    """POST orders one."""
    cell = reading.cell_get(name=name, user=request.user, left=True)
    form = SnapshotForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            snapshots.snapshot_start(cell=cell, name=form.cleaned_data["name"] or None)
        except DomainError as error:
            form.add_error(None, text(error))
        else:
            messages.success(request, gettext("It has been queued."))
            return redirect("web:cell-snapshots", name=cell.name)
    files = [(file, stored_text(file.error)) for file in snapshots_of(cell)]
    return render(request, "web/snapshots.html", {"form": form, "files": files, **_live(cell)})


@member
def snapshots_live(request: HttpRequest, name: str) -> HttpResponse:
    context = _live(reading.cell_get(name=name, user=request.user, left=True))
    if not context["run"]:
        return HttpResponse(status=204, headers={"HX-Refresh": "true"})
    return render(request, "web/snapshots_live.html", context)


@member
def snapshot_raw(request: HttpRequest, name: str) -> HttpResponseBase:
    cell = reading.cell_get(name=name, user=request.user, left=True)
    file = snapshot_get(cell=cell, name=request.GET.get("name", ""))
    if file.error is not None:
        raise FileNotFound(path=file.name)
    return send(
        request,
        name=file.name,
        length=file.size or 0,
        etag=snapshot_etag(file),
        content_type=file.content_type,
        chunks=snapshots.snapshot_chunks(file),
        as_attachment=True,
    )


@member
def snapshot_remove(request: HttpRequest, name: str) -> HttpResponse:
    """GET asks whether it is meant."""
    cell = reading.cell_get(name=name, user=request.user, left=True)
    file = snapshot_get(cell=cell, name=(request.POST or request.GET).get("name", ""))
    if request.method != "POST":
        return render(request, "web/snapshot_remove.html", {"cell": cell, "file": file})
    try:
        snapshots.snapshot_remove(cell=cell, name=file.name)
    except FileNotFound:
        raise
    except DomainError as error:
        messages.error(request, text(error))
    else:
        messages.success(request, gettext("“{name}” has been deleted.").format(name=file.name))
    return redirect("web:cell-snapshots", name=cell.name)


def _live(cell: Cell) -> dict[str, object]:
    run = snapshots.snapshot_running(cell=cell)
    return {"cell": cell, "run": run, "no_worker": run is not None and not overview.worker_alive()}
