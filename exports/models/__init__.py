from exports.models.delivery import Delivery
from exports.models.export import Export, Transport
from exports.models.run import Event, Run, RunEntry, Volume
from exports.models.schedule import Schedule

__all__ = ["Delivery", "Event", "Export", "Run", "RunEntry", "Schedule", "Transport", "Volume"]
