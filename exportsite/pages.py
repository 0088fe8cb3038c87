"""The one page of the project itself: what this server is, and what a failed download meant."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

#: Localization key of `spec/v1.md §3.3`, what happened, what to do now.
TROUBLES = (
    (
        "export.invalid.passkey",
        "This download link is not valid",
        "It was mistyped or cut, or the export has been deleted or its links renewed. "
        "Copy the whole link once more, or ask the person who sent it for a new one.",
    ),
    (
        "export.not.found",
        "There is no such export",
        "It has been deleted, or it belongs to another account. Ask its owner.",
    ),
    (
        "export.not.done",
        "This export is not ready",
        "It is still running, it has failed, or its files have expired. Try again later, or ask its owner to start it.",
    ),
    (
        "export.file.not.found",
        "The export does not hold this file",
        "The export has run again since the link was made, and the file is gone or renamed.",
    ),
    ("export.not.authenticated", "You are not signed in", "Your session has ended. Sign in and try the link again."),
    (
        "export.generic",
        "The download did not work",
        "The server could not send this file. Try again; if it fails again, tell the person who runs this server.",
    ),
)


def index(request: HttpRequest) -> HttpResponse:
    return render(request, "exportsite/index.html", {"troubles": TROUBLES})
