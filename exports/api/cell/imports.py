"""`/{cell}/__import` (`spec/cell.md §8`), and what we added: `?check=true`, `/undo`, DELETE, `Mode`.

A check of a small archive is answered at once; of a larger one with 202, and GET `?check=true` tells the rest.
"""

from typing import Any

from django.http import HttpResponse
from django.http.response import HttpResponseBase
from rest_framework.request import Request

from cells.api.base import truth
from cells.api.errors import ApiError
from cells.errors import FileNotFound
from cells.models import SnapshotFile
from cells.snapshots import snapshot_get
from exports.api.cell import openapi
from exports.api.cell.addresses import cell_url
from exports.api.cell.base import CellViews, answer, json_object
from exports.api.cell.errors import CellError, told_error
from exports.api.cell.exports import moment, percent, snapshot_stem
from exports.api.cell.words import IMPORT_WORDS, READY
from exports.models import Import, ImportCheck, ImportMode
from exports.services import import_checks, imports
from exports.services.cell_jobs import import_failed, import_running
from exports.services.snapshot_rows import ARCHIVE
from exports.services.snapshots import snapshot_source
from exports.states import ImportState

#: Bytes of an archive that are read while a client waits. They can hold 250 times as much; that takes some seconds.
CHECKED_AT_ONCE = 8 << 20


class ImportViews(CellViews):
    allow = "OPTIONS, GET, POST"
    survives_failure = True

    @openapi.import_get
    def read(self, request: Request, cell: str) -> HttpResponseBase:
        """What runs goes before what failed: a client that tries again shall not see the old failure."""
        if _check_asked(request):
            return answer(_check_told(import_checks.check_last(cell=self.cell, owner=self.cell.owner)))
        if row := import_running(cell=self.cell):
            return answer(_told(row))
        if row := import_failed(cell=self.cell):
            return answer(_told(row) | {"message": told_error(row.error)})
        return answer({"status": READY})

    @openapi.import_post
    def create(self, request: Request, cell: str) -> HttpResponseBase:
        self.refuse_job()
        body = json_object(request)
        if body is None:
            raise CellError("PR400-CM-0004", "")
        if body.get("Name") is None:
            raise CellError("PR400-CM-0001", "Name")
        stem, mode = snapshot_stem(body["Name"]), _mode(body.get("Mode"))
        file = self._snapshot(stem + ARCHIVE)
        archive = snapshot_source(file)
        if _check_asked(request):
            return self._check(file, archive, stem)
        imports.import_start(
            cell=self.cell, owner=self.cell.owner, archive=archive, mode=mode, name=stem, snapshots_only=True
        )
        return HttpResponse(status=202, headers={"Location": f"{cell_url(self.cell)}__import"})

    def _check(self, file: SnapshotFile, archive: str, stem: str) -> HttpResponseBase:
        if (file.size or 0) <= CHECKED_AT_ONCE:
            return answer(imports.import_check(cell=self.cell, archive=archive, snapshots_only=True))
        import_checks.check_order(
            cell=self.cell, owner=self.cell.owner, archive=archive, name=stem, snapshots_only=True
        )
        return HttpResponse(status=202, headers={"Location": f"{cell_url(self.cell)}__import?check=true"})

    @openapi.import_delete
    def destroy(self, request: Request, cell: str) -> HttpResponseBase:
        """The owner has seen that the last import failed; the cell is normal again."""
        imports.import_dismiss(cell=self.cell)
        return HttpResponse(status=204)

    def _snapshot(self, name: str) -> SnapshotFile:
        try:
            return snapshot_get(cell=self.cell, name=name)
        except FileNotFound as error:
            raise CellError("PR404-DV-0001", name) from error


class UndoViews(CellViews):
    allow = "OPTIONS, POST"

    @openapi.undo_post
    def create(self, request: Request, cell: str) -> HttpResponseBase:
        imports.import_undo(cell=self.cell)
        return HttpResponse(status=204)


def _told(row: Import) -> dict[str, Any]:
    return {
        "status": IMPORT_WORDS[ImportState(row.state)],
        "started_at": moment(row.started_at),
        "progress": percent(row.done, row.total),
        "importation_name": row.name,
    }


def _check_told(row: ImportCheck | None) -> dict[str, Any]:
    """The report, once there is one; before it, and in place of it, the words of an import."""
    if row is None:
        return {"status": READY}
    if row.report is not None:
        return row.report
    told = {
        "started_at": moment(row.started_at),
        "progress": percent(row.done, row.total),
        "importation_name": row.name,
    }
    if row.finished_at is None:
        return {"status": "check in progress"} | told
    return {"status": "check failed"} | told | {"message": told_error(row.error)}


def _mode(given: Any) -> ImportMode:
    if given is None:
        return ImportMode.REPLACE
    if given not in ImportMode.values:
        raise CellError("PR400-CM-0002", "Mode", "|".join(ImportMode.values))
    return ImportMode(given)


def _check_asked(request: Request) -> bool:
    try:
        return truth(request.query_params.get("check", "false"), "check")
    except ApiError as error:
        raise CellError("PR400-CM-0002", "check", "true|false") from error
