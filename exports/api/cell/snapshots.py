"""`/{cell}/__snapshot` and the files in it (`spec/cell.md §12`)."""

import re
from collections.abc import Callable, Iterator

import orjson
from django.http import HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from rest_framework.request import Request

from cells.api.files import SANDBOX
from cells.api.ranges import begun
from cells.errors import DomainError, FileNotFound, PreconditionFailed
from cells.models import Cell, SnapshotFile
from cells.snapshots import snapshot_etag, snapshot_get, snapshots_of
from exports.api.cell import openapi
from exports.api.cell.addresses import snapshot_url
from exports.api.cell.base import CellViews, content_length, etag_matches
from exports.api.cell.errors import CellError, told_error
from exports.api.cell.xml import Resource, depth_of, multistatus, propfind_check
from exports.services import snapshots

_RANGES = re.compile(r"bytes=(.*)", re.IGNORECASE)
_RANGE = re.compile(r"\s*(\d{0,18})-(\d{0,18})\s*", re.ASCII)
#: More of them in one request are an attack, not a request (§12.2).
_MOST_RANGES = 13
_CONTENT_TYPE = re.compile(r"[\w.+-]+/[\w.+-]+(\s*;[\x20-\x7e]*)?", re.ASCII)
_NO_TYPE = "application/octet-stream"


class AreaViews(CellViews):
    """No part of what a cell holds: it stays where it is when the cell moves, and nothing comes into it any more."""

    allow = "OPTIONS, PROPFIND"
    moves = False

    def propfind(self, request: Request, cell: str) -> HttpResponseBase:
        propfind_check(request)
        depth = depth_of(request)
        resources = [cell_resource(self.cell, snapshot_url(self.cell))]
        if depth:
            resources += [_resource(self.cell, file) for file in snapshots_of(self.cell)]
        return multistatus_response(self.cell, resources, cell_etag(self.cell))


class FileViews(CellViews):
    allow = "OPTIONS, GET, PUT, DELETE, PROPFIND"
    moves = False

    def refuse_method(self, request: Request) -> None:
        if request.method == "REPORT":
            raise CellError("PR501-MC-0001")
        super().refuse_method(request)

    def options(self, request: Request, *args: str, **kwargs: str) -> HttpResponseBase:
        if not self.open_options:
            self._file(kwargs["name"])
        return super().options(request, *args, **kwargs)

    def propfind(self, request: Request, cell: str, name: str) -> HttpResponseBase:
        file = self._file(name)
        propfind_check(request)
        depth_of(request)
        return multistatus_response(self.cell, [_resource(self.cell, file)], quoted_etag(file))

    @openapi.snapshot_get
    def read(self, request: Request, cell: str, name: str) -> HttpResponseBase:
        file = self._file(name)
        size, chunks = self._content(file)
        etag = quoted_etag(file)
        headers = {**SANDBOX, "ETag": etag, "Accept-Ranges": "bytes"}
        if request.META.get("HTTP_IF_NONE_MATCH") in (etag, f"W/{etag}"):
            return HttpResponse(status=304, headers=headers)
        span = _span(request, size, etag)
        start, end = span or (0, size)
        if span:
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
        headers["Content-Length"] = str(end - start)
        status = 206 if span else 200
        if request.method == "HEAD" or start == end:
            return HttpResponse(status=status, content_type=file.content_type, headers=headers)
        body = begun(chunks(start, end))
        return StreamingHttpResponse(body, status=status, content_type=file.content_type, headers=headers)

    @openapi.snapshot_put
    def update(self, request: Request, cell: str, name: str) -> HttpResponseBase:
        self.refuse_moved()
        length = content_length(request)
        if length is None:
            # The server ends a chunked body that was cut like one that was whole: half an archive would be stored.
            raise CellError("PR411-MC-0001")
        try:
            stored = snapshots.snapshot_write(
                cell=self.cell,
                name=name,
                stream=request._request,
                length=length,
                content_type=_content_type(request),
                if_match=self._condition(request, name),
            )
        except PreconditionFailed as error:
            raise CellError("PR412-DV-0001") from error
        return HttpResponse(status=201 if stored.is_new else 204, headers={"ETag": quoted_etag(stored.file)})

    @openapi.snapshot_delete
    def destroy(self, request: Request, cell: str, name: str) -> HttpResponseBase:
        self._file(name)
        try:
            snapshots.snapshot_remove(cell=self.cell, name=name, if_match=self._condition(request, name))
        except FileNotFound as error:
            raise self._absent(name) from error
        return HttpResponse(status=204)

    def _file(self, name: str) -> SnapshotFile:
        try:
            return snapshot_get(cell=self.cell, name=name)
        except FileNotFound as error:
            raise self._absent(name) from error

    def _absent(self, name: str) -> CellError:
        return CellError("PR404-DV-0001", snapshot_url(self.cell, name))

    def _content(self, file: SnapshotFile) -> tuple[int, Callable[[int, int], Iterator[bytes]]]:
        if file.error is not None:
            content = _error_content(file)
            return len(content), lambda start, end: iter([content[start:end]])
        try:
            return file.size or 0, snapshots.snapshot_chunks(file)
        except DomainError as error:
            raise CellError("PR500-CM-0002", "read snapshot file") from error

    def _condition(self, request: Request, name: str) -> set[str] | None:
        """`If-Match` in the words of `cells.snapshots`: the file's own tag where it is that of now, else none's."""
        given = request.META.get("HTTP_IF_MATCH")
        if given is None or given.strip() == "*":
            return None
        file = snapshots_of(self.cell).filter(name=name).first() if "\0" not in name else None
        return {snapshot_etag(file)} if file and etag_matches(given, quoted_etag(file)) else {""}


def quoted_etag(file: SnapshotFile) -> str:
    return f'"{snapshot_etag(file)}"'


def cell_etag(cell: Cell) -> str:
    return f'"{cell.version}-{int(cell.updated_at.timestamp() * 1000)}"'


def cell_resource(cell: Cell, href: str) -> Resource:
    return Resource(href, cell.created_at, cell.updated_at)


def multistatus_response(cell: Cell, resources: list[Resource], etag: str) -> HttpResponseBase:
    text = multistatus(cell, resources)
    return HttpResponse(text.encode(), status=207, content_type="application/xml", headers={"ETag": etag})


def _resource(cell: Cell, file: SnapshotFile) -> Resource:
    size = len(_error_content(file)) if file.error is not None else file.size or 0
    return Resource(snapshot_url(cell, file.name), file.created_at, file.updated_at, size, file.content_type)


def _error_content(file: SnapshotFile) -> bytes:
    return orjson.dumps(told_error(file.error))


def _content_type(request: Request) -> str:
    given = request.META.get("CONTENT_TYPE", "").strip()
    return given if len(given) <= 127 and _CONTENT_TYPE.fullmatch(given) else _NO_TYPE


def _span(request: Request, size: int, etag: str) -> tuple[int, int] | None:
    """[start, end) of a single range; None is the whole. Raises CellError for ranges that cannot be answered."""
    found = _RANGES.fullmatch(request.META.get("HTTP_RANGE", "").strip())
    condition = request.META.get("HTTP_IF_RANGE")
    if not found or (condition is not None and condition.strip() != etag):
        return None
    given = found[1].split(",")
    parts = [_RANGE.fullmatch(part) for part in given]
    if len(given) > _MOST_RANGES or not all(part and (part[1] or part[2]) for part in parts):
        return None
    spans = [_one_span(part[1], part[2], size) for part in parts if part]
    if any(start > end for start, end in spans):
        return None  # reversed
    good = [(start, end) for start, end in spans if start < end]
    if not good:
        raise CellError("PR416-DV-0001", headers={"Content-Range": f"bytes */{size}"})
    if len(good) > 1:
        raise CellError("PR501-MC-0002", "Range-MultiPart")
    return good[0]


def _one_span(first: str, last: str, size: int) -> tuple[int, int]:
    """Start equals end when it lies behind the content, and is greater when it is reversed."""
    if not first:
        return max(size - int(last), 0), size
    if last and int(last) < int(first):
        return 1, 0
    if int(first) >= size:
        return 0, 0
    return int(first), min(int(last) + 1, size) if last else size
