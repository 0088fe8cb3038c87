"""What the mails of the move API say (`spec/move.md §4.12, §6.9`). Sent as all notifications are."""

from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth.models import User
from django.utils.translation import gettext_lazy as _

from exports.models import Arrival, MoveExport, Notification, NotificationKind
from exports.services import departure_asking, move_exports
from exports.services.sentences import said, stored_text

SUBJECTS = {
    "archiver": _("Download your data"),
    "export_error": _("⚠ The export of your data has failed"),
    "import_success": _("Good news! Your data has been successfully imported"),
    "import_error": _("⚠ The import of your data has failed"),
    "move_confirm": _("Would you like to move your data now?"),
    "move_success": _("Good news! Your data has been successfully moved"),
    "move_error": _("⚠ The move of your data has failed"),
}


def move_mail(row: Notification) -> tuple[str, str, dict[str, object]]:
    """(template, subject, context) of a mail about a run that the move API ordered."""
    export = MoveExport.objects.select_related("run", "cell__owner").get(run=row.run_id)
    owner = export.cell.owner
    context: dict[str, object] = {"PublicName": _public_name(owner)}
    if row.kind == NotificationKind.FAILED:
        return _told("export_error", context)
    opaque = move_exports.opaque(export)
    context |= {
        "ArchiveLink": f"{export.base_url}/#/exports/{opaque}",
        "page": f"{export.base_url}/move/downloads/{opaque}",
        "expires": f"{move_exports.expires_at(export):%Y-%m-%d %H:%M} UTC",
        "warnings": [said(warning) for warning in export.run.warnings],
    }
    return _told("archiver", context)


def import_mail(row: Notification) -> tuple[str, str, dict[str, object]]:
    """The same of an import (§6.9). That of a failed one gives no reason: the job's record does."""
    found = row.imported
    arrival = Arrival.objects.filter(imported=found).first()
    what = "move" if arrival else "import"
    context: dict[str, object] = {"PublicName": _public_name(found.owner), "CozyLink": settings.PUBLIC_URL}
    context["Source"] = urlsplit(arrival.source_url).netloc if arrival else ""
    if row.kind == NotificationKind.FAILED:
        return _told(f"{what}_error", context)
    missing = found.report.get("missing", [])
    context |= {
        "AppsNotInstalled": ", ".join(found.report.get("not_installed", [])),
        "missing": [each["path"] for each in missing[:20]],
        "more": max(0, len(missing) - 20),
        "undo_days": settings.IMPORT_UNDO_DAYS if found.previous_generation is not None else 0,
    }
    return _told(f"{what}_success", context)


def departure_mail(row: Notification) -> tuple[str, str, dict[str, object]]:
    """The same of a cell that is to move away, or was (§6.9). Raises TransportError when it is too late to ask."""
    departure = row.departure
    context: dict[str, object] = {"PublicName": _public_name(departure.owner)}
    if row.kind == NotificationKind.FAILED:
        return _told("move_error", {**context, "reason": stored_text(departure.error)})
    return _told("move_confirm", {**context, **departure_asking.confirm_context(departure)})


def _told(template: str, context: dict[str, object]) -> tuple[str, str, dict[str, object]]:
    return template, str(SUBJECTS[template]), context


def _public_name(owner: User) -> str:
    return owner.get_full_name() or owner.get_username()
