"""Bringing an archive back into a cell: choose it, see what would change, decide, watch, and undo."""

from django.conf import settings
from django.contrib import messages
from django.core import signing
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.template.defaultfilters import filesizeformat
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from cells import reading
from cells.blobs import BlobStore
from cells.errors import CellNotFound, DomainError, FileNotFound
from cells.models import Cell
from cells.snapshots import snapshot_get
from exports import selectors
from exports.errors import MoveNotFound, MoveTooLarge
from exports.models import Import, ImportMode
from exports.services import import_checks, move_imports, overview
from exports.services import imports as services
from exports.services.snapshots import snapshot_source
from exports.services.upload_parts import upload_source
from exports.states import IMPORT_ACTIVE, ImportState
from exports.web.errors import stored_text, text
from exports.web.people import member

#: Exports offered to be brought back; the newest.
OFFERED = 50
_CHUNK = 256 * 1024
#: Mode → (word, what it does).
MODES = {
    ImportMode.REPLACE: (_("Replace"), _("Afterwards the cell holds what the archive holds, and nothing else.")),
    ImportMode.MERGE: (
        _("Merge, the archive wins"),
        _("What both have comes from the archive; old contents of files are kept."),
    ),
    ImportMode.SKIP: (_("Merge, the cell wins"), _("Only what is missing is brought back.")),
    ImportMode.KEEP_BOTH: (_("Keep both"), _("What both have and differs comes under a name with a number.")),
}
STATES = {
    ImportState.PENDING: (_("waiting"), "busy"),
    ImportState.PROCESSING: (_("running"), "busy"),
    ImportState.DONE: (_("done"), "good"),
    ImportState.FAILED: (_("failed"), "bad"),
    ImportState.DISMISSED: (_("failed"), ""),
    ImportState.UNDONE: (_("undone"), "warn"),
}
#: A chosen archive is good for a day, for whoever chose it, and for that cell.
_SIGNER = signing.TimestampSigner(salt="exports.web.imports")
_DAY = 24 * 3600


@member
def import_page(request: HttpRequest, name: str) -> HttpResponse:
    cell = reading.cell_get(name=name, user=request.user)
    chosen = _opened(request, cell, request.GET.get("archive", ""))
    exports = selectors.exports_list(owner=request.user).filter(published_run__isnull=False)
    context = {
        **_last(cell),
        "exports": exports.select_related("published_run")[:OFFERED] if not chosen else [],
        "archive": request.GET.get("archive", "") if chosen else "",
        "called": chosen[1] if chosen else "",
        "elsewhere": bool(chosen) and move_imports.is_link(chosen[0]),
        "modes": [(mode, *words) for mode, words in MODES.items()],
        "is_kept": settings.IMPORT_UNDO_DAYS > 0 and settings.IMPORT_UNDO_COUNT > 0,
    }
    return render(request, "web/import.html", context)


@member
@require_POST
def import_choose(request: HttpRequest, name: str) -> HttpResponse:
    """An archive is uploaded, an own export or a snapshot named, or a link given. Nothing is done with it yet."""
    cell = reading.cell_get(name=name, user=request.user)
    uploads = request.FILES.getlist("file")
    number, snapshot, link = (request.POST.get(field, "") for field in ("export", "snapshot", "link"))
    if uploads:
        try:
            source = upload_source([(upload.name, _stored(upload)) for upload in uploads])
        except DomainError as error:
            messages.error(request, text(error))
            return redirect("web:cell-import", name=cell.name)
        called = _called(uploads)
    elif number.isdecimal() and len(number) < 20:
        export = selectors.export_get(id=int(number), user=request.user)
        source, called = f"run:{selectors.published_run(export=export).pk}", export.display_name
    elif snapshot:
        file = snapshot_get(cell=cell, name=snapshot)
        if file.error is not None:
            raise FileNotFound(path=file.name)
        source, called = snapshot_source(file), file.name
    elif link:
        try:
            source = move_imports.link_source(cell=cell, link=link)
        except MoveNotFound:
            messages.error(request, gettext("This is no link of an export. It looks like https://…/#/exports/…"))
            return redirect("web:cell-import", name=cell.name)
        called = move_imports.source_host(source)
    else:
        return redirect("web:cell-import", name=cell.name)
    return redirect(_chosen_url(request, cell, source, called))


@member
def import_check(request: HttpRequest, name: str) -> HttpResponse:
    """The difference. POST asks for it, a worker finds it, GET shows how far that is; `cancel` ends it."""
    cell = reading.cell_get(name=name, user=request.user)
    archive = (request.POST or request.GET).get("archive", "")
    chosen = _opened(request, cell, archive)
    context: dict[str, object] = {"cell": cell, "archive": archive if chosen else ""}
    try:
        if chosen and move_imports.is_link(chosen[0]):
            context["elsewhere"] = move_imports.import_precheck(cell=cell, source=chosen[0])
        elif chosen:
            context |= _checked(request, cell, *chosen)
    except DomainError as error:
        context["trouble"] = _trouble(error)
    part = request.headers.get("HX-Request") == "true"
    return render(request, "web/import_checked.html" if part else "web/import_check.html", context)


@member
@require_POST
def import_start(request: HttpRequest, name: str) -> HttpResponse:
    cell = reading.cell_get(name=name, user=request.user)
    chosen, mode = _opened(request, cell, request.POST.get("archive", "")), request.POST.get("mode", "")
    if chosen and mode in ImportMode.values:
        return _do(request, cell, lambda: _start(request, cell, *chosen, mode), gettext("It has been queued."))
    return redirect("web:cell-import", name=cell.name)


@member
@require_POST
def import_undo(request: HttpRequest, name: str) -> HttpResponse:
    cell = reading.cell_get(name=name, user=request.user)
    done = gettext("The cell holds again what it held before the import.")
    return _do(request, cell, lambda: services.import_undo(cell=cell), done)


@member
def import_live(request: HttpRequest, name: str) -> HttpResponse:
    context = _last(reading.cell_get(name=name, user=request.user))
    if not context["is_active"]:
        return HttpResponse(status=204, headers={"HX-Refresh": "true"})
    return render(request, "web/import_live.html", context)


def _checked(request: HttpRequest, cell: Cell, source: str, called: str) -> dict[str, object]:
    whose = {"cell": cell, "owner": request.user}
    row = None
    if "cancel" in request.POST:
        import_checks.check_cancel(**whose)
    elif request.method == "POST":
        row = import_checks.check_order(**whose, archive=source, name=called[:255])
    else:
        row = import_checks.check_find(**whose, archive=source)
    if row is None:
        return {"asked": True}
    return {
        "check": row,
        "report": row.report,
        "trouble": stored_text(row.error) if row.error else "",
        "no_worker": row.finished_at is None and not overview.worker_alive(),
    }


def _stored(upload: UploadedFile) -> str:
    """The SHA-256 under which its content lies in the store."""
    with BlobStore().writer() as writer:
        for chunk in upload.chunks(_CHUNK):
            writer.write(chunk)
        return writer.finish().sha256


def _called(uploads: list[UploadedFile]) -> str:
    first, more = min(upload.name for upload in uploads), len(uploads) - 1
    if not more:
        return first
    return ngettext("{name} and {more} more part", "{name} and {more} more parts", more).format(name=first, more=more)


def _do(request: HttpRequest, cell: Cell, verb, done: str) -> HttpResponse:
    try:
        verb()
    except CellNotFound:
        raise
    except DomainError as error:
        messages.error(request, text(error))
    else:
        messages.success(request, done)
    return redirect("web:cell-import", name=cell.name)


def _last(cell: Cell) -> dict[str, object]:
    row = Import.objects.filter(cell=cell).order_by("-pk").first()
    word, colour = STATES[ImportState(row.state)] if row else ("", "")
    active = row is not None and row.state in IMPORT_ACTIVE
    return {
        "cell": cell,
        "row": row,
        "trouble": stored_text(row.error) if row and row.state == ImportState.FAILED else "",
        "word": word,
        "colour": colour,
        "is_active": active,
        "can_undo": row is not None and row.state == ImportState.DONE and row.previous_generation is not None,
        "no_worker": active and not overview.worker_alive(),
    }


def _start(request: HttpRequest, cell: Cell, source: str, called: str, mode: str) -> Import:
    if move_imports.is_link(source):
        return move_imports.import_from_link(cell=cell, owner=request.user, source=source, mode=mode)
    return services.import_start(cell=cell, owner=request.user, archive=source, mode=mode, name=called)


def _trouble(error: DomainError) -> str:
    if isinstance(error, MoveNotFound):
        return gettext(
            "No finished export was found behind this link. "
            "It may have expired, or its server cannot be reached from here."
        )
    if isinstance(error, MoveTooLarge):
        sizes = {name: filesizeformat(error.params[name]) for name in ("needed", "missing")}
        return gettext("The export has {needed}; that is {missing} more than the cell may hold.").format(**sizes)
    return text(error)


def _chosen_url(request: HttpRequest, cell: Cell, source: str, called: str) -> str:
    signed = _SIGNER.sign_object([request.user.pk, cell.pk, source, called[:200]], compress=True)
    return reverse("web:cell-import", args=[cell.name]) + "?" + urlencode({"archive": signed})


def _opened(request: HttpRequest, cell: Cell, signed: str) -> tuple[str, str] | None:
    """(source, its name for people) of what this person chose for this cell; None for anything else."""
    try:
        user_id, cell_id, source, called = _SIGNER.unsign_object(signed, max_age=_DAY)
    except (signing.BadSignature, ValueError):
        return None
    return (source, called) if (user_id, cell_id) == (request.user.pk, cell.pk) else None
