from exports.models.delivery import Delivery
from exports.models.export import Export, Transport
from exports.models.imports import Import, ImportCheck, ImportMode
from exports.models.moving import MoveExport
from exports.models.notification import Notification, NotificationKind
from exports.models.preference import Notify, Preference
from exports.models.rendition import Rendition
from exports.models.run import Event, Run, RunEntry, Volume
from exports.models.schedule import Schedule
from exports.models.transfer import Arrival, Departure, Received

__all__ = [
    "Arrival",
    "Delivery",
    "Departure",
    "Event",
    "Export",
    "Import",
    "ImportCheck",
    "ImportMode",
    "MoveExport",
    "Notification",
    "NotificationKind",
    "Notify",
    "Preference",
    "Received",
    "Rendition",
    "Run",
    "RunEntry",
    "Schedule",
    "Transport",
    "Volume",
]
