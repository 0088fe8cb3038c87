"""`/__ctl/Cell`: the cells of the unit, as OData has them (`spec/cell.md §13.1`)."""

import re
from typing import Any

from django.db.models import QuerySet
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from rest_framework.request import Request

from cells import reading, writing
from cells.errors import NameRefused
from cells.models import Cell
from exports.api.cell import access
from exports.api.cell.addresses import unit_url
from exports.api.cell.base import DialectViews, answer, etag_matches, json_object
from exports.api.cell.errors import CellError
from exports.services.cell_jobs import import_running

DEFAULT_TOP, LARGEST_TOP = 25, 10_000
_KEY = re.compile(r"(?:Name=)?'([^']*)'")
_NUMBER = re.compile(r"[0-9]{1,9}")
_ETAG = re.compile(r'W/"[^"]*"')
#: OData's own; nobody may set them.
_COMPUTED = ("__published", "__updated", "__metadata")


class _ControlViews(DialectViews):
    def admit(self, request: Request) -> None:
        self.who = access.caller(request, unit_url())
        access.unit_check(self.who)

    def cells(self) -> QuerySet[Cell]:
        return Cell.objects.order_by("name") if self.who.user.is_superuser else reading.cells_of(self.who.user)


class CellsViews(_ControlViews):
    allow = "OPTIONS, GET, POST"

    def list(self, request: Request) -> HttpResponseBase:
        top = min(_number(request, "$top", DEFAULT_TOP), LARGEST_TOP)
        skip = _number(request, "$skip", 0)
        told: dict[str, Any] = {"results": [_cell_json(cell) for cell in self.cells()[skip : skip + top]]}
        if request.query_params.get("$inlinecount") == "allpages":
            told["__count"] = str(self.cells().count())
        return answer({"d": told}, DataServiceVersion="2.0")

    def create(self, request: Request) -> HttpResponseBase:
        name = _name(request)
        try:
            cell = writing.cell_create(name=name, owner=self.who.user)
        except NameRefused as error:
            raise CellError("PR400-OD-0006", "Name") from error
        url = _url(cell)
        return answer(
            {"d": {"results": _cell_json(cell)}}, 201, Location=url, ETag=_etag(cell), DataServiceVersion="2.0"
        )


class CellViews(_ControlViews):
    allow = "OPTIONS, GET, PUT, MERGE, DELETE"

    def read(self, request: Request, key: str) -> HttpResponseBase:
        cell = self._cell(key)
        if request.META.get("HTTP_IF_NONE_MATCH") == _etag(cell):
            return HttpResponse(status=304, headers={"ETag": _etag(cell)})
        return answer({"d": {"results": _cell_json(cell)}}, ETag=_etag(cell), DataServiceVersion="2.0")

    def update(self, request: Request, key: str) -> HttpResponseBase:
        cell = self._writable(request, key)
        try:
            renamed = writing.cell_rename(cell=cell, name=_name(request))
        except NameRefused as error:
            raise CellError("PR400-OD-0006", "Name") from error
        return HttpResponse(status=204, headers={"ETag": _etag(renamed), "DataServiceVersion": "2.0"})

    def destroy(self, request: Request, key: str) -> HttpResponseBase:
        writing.cell_delete(cell=self._writable(request, key), only_empty=True)
        return HttpResponse(status=204, headers={"DataServiceVersion": "2.0"})

    def _cell(self, key: str) -> Cell:
        found = _KEY.fullmatch(key)
        if not found:
            raise CellError("PR400-OD-0004")
        name = found[1]
        cell = Cell.objects.select_related("owner").filter(name=name).first() if "\0" not in name else None
        if cell is None:
            raise CellError("PR404-OD-0002")
        access.unit_owner_check(self.who, cell)
        return cell

    def _writable(self, request: Request, key: str) -> Cell:
        """One that has moved can be deleted here; there is no such call for it elsewhere."""
        cell = self._cell(key)
        if import_running(cell=cell):
            raise CellError("PR409-CM-0002", "cell import")
        given = request.META.get("HTTP_IF_MATCH")
        if given is not None and not (given == "*" or (_ETAG.fullmatch(given) and etag_matches(given, _etag(cell)))):
            raise CellError("PR412-OD-0002")
        return cell


def _name(request: Request) -> str:
    try:
        told = json_object(request)
    except CellError as error:
        raise CellError("PR400-OD-0001") from error
    if told is None:
        raise CellError("PR400-OD-0001")
    for key in told:
        if key in _COMPUTED or key != "Name":
            raise CellError("PR400-OD-0007", key)
    if told.get("Name") is None:
        raise CellError("PR400-OD-0009", "Name")
    if not isinstance(told["Name"], str):
        raise CellError("PR400-OD-0006", "Name")
    return told["Name"]


def _number(request: Request, name: str, default: int) -> int:
    given = request.query_params.get(name, "")
    return int(given) if _NUMBER.fullmatch(given) else default


def _ms(moment: Any) -> int:
    return int(moment.timestamp() * 1000)


def _url(cell: Cell) -> str:
    return f"{unit_url()}__ctl/Cell('{cell.name}')"


def _etag(cell: Cell) -> str:
    return f'W/"{cell.version}-{_ms(cell.updated_at)}"'


def _cell_json(cell: Cell) -> dict[str, Any]:
    return {
        "__metadata": {"uri": _url(cell), "etag": _etag(cell), "type": "UnitCtl.Cell"},
        "Name": cell.name,
        "__published": f"/Date({_ms(cell.created_at)})/",
        "__updated": f"/Date({_ms(cell.updated_at)})/",
    }
