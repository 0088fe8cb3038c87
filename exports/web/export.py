"""One export: how it stands, what it made, where that went, and what one can do about it."""

from datetime import UTC, datetime

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext
from django.views.decorators.http import require_POST

from cells.errors import DomainError
from exports import selectors
from exports.errors import NothingPublished
from exports.models import Export, Run
from exports.services import delivery as deliveries
from exports.services import downloads, filenames, manifest, overview
from exports.services import exports as services
from exports.services.sentences import said
from exports.states import ACTIVE, DELIVERY_ACTIVE, DeliveryState, RunState
from exports.transports.base import TransportError
from exports.web import charts, words
from exports.web.errors import stored_text, text
from exports.web.people import member

#: Runs in the chart, events in the timeline, missing entries on the page.
RUNS, EVENTS, MISSING = 30, 100, 200
#: Characters of a moment at the beginning of a log's line.
_MOMENT = len("2026-01-01 00:00:00")


@member
def export_show(request: HttpRequest, id: int) -> HttpResponse:
    export = selectors.export_get(id=id, user=request.user)
    published = _published(export)
    runs = overview.runs_past(export=export, limit=RUNS)
    events = selectors.export_events(export=export, types=words.EVENTS.keys()).order_by("-id")[:EVENTS]
    context = {
        **_live(export),
        "published": published,
        "archives": archives(export, published) if published else [],
        "missing": _missing(published),
        "transports": _transports(export),
        "schedules": list(export.schedules.all()),
        "chart": charts.runs_chart(runs),
        "events": [(event, *words.EVENTS[event.type]) for event in events],
        "link": request.build_absolute_uri(link_path(export)) if published else "",
        "is_own": export.owner_id == request.user.pk,
    }
    return render(request, "web/export.html", context)


@member
def export_live(request: HttpRequest, id: int) -> HttpResponse:
    """The part that changes while it runs. When it has ended, the whole page is due anew, and polling stops."""
    export = selectors.export_get(id=id, user=request.user)
    context = _live(export)
    if not (context["is_active"] or context["delivering"]):
        return HttpResponse(status=204, headers={"HX-Refresh": "true"})
    return render(request, "web/export_live.html", context)


@member
@require_POST
def export_start(request: HttpRequest, id: int) -> HttpResponse:
    return _do(request, id, lambda export: services.export_start(export=export), gettext("It has been queued."))


@member
@require_POST
def export_stop(request: HttpRequest, id: int) -> HttpResponse:
    return _do(request, id, lambda export: services.export_stop(export=export), gettext("It was asked to stop."))


@member
@require_POST
def links_renew(request: HttpRequest, id: int) -> HttpResponse:
    return _do(
        request,
        id,
        lambda export: downloads.passkey_renew(export=export, user=request.user),
        gettext("There is a new link. The old ones open nothing any more."),
    )


@member
def export_delete(request: HttpRequest, id: int) -> HttpResponse:
    """GET asks whether it is meant."""
    export = selectors.export_get(id=id, user=request.user)
    if request.method != "POST":
        return render(request, "web/export_delete.html", {"export": export})
    name = export.display_name
    services.export_delete(export=export)
    messages.success(request, gettext("“{name}” has been deleted.").format(name=name))
    return redirect("web:exports")


@member
@require_POST
def transport_test(request: HttpRequest, id: int, uuid: object) -> HttpResponse:
    """Writes a small file there and reads it back; says line by line what happened."""
    export = selectors.export_get(id=id, user=request.user)
    transport = export.transports.filter(uuid=uuid).first()
    if transport is None:
        return redirect("web:export", id=id)
    trouble, lines = "", []
    try:
        lines = deliveries.delivery_test(transport=transport)
    except TransportError as error:
        trouble = said(str(error))
    except DomainError as error:
        trouble = text(error)
    context = {"export": export, "transport": transport, "lines": lines, "trouble": trouble}
    part = request.headers.get("HX-Request") == "true"
    return render(request, "web/transport_tested.html" if part else "web/transport_test.html", context)


@member
@require_POST
def transport_retry(request: HttpRequest, id: int, uuid: object) -> HttpResponse:
    def retry(export: Export) -> None:
        for transport in export.transports.filter(uuid=uuid):
            found = selectors.deliveries_newest(export=export).get(transport.position)
            if found is not None:
                deliveries.delivery_retry(delivery=found)

    return _do(request, id, retry, gettext("It will be delivered again."))


def _do(request: HttpRequest, id: int, verb, done: str) -> HttpResponse:
    export = selectors.export_get(id=id, user=request.user)
    try:
        verb(export)
    except DomainError as error:
        messages.error(request, text(error))
    else:
        messages.success(request, done)
    return redirect("web:export", id=id)


def link_path(export: Export) -> str:
    return reverse("web:links", args=[export.pk, downloads.passkey(export=export)])


def archives(export: Export, run: Run) -> list[dict[str, object]]:
    """What is on offer, with the address that resumes, by packer; the plain address is v1's."""
    passkey = downloads.passkey(export=export)
    packers = dict.fromkeys((*run.order.get("packers", ()), "zip", "tar"))
    rows = run.volumes.filter(packer__in=packers).defer("checkpoints").order_by("number")
    found = []
    for volume in sorted(rows, key=lambda row: (list(packers).index(row.packer), row.number)):
        name = filenames.volume_name(export.display_name, volume, packers)
        url = f"/api/v1/export/{export.pk}/download/{passkey}/{filenames.quoted(name)}"
        found.append({"name": name, "url": url, "length": volume.length, "packer": volume.packer, "etag": volume.etag})
    return found


def _published(export: Export) -> Run | None:
    try:
        return selectors.published_run(export=export)
    except NothingPublished:
        return None


def _live(export: Export) -> dict[str, object]:
    run = export.current_run
    is_active = run is not None and run.state in ACTIVE
    waiting = is_active and run.state == RunState.PENDING
    return {
        "export": export,
        "run": run,
        "state": words.state_of(export),
        "is_active": is_active,
        "trouble": stored_text(run.error) if run else "",
        "pace": overview.pace(run) if run else None,
        "ahead": overview.runs_ahead(run) if waiting else 0,
        "no_worker": is_active and not overview.worker_alive(),
        "delivering": _is_delivering(export),
    }


def _is_delivering(export: Export) -> bool:
    """One that waits for its next try may wait for hours: nobody watches that."""
    rows = selectors.deliveries_newest(export=export).values()
    return any(
        row.state == DeliveryState.PROCESSING or (row.state in DELIVERY_ACTIVE and not row.attempts) for row in rows
    )


def _missing(run: Run | None) -> list[tuple[str, str]]:
    """The first MISSING paths, and why each is missing."""
    if run is None or run.state != RunState.DONE_WITH_WARNINGS:
        return []
    return [pair for pair, _ in zip(manifest.missing_iter(run_id=run.pk), range(MISSING), strict=False)]


def _transports(export: Export) -> list[dict[str, object]]:
    newest = selectors.deliveries_newest(export=export)
    return [
        {
            "row": row,
            "where": row.options.get("server") or row.options.get("destination") or _recipients(row.email),
            "delivery": (found := newest.get(row.position)),
            "trouble": stored_text(found.error) if found else "",
            "log": [_noted(line) for line in found.log] if found else [],
            "can_retry": found is not None and found.state == DeliveryState.FAILED,
            "can_test": row.type != "download",
        }
        for row in export.transports.all()
    ]


def _noted(line: str) -> tuple[datetime | None, str]:
    """(when, what) of a line of a delivery's log, which begins with a moment in UTC."""
    try:
        return datetime.fromisoformat(line[:_MOMENT]).replace(tzinfo=UTC), said(line[_MOMENT:].strip())
    except ValueError:
        return None, said(line)


def _recipients(email: dict | None) -> str:
    users = [each.get("user") or {} for each in (email or {}).get("recipients", ())]
    return ", ".join(str(user["login"]) for user in users if "login" in user)
