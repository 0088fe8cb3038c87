"""The page behind a shared link: what it is, from whom, how large, until when, and how to be sure of it."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from cells.models import Cell
from exports import selectors
from exports.models import Run
from exports.services import downloads
from exports.services.delivery_lifecycle import about_contents
from exports.web.export import archives


def links(request: HttpRequest, id: int, passkey: str) -> HttpResponse:
    """For whoever knows the passkey. Raises PasskeyInvalid, and NothingPublished when the archives have expired."""
    export = downloads.export_by_passkey(export_id=min(id, 2**63 - 1), given=passkey)
    run = selectors.published_run(export=export)
    rows = archives(export, run)
    base = f"{request.scheme}://{request.get_host()}"
    context = {
        "export": export,
        "run": run,
        "warnings": about_contents(run.warnings),
        "archives": rows,
        "first": base + str(rows[0]["url"]) if rows else "",
        "owner": export.owner.get_full_name() or export.owner.get_username(),
        "moved_to": moved_to(run),
    }
    return render(request, "web/links.html", context, status=410 if context["moved_to"] else 200)


def moved_to(run: Run) -> list[str]:
    """Where all that it was made of is now; empty while any of it is still here."""
    cells = Cell.objects.filter(owner=run.owner)
    names = run.order.get("cells")
    found = list((cells if names is None else cells.filter(name__in=names)).values_list("moved_to", flat=True))
    return found if all(found) else []
