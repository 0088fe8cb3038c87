"""What went wrong, as a page or as a notice inside one: what happened, and what to do next."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from cells.api.headers import RETRY
from cells.errors import CellHeld, CellMoved, DomainError, Kind
from exports.services.sentences import stored_text, text

__all__ = ["STATUS", "csrf_failed", "domain_page", "not_found", "page", "patient", "status_of", "stored_text", "text"]

STATUS = {
    Kind.INVALID: 400,
    Kind.FORBIDDEN: 403,
    Kind.NOT_FOUND: 404,
    Kind.CONFLICT: 409,
    Kind.PRECONDITION: 412,
    Kind.TOO_LARGE: 413,
    Kind.UNAVAILABLE: 503,
}
#: Where a page has a better word than the error's kind.
_OWN_STATUS = {
    "entry_not_found": 404,
    "volume_not_found": 404,
    "nothing_published": 404,
    "cell_held": 503,
    "read_only": 503,
}
#: Error's code -> the same as below, in place of its sentence.
_OWN_PAGES = {
    "nothing_published": (
        _("There are no archives at present"),
        _(
            "The export has not run yet, its last run failed, or its archives have expired. Run it again; "
            "if somebody sent you a link to it, ask them to."
        ),
    ),
}
#: Status -> (what happened, what to do next).
_PAGES = {
    400: (_("This does not work"), _("Go back, look at what you entered, and try again.")),
    403: (_("You may not do this"), _("Sign in with an account that may, or ask the person who runs this server.")),
    404: (
        _("There is nothing here"),
        _("It may have been deleted, or it belongs to another account. Look for it in your lists."),
    ),
    409: (_("Something else came first"), _("Load the page anew to see how things stand, and decide again.")),
    412: (_("Something else came first"), _("Load the page anew to see how things stand, and decide again.")),
    413: (_("This is too large"), _("Send less at a time, or make room first.")),
    500: (
        _("Something broke on our side"),
        _("Nothing of yours is lost. Try again; if it happens again, tell the person who runs this server."),
    ),
    503: (_("This cannot be done just now"), _("Try again in a few minutes.")),
}


def page(request: HttpRequest, status: int, detail: str = "", code: str = "") -> HttpResponse:
    title, advice = _OWN_PAGES.get(code) or _PAGES.get(status, _PAGES[500])
    context = {"title": title, "detail": detail, "advice": advice, "status": status}
    return render(request, "web/error.html", context, status=status)


def domain_page(request: HttpRequest, error: DomainError) -> HttpResponse:
    if isinstance(error, CellMoved):
        context = {"name": error.params["name"], "moved_to": error.params["url"]}
        return render(request, "web/cell_moved.html", context, status=410)
    detail = "" if error.code in _OWN_PAGES else text(error)
    return patient(error, page(request, status_of(error), detail, error.code))


def status_of(error: DomainError) -> int:
    return _OWN_STATUS.get(error.code, STATUS[error.kind])


def patient(error: DomainError, response: HttpResponse) -> HttpResponse:
    """Says when to come again, where that helps."""
    for name, value in RETRY.items() if isinstance(error, CellHeld) else ():
        response.headers[name] = value
    return response


def not_found(request: HttpRequest, *_: object, **__: object) -> HttpResponse:
    """Mounted last under /web/."""
    return page(request, 404)


def csrf_failed(request: HttpRequest, reason: str = "") -> HttpResponse:
    """The sign-in has ended in another tab, or cookies are off."""
    return page(request, 403, gettext("The form was too old, or your browser sent no cookie. Load the page anew."))
