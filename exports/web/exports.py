"""The list of exports, and the page that makes or changes one."""

from zoneinfo import ZoneInfo

from django.conf import settings
from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext
from django.views.decorators.http import require_POST

from cells.errors import DomainError
from cells.reading import cells_of
from exports import selectors
from exports.models import Export
from exports.selectors import Condition
from exports.services import exports as services
from exports.services import overview
from exports.services.occurrences import next_occurrence
from exports.states import ACTIVE, RunState
from exports.web import people, words
from exports.web.definition_form import DefinitionForm
from exports.web.errors import text
from exports.web.people import member
from exports.web.welcome import TROUBLES

PAGE = 50
#: Moments that the preview of a schedule names.
_MOMENTS = 3


@member
def exports_list(request: HttpRequest) -> HttpResponse:
    chosen = {name: request.GET.get(name, "") for name in ("state", "type", "q")}
    rows = selectors.exports_list(owner=request.user, any_of=_conditions(chosen["state"], chosen["type"]))
    if chosen["q"]:
        rows = rows.filter(name__icontains=chosen["q"].replace("\0", ""))
    page = Paginator(rows.select_related("published_run").prefetch_related("schedules"), PAGE).get_page(
        request.GET.get("page")
    )
    context = {
        "page": page,
        "chosen": chosen,
        "filtered": any(chosen.values()),
        "active": any(row.current_run and row.current_run.state in ACTIVE for row in page),
        "states": [(state, word) for state, (word, _) in words.STATES.items()],
        "types": words.TYPES,
        "troubles": TROUBLES,
        "query": request.GET.urlencode(),
        "has_cells": page.paginator.count or cells_of(request.user).exists(),
    }
    return render(request, "web/exports_table.html" if people.is_fragment(request) else "web/exports.html", context)


def _conditions(state: str, kind: str) -> list[list[Condition]]:
    clause = []
    if state == words.NEW:
        clause.append(Condition(states=[None]))
    elif state in list(RunState):
        clause.append(Condition(states=[RunState(state)]))
    if kind in words.TYPES:
        clause.append(Condition(types=[kind]))
    return [clause] if clause else []


@member
def export_new(request: HttpRequest) -> HttpResponse:
    form = DefinitionForm(owner=request.user, zone=people.zone(request), data=request.POST or None)
    return _edit(request, form)


@member
def export_edit(request: HttpRequest, id: int) -> HttpResponse:
    export = selectors.export_get(id=id, user=request.user)
    form = DefinitionForm(owner=export.owner, zone=people.zone(request), export=export, data=request.POST or None)
    return _edit(request, form)


@member
@require_POST
def preview(request: HttpRequest) -> HttpResponse:
    """What the export would hold now; asked for by htmx whenever the form changes."""
    number = request.POST.get("export", "")
    export = (
        selectors.export_get(id=int(number), user=request.user) if number.isdecimal() and len(number) < 20 else None
    )
    owner = export.owner if export else request.user
    form = DefinitionForm(owner=owner, zone=people.zone(request), export=export, data=request.POST)
    return render(request, "web/preview.html", _preview(form))


def _edit(request: HttpRequest, form: DefinitionForm) -> HttpResponse:
    trouble, export = "", form.export
    unfinished = form.change() or "preview" in request.POST
    if request.method == "POST" and not unfinished and form.is_valid():
        try:
            export = _save(request, form)
        except DomainError as error:
            trouble = text(error)
        else:
            return redirect("web:export", id=export.pk)
    context = {"form": form, "export": export, "trouble": trouble, "complaints": []}
    if unfinished:
        context |= _preview(form)
        form.hush()
    elif request.method == "POST":
        context |= {**_preview(form), "complaints": form.complaints()}
    return render(request, "web/export_form.html", context)


def _save(request: HttpRequest, form: DefinitionForm) -> Export:
    changes = form.changes()
    if form.export is None:
        export = services.export_create(owner=request.user, **changes)
    else:
        export = services.export_update(export=form.export, user=request.user, changes=changes)
    if "start" in request.POST:
        services.export_start(export=export)
    messages.success(request, gettext("Saved."))
    return export


def _preview(form: DefinitionForm) -> dict[str, object]:
    """Counts what may be millions: pages ask for it when they are there."""
    amount = overview.amount(**form.chosen())
    return {
        "amount": amount,
        "documents": sum(count for _, count in amount.documents),
        "estimate": overview.usual_seconds(amount=amount),
        "moments": [(row, _moments(row)) for row in form.schedule_rows()],
    }


def _moments(row: object) -> list[object]:
    zone = ZoneInfo(row.timezone or settings.SCHEDULER_TIME_ZONE)
    found, after = [], timezone.now()
    while len(found) < _MOMENTS and (after := next_occurrence(row.definition, zone=zone, after=after)):
        found.append(after)
    return found
