"""`/api/v1/cell`: list, create, show, delete; and `move` inside one (design §9)."""

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, inline_serializer
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from cells import reading, writing
from cells.api.base import V1ViewSet, json_object, query_integer
from cells.api.errors import ApiError
from cells.api.files import FileSerializer, file_json
from cells.errors import AccessDenied
from cells.models import Cell, Document
from cells.quota import bytes_kept, bytes_used
from cells.tokens import SESSION

_NEW = inline_serializer(
    "NewCell", {"name": serializers.CharField(), "quota": serializers.IntegerField(required=False, allow_null=True)}
)
_MOVE = inline_serializer("Move", {"from": serializers.CharField(), "to": serializers.CharField()})
_LARGEST_QUOTA = 2**63 - 1


class CellSerializer(serializers.Serializer):
    """For the API description."""

    name = serializers.CharField()
    owner = serializers.CharField(help_text="login name")
    quota = serializers.IntegerField(allow_null=True, help_text="bytes; null is no limit")
    used = serializers.IntegerField(help_text="bytes of documents, files and old versions")
    kept = serializers.IntegerField(help_text="bytes besides, of what imports replaced: undo brings it back")
    created = serializers.DateTimeField()
    moved_to = serializers.URLField(required=False, help_text="where it is now; all other calls lead there")
    documents = serializers.IntegerField(required=False)
    files = serializers.IntegerField(required=False)
    folders = serializers.IntegerField(required=False)


class CellListSerializer(serializers.Serializer):
    limit = serializers.IntegerField(allow_null=True)
    offset = serializers.IntegerField()
    count = serializers.IntegerField()
    objects = CellSerializer(many=True)  # type: ignore[assignment]


class CellViewSet(V1ViewSet):
    @extend_schema(
        summary="The cells you own",
        parameters=[OpenApiParameter("limit", int), OpenApiParameter("offset", int)],
        responses=CellListSerializer,
    )
    def list(self, request: Request) -> Response:
        limit, offset = query_integer(request, "limit", None), query_integer(request, "offset", 0)
        cells = reading.cells_of(request.user, request.auth)
        page = cells.select_related("owner")[offset : offset + (1000 if limit is None else limit)]
        objects = [cell_json(cell) for cell in page]
        return Response({"limit": limit, "offset": offset, "count": cells.count(), "objects": objects})

    @extend_schema(summary="Make a cell", request=_NEW, responses={201: CellSerializer})
    def create(self, request: Request) -> Response:
        _session_needed(request, "making cells")
        data = json_object(request)
        if unknown := data.keys() - {"name", "quota"}:
            raise ApiError("attribute_not_accepted", f"There is no attribute {min(unknown)!r}.")
        name, quota = text_of(data, "name"), data.get("quota")
        if quota is not None and type(quota) is not int:
            raise ApiError("type_mismatch", "quota must be an integer or null.")
        if quota is not None and not 0 <= quota <= _LARGEST_QUOTA:
            raise ApiError("invalid_value", "quota must not be negative.")
        return Response(cell_json(writing.cell_create(name=name, owner=request.user, quota=quota)), status=201)

    @extend_schema(summary="One cell", responses=CellSerializer)
    def read(self, request: Request, name: str) -> Response:
        cell = reading.cell_get(name=name, user=request.user, token=request.auth)
        files = reading.files_of(cell)
        return Response(
            cell_json(cell)
            | {
                "documents": Document.objects.filter(cell=cell, generation=cell.generation).count(),
                "files": files.filter(is_folder=False).count(),
                "folders": files.filter(is_folder=True).count(),
            }
        )

    @extend_schema(summary="Delete a cell with all its content", responses=OpenApiTypes.OBJECT)
    def destroy(self, request: Request, name: str) -> Response:
        cell = reading.cell_get(name=name, user=request.user, token=request.auth, left=True)
        _session_needed(request, "deleting cells")
        writing.cell_delete(cell=cell)
        return Response({})

    @extend_schema(summary="Move a file, or a folder with all that is in it", request=_MOVE, responses=FileSerializer)
    def move(self, request: Request, name: str) -> Response:
        cell = reading.cell_get(name=name, user=request.user, token=request.auth)
        data = json_object(request)
        source, target = text_of(data, "from"), text_of(data, "to")
        writing.file_move(cell=cell, source=source, target=target)
        return Response(file_json(reading.file_get(cell=cell, path=target)))


def cell_json(cell: Cell) -> dict[str, Any]:
    return {
        "name": cell.name,
        "owner": cell.owner.username,
        "quota": cell.quota,
        "used": bytes_used(cell),
        "kept": bytes_kept(cell),
        "created": cell.created_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        **({"moved_to": cell.moved_to} if cell.moved_to else {}),
    }


def text_of(data: dict[str, Any], name: str) -> str:
    if name not in data:
        raise ApiError("attribute_expected", f"{name} is missing.")
    if not isinstance(data[name], str):
        raise ApiError("type_mismatch", f"{name} must be a string.")
    return data[name]


def _session_needed(request: Request, what: str) -> None:
    if request.auth.cell_id is not None or SESSION not in request.auth.scopes:
        raise AccessDenied(what=what)
