"""`/api/v1/cell/<name>/files/<path>`: files and folders (design §9)."""

import base64
import binascii
import re
from datetime import UTC, datetime
from typing import Any

from django.http.response import HttpResponseBase
from django.utils.http import http_date
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from cells import reading, writing
from cells.api.base import V1ViewSet, media_type, query_integer, truth
from cells.api.bodies import body_stream, content_length
from cells.api.errors import ApiError
from cells.api.ranges import etags, ranged_response
from cells.blobs import BlobStore
from cells.errors import FileNotFound
from cells.models import Cell, File
from cells.validators import normal_path

#: A page of a list is held in memory.
LARGEST_PAGE = 10_000
#: Content is the user's: in a browser it must not act in our name.
SANDBOX = {"Content-Security-Policy": "sandbox; default-src 'none'", "X-Content-Type-Options": "nosniff"}
_HASHES = {"sha-256": "sha256", "sha-512": "sha512"}
_DIGEST = re.compile(r"\s*([\w-]+)=(:?)([A-Za-z0-9+/=]+):?\s*")
_CONTENT_TYPE = re.compile(r"[\w.+-]+/[\w.+-]+(\s*;[\x20-\x7e]*)?", re.ASCII)


class FileSerializer(serializers.Serializer):
    """For the API description."""

    path = serializers.CharField()
    type = serializers.ChoiceField(["file", "folder"])
    mtime = serializers.DateTimeField()
    size = serializers.IntegerField(required=False)
    sha256 = serializers.CharField(required=False)
    crc32 = serializers.CharField(required=False, help_text="8 hexadecimal digits")
    content_type = serializers.CharField(required=False)
    executable = serializers.BooleanField(required=False)
    version = serializers.IntegerField(required=False, help_text="counts the contents this path has had")


class FilesSerializer(serializers.Serializer):
    folder = serializers.CharField()
    objects = FileSerializer(many=True)  # type: ignore[assignment]
    after = serializers.CharField(allow_null=True, help_text="`after` of the next page; null on the last")


_BODY = {"application/octet-stream": OpenApiTypes.BINARY}
_PAGE = [OpenApiParameter("after", str), OpenApiParameter("limit", int), OpenApiParameter("recursive", bool)]
_HEADERS = [
    OpenApiParameter("X-Mtime", OpenApiTypes.DATETIME, OpenApiParameter.HEADER),
    OpenApiParameter("X-Executable", bool, OpenApiParameter.HEADER),
    OpenApiParameter("Digest", str, OpenApiParameter.HEADER, description="sha-256=<base64>; also Content-Digest"),
    OpenApiParameter("If-Match", str, OpenApiParameter.HEADER),
    OpenApiParameter("If-None-Match", str, OpenApiParameter.HEADER),
]


class FilesViewSet(V1ViewSet):
    @extend_schema(
        summary="A file's content (Range is answered), or a page of a folder",
        parameters=_PAGE,
        responses={(200, "application/octet-stream"): OpenApiTypes.BINARY, (200, "application/json"): FilesSerializer},
    )
    def read(self, request: Request, name: str, path: str = "") -> HttpResponseBase:
        cell = reading.cell_get(name=name, user=request.user, token=request.auth)
        if path in ("", "/"):
            return self._page(request, cell, "")
        file = reading.file_get(cell=cell, path=path)
        if file.is_folder:
            return self._page(request, cell, file.path)
        if path.endswith("/"):
            raise FileNotFound(path=path)
        return self._content(request, file)

    @extend_schema(
        summary="Store a file; with a path that ends in / make a folder",
        parameters=_HEADERS,
        request=_BODY,
        responses={200: FileSerializer, 201: FileSerializer},
    )
    def update(self, request: Request, name: str, path: str) -> Response:
        cell = reading.cell_get(name=name, user=request.user, token=request.auth)
        length = content_length(request)
        if path.endswith("/"):
            if length:
                raise ApiError("invalid_content", "A folder has no content.")
            created = writing.folder_create(cell=cell, path=path)
            told = file_json(reading.file_get(cell=cell, path=path))
            return Response(told, status=201 if created else 200)
        file, created = writing.file_put(
            cell=cell,
            path=path,
            stream=body_stream(request),
            length=length,
            mtime=_mtime(request),
            executable=_executable(request),
            content_type=_content_type(request),
            digests=_digests(request),
            if_match=etags(request, "HTTP_IF_MATCH"),
            if_none_match=etags(request, "HTTP_IF_NONE_MATCH", weak=True),
        )
        return Response(file_json(file), status=201 if created else 200, headers={"ETag": f'"{file.blob_id}"'})

    @extend_schema(summary="Delete a file, or a folder with all that is in it", responses=OpenApiTypes.OBJECT)
    def destroy(self, request: Request, name: str, path: str) -> Response:
        cell = reading.cell_get(name=name, user=request.user, token=request.auth)
        if path.endswith("/") and not reading.file_get(cell=cell, path=path).is_folder:
            raise FileNotFound(path=path)
        writing.file_delete(cell=cell, path=path, if_match=etags(request, "HTTP_IF_MATCH"))
        return Response({})

    def _content(self, request: Request, file: File) -> HttpResponseBase:
        store = BlobStore()
        return ranged_response(
            request,
            length=file.size,
            etag=file.blob_id,
            content_type=file.content_type,
            chunks=lambda start, end: store.open(file.blob, start, end),
            headers={
                **SANDBOX,
                "Last-Modified": http_date(file.mtime.timestamp()),
                "X-Mtime": iso(file.mtime),
                "X-Executable": "true" if file.executable else "false",
            },
        )

    def _page(self, request: Request, cell: Cell, folder: str) -> Response:
        limit = min(query_integer(request, "limit", 1000), LARGEST_PAGE)
        after = request.query_params.get("after")
        recursive = truth(request.query_params.get("recursive", "false"), "recursive")
        if after is not None:
            after = normal_path(after)
        files = reading.files_list(cell=cell, folder=folder, after=after, limit=limit + 1, recursive=recursive)
        page = files[:limit]
        following = page[-1].path if page and len(files) > limit else None
        return Response({"folder": folder, "objects": [file_json(file) for file in page], "after": following})


def file_json(file: File) -> dict[str, Any]:
    told: dict[str, Any] = {"path": file.path, "type": "folder" if file.is_folder else "file", "mtime": iso(file.mtime)}
    if file.blob is not None:
        told |= {
            "size": file.size,
            "sha256": file.blob_id,
            "crc32": f"{file.blob.crc32:08x}",
            "content_type": file.content_type,
            "executable": file.executable,
            "version": file.version,
        }
    return told


def iso(moment: datetime) -> str:
    """UTC with Z, to the microsecond, the year in four digits (which strftime gives only after 999)."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def _mtime(request: Request) -> datetime | None:
    text = request.META.get("HTTP_X_MTIME")
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text.strip())
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ApiError("invalid_value", "X-Mtime must be a date and time of ISO 8601.") from error


def _executable(request: Request) -> bool:
    return truth(request.META.get("HTTP_X_EXECUTABLE", "false"), "X-Executable")


def _content_type(request: Request) -> str | None:
    """None when the client did not choose one: `curl --data-binary` calls everything a form."""
    if media_type(request) in ("", "application/x-www-form-urlencoded"):
        return None
    text = request.META["CONTENT_TYPE"].strip()
    if len(text) > 127 or not _CONTENT_TYPE.fullmatch(text):
        raise ApiError("invalid_value", "Content-Type must be a media type of at most 127 characters.")
    return text


def _digests(request: Request) -> dict[str, bytes]:
    """`Digest` (RFC 3230), `Content-Digest` and `Repr-Digest` (RFC 9530), by the names of hashlib.

    A header of which no algorithm is known is refused: who sends one wants it checked.
    """
    digests: dict[str, bytes] = {}
    for name in ("HTTP_DIGEST", "HTTP_CONTENT_DIGEST", "HTTP_REPR_DIGEST"):
        if (text := request.META.get(name)) is not None:
            digests |= _known_digests(text)
    return digests


def _known_digests(text: str) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for part in text.split(","):
        match = _DIGEST.fullmatch(part)
        algorithm = _HASHES.get(match[1].lower()) if match else None
        if algorithm:
            try:
                found[algorithm] = base64.b64decode(match[3], validate=True)
            except binascii.Error as error:
                raise ApiError("invalid_value", "The digest is not base64.") from error
    if not found:
        raise ApiError("invalid_value", "The digest must be sha-256=<base64> or sha-512=<base64>.")
    return found
