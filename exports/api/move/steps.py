"""A move between two servers, step by step (`spec/move.md §7`): people are sent through some, servers call others."""

from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from django.conf import settings
from django.contrib.auth.models import User
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.utils.translation import gettext_lazy as _
from rest_framework.request import Request

from cells.errors import CellNotFound, DomainError
from cells.models import Cell, Document
from cells.quota import bytes_used
from exports.api.move import openapi, permissions
from exports.api.move.base import LIMIT, MoveViews, base_url, limit_count
from exports.api.move.errors import MoveError, forbidden, move_error
from exports.api.move.pages import page, person
from exports.api.move.permissions import IMPORTS
from exports.errors import MoveAborted, TransferNotFound
from exports.models import Departure
from exports.services import arrivals, departure_asking, departures, move_notes
from exports.services.addresses import unit_url

#: What the tokens are good for that ask for a move in their user's name.
REQUESTS = "io.cozy.exports.requests"
#: Whether there are passwords that no server can take along (`spec/move.md §6.8`).
_VAULT = "com.bitwarden.ciphers"
_TOO_LATE = _("The link is good for five minutes, and for the account that asked. Ask for the move once more.")


class StepViewSet(MoveViews):
    brings_nothing = ("abort",)

    @openapi.authorize
    def authorize(self, request: Request, **_: str) -> HttpResponseBase:
        """Hands the browser back with a code (§7.1). Whoever gets it can have a mail sent, which the owner answers."""
        cells = self._own_cells(request, request._request.get_full_path())
        if len(cells) > 1:
            query = request._request.META.get("QUERY_STRING", "")
            links = [(cell.name, f"/{cell.name}/move/authorize?{query}") for cell in cells]
            return page(request, "choose", {"cells": links})
        self._limited(cells[0])
        wanted = request.query_params.get("redirect_uri", "")
        told = {"state": request.query_params.get("state", ""), **_offer(cells[0])}
        return HttpResponse(status=303, headers={"Location": f"{_with_query(wanted, told)}#"})

    @openapi.initialize
    def initialize(self, request: Request, **_: str) -> HttpResponseBase:
        """Hands the browser to the wizard (§7.2); without one (MOVE_WIZARD_URL) our own page asks what it would."""
        cells = self._own_cells(request, "/web/cells/")
        if len(cells) > 1:
            return HttpResponse(status=303, headers={"Location": f"{unit_url()}web/cells/"})
        self._limited(cells[0])
        if not settings.MOVE_WIZARD_URL:
            ours = f"{unit_url()}web/cells/{cells[0].name}/move"
            return HttpResponse(status=303, headers={"Location": ours})
        told = {**_offer(cells[0]), "cozy_url": f"{base_url(request, cells[0])}/"}
        wizard = _with_query(f"{settings.MOVE_WIZARD_URL}/initialize", told)
        return HttpResponse(status=307, headers={"Location": wizard})

    @openapi.request
    def ask(self, request: Request, **_: str) -> HttpResponseBase:
        """Asks the owner by mail (§7.4). Every refusal is a page; nothing is begun."""
        try:
            departure = self._asked(request)
        except (DomainError, MoveError) as error:
            found = move_error(error)
            raise MoveError(400 if found.status < 500 else found.status, found.message, html=True) from error
        return page(request, "asked", {"email": departure.owner.email})

    @openapi.go
    def go(self, request: Request, **_: str) -> HttpResponseBase:
        """The owner's word, by the link in the mail (§7.5)."""
        user = person(request)
        if user is None:
            raise MoveError(401, "You must be authenticated", sign_in=_sign_in(request._request.get_full_path()))
        try:
            departure = departures.departure_go(secret=request.query_params.get("secret", ""), user=user)
        except DomainError as error:
            raise MoveError(400, str(error), html=True, advice=_TOO_LATE) from error
        return HttpResponse(status=303, headers={"Location": f"{departure.target_url}/move/importing"})

    @openapi.finalize
    def finalize(self, request: Request, **_: str) -> HttpResponseBase:
        """The other server, which knows only the spec, has it all: the cell has moved (§7.8). How names of its
        subdomains are made there is nothing that our links need."""
        departure = self._departure(request)
        if departure is None:
            raise forbidden()
        departures.departure_finalize(departure)
        return HttpResponse(status=204)

    @openapi.abort
    def abort(self, request: Request, **_: str) -> HttpResponseBase:
        """By the server that takes, with the token that it was given, or by the one that gives (§7.9)."""
        if departure := self._departure(request):
            reason = MoveAborted(reason="the other server ended it")
            departures.departure_abort(departure, reason, tell=False, mail=False)
        else:
            cell = self.permitted(request, IMPORTS, "POST")
            arrivals.arrival_abort(cell=cell)
            move_notes.source_forget(cell=cell)
        return HttpResponse(status=204)

    @openapi.vault
    def vault(self, request: Request, **_: str) -> HttpResponseBase:
        """How to take passwords along (§7.10)."""
        if person(request) is None:
            raise _sign_in_first(request._request.get_full_path())
        return page(request, "vault")

    def _departure(self, request: Request) -> Departure | None:
        """The move away that the token was given out for; None when it is another token. Raises what §2.4 says."""
        token = permissions.token_of(request)
        if departures.SCOPE not in token.scopes:
            permissions.permission_check(token, IMPORTS, "POST")
        cell = permissions.cell_anywhere(token, self.named_cell())
        try:
            return departures.departure_of(cell=cell, token=permissions.raw_token(request))
        except TransferNotFound:
            return None

    def _own_cells(self, request: Request, following: str) -> list[Cell]:
        """Of whoever is signed in: the one that the URL names, or all. Raises CellNotFound for none."""
        user, named = person(request), self.named_cell()
        if user is None:
            raise _sign_in_first(following)
        if named is not None and named.owner_id != user.pk:
            raise forbidden()
        cells = [named] if named else permissions.cells_here(user)
        if not cells:
            raise CellNotFound(name="")
        return cells

    def _limited(self, cell: Cell) -> None:
        """§4.1: one counter with exports."""
        if limit_count(f"move:{cell.pk}") > LIMIT:
            raise MoveError(404, "Not found")
        permissions.here_check(cell)

    def _asked(self, request: Request) -> Departure:
        """In the order of §7.4."""
        form = request._request.POST
        cell, owner, code = self._source(form.get("code", ""), form)
        url = _needed(form, "target_url")
        base = base_url(request, cell)
        departures.target_checked(url, base)
        token = _needed(form, "target_token")
        _needed(form, "target_client_id")
        _needed(form, "target_client_secret")
        if not owner.email:
            raise MoveError(400, "No e-mail address to ask")
        if code and not move_notes.code_use(code):
            raise MoveError(400, "Invalid JWT token")
        return departure_asking.departure_ask(
            cell=cell,
            owner=owner,
            target_url=url,
            target_token=token,
            base_url=base,
            ignore_vault=bool(form.get("ignore_vault")),
        )

    def _source(self, code: str, form: dict[str, str]) -> tuple[Cell, User, str]:
        """(the cell that is to move, its owner, the code that said so)."""
        named = self.named_cell()
        if code:
            found = move_notes.code_find(code)
            if found is None or (named is not None and named != found[0]):
                raise MoveError(400, "Invalid JWT token")
            return *found, code
        _needed(form, "client_id")
        _needed(form, "client_secret")
        if not form.get("token"):
            raise MoveError(400, "No code or token")
        token = permissions.token_known(form["token"])
        permissions.permission_check(token, REQUESTS, "POST")
        cell = permissions.cell_of(token, named)
        return cell, cell.owner, ""


def _needed(form: dict[str, str], name: str) -> str:
    value = form.get(name, "").strip()
    if not value:
        raise MoveError(400, f"No {name}")
    return value


def _offer(cell: Cell) -> dict[str, str]:
    """A code, and what the other server needs to know beforehand. Documents fill a quota here, so they count."""
    told = {"code": move_notes.code_make(cell=cell, user=cell.owner)}
    rows = Document.objects.filter(cell=cell, generation=cell.generation, doctype=_VAULT)
    told |= {"vault": str(rows.exists()).lower(), "used": str(bytes_used(cell))}
    return told | ({"quota": str(cell.quota)} if cell.quota is not None else {})


def _with_query(url: str, told: dict[str, str]) -> str:
    """`url` with its own query kept, beside what is told, and without a fragment."""
    try:
        parts = urlsplit(url)
        usable = parts.port != 0 and url.isascii() and url.isprintable() and not set(' "<>\\^`{|}') & set(url)
    except ValueError:
        usable = False
    if not usable:
        raise MoveError(400, "bad url: could not parse")
    if parts.scheme not in ("http", "https"):
        raise MoveError(400, "bad url: bad scheme")
    if not parts.hostname:
        raise MoveError(400, "bad url: could not parse")
    own = [(name, value) for name, value in parse_qsl(parts.query, keep_blank_values=True) if name not in told]
    return parts._replace(query=urlencode([*own, *told.items()]), fragment="").geturl()


def _sign_in(following: str) -> str:
    return f"{settings.LOGIN_URL}?next={quote(following, safe='/')}"


def _sign_in_first(following: str) -> MoveError:
    return MoveError(303, "You must be authenticated", headers={"Location": _sign_in(following)})
