"""Events of what is inside an export: its objects, its assets, and their copies elsewhere (`spec/v1.md §9.6, §12`).

One each; where a run has more than EVENTS_OF_CONTENTS of them, one for each objecttype or class of assets, which says
how many.
"""

import json
from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.db import connection
from django.db.models import Count

from cells.finding import Found, found
from cells.frozen import Snapshot
from cells.search import Condition
from exports.models import Delivery, Event, Run, RunEntry

#: Transports that bring nothing anywhere.
_FETCHED = ("download", "email")
_EACH = """
    INSERT INTO exports_event (type, at, user_id, export_id, export_version, run_id, info)
    SELECT %(type)s, now(), %(user)s, %(export)s, %(version)s, %(run)s, %(info)s::jsonb || jsonb_build_object(
        'asset_id', asset_id, 'version', asset_version, 'class', asset_class, 'system_object_id', document_id)
    FROM exports_runentry WHERE run_id = %(run)s AND asset_id IS NOT NULL AND missing = '' ORDER BY ordinal
"""


class Objects:
    """The documents that a freeze takes, as its layout tells them."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.each: list[Found] = []

    def note(self, snapshot: Snapshot, cells: list[int], selection: Condition) -> None:
        self.counts, self.each = found(snapshot, cells, selection, most=settings.EVENTS_OF_CONTENTS)


def objects_write(run: Run, objects: Objects) -> None:
    """Once, when what the archive holds is sealed."""
    Event.objects.bulk_create([_event(run, "EXPORT_OBJECT", info) for info in _infos(objects)], batch_size=500)


def _infos(objects: Objects) -> Iterator[dict[str, Any]]:
    if objects.each:
        for objecttype, id, version in objects.each:
            yield {"objecttype": objecttype, "object_id": id, "object_version": version}
    else:
        yield from ({"objecttype": objecttype, "count": count} for objecttype, count in objects.counts.items())


def assets_write(run: Run) -> None:
    _of_assets(run, "EXPORT_ASSET", {})


def copies_write(delivery: Delivery) -> None:
    """Nothing where a delivery is a mail, or waits to be fetched."""
    if delivery.type in _FETCHED:
        return
    run, transport = delivery.run, delivery.transport
    scheduled = "_SCHEDULED" if "scheduled" in run.order else ""
    uuid = str(transport.uuid) if transport else None
    _of_assets(run, f"ASSET_EXPORT_TRANSPORT_COPY{scheduled}", {"transport": {"type": delivery.type, "uuid": uuid}})


def _of_assets(run: Run, type: str, info: dict[str, Any]) -> None:
    """Two versions of an asset are two of them."""
    info = {**info, "export": {"_id": run.export_id, "_version": run.order.get("version")}}
    entries = RunEntry.objects.filter(run=run, asset_id__isnull=False, missing="")
    counts = dict(entries.values_list("asset_class").annotate(count=Count("*")).order_by("asset_class"))
    if sum(counts.values()) > settings.EVENTS_OF_CONTENTS:
        some = [_event(run, type, {**info, "class": name, "count": count}) for name, count in counts.items()]
        Event.objects.bulk_create(some)
    elif counts:
        whole = _event(run, type, info)
        values = {"type": type, "user": whole.user_id, "export": whole.export_id, "version": whole.export_version}
        with connection.cursor() as cursor:
            cursor.execute(_EACH, {**values, "run": run.pk, "info": json.dumps(info)})


def _event(run: Run, type: str, info: dict[str, Any]) -> Event:
    version = run.order.get("version")
    of = {"user_id": run.owner_id, "export_id": run.export_id, "export_version": version, "run_id": run.pk}
    return Event(type=type, info=info, **of)
