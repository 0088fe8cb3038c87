from exports.models.export import Export, Transport
from exports.models.run import Event, Run, RunEntry, Volume

__all__ = ["Event", "Export", "Run", "RunEntry", "Transport", "Volume"]
