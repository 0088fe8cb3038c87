"""What export's domain errors look like in v1: JSON (`spec/v1.md §3.2`), or a redirect for browsers (§3.3)."""

from typing import Any

from django.http import HttpResponseRedirect

from cells.api.errors import Shape, V1Errors
from cells.errors import DomainError
from exports.errors import DefinitionRefused

_NOT_FOUND = Shape(404, "user", "error.user.export_not_found", {"id": "{id}"})
_GENERIC = Shape(400, "api", "error.api.generic")
_INTERNAL = Shape(500, "server", "error.server.generic")


class ExportErrors(V1Errors):
    domain = V1Errors.domain | {
        "export_not_found": _NOT_FOUND,
        "export_not_running": _NOT_FOUND,
        "export_already_running": Shape(400, "user", "error.user.export_already_running"),
        "export_name_required": Shape(400, "user", "error.user.export_name_required"),
        "export_name_taken": Shape(
            400, "user", "error.user.integrity_constraint_violation", {"constraint": "export_name_unique"}
        ),
        "version_mismatch": Shape(
            400, "user", "error.user.version_mismatch", {"provided": "{provided}", "expected": "{expected}"}
        ),
        "search_query_too_long": Shape(400, "user", "error.user.search_query_too_long"),
        "passkey_invalid": _GENERIC,
        "nothing_published": _GENERIC,
        "entry_not_found": _GENERIC,
        "volume_not_found": _GENERIC,
        "egress_refused": _GENERIC,
        "delivery_not_failed": _GENERIC,
        "transport_not_found": Shape(404, "user", "error.user.transport_not_found", {"id": "{id}"}),
        "transport_test_running": _GENERIC,
        "secrets_unreadable": _GENERIC,
        "lease_lost": _INTERNAL,
        "run_stopped": _INTERNAL,
        "run_lost": _INTERNAL,
        **dict.fromkeys(
            (
                "archive_entry_missing",
                "archive_for_others",
                "archive_layout_unknown",
                "archive_manifest_refused",
                "archive_refused",
                "archive_too_large",
                "archive_version_unknown",
                "cell_busy",
                "cursor_invalid",
                "move_aborted",
                "move_decided",
                "move_expired",
                "move_mac_invalid",
                "move_no_room",
                "move_not_found",
                "move_running",
                "move_secret_invalid",
                "move_source_refused",
                "move_target_invalid",
                "move_target_refused",
                "move_target_unreachable",
                "move_too_large",
                "no_archive",
                *("parts_missing", "parts_mixed"),
                "nothing_to_dismiss",
                "nothing_to_undo",
                "too_many_parts",
                "transfer_differs",
                "transfer_not_found",
                "transfer_not_ready",
                "transfer_refused",
            ),
            _GENERIC,
        ),
        "archive_unreadable": _INTERNAL,
        "import_lease_lost": _INTERNAL,
        "import_lost": _INTERNAL,
        "import_stopped": _INTERNAL,
        "move_incomplete": _INTERNAL,
        "move_silent": _INTERNAL,
        "entries_damaged": Shape(500, "server", "error.server.internal_file_error"),
    }

    def _domain(self, error: DomainError) -> tuple[int, dict[str, Any]]:
        if isinstance(error, DefinitionRefused):
            return 400, {"realm": "api", "code": f"error.api.{error.params['fault']}", "description": str(error)}
        return super()._domain(error)


class DownloadErrors(ExportErrors):
    """On file, zip and download everything but a missing login is 400 (§0.2 C4, C8)."""

    domain = ExportErrors.domain | {"export_not_found": _NOT_FOUND._replace(status=400)}


#: Where a browser is sent instead of being shown JSON: domain error -> localization key.
REDIRECT_KEYS: dict[str, str] = {
    "passkey_invalid": "export.invalid.passkey",
    "export_not_found": "export.not.found",
    "nothing_published": "export.not.done",
    "entry_not_found": "export.file.not.found",
    "volume_not_found": "export.file.not.found",
    "not_authenticated": "export.not.authenticated",
    "session_not_found": "export.not.authenticated",
    "session_invalid": "export.not.authenticated",
}


def error_redirect(error: Exception) -> HttpResponseRedirect:
    key = REDIRECT_KEYS.get(error.code, "export.generic") if isinstance(error, DomainError) else "export.generic"
    return HttpResponseRedirect(f"/#server_error:{key}")
