"""A cell moves to another server, or one moves in: to be asked for, watched, and ended until it is decided."""

from urllib.parse import urlsplit

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST

from cells import reading, tokens
from cells.api.sessions import client_address
from cells.errors import DomainError
from cells.models import Cell
from exports.errors import MoveAborted
from exports.models import Departure
from exports.services import arrivals, departure_asking, departures, overview
from exports.services.addresses import cell_url, unit_url
from exports.states import DEPARTURE_ACTIVE, IMPORT_ACTIVE, DepartureState, ImportState
from exports.web.errors import stored_text, text
from exports.web.people import member

_PLAIN = {"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}
#: State of a departure → (word, colour, what it means for whoever uses the cell).
STATES = {
    DepartureState.ASKED: (_("waits for your word"), "busy", _("A mail asks you whether the cell shall move.")),
    DepartureState.EXPORTING: (_("gathering"), "busy", _("What the cell holds is gathered. It can still be changed.")),
    DepartureState.OFFERED: (_("sending"), "busy", _("The other server fetches it. The cell can still be changed.")),
    DepartureState.HOLDING: (
        _("finishing"),
        "warn",
        _("What was changed since is gathered. Nobody can change it now."),
    ),
    DepartureState.HELD: (_("finishing"), "warn", _("The other server fetches the rest. Nobody can change it now.")),
    DepartureState.MOVED: (_("moved"), "good", ""),
    DepartureState.ABORTED: (_("not moved"), "bad", _("The cell is as it was, and can be changed.")),
}


class MoveForm(forms.Form):
    target_url = forms.URLField(
        label=_("Address of the cell on the other server"),
        max_length=2000,
        assume_scheme="https",
        help_text=_("As its page shows it, like https://other.example/my-cell"),
        widget=forms.URLInput(attrs={**_PLAIN, "placeholder": "https://…/…"}),
    )
    target_token = forms.CharField(
        label=_("Token for taking it in, made there"),
        max_length=4000,
        widget=forms.TextInput(attrs=_PLAIN),
    )
    password = forms.CharField(
        label=_("Your password here"),
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )


@sensitive_post_parameters("password", "target_token")
@member
def move_page(request: HttpRequest, name: str) -> HttpResponse:
    """POST begins it."""
    cell = reading.cell_get(name=name, user=request.user, left=True)
    live = _live(cell)
    form = MoveForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            _start(request, cell, form.cleaned_data)
        except DomainError as error:
            form.add_error(None, text(error))
        else:
            return redirect("web:cell-move", name=cell.name)
    return render(request, "web/move.html", {"form": form, "address": cell_url(cell).rstrip("/"), **live})


@member
def move_live(request: HttpRequest, name: str) -> HttpResponse:
    context = _live(reading.cell_get(name=name, user=request.user, left=True))
    if not context["is_active"]:
        return HttpResponse(status=204, headers={"HX-Refresh": "true"})
    return render(request, "web/move_live.html", context)


@member
@require_POST
def move_abort(request: HttpRequest, name: str) -> HttpResponse:
    """By whoever owns the cell, on either side."""
    cell = reading.cell_get(name=name, user=request.user, left=True)
    try:
        departure = _departure(cell)
        if departure is not None:
            ended = departures.departure_abort(departure, MoveAborted(reason="its owner ended it"), mail=False)
        else:
            ended = arrivals.arrival_abort(cell=cell)
    except DomainError as error:
        messages.error(request, text(error))
    else:
        if ended:
            messages.success(request, gettext("The move has been ended. Everything is as it was before."))
    return redirect("web:cell-move", name=cell.name)


def _start(request: HttpRequest, cell: Cell, given: dict[str, str]) -> None:
    tokens.password_user(login=request.user.get_username(), password=given["password"], address=client_address(request))
    departure_asking.departure_start(
        cell=cell,
        owner=cell.owner,  # also when a superuser moves it, who owns nothing that could be exported
        target_url=given["target_url"],
        target_token=given["target_token"],
        base_url=unit_url().rstrip("/"),
    )


def _departure(cell: Cell) -> Departure | None:
    """The one under way, or that waits for the owner's word."""
    return Departure.objects.filter(cell=cell, state__in=(DepartureState.ASKED, *DEPARTURE_ACTIVE)).first()


def _live(cell: Cell) -> dict[str, object]:
    """What the last move of the cell is about: one away from here, or one into it, whichever is newer."""
    leaving = Departure.objects.filter(cell=cell).order_by("-created_at").first()
    coming = arrivals.arrival_of(cell=cell)
    if coming and (leaving is None or leaving.created_at < coming.imported.started_at):
        found = _coming(coming)
    else:
        found = _leaving(leaving) if leaving else {"is_active": False}
    is_active = bool(found["is_active"])
    return {"cell": cell, **found, "no_worker": is_active and not overview.worker_alive()}


def _leaving(row: Departure) -> dict[str, object]:
    word, colour, meaning = STATES[DepartureState(row.state)]
    is_active = row.state == DepartureState.ASKED or row.state in DEPARTURE_ACTIVE
    return {
        "leaving": row,
        "is_active": is_active,
        "can_abort": is_active,
        "word": word,
        "colour": colour,
        "meaning": meaning,
        "other": urlsplit(row.target_url).netloc,
        "since": row.created_at,
        "held_at": row.held_at if row.state in (DepartureState.HOLDING, DepartureState.HELD) else None,
        "done": min(row.bytes_sent, row.bytes_total),
        "total": row.bytes_total if row.state != DepartureState.EXPORTING else 0,
        "heard_at": row.heard_at,
        "trouble": stored_text(row.error) if row.state == DepartureState.ABORTED else "",
    }


def _coming(row) -> dict[str, object]:
    imported = row.imported
    is_active = imported.state in IMPORT_ACTIVE
    words = {ImportState.DONE: (_("moved here"), "good"), ImportState.UNDONE: (_("undone"), "warn")}
    word, colour = (_("moving in"), "busy") if is_active else words.get(imported.state, (_("not moved"), "bad"))
    meaning = _("What it holds is fetched and checked. Nobody can change the cell until it is here.")
    if row.asked_at and is_active:
        meaning = _("Everything is here. The other server has the last word, and is asked for it.")
    return {
        "coming": row,
        "is_active": is_active,
        "can_abort": is_active and row.asked_at is None,
        "word": word,
        "colour": colour,
        "meaning": meaning if is_active else "",
        "other": urlsplit(row.source_url).netloc,
        "since": imported.started_at,
        "done": imported.done,
        "total": imported.total,
        "heard_at": row.heard_at,
        "trouble": stored_text(imported.error) if imported.state == ImportState.FAILED else "",
    }
