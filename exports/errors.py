"""Every domain error of exporting, once. Dialects give them shapes; see `cells.errors` for the base."""

from cells.errors import DomainError, Kind


class ExportNotFound(DomainError):
    """Export {id} not found."""

    code = "export_not_found"
    kind = Kind.NOT_FOUND


class ExportNotRunning(DomainError):
    """Export {id} is not running."""

    code = "export_not_running"
    kind = Kind.NOT_FOUND


class AlreadyRunning(DomainError):
    """Export {id} is pending or processing already."""

    code = "export_already_running"
    kind = Kind.CONFLICT


class ExportNameRequired(DomainError):
    """An export with schedules needs an explicit name."""

    code = "export_name_required"


class ExportNameTaken(DomainError):
    """You have another export called {name!r}."""

    code = "export_name_taken"
    kind = Kind.CONFLICT


class VersionMismatch(DomainError):
    """The export is at version {expected} after this update, not {provided}."""

    code = "version_mismatch"
    kind = Kind.CONFLICT


class DefinitionRefused(DomainError):
    """{attribute}: {reason}."""

    #: `fault` in params says which: attribute_expected, type_mismatch, invalid_value or attribute_not_accepted.
    code = "definition_refused"


class SearchQueryTooLong(DomainError):
    """A string that is searched for is longer than 256 characters."""

    code = "search_query_too_long"


class PasskeyInvalid(DomainError):
    """The passkey opens no export."""

    code = "passkey_invalid"
    kind = Kind.FORBIDDEN


class NothingPublished(DomainError):
    """Export {id} has no archive to download: it is {state}."""

    code = "nothing_published"


class EntryNotFound(DomainError):
    """The export holds no {what} called {path!r}."""

    code = "entry_not_found"


class VolumeNotFound(DomainError):
    """The export offers no archive called {name!r}."""

    code = "volume_not_found"


class LeaseLost(DomainError):
    """Run {run_id} belongs to another worker now."""

    code = "lease_lost"
    kind = Kind.CONFLICT


class RunStopped(DomainError):
    """Run {run_id} was asked to stop."""

    code = "run_stopped"
    kind = Kind.CONFLICT


class RunLost(DomainError):
    """Run {run_id} lost its worker {attempts} times."""

    code = "run_lost"
    kind = Kind.UNAVAILABLE


class EgressRefused(DomainError):
    """{host!r} cannot be connected to: {reason}."""

    code = "egress_refused"


class DeliveryNotFailed(DomainError):
    """Only a failed delivery can be tried again; this one is {state}."""

    code = "delivery_not_failed"
    kind = Kind.CONFLICT


class TransportNotFound(DomainError):
    """The export has no transport {id}."""

    code = "transport_not_found"
    kind = Kind.NOT_FOUND


class TransportTestRunning(DomainError):
    """A test of one of your transports is running already."""

    code = "transport_test_running"
    kind = Kind.CONFLICT


class SecretsUnreadable(DomainError):
    """The stored credentials cannot be read: SECRET_KEY has changed. They have to be entered again."""

    code = "secrets_unreadable"
    kind = Kind.UNAVAILABLE


class EntriesDamaged(DomainError):
    """{count} entries cannot be read whole."""

    code = "entries_damaged"
    kind = Kind.UNAVAILABLE

    def __init__(self, damaged: dict[int, str]) -> None:
        self.damaged = damaged
        super().__init__(count=len(damaged))


class CellBusy(DomainError):
    """Because [{job}] is being executed, cell {name!r} has to wait."""

    code = "cell_busy"
    kind = Kind.CONFLICT


class NothingToUndo(DomainError):
    """Cell {name!r} has no import that could be undone."""

    code = "nothing_to_undo"
    kind = Kind.CONFLICT


class NothingToDismiss(DomainError):
    """Cell {name!r} has no failed import."""

    code = "nothing_to_dismiss"
    kind = Kind.CONFLICT


class ImportLeaseLost(DomainError):
    """Import {import_id} belongs to another worker now."""

    code = "import_lease_lost"
    kind = Kind.CONFLICT


class ImportLost(DomainError):
    """Import {import_id} lost its worker {attempts} times."""

    code = "import_lost"
    kind = Kind.UNAVAILABLE


class ImportStopped(DomainError):
    """Import {import_id} was stopped."""

    code = "import_stopped"
    kind = Kind.CONFLICT


class ArchiveUnreadable(DomainError):
    """The archive cannot be read: {reason}."""

    code = "archive_unreadable"
    kind = Kind.UNAVAILABLE


class NoArchive(DomainError):
    """This is no archive that can be imported: {reason}."""

    code = "no_archive"


class ArchiveLayoutUnknown(DomainError):
    """{reason}."""

    code = "archive_layout_unknown"


class ArchiveForOthers(DomainError):
    """{name!r} was made for other programs. Import an export whose documents are complete ("documents": "lines")."""

    code = "archive_for_others"


class ArchiveEntryMissing(DomainError):
    """{path!r} is not in the archive."""

    code = "archive_entry_missing"


class ArchiveVersionUnknown(DomainError):
    """The archive's version is {found}, not {expected}."""

    code = "archive_version_unknown"


class ArchiveManifestRefused(DomainError):
    """{name!r} in the archive cannot be read: {reason}."""

    code = "archive_manifest_refused"


class ArchiveRefused(DomainError):
    """{entry!r} in the archive is refused: {reason}."""

    code = "archive_refused"


class ArchiveTooLarge(DomainError):
    """The archive has {found} {what}; {limit} are allowed."""

    code = "archive_too_large"
    kind = Kind.TOO_LARGE


class PartsMissing(DomainError):
    """Not all parts of the export are here; missing: {names}."""

    code = "parts_missing"
    kind = Kind.INVALID


class PartsMixed(DomainError):
    """These parts do not belong together: {name} is there {count} times."""

    code = "parts_mixed"
    kind = Kind.INVALID


class MoveRunning(DomainError):
    """export: an archive is already being created"""

    code = "move_running"
    kind = Kind.CONFLICT


class MoveMacInvalid(DomainError):
    """exports: invalid mac"""

    code = "move_mac_invalid"
    kind = Kind.FORBIDDEN


class MoveNotFound(DomainError):
    """exports: not found"""

    code = "move_not_found"
    kind = Kind.NOT_FOUND


class MoveExpired(DomainError):
    """exports: has expired"""

    code = "move_expired"
    kind = Kind.NOT_FOUND


class CursorInvalid(DomainError):
    """export: cursor is invalid"""

    code = "cursor_invalid"


class TooManyParts(DomainError):
    """export: more than {limit} parts; a larger parts_size makes fewer"""

    code = "too_many_parts"


class MoveTooLarge(DomainError):
    """import: not enough disk space"""

    code = "move_too_large"  # {missing} of the {needed} bytes do not fit the cell's quota of {quota}
    kind = Kind.TOO_LARGE


class MoveSecretInvalid(DomainError):
    """Invalid secret"""

    code = "move_secret_invalid"


class MoveTargetInvalid(DomainError):
    """Invalid target_url"""

    code = "move_target_invalid"


class MoveTargetUnreachable(DomainError):
    """Cannot reach the other Cozy"""

    code = "move_target_unreachable"


class MoveTargetRefused(DomainError):
    """The other server refused the move: {reason}."""

    code = "move_target_refused"
    kind = Kind.CONFLICT


class MoveSourceRefused(DomainError):
    """The other server refused to go on: {reason}."""

    code = "move_source_refused"
    kind = Kind.CONFLICT


class MoveAborted(DomainError):
    """The move was aborted: {reason}."""

    code = "move_aborted"
    kind = Kind.CONFLICT


class MoveDecided(DomainError):
    """The cell has moved to {url}: that cannot be aborted any more."""

    code = "move_decided"
    kind = Kind.CONFLICT


class MoveSilent(DomainError):
    """The other server has not answered for {minutes} minutes."""

    code = "move_silent"
    kind = Kind.UNAVAILABLE


class MoveIncomplete(DomainError):
    """{count} contents of the cell are damaged, and a move takes all or nothing."""

    code = "move_incomplete"
    kind = Kind.UNAVAILABLE


class MoveNoRoom(DomainError):
    """{missing} of {needed} bytes do not fit the cell's quota of {quota} bytes."""

    code = "move_no_room"
    kind = Kind.TOO_LARGE


class TransferNotFound(DomainError):
    """There is no such transfer."""

    code = "transfer_not_found"
    kind = Kind.NOT_FOUND


class TransferNotReady(DomainError):
    """The transfer is {state}."""

    code = "transfer_not_ready"
    kind = Kind.CONFLICT


class TransferRefused(DomainError):
    """What the other server offers is refused: {reason}."""

    code = "transfer_refused"


class TransferDiffers(DomainError):
    """What has arrived is not what the other server holds: their digests differ."""

    code = "transfer_differs"
