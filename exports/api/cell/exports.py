"""`/{cell}/__export` (`spec/cell.md §5, §6`)."""

import re
from datetime import UTC, datetime
from typing import Any

from django.http import HttpResponse
from django.http.response import HttpResponseBase
from rest_framework.request import Request

from exports.api.cell import openapi
from exports.api.cell.addresses import cell_url
from exports.api.cell.base import CellViews, answer, json_object
from exports.api.cell.errors import CellError
from exports.api.cell.words import READY, RUN_WORDS
from exports.services import snapshots
from exports.states import RunState

PATTERN = "^[a-zA-Z0-9-_]{1,192}$"
_NAME = re.compile(r"[A-Za-z0-9_-]{1,192}")


class ExportViews(CellViews):
    allow = "OPTIONS, GET, POST"

    @openapi.export_get
    def read(self, request: Request, cell: str) -> HttpResponseBase:
        run = snapshots.snapshot_running(cell=self.cell)
        if run is None:
            return answer({"status": READY})
        return answer(
            {
                "status": RUN_WORDS[RunState(run.state)],
                "started_at": moment(run.created_at),
                "progress": f"{run.percent}%",
                "exportation_name": run.order["name"],
            }
        )

    @openapi.export_post
    def create(self, request: Request, cell: str) -> HttpResponseBase:
        self.refuse_job()
        given = (json_object(request) or {}).get("Name")
        snapshots.snapshot_start(cell=self.cell, name=None if given is None else snapshot_stem(given))
        return HttpResponse(status=202, headers={"Location": f"{cell_url(self.cell)}__export"})


def snapshot_stem(name: Any) -> str:
    """The name of a snapshot without its ending."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise CellError("PR400-CM-0002", "Name", PATTERN)
    return name


def moment(at: datetime) -> str:
    """UTC with exactly three decimals."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"


def percent(done: int, planned: int) -> str:
    return f"{min(done * 100 // planned, 100) if planned else 0}%"
