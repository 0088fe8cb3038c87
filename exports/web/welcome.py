"""The start page: what this server is, and what a failed download meant (`spec/v1.md §3.3`)."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext_lazy as _

#: Localization key, what happened, what to do now. The key is the fragment of the address, so no script is needed.
TROUBLES = (
    (
        "export.invalid.passkey",
        _("This download link is not valid"),
        _(
            "It was mistyped or cut, or the export has been deleted or its links renewed. "
            "Copy the whole link once more, or ask the person who sent it for a new one."
        ),
    ),
    (
        "export.not.found",
        _("There is no such export"),
        _("It has been deleted, or it belongs to another account. Ask its owner."),
    ),
    (
        "export.not.done",
        _("This export is not ready"),
        _(
            "It is still running, it has failed, or its files have expired. "
            "Try again later, or ask its owner to start it."
        ),
    ),
    (
        "export.file.not.found",
        _("The export does not hold this file"),
        _("The export has run again since the link was made, and the file is gone or renamed."),
    ),
    (
        "export.not.authenticated",
        _("You are not signed in"),
        _("Your session has ended. Sign in and try the link again."),
    ),
    (
        "export.generic",
        _("The download did not work"),
        _("The server could not send this file. Try again; if it fails again, tell the person who runs this server."),
    ),
)


def welcome(request: HttpRequest) -> HttpResponse:
    """Whoever is signed in goes on to the exports; the browser takes the fragment along."""
    if request.user.is_authenticated:
        return redirect("web:exports")
    return render(request, "web/welcome.html", {"troubles": TROUBLES})
